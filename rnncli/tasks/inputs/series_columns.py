"""The columns of a table that a recipe reads as series, and suggestions from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import combinations, islice
from typing import Annotated, Literal

from pydantic import Field

from rnncli.data.cells import NumberFormat, Thousands
from rnncli.data.guesses import is_date, is_series_name
from rnncli.data.records import Delimiter
from rnncli.data.skipped import Skipped
from rnncli.data.sniff import ROWS, TableGuess, sniff_table
from rnncli.data.source import name_of
from rnncli.data.splits import split_in_order
from rnncli.data.table import date_keys, open_table
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.recipe import Clash, DataSection
from rnncli.records import Json
from rnncli.tasks.base import Suggested


class Data(DataSection):
    date: str | int | list[str | int] | None = Field(
        "date", description="date column, by name or by index from 0; [year, month]: joined; null: none"
    )
    id: str | int | list[str | int] | None = Field(
        None, description="several series in one table: the id column, or a list of them"
    )
    target: str | int | list[str | int] = Field("value", description="column to forecast, or a list of them")
    past: list[str | int] = Field([], description="covariates known up to the present")
    future: list[str | int] = Field([], description="covariates also known in the future: holidays, prices")
    header: bool = Field(True, description="the first row names the columns")
    delimiter: Delimiter | None = Field(None, description="column separator; null: detected")
    decimal: Literal[".", ","] = Field(".", description="decimal separator")
    thousands: Thousands = Field("", description="thousands separator, if numbers have one")
    na_values: list[str | float] = Field(
        [], description="missing-value markers, such as -999, in addition to empty cells and NA"
    )
    missing: Literal["stop", "interpolate", "previous"] = Field(
        "stop",
        description="missing values and dates: stop, interpolate linearly, or repeat the previous value",
    )
    window: Annotated[int, Field(ge=1)] = Field(48, description="input steps")
    horizon: Annotated[int, Field(ge=1)] = Field(12, description="steps to forecast")
    season: Annotated[int, Field(ge=1)] = Field(
        1, description="seasonal period in steps, for seasonal naive and MASE; 1: none"
    )
    stride: Annotated[int, Field(ge=1)] = Field(
        1, description="steps between evaluated origins: 24 is one per day for hourly data; training uses all"
    )

    def targets(self) -> list[str | int]:
        return self.target if isinstance(self.target, list) else [self.target]

    def ids(self) -> list[str | int]:
        return date_keys(self.id)

    def numbers(self) -> NumberFormat:
        return NumberFormat(self.decimal, self.thousands, tuple(map(str, self.na_values)))

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.thousands == self.decimal:
            yield Clash(("thousands", "decimal"), tr("both use the same separator: {mark}", mark=repr(self.decimal)))
        if isinstance(self.path, list):
            yield Clash(
                ("path",), tr("series are read from one file"), tr("for several series use one file and data.id")
            )
        if not self.targets():
            yield Clash(("target",), tr("the list of targets is empty"))
        columns = [str(key) for key in (*self.targets(), *self.past, *self.future)]
        for name in dict.fromkeys(name for name in columns if columns.count(name) > 1):
            yield Clash(("target", "past", "future"), tr("column {name} is named twice", name=repr(name)))
        if any(str(key) in columns for key in date_keys(self.date)):
            yield Clash(("date",), tr("the date column is also used as a numeric column"))
        if any(str(key) in (*columns, *map(str, date_keys(self.date))) for key in self.ids()):
            yield Clash(("id",), tr("the id column is also used otherwise"))


TARGETS = ("target", "value", "y", "ot")  # typical names of target columns


def suggest_columns(path: str, data: Data | None = None) -> Suggested:
    """Suggested settings for the data at `path`, dotted key -> value, from its first rows.

    data: of the recipe being copied. The target is the numeric column named as in the recipe, or like a typical target,
    else the first; the others become `past`, which is always valid: the user moves those known ahead to `future`. For
    stacked series the id column becomes data.id. Raises DataError: unreadable, or a single bad cell disqualifies the
    would-be target.
    """
    said = data.numbers() if data is not None and data.numbers() != NumberFormat() else None
    found = sniff_table(path, delimiter=data.delimiter if data else None, numbers=said)
    several = found.several
    numbers = [name for name in found.numbers() if several is None or name not in several.columns]
    _check_readable(found, numbers, path)
    low = {name.lower(): name for name in reversed(numbers)}
    called = [str(key).lower() for key in (*(data.targets() if data else ()), *TARGETS)]
    likely = [name for name in numbers if not is_date(name)] or numbers  # hour and month are known in advance
    target = next((low[name] for name in called if name in low), likely[0])
    dates = several.dates if several is not None else found.date.dates if found.date is not None else None
    rows = len(dates.values) if several is not None and dates is not None else found.rows
    season = dates.step.season if dates is not None and dates.step is not None else 1
    if found.rows == ROWS and 2 * season > rows:
        rows = _rows_up_to(4 * season, found, path)
    filled: dict[str, Json] = {
        "data.date": None if found.date is None else _one_or_all(found.date.columns),
        **({} if several is None else {"data.id": _one_or_all(several.columns)}),
        "data.target": target,
        "data.past": [name for name in numbers if name != target],
        "data.future": [],
        "data.header": found.header,
        "data.decimal": found.numbers_as.decimal,
        **_lengths(season, rows, data or Data(path=path)),
    }
    if found.numbers_as.thousands:
        filled["data.thousands"] = found.numbers_as.thousands
    if any(column.missing for column in found.columns if column.name in numbers) or (dates is not None and found.gaps):
        filled["data.missing"] = "interpolate"
    if any(column.below_zero for column in found.columns if column.name == target):
        filled["model.relative"] = "window"  # a ratio of means would be one
    notes = [tr("the rows run from newest to oldest and are read in reverse")] if found.falling else []
    return Suggested(filled, [*notes, *_not_read(found, numbers)])


def _rows_up_to(most: int, found: TableGuess, path: str) -> int:
    """The number of rows, of the first series if there are several, counted up to `most`: the head may be a part."""
    table = open_table(path, header=found.header, delimiter=found.delimiter)
    places = [table.index(name) for name in (found.several.columns if found.several is not None else ())]
    ids = ([row[place].strip() for place in places] for _, row in table.rows(Skipped("skip")))
    first = next(ids)
    return 1 + sum(1 for _ in islice(filter(first.__eq__, ids), most - 1))


def _lengths(season: int, n: int, data: Data) -> dict[str, Json]:
    """Season, and where the recipe's do not suit n rows, window and horizon.

    Two seasons and one if there are ten; otherwise the recipe's, but at least one season in the window. Where a split
    has no room for a window with its forecast, the horizon fits into every split, the season is omitted if it is too
    long, and both lengths take at most half of the training split if they can.
    """
    regular = season > 1 and n >= 10 * season
    window, horizon = (2 * season, season) if regular else (max(season, data.window), data.horizon)
    with suppress(DataError):  # too few rows to split: reading them says so
        train, *others = map(len, split_in_order(n, data.split.fractions()).parts.values())
        if window + horizon > train or any(horizon > rows for rows in others):
            horizon = min([horizon, max(1, train // 4), *others])
            season = season if season + horizon <= train else 1
            window = max(season, min(window, data.window, train // 2 - horizon), 1)
    lengths: dict[str, Json] = {"data.season": season}
    if regular or window != data.window:
        lengths["data.window"] = window
    if regular or horizon != data.horizon:
        lengths["data.horizon"] = horizon
    return lengths


def _check_readable(found: TableGuess, numbers: Sequence[str], path: str) -> None:
    """Raise DataError: no numeric column, possibly because of a single cell."""
    before = [column.name for column in found.columns]
    for column in found.columns:
        if column.odd is not None and (not numbers or before.index(column.name) < before.index(numbers[0])):
            line, why = column.odd
            todo = tr("fix the value or leave the cell blank (data.missing); set the number format with --set")
            raise DataError(why, where=f"{name_of(path)}:{line}", todo=todo)
    if not numbers:
        raise DataError(tr("contains no numeric column"), where=path)


def _one_or_all(columns: Sequence[str]) -> str | list[str]:
    return columns[0] if len(columns) == 1 else list(columns)


def _not_read(found: TableGuess, numbers: Sequence[str]) -> list[str]:
    """Sentences on ignored columns."""
    texts = ", ".join(repr(name[:40]) for name in found.passed_over()[:10])
    others = [column.name for column in found.columns if column.kind == "number" and column.name not in numbers]
    ids = ", ".join(repr(name[:40]) for name in others[:10])
    notes = [tr("ignoring text columns: {columns}", columns=texts)] if texts else []
    if dates := ", ".join(repr(name[:40]) for name in found.undated()):
        notes.append(tr("named like dates, but read as numbers: {columns}", columns=dates))
    return notes + ([tr("ignoring id and constant columns: {columns}", columns=ids)] if ids else [])


def id_columns(path: str, data: Data, restarts: Sequence[int]) -> list[str]:
    """The id columns of a table whose dates restart at the lines `restarts`: one or two that change there and only
    there, with new values each time; or, if series are interleaved, those suggested by the first rows; [] if there are
    none."""
    table = open_table(path, header=data.header, delimiter=data.delimiter)
    wanted, runs, before = set(restarts), list[list[str]](), list[str]()
    places = list(range(len(table.columns)))
    for line, row in table.rows(Skipped("skip")):
        cells = [cell.strip() for cell in row]
        if not runs or line in wanted:
            runs.append(cells)
        else:
            places = [place for place in places if cells[place] == before[place]]
        before = cells
    places.sort(key=lambda place: not is_series_name(table.columns[place]))
    for chosen in [*combinations(places, 1), *combinations(places, 2)]:
        if len({tuple(cells[place] for place in chosen) for cells in runs}) == len(runs):
            return [table.columns[place] for place in chosen]
    several = sniff_table(path, delimiter=data.delimiter, numbers=data.numbers()).several
    return [] if several is None else list(several.columns)
