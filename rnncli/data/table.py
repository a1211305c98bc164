"""Tables: CSV and its spreadsheet variants, TSV, JSON Lines, Parquet; read row by row, in bounded memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnncli.data.cells import NumberFormat, no_number, number
from rnncli.data.dates import DateColumn, Dates
from rnncli.data.records import (
    FileKind,
    Record,
    delimited,
    delimiter_of,
    json_columns,
    json_records,
    kind_of,
    parquet_columns,
    parquet_records,
)
from rnncli.data.skipped import Skipped
from rnncli.data.source import Source, name_of
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.names import nearest

NAMED = 200  # limits on the number of columns and the length of a name when searching for the nearest name

Key = str | int  # a column by name, or by index from 0
DateKey = Key | Sequence[Key] | None


class NoColumn(DataError):
    """The table lacks the requested column."""


@dataclass(frozen=True)
class Table:
    """How to read one file. columns: the header's names, or "0", "1" ... without one; header_line: 0 without one.
    delimiter: of text files, and of text written in this file's format."""

    source: Source
    delimiter: str
    columns: tuple[str, ...]
    header_line: int
    kind: FileKind = "text"

    @property
    def name(self) -> str:
        return name_of(self.source)

    def index(self, key: Key) -> int:
        """The index of a column given by name, else by number. Raises DataError with the nearest name, or all names."""
        name = str(key)
        places = [i for i, column in enumerate(self.columns) if column == name]
        if len(places) == 1:
            return places[0]
        if len(places) > 1:
            raise DataError(
                tr("{n} columns are named {name}", n=len(places), name=repr(name)),
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
        raise NoColumn(tr("no column {name}", name=repr(name)), where=f"{self.name}:{self.header_line or 1}", todo=todo)

    def records(self) -> Iterator[Record]:
        """(line number, cells), or the reason in place of cells; includes the header."""
        if self.kind == "json":
            return json_records(self.source, self.columns)
        return parquet_records(self.source) if self.kind == "parquet" else delimited(self.source, self.delimiter)

    def rows(self, skipped: Skipped) -> Iterator[tuple[int, list[str]]]:
        """(line number, cells) of each row with the right number of cells; others are bad records.

        The caller counts good rows (`skipped.good()`), since cells may still turn out to be bad, and calls `finish`.
        """
        width, name = len(self.columns), self.name
        for line, cells in self.records():
            if line == self.header_line:
                continue
            if isinstance(cells, str):
                skipped.bad(f"{name}:{line}", cells)
            elif len(cells) != width:
                skipped.bad(
                    f"{name}:{line}",
                    trn("has {n} column, not {wanted}", "has {n} columns, not {wanted}", n=len(cells), wanted=width),
                )
            else:
                yield line, cells


def date_keys(date: DateKey) -> list[Key]:
    """The indices of the date columns."""
    return [] if date is None else [date] if isinstance(date, (str, int)) else list(date)


def open_table(source: Source, *, header: bool = True, delimiter: str | None = None) -> Table:
    """Detect a table's file type, delimiter and columns from its first lines.

    Reads text (CSV and the like), JSON Lines and Parquet; the last two name their columns themselves. Blank lines are
    skipped. delimiter: of text files; None: detected (`delimiter_of`).
    """
    name, kind = name_of(source), kind_of(source)
    if kind != "text":
        columns = json_columns(source) if kind == "json" else parquet_columns(source)
        if not columns:
            raise DataError(tr("the file is empty"), where=name)
        return Table(source, ",", columns, 0, kind)
    delimiter = "\t" if delimiter == "tab" else delimiter or delimiter_of(source)
    first = next(delimited(source, delimiter), None)
    if first is None:
        raise DataError(tr("the file is empty"), where=name)
    line, cells = first
    if isinstance(cells, str):
        raise DataError(cells, where=f"{name}:{line}")
    if header:
        return Table(source, delimiter, tuple(cell.strip() for cell in cells), line)
    return Table(source, delimiter, tuple(str(i) for i in range(len(cells))), 0)


def read_cells(
    source: Source, keys: Sequence[Key], skipped: Skipped, *, header: bool = True, delimiter: str | None = None
) -> Iterator[tuple[str, list[str]]]:
    """(`file:line`, the requested columns' cells, stripped) of each row.

    A row with an empty cell is a bad record.
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


def read_listed(
    table: Table, file: Key, label: Key, by: Key | None, skipped: Skipped
) -> Iterator[tuple[str, str, str, str]]:
    """(`file:line`, file name, label, group: the cell of `by`, "" without) of each row; one with an empty cell is a bad
    record. Raises DataError for a table without rows."""
    places = [table.index(key) for key in (file, label, *(() if by is None else (by,)))]
    line = 0
    for line, cells in table.rows(skipped):
        found = [cells[place].strip() for place in places]
        if all(found):
            yield f"{table.name}:{line}", found[0], found[1], found[2] if found[2:] else ""
        else:
            skipped.bad(f"{table.name}:{line}", tr("a required column is empty"))
    if not line and not skipped.count:
        raise DataError(tr("the table has no rows"), where=table.name)


@dataclass(frozen=True)
class SeriesFile:
    """Columns of numbers over time. values: (T, N) float64, NaN where missing; lines: (T,) line numbers. id: the cells
    that identify it among the file's series, () if it is the only one."""

    name: str
    columns: tuple[str, ...]
    values: Any
    lines: Any
    dates: Dates | None
    id: tuple[str, ...] = ()


class _Rows:
    """Usable rows of one series so far."""

    def __init__(self) -> None:
        self.lines, self.found, self.dates = array("q"), array("d"), DateColumn()

    def done(self, name: str, columns: tuple[str, ...], dated: bool, id: tuple[str, ...]) -> SeriesFile:
        values = np.array(self.found, dtype=np.float64).reshape(len(self.lines), len(columns))
        if not dated:
            return SeriesFile(name, columns, values, np.array(self.lines), None, id)
        dates = self.dates.done(name, self.lines)
        if dates.falling:
            dates, values = dates.turned(), values[::-1].copy()
        return SeriesFile(name, columns, values, dates.lines, dates, id)


def read_panel(
    source: Source,
    ids: Sequence[Key],
    date: DateKey,
    keys: Sequence[Key],
    skipped: Skipped,
    *,
    header: bool = True,
    delimiter: str | None = None,
    numbers: NumberFormat = NumberFormat(),
) -> list[SeriesFile]:
    """Read the date column (None: no dates; several: their cells are joined, such as year and month) and the numeric
    columns, oldest first, at 8 bytes per number. A series whose rows run from newest to oldest is reversed.

    One result per distinct value of the columns `ids`, in order of first appearance; their rows may be interleaved.
    Without ids, all rows are one series. A row with an empty id cell, with a cell that is neither a number nor a
    missing marker, or whose date cannot be read, is a bad record. The caller checks the order of the dates
    (`dates.check_order()`, `dates.report()`).
    """
    table = open_table(source, header=header, delimiter=delimiter)
    places = [table.index(key) for key in keys]
    date_places = [table.index(key) for key in date_keys(date)]
    id_places = [table.index(key) for key in ids]
    found: dict[tuple[str, ...], _Rows] = {}
    for line, row in table.rows(skipped):
        values = [numbers.number(row[place]) for place in places]
        if None in values:
            place = places[values.index(None)]
            skipped.bad(f"{table.name}:{line}", no_number(row[place], table.columns[place], numbers.decimal))
            continue
        id = tuple(row[place].strip() for place in id_places)
        if not all(id):
            empty = table.columns[id_places[id.index("")]]
            skipped.bad(f"{table.name}:{line}", tr("column {name} is empty", name=repr(empty)))
            continue
        rows = found.get(id) or found.setdefault(id, _Rows())
        why = rows.dates.add(" ".join(row[place].strip() for place in date_places)) if date_places else ""
        if why:
            skipped.bad(f"{table.name}:{line}", why)
            continue
        skipped.good()
        rows.lines.append(line)
        rows.found.extend(value for value in values if value is not None)
    skipped.finish(table.name)
    columns = tuple(table.columns[place] for place in places)
    made = {id: rows for id, rows in found.items() if rows.lines}
    return [rows.done(table.name, columns, bool(date_places), id) for id, rows in made.items()]
