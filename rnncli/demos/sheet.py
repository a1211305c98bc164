"""Worksheets: grading a filled-in one. No torch.

`--explain ... --blanks --save sheet.csv` writes a worksheet: a row for every sum, with an empty last column, `value`,
to fill in. `--check sheet.csv` with the same options grades it. The row order must not change.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from rnncli import records
from rnncli.demos.filled import HEAD, number_in, numbers_alone, rows_of
from rnncli.errors import DataError
from rnncli.files import shown
from rnncli.locale import tr, trn
from rnncli.records import Entry

Tables = Sequence[records.Table]


def marked(
    forms: Sequence[Tables],
    named: Sequence[Tables],
    path: str,
    tolerance: float,
    other: Callable[[Sequence[str]], str],
) -> list[records.Record]:
    """A table of the wrong cells, and a check with the number of correct ones.

    Args:
        forms: the worksheet's tables with their values, with blanks and as an answer key. named: the same with the
        English names of a saved worksheet. other: from the worksheet's column `written`, the options of the worksheet
        with these numbers, or "".

    Raises DataError if the file cannot be read or belongs to other options. Rows whose value is given in the worksheet
    (a bias) are not graded.
    """
    rows = rows_of(path)
    answers = [row for row in rows if not _of_head(row[1])]
    wanted = [(table, row) for table in forms[0] for row in _dicts([table])]
    _require_rows(answers, [row for _, row in wanted], [str(row["term"]) for row in _dicts(named[0])], shown(path))
    written = [answer.get("written", "") for _, answer in answers]
    if not same_numbers(written, named):
        options = other(written)
        raise DataError(
            tr("the numbers in this worksheet's column `written` do not match these options"),
            where=shown(path),
            todo=tr("it was made with {options}; check it with those options", options=options)
            if options
            else tr("use the options that it was made with: --seed, --explain and all others"),
        )
    wrong: list[list[Entry]] = []
    graded, largest = 0, 0.0
    for (line, answer), (table, row) in zip(answers, wanted, strict=True):
        if is_given(str(row["term"])):
            continue
        graded += 1
        text = answer["value"].strip()
        value = number_in(text)
        right = row["value"]
        assert isinstance(right, int | float)
        diff = abs(value - right)
        if diff <= tolerance or (math.isnan(value) and math.isnan(right) and text):
            largest = max(largest, diff)
            continue
        where = table.title + (f", b={row['sample']}" if "sample" in row else "")
        wrong.append([line, where, row["unit"], row["term"], text or tr("(empty)"), right])
    cells = trn("{n} cell", "{n} cells", n=graded)
    text = trn("{n} of {cells} is correct", "{n} of {cells} are correct", n=graded - len(wrong), cells=cells)
    check = records.Check("answers", not wrong, text, None if wrong else largest, tolerance)
    named_ = [tr("name: {name}", name=name) for name in _names([row for _, row in rows])]
    said = [records.Message(text, name="name") for text in named_]
    return [*said, *([_wrong_table(wrong)] if wrong else []), records.Checks([check])]


def _of_head(row: dict[str, str]) -> bool:
    """Whether the row is above the sums, without a unit."""
    return not row.get("unit", "").strip() and row.get("term", "").strip() in HEAD


def _names(rows: Sequence[dict[str, str]]) -> list[str]:
    """Content of the name cell."""
    heads = [row for row in rows if _of_head(row) and row["term"].strip() == "name"]
    return [text for row in heads for key in ("written", "value") if (text := row.get(key, "").strip())]


def _wrong_table(rows: list[list[Entry]]) -> records.Table:
    columns = [
        records.Column("line", tr("line"), "count"),
        records.Column("step", "", "text", once=True),
        records.Column("unit", tr("unit"), "count"),
        records.Column("term", tr("term"), "text"),
        records.Column("answer", tr("answer"), "text"),
        records.Column("value", tr("correct value")),
    ]
    return records.Table("wrong", columns, rows, title=tr("wrong cells"))


def _require_rows(
    answers: Sequence[tuple[int, dict[str, str]]], wanted: Sequence[dict[str, Entry]], terms: Sequence[str], name: str
) -> None:
    """Raise DataError if the worksheet's rows differ from the expected ones by unit or term."""
    todo = tr("use the options that it was made with: --seed, --explain and all others")
    if len(answers) != len(wanted):
        what = trn(
            "has {n} row, but this worksheet has {m}",
            "has {n} rows, but this worksheet has {m}",
            n=len(answers),
            m=len(wanted),
        )
        raise DataError(what, where=name, todo=todo)
    for (line, answer), row, term in zip(answers, wanted, terms, strict=True):
        for key, names in (("unit", [str(row["unit"])]), ("term", [term, str(row["term"])])):
            if _letters(answer.get(key, "")) not in map(_letters, names):
                raise DataError(
                    tr("expected {term} of unit {unit} in this row", term=row["term"], unit=row["unit"]),
                    where=f"{name}:{line}",
                    todo=todo,
                )


def same_numbers(written: Sequence[str], forms: Sequence[Tables]) -> bool:
    """Whether the sums on a worksheet match these tables in either form.

    Decided by the majority of rows, because spreadsheets may corrupt cells. Rows without numbers are ignored.
    """
    of_forms = [[numbers_alone(str(row["written"])) for row in _dicts(form)] for form in forms]
    compared = [
        any(_close(found, row) for row in rows)
        for text, rows in zip(written, zip(*of_forms, strict=True), strict=True)
        if (found := numbers_alone(text))
    ]
    return 2 * sum(compared) >= len(compared)


def _close(found: Sequence[float], wanted: Sequence[float]) -> bool:
    """Whether the numbers are equal up to the fourth decimal."""
    return len(found) == len(wanted) and all(
        abs(a - b) <= 2e-4 * max(1.0, abs(b)) for a, b in zip(found, wanted, strict=True)
    )


def _dicts(tables: Tables) -> list[dict[str, Entry]]:
    return [dict(zip([c.name for c in table.columns], row, strict=True)) for table in tables for row in table.rows]


def is_given(term: str) -> bool:
    """Whether the worksheet gives the value of this row (biases are given)."""
    return term.startswith("b_")


def blank(table: records.Table) -> records.Table:
    """The table with its results left empty, on a separate page in print."""
    names = [column.name for column in table.columns]
    term, value = names.index("term"), names.index("value")
    rows = [[*row[:value], row[value] if is_given(str(row[term])) else None] for row in table.rows]
    return replace(table, rows=rows, sheet=True)


def _letters(text: str) -> str:
    """The characters of a name that survive a spreadsheet with another encoding."""
    return re.sub(r"[^A-Za-z0-9_]+", "", text)
