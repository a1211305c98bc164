"""Series out of tables: a column of dates, and columns of numbers in regular steps."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch
from rnncli.data.cells import NumberFormat, Thousands
from rnncli.data.guesses import is_date
from rnncli.data.records import Delimiter
from rnncli.data.series import RegularSeries, read_regular
from rnncli.data.skipped import Skipped
from rnncli.data.sniff import TableGuess, sniff_table
from rnncli.data.source import fingerprint_of, name_of
from rnncli.data.splits import split_in_order
from rnncli.data.table import NoColumn, date_keys, open_table
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, DataSection
from rnncli.recipe.parse import flow_text
from rnncli.records import Json
from rnncli.tasks.base import FittedState, Splits, Suggested
from rnncli.tasks.inputs.sources import divide, files_of, sources

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor


class Data(DataSection):
    date: str | int | list[str | int] | None = Field(
        "date", description="column of dates, by name, or by number from 0; [year, month]: side by side; null: none"
    )
    target: str | int | list[str | int] = Field("value", description="what is forecast: a column, or a list of them")
    past: list[str | int] = Field([], description="further columns, known up to now")
    future: list[str | int] = Field([], description="further columns, known ahead as well: holidays, prices")
    header: bool = Field(True, description="the first row names the columns")
    delimiter: Delimiter | None = Field(None, description="between columns; null: what fits the first lines")
    decimal: Literal[".", ","] = Field(".", description="the mark in numbers")
    thousands: Thousands = Field("", description="the mark between groups of three digits, where numbers have one")
    na_values: list[str | float] = Field([], description="cells that mean no value, such as -999, besides empty and NA")
    missing: Literal["stop", "interpolate", "previous"] = Field(
        "stop",
        description="a value or a date left out: stop, a straight line between its neighbours, or the one before",
    )
    window: Annotated[int, Field(ge=1)] = Field(48, description="steps looked at")
    horizon: Annotated[int, Field(ge=1)] = Field(12, description="steps forecast")
    season: Annotated[int, Field(ge=1)] = Field(
        1, description="steps after which the series repeats, for seasonal naive and MASE; 1: it does not"
    )
    stride: Annotated[int, Field(ge=1)] = Field(
        1, description="steps between the origins that are judged: 24 is one a day of hourly data; training uses all"
    )

    def targets(self) -> list[str | int]:
        return self.target if isinstance(self.target, list) else [self.target]

    def numbers(self) -> NumberFormat:
        return NumberFormat(self.decimal, self.thousands, tuple(map(str, self.na_values)))

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.thousands == self.decimal:
            yield Clash(("thousands", "decimal"), tr("one mark for two things: {mark}", mark=repr(self.decimal)))
        if isinstance(self.path, list):
            yield Clash(("path",), tr("a series is one file"), tr("several series: one file with a column for each"))
        if not self.targets():
            yield Clash(("target",), tr("the list of targets is empty"))
        columns = [str(key) for key in (*self.targets(), *self.past, *self.future)]
        for name in dict.fromkeys(name for name in columns if columns.count(name) > 1):
            yield Clash(("target", "past", "future"), tr("column {name} is named twice", name=repr(name)))
        if any(str(key) in columns for key in date_keys(self.date)):
            yield Clash(("date",), tr("the column of dates is also a column of numbers"))


@dataclass(frozen=True)
class Fitted(FittedState):
    """Of every column, targets first: its name, mean and standard deviation. targets: how many of the columns are.
    naive: of each target, what seasonal naive misses by on the training part, the unit of MASE."""

    columns: list[str]
    targets: int
    mean: list[float]
    std: list[float]
    naive: list[float]


class Part(NamedTuple):
    """Windows of one series. values: (T, I) float32, scaled, targets first, then past and future columns. truth: (T, N)
    float32, scaled, NaN where the file has no value. origins: of each window, the last row looked at, (windows,)."""

    series: RegularSeries
    values: Tensor
    truth: Tensor
    origins: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stretch:
    """Some rows of a series, one after the other."""

    series: RegularSeries
    rows: range

    def __len__(self) -> int:
        return len(self.rows)

    def chosen(self, rows: Sequence[int]) -> Stretch:
        return Stretch(self.series, range(self.rows[rows[0]], self.rows[rows[-1]] + 1))


def read_series(data: Data) -> Splits[Fitted, Part]:
    """Raises DataError."""
    given = sources(data)
    notes: list[str] = []
    whole = {name: _first_series(data, files[0], notes) for name, files in given.items()}
    stretches, how = divide(
        {name: Stretch(series, range(len(series))) for name, series in whole.items()},
        given,
        lambda one: split_in_order(len(one), data.split.fractions()),
        tr("rows"),
    )
    train = stretches["train"]
    fitted = _scales(data, train.series, train.rows)
    scaled = {id(one.series): _scaled(one.series, fitted) for one in stretches.values()}
    parts = {
        name: _part(data, one.series, scaled[id(one.series)], one.rows, name, 1 if name == "train" else data.stride)
        for name, one in stretches.items()
    }
    return Splits(
        parts=parts,
        fitted=fitted,
        counts={name: {"windows": len(parts[name].origins), "steps": len(one)} for name, one in stretches.items()},
        fingerprint=fingerprint_of(files_of(given)),
        how=how,
        notes=notes,
    )


def read_new_series(data: Data, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
    """A new file as one part, scaled as the run's training part was; and notes on it. Raises DataError."""
    notes: list[str] = []
    series = series_of(data, path, notes)
    return _part(data, series, _scaled(series, fitted), range(len(series)), series.name, data.stride), notes


def _first_series(data: Data, source: str, notes: list[str]) -> RegularSeries:
    """A series that a recipe names. Where its columns are called otherwise, the error says what would fit."""
    try:
        return series_of(data, source, notes)
    except NoColumn as error:
        columns = open_table(source, header=data.header, delimiter=data.delimiter).columns
        try:
            found = suggest_columns(source, data)
        except DataError:
            raise error from None
        missing: dict[str, Sequence[str | int]] = {"data.date": date_keys(data.date), "data.target": data.targets()}
        sets = [
            shlex.join(["--set", f"{key}={flow_text(found[key])}"])
            for key, named in missing.items()
            if not all(name in (None, *columns) for name in named)
        ]
        if not sets or not data.header:
            raise
        copying = shlex.join(["rnncli", "recipes", "copy", "forecasting", "my.yaml", "--data", _short(source)])
        todo = tr("{sets}, or {command}", sets=" ".join(sets), command=copying)
        raise DataError(error.what, where=error.where, todo=todo) from error


def _short(path: str) -> str:
    """As one would type it here."""
    beside = os.path.relpath(path)
    return path if beside.startswith(os.pardir) else beside


def series_of(data: Data, source: str, notes: list[str]) -> RegularSeries:
    skipped = Skipped(data.on_bad, tr("rows"))
    series = read_regular(
        source,
        data.date,
        data.targets(),
        [*data.past, *data.future],
        skipped,
        missing=data.missing,
        header=data.header,
        delimiter=data.delimiter,
        numbers=data.numbers(),
    )
    notes += [*series.notes, *skipped.notes]
    if skipped.count:
        notes.append(skipped.sentence())
    return series


def _scales(data: Data, series: RegularSeries, rows: range) -> Fitted:
    """Mean and standard deviation of every column, and what seasonal naive misses by (the unit of MASE), all of the
    training part's known values only."""
    import numpy as np

    season, N = data.season, len(data.targets())
    inside = slice(rows.start, rows.stop)
    values = np.where(series.known[inside], series.values[inside], np.nan)  # (T, I)
    if len(values) <= season:
        raise DataError(
            trn(
                "the training part has {n} step, not more than a season, {season}",
                "the training part has {n} steps, not more than a season, {season}",
                n=len(values),
                season=season,
            ),
            where=series.name,
            todo=tr("lower data.season, or give a longer file"),
        )
    empty = np.isnan(values).all(axis=0)
    if empty.any():
        raise DataError(
            tr("column {name} has no value in the training part", name=repr(series.columns[int(empty.argmax())])),
            where=series.name,
        )
    spread = np.nanstd(values, axis=0)
    repeats = np.abs(values[season:, :N] - values[:-season, :N])  # (T - season, N)
    misses = [float(np.nanmean(column)) if not np.isnan(column).all() else 0.0 for column in repeats.T]
    return Fitted(
        columns=list(series.columns),
        targets=N,
        mean=np.nanmean(values, axis=0).tolist(),
        std=np.where(spread > 0, spread, 1.0).tolist(),
        naive=misses,
    )


def _scaled(series: RegularSeries, fitted: Fitted) -> tuple[Tensor, Tensor]:
    """values and truth of a Part, which parts of one series share. A column at a time, so that little is held twice."""
    import numpy as np
    import torch

    N = fitted.targets
    values = np.empty(series.values.shape, np.float32)
    for i, (mean, std) in enumerate(zip(fitted.mean, fitted.std, strict=True)):
        values[:, i] = (series.values[:, i] - mean) / std
    truth = values[:, :N].copy()
    truth[~series.known[:, :N]] = np.nan
    return torch.from_numpy(values), torch.from_numpy(truth)


def _part(data: Data, series: RegularSeries, scaled: tuple[Tensor, Tensor], rows: range, name: str, every: int) -> Part:
    """The windows whose forecast lies inside `rows`; what they look at may lie before. every: steps between origins."""
    import numpy as np

    N = scaled[1].shape[1]
    first = max(rows.start, data.window) - 1
    known = np.concatenate(([0], np.cumsum(series.known[:, :N].any(axis=1))))  # rows before each that have a truth
    origins = np.arange(first, max(first, rows.stop - data.horizon), every)
    origins = origins[known[origins + 1 + data.horizon] > known[origins + 1]]
    if not len(origins):
        needed = data.horizon + (data.window if rows.start == 0 else max(0, data.window - rows.start))
        raise DataError(
            trn(
                "{part} has {n} step; a window and its forecast need {needed}",
                "{part} has {n} steps; a window and its forecast need {needed}",
                part=name,
                n=len(rows),
                needed=needed,
            ),
            where=series.name,
            todo=tr("lower data.window or data.horizon, or give {part} a larger share", part=name),
        )
    return Part(series, *scaled, origins)


def windows(data: Data, part: Part, origins: npt.NDArray[np.int64], rows: Sequence[int]) -> Batch:
    """inputs (window, B, I); targets (horizon, B, N), NaN where there is no truth; extra future (horizon, B, F)."""
    import torch

    now = torch.as_tensor(origins, dtype=torch.int64)  # (B,)
    seen = now + torch.arange(1 - data.window, 1)[:, None]  # (window, B)
    ahead = now + torch.arange(1, data.horizon + 1)[:, None]  # (horizon, B)
    F = len(data.future)
    extra = {"future": part.values[ahead][..., -F:]} if F else {}
    return Batch(part.values[seen], None, part.truth[ahead], extra, rows)


def last_window(data: Data, fitted: Fitted, series: RegularSeries) -> Batch:
    """The window before the file's end, (window, 1, I), and what the rows after it say of the horizon."""
    import numpy as np
    import torch

    F = len(data.future)
    if len(series) < data.window:
        raise DataError(
            trn(
                "has {n} step; the model looks at {window}",
                "has {n} steps; the model looks at {window}",
                n=len(series),
                window=data.window,
            ),
            where=series.name,
        )
    mean, std = np.array(fitted.mean), np.array(fitted.std)
    inputs = ((series.values[-data.window :] - mean) / std).astype(np.float32)
    extra = {}
    if F:
        ahead = ((series.ahead[: data.horizon] - mean) / std)[:, -F:].astype(np.float32)
        if len(ahead) < data.horizon or np.isnan(ahead).any():
            raise DataError(
                trn(
                    "the next {n} step of {columns} is not in the file",
                    "the next {n} steps of {columns} are not in the file",
                    n=data.horizon,
                    columns=", ".join(map(str, data.future)),
                ),
                where=series.name,
                todo=tr("add rows after the last one, with these columns filled in and the target empty"),
            )
        extra = {"future": torch.from_numpy(ahead)[:, None]}  # (horizon, 1, F)
    return Batch(torch.from_numpy(inputs)[:, None], extra=extra)


TARGETS = ("target", "value", "y", "ot")  # what a column that is forecast is called


def suggest_columns(path: str, data: Data | None = None) -> Suggested:
    """What a recipe should say of the data at `path`, dotted key -> value, as far as its first rows show it.

    data: of the recipe that is copied. The target is the first column of numbers, or the one called like the recipe's,
    or like targets are; the others become columns known up to now, which is true of any: whoever reads the recipe moves
    those known ahead. Raises DataError: not to be read, a column that might have been the target but for a cell,
    several series.
    """
    said = data.numbers() if data is not None and data.numbers() != NumberFormat() else None
    found = sniff_table(path, delimiter=data.delimiter if data else None, numbers=said)
    numbers = found.numbers()
    _check_readable(found, numbers, path)
    low = {name.lower(): name for name in reversed(numbers)}
    called = [str(key).lower() for key in (*(data.targets() if data else ()), *TARGETS)]
    likely = [name for name in numbers if not is_date(name)] or numbers  # hour and month may help, but are known
    target = next((low[name] for name in called if name in low), likely[0])
    dates = found.date.dates if found.date is not None else None
    season = dates.step.season if dates is not None and dates.step is not None else 1
    filled: dict[str, Json] = {
        "data.date": None if found.date is None else _one_or_all(found.date.columns),
        "data.target": target,
        "data.past": [name for name in numbers if name != target],
        "data.future": [],
        "data.header": found.header,
        "data.decimal": found.numbers_as.decimal,
        "data.season": season,
    }
    if found.numbers_as.thousands:
        filled["data.thousands"] = found.numbers_as.thousands
    if any(column.missing for column in found.columns if column.name in numbers) or found.gaps:
        filled["data.missing"] = "interpolate"
    if season > 1 and found.rows >= 10 * season:
        filled |= {"data.window": 2 * season, "data.horizon": season}
    notes = [tr("the rows run from new to old and are read from the last to the first")] if found.falling else []
    return Suggested(filled, [*notes, *_not_read(found, numbers)])


def _check_readable(found: TableGuess, numbers: Sequence[str], path: str) -> None:
    """DataError: no numbers, or none but for a cell; several series."""
    before = [column.name for column in found.columns]
    for column in found.columns:
        if column.odd is not None and (not numbers or before.index(column.name) < before.index(numbers[0])):
            line, why = column.odd
            todo = tr("fix the value or leave the cell blank (data.missing); say how numbers are written with --set")
            raise DataError(why, where=f"{name_of(path)}:{line}", todo=todo)
    if not numbers:
        raise DataError(tr("there is no column of numbers in it"), where=path)
    if found.several is not None:
        name, names = found.several
        shown = ", ".join(repr(one[:40]) for one in names)
        raise DataError(
            tr("several series stand one below the other: {names} ... in column {name}", names=shown, name=repr(name)),
            where=path,
            todo=tr("give each series a file, or a column, of its own"),
        )


def _one_or_all(columns: Sequence[str]) -> str | list[str]:
    return columns[0] if len(columns) == 1 else list(columns)


def _not_read(found: TableGuess, numbers: Sequence[str]) -> list[str]:
    """Sentences on the columns that the recipe does not read."""
    texts = ", ".join(repr(name[:40]) for name in found.passed_over()[:10])
    others = [column.name for column in found.columns if column.kind == "number" and column.name not in numbers]
    ids = ", ".join(repr(name[:40]) for name in others[:10])
    notes = [tr("columns of text are not read: {columns}", columns=texts)] if texts else []
    if dates := ", ".join(repr(name[:40]) for name in found.undated()):
        notes.append(tr("called dates, but read as numbers: {columns}", columns=dates))
    return notes + ([tr("ids and constant columns are not read: {columns}", columns=ids)] if ids else [])
