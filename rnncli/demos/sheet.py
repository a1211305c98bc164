"""Exercise sheets: a filled one marked against the numbers it asks for. No torch.

A sheet is what `--explain ... --blanks --save sheet.csv` writes: a row for every sum, the last column, `value`, empty;
a person fills it. `--check sheet.csv` with the same options marks it. Rows stay in their order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

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
    """A table of the wrong cells, and one check: how many are right.

    Args:
        forms: the sheet's tables with their values, as they are filled in and as a key has them.
        named: the same with the English names that a saved sheet has.
        other: from the sheet's column `written`, the options of the sheet that has these numbers, or "".

    Raises DataError: not to be read, or the sheet of other options. Rows that give their value in the sheet (a bias)
    are not marked.
    """
    rows = rows_of(path)
    answers = [row for row in rows if not _of_head(row[1])]
    wanted = [(table, row) for table in forms[0] for row in _dicts([table])]
    _require_rows(answers, [row for _, row in wanted], [str(row["term"]) for row in _dicts(named[0])], shown(path))
    written = [answer.get("written", "") for _, answer in answers]
    if not same_numbers(written, named):
        raise _of_other_numbers(shown(path), other(written))
    wrong: list[list[Entry]] = []
    asked, largest = 0, 0.0
    for (line, answer), (table, row) in zip(answers, wanted, strict=True):
        if given(str(row["term"])):
            continue
        asked += 1
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
    cells = trn("{n} cell", "{n} cells", n=asked)
    text = trn("{n} of {cells} is right", "{n} of {cells} are right", n=asked - len(wrong), cells=cells)
    check = records.Check("answers", not wrong, text, None if wrong else largest, tolerance)
    named_ = [tr("name: {name}", name=name) for name in _names([row for _, row in rows])]
    said = [records.Message(text, name="name") for text in named_]
    return [*said, *([_wrong_table(wrong)] if wrong else []), records.Checks([check])]


def _of_head(row: dict[str, str]) -> bool:
    """Whether it is above the sums: of no unit."""
    return not row.get("unit", "").strip() and row.get("term", "").strip() in HEAD


def _names(rows: Sequence[dict[str, str]]) -> list[str]:
    """What was written in the cell for a name."""
    heads = [row for row in rows if _of_head(row) and row["term"].strip() == "name"]
    return [text for row in heads for key in ("written", "value") if (text := row.get(key, "").strip())]


def _wrong_table(rows: list[list[Entry]]) -> records.Table:
    columns = [
        records.Column("line", tr("line"), "count"),
        records.Column("step", "", "text", once=True),
        records.Column("unit", tr("unit"), "count"),
        records.Column("term", tr("term"), "text"),
        records.Column("answer", tr("answer"), "text"),
        records.Column("value", tr("right is")),
    ]
    return records.Table("wrong", columns, rows, title=tr("wrong cells"))


def _require_rows(
    answers: Sequence[tuple[int, dict[str, str]]], wanted: Sequence[dict[str, Entry]], terms: Sequence[str], name: str
) -> None:
    """DataError where the sheet's rows are not those that are wanted, by unit and term."""
    todo = tr("check it with the options that made it: --seed, --explain and all others")
    if len(answers) != len(wanted):
        what = trn(
            "has {n} row, and this sheet has {m}",
            "has {n} rows, and this sheet has {m}",
            n=len(answers),
            m=len(wanted),
        )
        raise DataError(what, where=name, todo=todo)
    for (line, answer), row, term in zip(answers, wanted, terms, strict=True):
        for key, names in (("unit", [str(row["unit"])]), ("term", [term, str(row["term"])])):
            if _letters(answer.get(key, "")) not in map(_letters, names):
                raise DataError(
                    tr("this row is not {term} of unit {unit}", term=row["term"], unit=row["unit"]),
                    where=f"{name}:{line}",
                    todo=todo,
                )


def same_numbers(written: Sequence[str], forms: Sequence[Tables]) -> bool:
    """Whether the sums on a sheet are those of these tables, in one of their forms.

    Most rows decide: a spreadsheet may have spoilt a cell. Rows without numbers say nothing.
    """
    of_forms = [[numbers_alone(str(row["written"])) for row in _dicts(form)] for form in forms]
    compared = [
        any(_close(found, row) for row in rows)
        for text, rows in zip(written, zip(*of_forms, strict=True), strict=True)
        if (found := numbers_alone(text))
    ]
    return 2 * sum(compared) >= len(compared)


def _close(found: Sequence[float], wanted: Sequence[float]) -> bool:
    """The same numbers, but for the last digit of four decimals."""
    return len(found) == len(wanted) and all(
        abs(a - b) <= 2e-4 * max(1.0, abs(b)) for a, b in zip(found, wanted, strict=True)
    )


def _of_other_numbers(name: str, options: str) -> DataError:
    return DataError(
        tr("this sheet has other numbers than these options draw: its column `written` says so"),
        where=name,
        todo=tr("it was made with {options}: check it with that", options=options)
        if options
        else tr("check it with the options that made it: --seed, --explain and all others"),
    )


def _dicts(tables: Tables) -> list[dict[str, Entry]]:
    return [dict(zip([c.name for c in table.columns], row, strict=True)) for table in tables for row in table.rows]


def given(term: str) -> bool:
    """Whether a sheet gives the value of this row: a bias is not a result."""
    return term.startswith("b_")


def blank(table: records.Table) -> records.Table:
    """The same with its results left empty, on a page of its own in print."""
    from dataclasses import replace

    names = [column.name for column in table.columns]
    term, value = names.index("term"), names.index("value")
    rows = [[*row[:value], row[value] if given(str(row[term])) else None] for row in table.rows]
    return replace(table, rows=rows, sheet=True)


def _letters(text: str) -> str:
    """What of a name survives a spreadsheet of another encoding."""
    return re.sub(r"[^A-Za-z0-9_]+", "", text)
