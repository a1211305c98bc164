"""A look into the first rows of a table: what its columns are, and which of them a recipe probably wants."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Literal

from rnncli.data.cells import MISSING, number
from rnncli.data.dates import DateColumn, Step
from rnncli.data.skipped import Skipped
from rnncli.data.source import Source
from rnncli.data.table import Table, open_table
from rnncli.errors import DataError
from rnncli.locale import tr

ROWS = 2000  # looked at
ODD = 20  # a column of numbers has at most one cell in so many that is none; but one in any case


@dataclass(frozen=True)
class ColumnGuess:
    """name: as recipes write it. missing: cells that hold a missing marker. distinct: different cells. odd: line and
    cell of the first that is no number, where nearly all others are."""

    name: str
    kind: Literal["number", "date", "text"]
    missing: int
    distinct: int
    mean_length: float
    odd: tuple[int, str] | None = None


@dataclass(frozen=True)
class TableGuess:
    """header: the first row names the columns. decimal: the mark in numbers. rows: how many were looked at.

    date: the column of rising dates, its step (None: none is regular) and season (1 where there is none to guess);
    text, label: for classification, the column of few different values and the longest other one. Each is None where
    no column fits.
    """

    header: bool
    delimiter: str
    decimal: Literal[".", ","]
    columns: tuple[ColumnGuess, ...]
    rows: int
    date: str | None
    step: Step | None
    season: int
    text: str | None
    label: str | None

    def numbers(self) -> list[str]:
        """The columns of numbers, which may be forecast."""
        return [column.name for column in self.columns if column.kind == "number" and column.name != self.date]


def sniff_table(source: Source) -> TableGuess:
    """What the first rows show. Guesses are for a recipe that a person then reads; training never guesses."""
    header = _has_header(open_table(source, header=False))
    table = open_table(source, header=header)
    numbered = list(islice(table.rows(Skipped("skip")), ROWS))
    rows, lines = [row for _, row in numbered], [line for line, _ in numbered]
    if not rows:
        raise DataError(tr("no row has as many columns as the first line"), where=table.name)
    cells = [[row[place].strip() for row in rows] for place in range(len(table.columns))]
    comma = sum(_numeric(column, ",") for column in cells) > sum(_numeric(column, ".") for column in cells)
    decimal: Literal[".", ","] = "," if comma and table.delimiter != "," else "."
    date, step = None, None
    columns = []
    for name, column in zip(table.columns, cells, strict=True):
        found = _date_step(column) if date is None else None
        if found is not None:
            date, step = name, found[0]
        kind: Literal["number", "date", "text"]
        kind = "date" if found is not None else "number" if _numeric(column, decimal) else "text"
        missing = sum(cell.lower() in MISSING for cell in column)
        length = sum(map(len, column)) / len(column)
        odd = _odd_cell(column, lines) if kind == "text" else None
        columns.append(ColumnGuess(name, kind, missing, len(set(column)), length, odd))
    label = _label(columns, len(rows))
    others = [column for column in columns if column.kind == "text" and column.name != label]
    text = max(others, key=lambda column: column.mean_length).name if others else None
    if text is None:
        label = None
    return TableGuess(
        header, table.delimiter, decimal, tuple(columns), len(rows), date, step, step.season if step else 1, text, label
    )


def _has_header(table: Table) -> bool:
    """The first row is no header where it looks like the rows below: a number over numbers, a date over dates, or,
    where all is text, a cell that stands again in its column."""
    rows = [[cell.strip() for cell in row] for _, row in islice(table.rows(Skipped("skip")), ROWS)]
    if len(rows) < 2:
        return True
    first, below = rows[0], list(zip(*rows[1:], strict=True))
    typed = [
        (number(cell, mark) is not None and cell.lower() not in MISSING) or not DateColumn().add(cell)
        for cell, column in zip(first, below, strict=True)
        for mark in (".", ",")
        if _numeric(column, mark) or _date_step(column) is not None
    ]
    if typed:
        return not any(typed)
    return not any(cell and cell in column for cell, column in zip(first, below, strict=True))


def _numeric(cells: list[str] | tuple[str, ...], decimal: str) -> bool:
    """All cells are numbers or missing, and at least one is a number."""
    present = [cell for cell in cells if cell.lower() not in MISSING]
    return bool(present) and all(number(cell, decimal) is not None for cell in present)


def _odd_cell(cells: list[str], lines: list[int]) -> tuple[int, str] | None:
    """(line, cell) of the first cell that is no number, in a column where nearly all others are."""
    for decimal in (".", ","):
        odd = [i for i, cell in enumerate(cells) if number(cell, decimal) is None]
        if 1 <= len(odd) <= max(1, len(cells) // ODD) and len(cells) > 2:
            return lines[odd[0]], cells[odd[0]]
    return None


def _date_step(cells: list[str] | tuple[str, ...]) -> tuple[Step | None] | None:
    """The step of a column of dates, in a tuple; None where it is none, or its dates do not rise."""
    column = DateColumn()
    if any(column.add(cell) for cell in cells):
        return None
    try:
        dates = column.done("", range(1, len(cells) + 1))
    except DataError:
        return None
    rising = not dates.backwards and len(set(cells)) > 1
    return (dates.step,) if rising else None


def _label(columns: list[ColumnGuess], rows: int) -> str | None:
    """The column of the fewest different values: two at least, and each twice on average."""
    few = [column for column in columns if column.kind != "date" and 2 <= column.distinct <= max(2, rows // 2)]
    texts = [column for column in few if column.kind == "text"]
    chosen = min(texts or few, key=lambda column: column.distinct, default=None)
    if chosen is None or (chosen.kind == "number" and chosen.distinct > 20):
        return None
    return chosen.name
