"""Lines that a person gives `predict`, where they are rows of a table such as a run learnt from: its texts alone."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    lines = iter(lines)
    first = list(islice(lines, 1))
    whole = chain(first, lines)
    for delimiter in delimiters:
        try:
            place = place_of([cell.strip() for cell in next(_rows(first, delimiter), [])])
        except DataError:  # then it is a text
            continue
        if place is not None:
            rows = islice(_rows(whole, delimiter), int(header), None)
            return (cells[place] if place < len(cells) else "" for cells in rows), True
    return whole, False


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
