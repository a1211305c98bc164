"""Input lines of `predict` that are rows of a table like the training data: extracts their texts."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import chain, islice

from rnncli.data.records import DELIMITERS
from rnncli.errors import DataError
from rnncli.locale import tr

Cells = Sequence[str]


def texts_of_column(
    lines: Iterable[str],
    column: str | int,
    fits: Callable[[Cells], bool] = lambda cells: len(cells) > 1,
    delimiters: Sequence[str] = DELIMITERS,
) -> tuple[Iterator[str], bool]:
    """The texts of a column of a table, else the lines unchanged; and whether it is a table: whether `fits` takes the
    first row, and that has the column. column: its name in a header, or its index, from 0, without one."""

    def place_of(cells: Cells) -> int | None:
        if isinstance(column, str):
            return cells.index(column) if column in cells and fits(cells) else None
        return column if column < len(cells) and fits(cells) else None

    table, whole = table_of(lines, place_of, delimiters, isinstance(column, str))
    return (whole, False) if table is None else (table.texts(table.rows), True)


@dataclass(frozen=True)
class GivenTable:
    """head: the names of the columns, () without a header. place: index of the column that is read. rows: those below
    the header."""

    delimiter: str
    head: Cells
    place: int
    rows: Iterator[Cells]

    def texts(self, rows: Iterable[Cells]) -> Iterator[str]:
        """The cells of the column; "" for rows that are too short."""
        return (cells[self.place] if self.place < len(cells) else "" for cells in rows)

    def line(self, cells: Cells, last: str) -> str:
        """A row plus one cell, as a line of such a table without its line end."""
        row = [*cells, *[""] * (len(self.head) - len(cells)), last]
        if self.delimiter == "\t":
            return "\t".join(row)
        text = StringIO()
        csv.writer(text, delimiter=self.delimiter, lineterminator="\n").writerow(row)
        return text.getvalue()[:-1]


def table_of(
    lines: Iterable[str], place_of: Callable[[Cells], int | None], delimiters: Sequence[str], header: bool
) -> tuple[GivenTable | None, Iterator[str]]:
    """The table that these lines form if `place_of` finds the column in the first row; else the lines unchanged."""
    lines = iter(lines)
    first = list(islice(lines, 1))
    whole = chain(first, lines)
    for delimiter in delimiters:
        try:
            cells = [cell.strip() for cell in next(_rows(first, delimiter), [])]
        except DataError:  # then it is plain text
            continue
        place = place_of(cells)
        if place is not None:
            rows = _rows(whole, delimiter)
            return GivenTable(delimiter, next(rows) if header else (), place, rows), whole
    return None, whole


def _rows(lines: Iterable[str], delimiter: str) -> Iterator[Cells]:
    """In a tab-separated file a quote is an ordinary character."""
    if delimiter == "\t":
        yield from (line.split("\t") for line in lines if line.strip())
        return
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        yield from (cells for cells in reader if cells)
    except csv.Error as error:
        why = tr("unclosed quotes, or quotes inside a cell that are not doubled")
        raise DataError(why, where=f"-:{reader.line_num}") from error
