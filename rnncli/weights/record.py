"""What a state_dict does not tell about its cores (cell, nonlinearity, options), in the metadata of a .safetensors file
that rnncli wrote: JSON, under one key, because safetensors writes several in any order, and weights of equal runs are
equal to the last byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from torch import nn

from rnncli.cells import CELLS, checked_options, cores_of
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr
from rnncli.names import OptionValue, option_text
from rnncli.records import json_object
from rnncli.version import __version__
from rnncli.weights.read import utf8_path

KEY = "rnncli"  # its text is the version if there is nothing to record


@dataclass(frozen=True)
class RecordedCell:
    """options: all of the cell's."""

    cell: str
    nonlinearity: str
    options: Mapping[str, OptionValue]


def metadata_of(model: nn.Module) -> dict[str, str]:
    """The metadata that records the cores of a model, as in evaluation.

    Cores of torch's classes with tanh, the default without a record, are left out: the files of such models are those
    of version 0.1, to the last byte.
    """
    specs = {path: spec.in_evaluation for path, spec in cores_of(model).items()}
    cores = {
        path: {"cell": spec.cell, "nonlinearity": spec.nonlinearity, "options": dict(spec.options)}
        for path, spec in specs.items()
        if spec.torch_class is None or spec.nonlinearity != "tanh"
    }
    return {KEY: json.dumps({"version": __version__, "cores": cores}) if cores else __version__}


def read_record(path: str) -> dict[str, RecordedCell]:
    """What a readable weight file records, by the core's path in the model; nothing if it is not a .safetensors file.
    Raises DataError: damaged, or a cell that is not installed."""
    if not path.endswith(".safetensors"):
        return {}
    try:
        with utf8_path(Path(path)) as name, safe_open(name, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
        text = metadata.get(KEY, "")
        found = json_object(json.loads(text)).get("cores", {}) if text.startswith("{") else {}
        return {core: _recorded(json_object(value), path) for core, value in json_object(found).items()}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError, UsageError) as error:
        raise DataError(tr("the cells that this file records cannot be read: {why}", why=error), where=path) from error


def _recorded(value: Mapping[str, object], path: str) -> RecordedCell:
    cell, nonlinearity = str(value["cell"]), str(value["nonlinearity"])
    if cell not in CELLS:
        raise DataError(
            tr("according to the file a core is a {cell}, which is not among the installed cells", cell=cell),
            where=path,
            todo=tr("install the package that provides it"),
        )
    if nonlinearity not in CELLS[cell].nonlinearities:
        raise ValueError(nonlinearity)
    defaults = {name: option.default for name, option in CELLS[cell].options.items()}
    return RecordedCell(cell, nonlinearity, defaults | checked_options(cell, json_object(value["options"])))


class Given(NamedTuple):
    """What is known of a core besides its tensors: from the user, or recorded in the file. options: those that are
    known. recorded: whether the file says it."""

    cell: str | None
    nonlinearity: str | None
    options: Mapping[str, object]
    recorded: bool


def given_of(
    cell: str | None, nonlinearity: str | None, options: Mapping[str, object], known: RecordedCell | None
) -> Given:
    """What the user says and what the file records. Raises UsageError: they contradict each other."""
    if known is None:
        return Given(cell, nonlinearity, options, False)
    if cell not in (None, known.cell):
        raise UsageError(tr("according to the file this core is a {cell}", cell=known.cell), where="--cell")
    if nonlinearity not in (None, known.nonlinearity):
        raise UsageError(
            tr("according to the file the nonlinearity is {nonlinearity}", nonlinearity=known.nonlinearity),
            where="--nonlinearity",
        )
    for name, value in checked_options(known.cell, options).items():
        if value != known.options[name]:
            text = option_text(known.options[name])
            raise UsageError(tr("according to the file {name} is {value}", name=name, value=text), where="--set")
    return Given(known.cell, known.nonlinearity, known.options, True)
