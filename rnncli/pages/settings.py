"""Settings of a target with their origins, or differing settings of several; and the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rnncli.locale import tr, trn
from rnncli.names import differing
from rnncli.recipe.show import print_config
from rnncli.records import Column, Json, Record, Table
from rnncli.targets import Target

DEFAULT = "default"  # origin in the JSON document


def settings(targets: Sequence[Target]) -> list[Record]:
    """For one target, the settings of its recipe and command line with their origins; for several, the differences side
    by side."""
    if len(targets) == 1:
        table = _with_origins(targets[0])
        return [replace(table, rows=[row for row in table.rows if row[2] != DEFAULT])]
    found = [
        {str(key): str(value) for key, value, _ in print_config(target.recipe.document, target.config).rows}
        for target in targets
    ]
    table, n = _side_by_side("settings", targets, found)
    return [replace(table, caption=trn("{n} other setting is the same", "{n} other settings are the same", n=n))]


def defaults(target: Target) -> Table:
    """The settings with default values."""
    table = _with_origins(target)
    rows = [row[:2] for row in table.rows if row[2] == DEFAULT]
    return replace(table, name="defaults", columns=table.columns[:2], rows=rows)


def _with_origins(target: Target) -> Table:
    table = print_config(target.recipe.document, target.config)
    if target.kind == "recipe":
        return table
    origins = target.environment().get("origins")
    if not isinstance(origins, dict):  # older runs do not store origins, but their recipe.yaml has all settings
        return table
    return replace(table, rows=[[key, value, str(origins.get(key, DEFAULT))] for key, value, _ in table.rows])


def environments(targets: Sequence[Target]) -> list[Record]:
    """Versions, machine and data hash of each run."""
    runs = [target for target in targets if target.kind == "run"]
    found = [{key: _shown(value) for key, value in run.environment().items() if key != "origins"} for run in runs]
    if not runs:
        return []
    if len(runs) == 1:
        columns = [Column("key", "", "text"), Column("value", "", "text")]
        return [Table("environment", columns, [list(pair) for pair in found[0].items()])]
    table, n = _side_by_side("environment", runs, found)
    return [replace(table, caption=trn("{n} other entry is the same", "{n} other entries are the same", n=n))]


def _shown(value: Json) -> str:
    return "-" if value is None or value == "" else str(value)


def _side_by_side(name: str, targets: Sequence[Target], found: Sequence[Mapping[str, str]]) -> tuple[Table, int]:
    """Keys in which the targets differ, with a column per target; and the number of the others."""
    keys = {key for values in found for key in values}
    shown = differing(found, str)
    columns = [Column("key", tr("key"), "text")]
    columns += [Column(f"target{k}", target.name, "text") for k, target in enumerate(targets)]
    rows = [[key, *(values.get(key, "") for values in found)] for key in shown]
    return Table(name, columns, rows), len(keys) - len(shown)
