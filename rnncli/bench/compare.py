"""`rnncli bench --compare OLD.json`: compares a benchmark with an earlier one on the same machine.

Absolute times of two runs are not compared: a machine's clock, load and memory differ from hour to hour. Each run
measures its own references, the product ceiling around each row and the overhead of a call; rows are compared by speed
relative to the reference that bounds them, with the intervals of both runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from rnncli.bench.machine import IDENTITY
from rnncli.bench.measure import Interval, rate_moved
from rnncli.bench.pages import SCHEMA
from rnncli.bench.verdicts import VERDICTS
from rnncli.errors import DataError, UsageError
from rnncli.files import read_chunks
from rnncli.locale import tr
from rnncli.names import ENGINE_ALIASES
from rnncli.records import Column, Entry, Json, Page, Table, json_list, json_number, json_object
from rnncli.render import to_json


@dataclass(frozen=True)
class Speed:
    """One row of a benchmark. rate: tokens/s. bound: the reference that bounds it. ceiling: FLOP/s of a product; moved:
    whether it had changed after the row."""

    cell: str
    what: str
    engine: str
    H: int
    B: int
    T: int
    threads: int
    seconds: Interval
    rate: float
    bound: str
    ceiling: float
    moved: bool

    @property
    def key(self) -> tuple[str | int, ...]:
        return self.cell, self.what, self.engine, self.H, self.B, self.T, self.threads


@dataclass(frozen=True)
class Figures:
    """The figures of a benchmark to compare. call: seconds per call."""

    torch: str
    machine: Mapping[str, Json]
    dtype: str
    device: str
    call: float
    rows: Sequence[Speed]


def read_old(path: Path) -> Figures:
    """Read an earlier `rnncli bench --json`. Raises DataError for any other file."""
    try:
        document = json_object(json.loads("".join(read_chunks(path))))
        figures = figures_of(document)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            tr("is not the result of rnncli bench over rows"),
            where=str(path),
            todo=tr("create one with: rnncli bench --json > old.json"),
        ) from error
    if document.get("schema") != SCHEMA:
        raise DataError(
            tr("has schema {found}; this rnncli reads {wanted}", found=document.get("schema"), wanted=SCHEMA),
            where=str(path),
        )
    return figures


def figures_of(document: Mapping[str, Json]) -> Figures:
    """Raises ValueError, KeyError or IndexError: not a document of a benchmark of rows."""
    config = json_object(document["config"])
    whole = json_number(json_object(json_list(config["ceilings"])[0])["flops"])
    moved = bool(config.get("moved"))  # 0.1 measured the ceiling once for all rows
    return Figures(
        str(document.get("torch")),
        json_object(config["machine"]),
        str(config.get("dtype")),
        str(config.get("device")),
        json_number(config["call_seconds"]),
        [_speed(json_object(row), whole, moved) for row in json_list(document["rows"])],
    )


def _speed(row: Mapping[str, Json], whole: float, moved: bool) -> Speed:
    """whole, moved: for a row without its own ceiling."""
    H, B, T, threads = (int(json_number(row[key])) for key in ("H", "B", "T", "threads"))
    seconds = Interval(*(json_number(row[key]) for key in ("seconds", "seconds_low", "seconds_high")))
    engine = str(row["engine"])
    engine = ENGINE_ALIASES.get(engine, engine)
    rate, bound = json_number(row["tokens_per_second"]), str(row["bound"])
    if "ceiling_flops" in row:
        before, after = json_number(row["ceiling_flops"]), json_number(row["ceiling_flops_after"])
        whole, moved = (before + after) / 2, rate_moved(before, after)
    return Speed(str(row["cell"]), str(row["pass"]), engine, H, B, T, threads, seconds, rate, bound, whole, moved)


def require_same_machine(old: Mapping[str, Json], new: Mapping[str, Json], *, force: bool) -> list[str]:
    """Differences between the machines, as sentences. Raises UsageError if there are any, unless forced."""
    differences = [
        f"{key}: {old.get(key)} -> {new.get(key)}" for key in IDENTITY if str(old.get(key)) != str(new.get(key))
    ]
    if differences and not force:
        raise UsageError(
            tr("the figures are from another machine ({what})", what="; ".join(differences)),
            where="--compare",
            todo=tr("times from two machines say nothing about the program; --force compares them anyway"),
        )
    return differences


def check_old(path: Path, machine: Mapping[str, Json], *, dtype: str, device: str, force: bool) -> Figures:
    """The old figures, after every check that could reject the comparison, before any time is spent."""
    old = read_old(path)
    require_same_machine(old.machine, machine, force=force)
    for key, was, value in (("dtype", old.dtype, dtype), ("device", old.device, device)):
        if was != value:
            raise UsageError(
                tr("the old figures have {key} {old}, the new ones {new}", key=key, old=was, new=value),
                where="--compare",
            )
    return old


def compared(page: Page, now: Page, old: Figures) -> Page:
    """`page` with a table of changes since `old`. now: the document page of the new figures."""
    new = figures_of(to_json(now))
    then = {row.key: row for row in old.rows}
    calls, seen = old.call / new.call, list[float]()
    rows: list[list[Entry]] = []
    for row in new.rows:
        before = then.get(row.key)
        if before is None:
            continue
        products = row.ceiling / before.ceiling
        seen.append(products)
        yard = {"products": products, "calls": calls}.get(row.bound, (products * calls) ** 0.5)
        change = Interval(
            before.seconds.value / row.seconds.value / yard,
            before.seconds.low / row.seconds.high / yard,
            before.seconds.high / row.seconds.low / yard,
        )
        verdict = tr("faster") if change.low > 1 else tr("slower") if change.high < 1 else tr("no clear change")
        if before.moved or row.moved:
            verdict = tr("withdrawn")
        sizes = f"{row.H}/{row.B}/{row.T}"
        rows.append([row.cell, sizes, row.engine, row.threads, before.rate, row.rate, change.as_tuple(), verdict])
    columns = [
        Column("cell", tr("cell"), "text", once=True),
        Column("sizes", "H/B/T", "text", once=True),
        Column("engine", tr("engine"), "text"),
        Column("threads", tr("threads"), "count", optional=True),
        Column("then", tr("then"), "count", group=tr("tokens/s")),
        Column("now", tr("now"), "count", group=tr("tokens/s")),
        Column("change", tr("now / then [95%]"), "interval"),
        Column("verdict", "", "text"),
    ]
    about: list[list[Entry]] = [
        [tr("torch"), f"{old.torch} -> {new.torch}"],
        [
            tr("machine"),
            tr(
                "products {products}, calls {calls} times as fast as then; now / then is relative to these",
                products=f"{median(seen):.2f}" if seen else "?",
                calls=f"{calls:.2f}",
            ),
        ],
    ]
    differences = require_same_machine(old.machine, new.machine, force=True)
    if differences:
        about.append([tr("! forced"), tr("another machine ({what})", what="; ".join(differences))])
    tables = [Table("compared", columns, rows), Table("since", VERDICTS, about)]
    return replace(page, records=[*page.records, *tables])
