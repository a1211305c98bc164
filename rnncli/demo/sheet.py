"""Exercise sheets: a filled one marked against the numbers it asks for. No torch.

A sheet is what `--explain ... --blanks --save sheet.csv` writes: a row for every sum, the last column, `value`, empty;
a person fills it. `--check sheet.csv` with the same options marks it. Rows stay in their order.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnncli import records
from rnncli.errors import DataError
from rnncli.files import open_binary, shown
from rnncli.locale import tr, trn

MAX_BYTES = 10_000_000


def marked(
    tables: Sequence[records.Table], named: Sequence[records.Table], path: str, tolerance: float
) -> list[records.Record]:
    """A table of the wrong cells, and one check: how many are right. tables: with their values; named: the same with
    the English names that a saved sheet has. Raises DataError.

    Rows that give their value in the sheet (a bias) are not marked.
    """
    wanted = [
        (table, dict(zip([c.name for c in table.columns], row, strict=True))) for table in tables for row in table.rows
    ]
    terms = [str(row[[c.name for c in table.columns].index("term")]) for table in named for row in table.rows]
    answers = _answers(path)
    name = shown(path)
    if len(answers) != len(wanted):
        raise DataError(
            trn(
                "has {n} row, and this sheet has {m}",
                "has {n} rows, and this sheet has {m}",
                n=len(answers),
                m=len(wanted),
            ),
            where=name,
            todo=tr("check it with the options that made it: --seed, --explain and all others"),
        )
    wrong: list[list[Any]] = []
    asked, largest = 0, 0.0
    for (line, answer), (table, row), term in zip(answers, wanted, terms, strict=True):
        for key, names in (("unit", [str(row["unit"])]), ("term", [term, str(row["term"])])):
            if _letters(answer.get(key, "")) not in map(_letters, names):
                raise DataError(
                    tr("this row is not {term} of unit {unit}", term=row["term"], unit=row["unit"]),
                    where=f"{name}:{line}",
                    todo=tr("check it with the options that made it: --seed, --explain and all others"),
                )
        if given(str(row["term"])):
            continue
        asked += 1
        text = answer["value"].strip()
        value = _number(text)
        diff = abs(value - row["value"])
        if diff <= tolerance or (math.isnan(value) and math.isnan(row["value"]) and text):
            largest = max(largest, diff)
            continue
        where = table.title + (f", b={row['sample']}" if "sample" in row else "")
        wrong.append([line, where, row["unit"], row["term"], text or tr("(empty)"), row["value"]])
    columns = [
        records.Column("line", tr("line"), "count"),
        records.Column("step", "", "text", once=True),
        records.Column("unit", tr("unit"), "count"),
        records.Column("term", tr("term"), "text"),
        records.Column("answer", tr("answer"), "text"),
        records.Column("value", tr("right is")),
    ]
    cells = trn("{n} cell", "{n} cells", n=asked)
    text = trn("{n} of {cells} is right", "{n} of {cells} are right", n=asked - len(wrong), cells=cells)
    check = records.Check("answers", not wrong, text, None if wrong else largest, tolerance)
    found: list[records.Record] = [records.Table("wrong", columns, wrong, title=tr("wrong cells"))] if wrong else []
    return [*found, records.Checks([check])]


def given(term: str) -> bool:
    """Whether a sheet gives the value of this row: a bias is no result."""
    return term.startswith("b_")


def blank(table: records.Table) -> records.Table:
    """The same with its results left empty, on a page of its own in print."""
    from dataclasses import replace

    names = [column.name for column in table.columns]
    term, value = names.index("term"), names.index("value")
    rows = [[*row[:value], row[value] if given(row[term]) else None] for row in table.rows]
    return replace(table, rows=rows, sheet=True)


def _answers(path: str) -> list[tuple[int, dict[str, str]]]:
    """(line, cells by column) of the file, as a spreadsheet saves it: UTF-8 or GBK, with commas, semicolons or tabs."""
    name = shown(path)
    with open_binary(Path(path)) as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise DataError(tr("is too large: at most {n} MB", n=MAX_BYTES // 10**6), where=name)
    text = None
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    if text is None or "\0" in text:
        raise DataError(tr("is neither UTF-8 nor GBK text"), where=name)
    head = text.partition("\n")[0]
    mark = max(",;\t", key=head.count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark)
        rows = [(reader.line_num, {k: v or "" for k, v in row.items() if isinstance(k, str)}) for row in reader]
    except csv.Error as error:
        raise DataError(tr("cannot be read: {why}", why=error), where=name) from error
    missing = [column for column in ("unit", "term", "value") if column not in (reader.fieldnames or ())]
    if missing:
        raise DataError(
            tr("there is no column {name}", name=missing[0]),
            where=f"{name}:1",
            todo=tr("a sheet is what --explain STEP --blanks --save sheet.csv writes"),
        )
    return [(line, row) for line, row in rows if any(cell.strip() for cell in row.values())]


def _letters(text: str) -> str:
    """What of a name survives a spreadsheet of another encoding."""
    return re.sub(r"[^A-Za-z0-9_]+", "", text)


def _number(text: str) -> float:
    """0.5, -1, 1/2, 50%; what is no number is nan."""
    text = text.replace("−", "-").replace(" ", "")
    over, slash, under = text.partition("/")
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        return float(over) / float(under) if slash else float(text)
    except (ValueError, ZeroDivisionError):
        return math.nan
