"""`rnncli bench --compare OLD.json`: figures of an earlier bench of the same machine beside those of now.

Absolute times of two runs are not compared: a machine's clock, its load and its memory differ from hour to hour. Each
run measured its own yardsticks, the product ceiling and the cost of a call; what is compared is each row's speed in
units of the yardstick that bounds it, with the intervals of both runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnncli.bench.machine import IDENTITY
from rnncli.bench.measure import Interval
from rnncli.bench.pages import SCHEMA, VERDICTS
from rnncli.errors import DataError, UsageError
from rnncli.files import read_chunks
from rnncli.locale import tr
from rnncli.names import ENGINE_ALIASES
from rnncli.records import Column, Json, Page, Table
from rnncli.report import to_json

KEYS = ("cell", "pass", "engine", "H", "B", "T", "threads")


def read_old(path: Path) -> dict[str, Any]:
    """An earlier `rnncli bench --json`. Raises DataError where the file is anything else."""
    try:
        document = json.loads("".join(read_chunks(path)))
        for row in document["rows"]:
            for key in (*KEYS, "seconds", "seconds_low", "seconds_high", "bound"):
                row[key]
        document["config"]["machine"], document["config"]["ceilings"][0]["flops"], document["config"]["call_seconds"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(
            tr("is not the result of a bench of rows"),
            where=str(path),
            todo=tr("write one with: rnncli bench --json > old.json"),
        ) from error
    if document.get("schema") != SCHEMA:
        raise DataError(
            tr("has schema {found}, and this rnncli reads {wanted}", found=document.get("schema"), wanted=SCHEMA),
            where=str(path),
        )
    rows = [row | {"engine": ENGINE_ALIASES.get(row["engine"], row["engine"])} for row in document["rows"]]
    return {**document, "rows": rows}


def require_same_machine(old: Mapping[str, Any], new: Mapping[str, Any], *, force: bool) -> list[str]:
    """What differs between the machines, as sentences. Raises UsageError where anything does, unless forced."""
    differences = [
        f"{key}: {old.get(key)} -> {new.get(key)}" for key in IDENTITY if str(old.get(key)) != str(new.get(key))
    ]
    if differences and not force:
        raise UsageError(
            tr("the figures are of another machine ({what})", what="; ".join(differences)),
            where="--compare",
            todo=tr("times of two machines say nothing about the program; --force compares them all the same"),
        )
    return differences


def check_old(path: Path, machine: Mapping[str, Json], *, dtype: str, device: str, force: bool) -> dict[str, Any]:
    """The old document, after everything that could refuse the comparison has been asked, before time is spent."""
    old = read_old(path)
    require_same_machine(old["config"]["machine"], machine, force=force)
    for key, value in (("dtype", dtype), ("device", device)):
        if old["config"].get(key) != value:
            raise UsageError(
                tr("the old figures have {key} {old}, these {new}", key=key, old=old["config"].get(key), new=value),
                where="--compare",
            )
    return old


def compared(page: Page, now: Page, old: Mapping[str, Any]) -> Page:
    """`page` with a table of what changed since `old`. now: the document page of the new figures."""
    new = to_json(now)
    then = {tuple(row[key] for key in KEYS): row for row in old["rows"]}
    products = _ceiling(new) / _ceiling(old)
    calls = old["config"]["call_seconds"] / new["config"]["call_seconds"]
    rows = []
    for row in new["rows"]:
        before = then.get(tuple(row[key] for key in KEYS))
        if before is None:
            continue
        yard = {"products": products, "calls": calls}.get(row["bound"], (products * calls) ** 0.5)
        change = Interval(
            before["seconds"] / row["seconds"] / yard,
            before["seconds_low"] / row["seconds_high"] / yard,
            before["seconds_high"] / row["seconds_low"] / yard,
        )
        verdict = tr("faster") if change.low > 1 else tr("slower") if change.high < 1 else tr("no sure change")
        if old["config"].get("moved") or new["config"]["moved"]:
            verdict = tr("withdrawn")
        rows.append([row["cell"], f"{row['H']}/{row['B']}/{row['T']}", row["engine"], row["threads"]])
        rows[-1] += [before["tokens_per_second"], row["tokens_per_second"], change.as_tuple(), verdict]
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
    about = [
        [tr("torch"), f"{old.get('torch')} -> {new['torch']}"],
        [
            tr("machine"),
            tr(
                "products {products}, calls {calls} times as fast as then; now / then is measured against these",
                products=f"{products:.2f}",
                calls=f"{calls:.2f}",
            ),
        ],
    ]
    differences = require_same_machine(old["config"]["machine"], new["config"]["machine"], force=True)
    if differences:
        about.append([tr("! forced"), tr("another machine ({what})", what="; ".join(differences))])
    tables = [Table("compared", columns, rows), Table("since", VERDICTS, about)]
    return replace(page, records=[*page.records, *tables])


def _ceiling(document: Mapping[str, Any]) -> float:
    return float(document["config"]["ceilings"][0]["flops"])
