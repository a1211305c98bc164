"""Tables: CSV, TSV, what spreadsheets call CSV, JSON Lines, Parquet; read row by row, in bounded memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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

NAMED = 200  # columns, and characters of a name, among which a nearest name is looked for

Key = str | int  # a column by name, or by number from 0
DateKey = Key | Sequence[Key] | None


class NoColumn(DataError):
    """A table has not the column that was asked for."""


@dataclass(frozen=True)
class Table:
    """How to read one file. columns: the header's names, or "0", "1" ... without one; header_line: 0 without one.
    delimiter: of a text, and of a text made like this file."""

    source: Source
    delimiter: str
    columns: tuple[str, ...]
    header_line: int
    kind: FileKind = "text"

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

    def records(self) -> Iterator[Record]:
        """(line number, cells), or the reason in place of cells; a header among them."""
        if self.kind == "json":
            return json_records(self.source, self.columns)
        return parquet_records(self.source) if self.kind == "parquet" else delimited(self.source, self.delimiter)

    def rows(self, skipped: Skipped) -> Iterator[tuple[int, list[str]]]:
        """(line number, cells) of each row that has as many cells as there are columns; others are bad records.

        Good rows are for the caller to count (`skipped.good()`): what is in the cells may be bad yet. So is `finish`.
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
    """The columns that make a date."""
    return [] if date is None else [date] if isinstance(date, (str, int)) else list(date)


def open_table(source: Source, *, header: bool = True, delimiter: str | None = None) -> Table:
    """Finds out what kind of file a table is, its delimiter and its columns, from its first lines.

    Text (CSV and what is like it), JSON Lines and Parquet are read; the last two name their columns themselves. Blank
    lines are passed over. delimiter: of a text; None: the one that fits (`delimiter_of`).
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
    """Columns of numbers over time. values: (T, N) float64, NaN where missing; lines: (T,) line numbers. id: the cells
    that tell it from the file's other series, () where it is the only one."""

    name: str
    columns: tuple[str, ...]
    values: Any
    lines: Any
    dates: Dates | None
    id: tuple[str, ...] = ()

    def missing(self) -> dict[str, int]:
        """Missing values of each column that has any."""
        import numpy as np

        counts = np.isnan(self.values).sum(axis=0)
        return {column: int(n) for column, n in zip(self.columns, counts, strict=True) if n}


class _Rows:
    """The usable rows of one series so far."""

    def __init__(self) -> None:
        self.lines, self.found, self.dates = array("q"), array("d"), DateColumn()

    def done(self, name: str, columns: tuple[str, ...], dated: bool, id: tuple[str, ...]) -> SeriesFile:
        import numpy as np

        values = np.array(self.found, dtype=np.float64).reshape(len(self.lines), len(columns))
        if not dated:
            return SeriesFile(name, columns, values, np.array(self.lines), None, id)
        dates = self.dates.done(name, self.lines)
        if dates.falling:
            dates, values = dates.turned(), values[::-1].copy()
        return SeriesFile(name, columns, values, dates.lines, dates, id)


def read_series(
    source: Source,
    date: DateKey,
    keys: Sequence[Key],
    skipped: Skipped,
    *,
    header: bool = True,
    delimiter: str | None = None,
    numbers: NumberFormat = NumberFormat(),
) -> SeriesFile:
    """The date column (None: the file has none; several: their cells side by side, such as year and month) and columns
    of numbers, from old to new: 8 bytes a number. A file whose rows run from new to old is turned round.

    A row with a cell that is neither a number nor a missing marker, or whose date cannot be read, is a bad record. The
    order of the dates is the caller's to check (`dates.check_order()`, `dates.report()`).
    """
    (found,) = read_panel(source, (), date, keys, skipped, header=header, delimiter=delimiter, numbers=numbers)
    return found


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
    """As read_series, each series by itself of those that the columns `ids` tell apart, in the order of their first
    rows; their rows may be mixed. An empty cell there is a bad record. Without ids, all rows are one series."""
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
