"""Lines that a person gives `predict`, where they are rows of a table such as a run learnt from: its texts alone."""

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
    """The texts of a table whose first line names that column among others, or the lines as they are; and whether it is
    a table."""
    name = str(column)
    return _texts(lines, lambda cells: cells.index(name) if len(cells) > 1 and name in cells else None, header=True)


def texts_without_header(
    lines: Iterable[str], column: int, fits: Callable[[Cells], bool], delimiters: Sequence[str] = DELIMITERS
) -> tuple[Iterator[str], bool]:
    """The texts of that column, from 0, of a table whose first row `fits`, or the lines as they are; and whether it is
    a table."""
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
    """head: the names of the columns, () without a header. place: the column that is read. rows: those below the
    head."""

    delimiter: str
    head: Cells
    place: int
    rows: Iterator[Cells]

    def texts(self, rows: Iterable[Cells]) -> Iterator[str]:
        """What those rows have in the column; "" where they are too short."""
        return (cells[self.place] if self.place < len(cells) else "" for cells in rows)

    def line(self, cells: Cells, last: str) -> str:
        """A row and one cell more, as a line of such a table without its end."""
        row = [*cells, *[""] * (len(self.head) - len(cells)), last]
        if self.delimiter == "\t":
            return "\t".join(row)
        text = StringIO()
        csv.writer(text, delimiter=self.delimiter, lineterminator="\n").writerow(row)
        return text.getvalue()[:-1]


def table_of(
    lines: Iterable[str], place_of: Callable[[Cells], int | None], delimiters: Sequence[str], header: bool
) -> tuple[GivenTable | None, Iterator[str]]:
    """The table that lines are, if in its first row `place_of` finds the column to read; and, where it does not, the
    lines as they are."""
    lines = iter(lines)
    first = list(islice(lines, 1))
    whole = chain(first, lines)
    for delimiter in delimiters:
        try:
            cells = [cell.strip() for cell in next(_rows(first, delimiter), [])]
        except DataError:  # then it is a text
            continue
        place = place_of(cells)
        if place is not None:
            rows = _rows(whole, delimiter)
            return GivenTable(delimiter, next(rows) if header else (), place, rows), whole
    return None, whole


def _rows(lines: Iterable[str], delimiter: str) -> Iterator[Cells]:
    """In a file with tabs a quote is a character."""
    if delimiter == "\t":
        yield from (line.split("\t") for line in lines if line.strip())
        return
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        yield from (cells for cells in reader if cells)
    except csv.Error as error:
        why = tr("the quotes do not close, or stand inside a cell without being doubled")
        raise DataError(why, where=f"-:{reader.line_num}") from error
