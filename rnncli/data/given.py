"""Input lines of `predict` that are rows of a table like the training data: extracts their texts."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import chain, islice

from rnncli.data.records import DELIMITERS
from rnncli.data.table import Key
from rnncli.errors import DataError
from rnncli.locale import tr

Cells = Sequence[str]


def texts_with_header(lines: Iterable[str], column: Key) -> tuple[Iterator[str], bool]:
    """The texts of a table whose header names that column, else the lines unchanged; and whether it is a table."""
    name = str(column)
    return _texts(lines, lambda cells: cells.index(name) if len(cells) > 1 and name in cells else None, header=True)


def texts_without_header(
    lines: Iterable[str], column: int, fits: Callable[[Cells], bool], delimiters: Sequence[str] = DELIMITERS
) -> tuple[Iterator[str], bool]:
    """The texts of that column (from 0) of a table whose first row satisfies `fits`, else the lines unchanged; and
    whether it is a table."""
    return _texts(lines, lambda cells: column if len(cells) > column and fits(cells) else None, delimiters)


def _texts(
    lines: Iterable[str],
    place_of: Callable[[Cells], int | None],
    delimiters: Sequence[str] = DELIMITERS,
    header: bool = False,
) -> tuple[Iterator[str], bool]:
    table, whole = table_of(lines, place_of, delimiters, header)
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
