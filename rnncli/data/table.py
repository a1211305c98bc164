"""Tables in text: CSV, TSV, and what spreadsheets call CSV; read row by row, in bounded memory."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rnncli.data.dates import DateColumn, Dates
from rnncli.data.skipped import Skipped
from rnncli.data.source import Source, lines_of, name_of
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.names import nearest

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?", ".", "#n/a"})  # in lower case
DELIMITERS = (",", ";", "\t", "|")
MAX_RECORD = 200_000  # lines that one record's quotes may hold
NAMED = 200  # columns, and characters of a name, among which a nearest name is looked for
HEAD = 20  # lines looked at to tell what separates the columns

Key = str | int  # a column by name, or by number from 0

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class NoColumn(DataError):
    """A table has not the column that was asked for."""


@dataclass(frozen=True)
class Table:
    """How to read one file. columns: the header's names, or "0", "1" ... without one; header_line: 0 without one."""

    source: Source
    delimiter: str
    columns: tuple[str, ...]
    header_line: int

    @property
    def name(self) -> str:
        return name_of(self.source)

    def index(self, key: Key) -> int:
        """The place of a column by its name, else by its number. DataError with the nearest name, or all names."""
        name = str(key)
        places = [i for i, column in enumerate(self.columns) if column == name]
        if len(places) == 1:
            return places[0]
        if len(places) > 1:
            raise DataError(
                tr("{n} columns are called {name}", n=len(places), name=repr(name)),
                where=f"{self.name}:{self.header_line}",
                todo=tr("give the column's number, from 0"),
            )
        if name.isdecimal() and name.isascii() and len(name) < 7 and int(name) < len(self.columns):
            return int(name)
        some = [column for column in self.columns[:NAMED] if len(column) <= NAMED]
        near = nearest(name, [column.lower() for column in some])
        near = next((column for column in some if near and column.lower() == near), "")
        listed = ", ".join(repr(column[:40]) for column in self.columns[:20])
        todo = tr("did you mean {name}? ", name=repr(near)) if near else ""
        todo += tr("columns: {columns}", columns=listed)
        if self.header_line and any(number(column) is not None for column in some if column):
            todo += tr("; if that is a row of data, set header: false")
        raise NoColumn(
            tr("there is no column {name}", name=repr(name)), where=f"{self.name}:{self.header_line or 1}", todo=todo
        )

    def rows(self, skipped: Skipped) -> Iterator[tuple[int, list[str]]]:
        """(line number, cells) of each row that has as many cells as there are columns; others are bad records.

        Good rows are for the caller to count (`skipped.good()`): what is in the cells may be bad yet. So is `finish`.
        """
        width = len(self.columns)
        for line, cells in records(self.source, self.delimiter):
            if line == self.header_line:
                continue
            where = f"{self.name}:{line}"
            if isinstance(cells, str):
                skipped.bad(where, cells)
            elif len(cells) != width:
                skipped.bad(
                    where,
                    trn("has {n} column, not {wanted}", "has {n} columns, not {wanted}", n=len(cells), wanted=width),
                )
            else:
                yield line, cells


def open_table(source: Source, *, header: bool = True, delimiter: str | None = None, decimal: str = ".") -> Table:
    """Finds out a table's delimiter and columns from its first lines. decimal: the mark in its numbers.

    The ending decides on the delimiter (.tsv and .tab a tab, otherwise a comma), unless the first line has none of
    these: then the one of , ; tab | that cuts the first lines into the most columns, each line into as many. A tab-
    separated file has its quotes taken as characters, except around a whole cell; otherwise quotes are those of RFC
    4180, and may hold line ends. Blank lines are passed over.
    """
    name = name_of(source)
    head = [line for _, line in islice(lines_of(source), HEAD)]
    if delimiter is None:
        delimiter = _delimiter(name, head)
        if delimiter == decimal == "," and any(";" in line for line in head[:1]):
            delimiter = ";"  # 1;2,5 without a header
    first = next(records(source, delimiter), None)
    if first is None:
        raise DataError(tr("the file is empty"), where=name)
    line, cells = first
    if isinstance(cells, str):
        raise DataError(cells, where=f"{name}:{line}")
    if header:
        return Table(source, delimiter, tuple(cell.strip() for cell in cells), line)
    return Table(source, delimiter, tuple(str(i) for i in range(len(cells))), 0)


def number(cell: str, decimal: str = ".") -> float | None:
    """The number in a cell, NaN for a missing marker (empty, NA, NaN, null, - ...), None for anything else.

    Infinite and too large numbers, 1_000 and 1,000 are no numbers.
    """
    cell = cell.strip()
    if decimal != ".":
        cell = "not one" if "." in cell and len(cell) > 1 else cell.replace(decimal, ".")
    if _NUMBER.fullmatch(cell):
        value = float(cell)
        return value if abs(value) != float("inf") else None
    return float("nan") if cell.lower() in MISSING else None


def read_cells(
    source: Source, keys: Sequence[Key], skipped: Skipped, *, header: bool = True, delimiter: str | None = None
) -> Iterator[tuple[str, list[str]]]:
    """(`file:line`, the cells of the columns asked for, white space around them dropped) of each row.

    An empty cell is a bad record.
    """
    table = open_table(source, header=header, delimiter=delimiter)
    places = [table.index(key) for key in keys]
    for line, row in table.rows(skipped):
        cells = [row[place].strip() for place in places]
        where = f"{table.name}:{line}"
        if all(cells):
            skipped.good()
            yield where, cells
        else:
            empty = table.columns[places[cells.index("")]]
            skipped.bad(where, tr("column {name} is empty", name=repr(empty)))
    skipped.finish(table.name)


@dataclass(frozen=True)
class SeriesFile:
    """Columns of numbers over time. values: (T, N) float64, NaN where missing; lines: (T,) line numbers."""

    name: str
    columns: tuple[str, ...]
    values: Any
    lines: Any
    dates: Dates | None

    def missing(self) -> dict[str, int]:
        """Missing values of each column that has any."""
        import numpy as np

        counts = np.isnan(self.values).sum(axis=0)
        return {column: int(n) for column, n in zip(self.columns, counts, strict=True) if n}


def read_series(
    source: Source,
    date: Key | None,
    keys: Sequence[Key],
    skipped: Skipped,
    *,
    header: bool = True,
    delimiter: str | None = None,
    decimal: str = ".",
) -> SeriesFile:
    """The date column (None: the file has none) and columns of numbers, in the file's order: 8 bytes a number.

    A row with a cell that is neither a number nor a missing marker, or whose date cannot be read, is a bad record. The
    order of the dates is the caller's to check (`dates.check_order()`, `dates.report()`).
    """
    import numpy as np

    table = open_table(source, header=header, delimiter=delimiter, decimal=decimal)
    places = [table.index(key) for key in keys]
    date_place = None if date is None else table.index(date)
    dates = DateColumn()
    lines, numbers = array("q"), array("d")
    for line, row in table.rows(skipped):
        values = [number(row[place], decimal) for place in places]
        where = f"{table.name}:{line}"
        if None in values:
            place = places[values.index(None)]
            skipped.bad(
                where,
                tr("{cell} in column {name} is no number", cell=repr(row[place][:40]), name=repr(table.columns[place])),
            )
            continue
        why = "" if date_place is None else dates.add(row[date_place])
        if why:
            skipped.bad(where, why)
            continue
        skipped.good()
        lines.append(line)
        numbers.extend(value for value in values if value is not None)
    skipped.finish(table.name)
    values_array = np.array(numbers, dtype=np.float64).reshape(len(lines), len(places))
    return SeriesFile(
        table.name,
        tuple(table.columns[place] for place in places),
        values_array,
        np.array(lines),
        None if date_place is None else dates.done(table.name, lines),
    )


def records(source: Source, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """(number of the first line, cells) of each record, or the reason in place of cells where it cannot be cut.

    The header is one of them; the delimiter is that of `open_table`."""
    if delimiter == "\t":
        for line, text in lines_of(source):
            if text.strip(" "):
                yield line, [_unquoted(cell) for cell in text.split("\t")]
        return
    line = 1

    def text_lines() -> Iterator[str]:
        for number, text in lines_of(source):
            if number - line > MAX_RECORD:
                raise DataError(
                    tr("a record of more than {n} lines; does a quote never close?", n=f"{MAX_RECORD:,}"),
                    where=f"{name_of(source)}:{line}",
                )
            yield text + "\n"

    reader = csv.reader(text_lines(), delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "field larger" in str(error):
                yield (
                    line,
                    tr(
                        "a cell of more than {n} characters; does a quote never close?", n=f"{csv.field_size_limit():,}"
                    ),
                )
            else:
                yield line, tr("the quotes do not close, or stand inside a cell without being doubled")
            continue
        if cells and (len(cells) > 1 or cells[0].strip()):
            yield line, cells


def _unquoted(cell: str) -> str:
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        inside = cell[1:-1]
        if '"' not in inside.replace('""', ""):
            return inside.replace('""', '"')
    return cell


def _delimiter(name: str, head: list[str]) -> str:
    tabs = name.removesuffix(".gz").lower().endswith((".tsv", ".tab"))
    usual = "\t" if tabs else ","
    first = next((line for line in head if line.strip()), "")
    if usual in first:
        return usual
    best, most = usual, 1
    for delimiter in DELIMITERS:
        widths = set()
        try:
            widths = {len(cells) for cells in csv.reader(head, delimiter=delimiter) if cells}
        except csv.Error:
            continue
        if len(widths) == 1 and max(widths) > most:
            best, most = delimiter, max(widths)
    return best
