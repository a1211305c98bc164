"""A table's columns as a regular series, one row per step: gaps become rows, missing values are filled or rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rnncli.data.dates import Dates
from rnncli.data.table import SeriesFile
from rnncli.errors import DataError
from rnncli.locale import tr, trn

Missing = Literal["stop", "interpolate", "previous"]


@dataclass(frozen=True)
class RegularSeries:
    """Columns over time, one row per step, targets first.

    values: (T, N) float64 without NaN. known: (T, N) bool, False where a value was filled in. ahead: (A, N) float64,
    the rows after the last target: covariates known for the forecast period, NaN where unknown. times: (T,) int64 as in
    Dates, None without dates. notes: sentences on the step, gaps and filled values. id: see SeriesFile.
    """

    name: str
    columns: tuple[str, ...]
    values: Any
    known: Any
    ahead: Any
    times: Any
    dates: Dates | None
    notes: tuple[str, ...]
    id: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The file name and the series id."""
        return f"{self.name} ({' / '.join(self.id)})" if self.id else self.name

    def __len__(self) -> int:
        return len(self.values)

    def date(self, row: int) -> str:
        """A row's date in the file's style; rows after the last are extrapolated by the step. Without dates or a
        regular step: the number of steps after the last row, +1, +2 ..."""
        after = row - len(self) + 1
        if self.dates is None:
            return f"{after:+d}" if after > 0 else str(row)
        if after <= 0:
            return self.dates.write(int(self.times[row]))
        if self.dates.step is None:
            return f"{after:+d}"
        try:
            return self.dates.write(self.dates.step.after(int(self.times[-1]), after))
        except (ValueError, OverflowError) as error:  # datetime's limit
            raise DataError(tr("the next dates are beyond the year 9999"), where=self.title) from error


def regular(file: SeriesFile, num_targets: int, missing: Missing) -> RegularSeries:
    """Insert a row for every missing date, and fill missing values.

    num_targets: the first num_targets columns are targets. missing: stop raises DataError at the first missing value;
    interpolate is linear between the neighbours, so it uses the value after the gap; previous repeats the last value.
    At the ends of a column both repeat the nearest value. Raises DataError: dates out of order, a column without any
    value, more missing dates than existing ones.
    """
    notes = list(file.dates.report()) if file.dates is not None else []
    values, lines = file.values, file.lines
    times, opened = None, np.zeros(len(values), dtype=bool)
    if file.dates is not None:
        file.dates.check_order()
        values, lines, times, opened = _opened(file.name, file.dates, values, lines)
        if file.dates.step is None:
            notes.append(tr("each row is one step"))
    known = ~np.isnan(values)
    present = np.flatnonzero(known[:, :num_targets].any(axis=1))
    if not len(present):
        raise DataError(tr("the target has no values"), where=file.name)
    stop = int(present[-1]) + 1
    if stop < len(values):
        notes.append(tr("rows after the last target value: {n}", n=f"{len(values) - stop:,}"))
    ahead, values, known = values[stop:], values[:stop], known[:stop]
    if not known.all():
        row, column = (int(i[0]) for i in np.nonzero(~known))
        where = f"{file.name}:{lines[row]}"
        if missing == "stop":
            dates_out = int(opened[:stop].sum())
            what = _left_out(file.columns[column], bool(opened[row]), dates_out, int((~known[~opened[:stop]]).sum()))
            raise DataError(what, where=where, todo=tr("--set data.missing=interpolate, or previous"))
        notes.append(
            tr(
                "missing values filled ({how}): {n}, first at {where}",
                how=missing,
                n=f"{int((~known).sum()):,}",
                where=where,
            )
        )
        values = np.stack(
            [_filled(file.name, name, values[:, i], known[:, i], missing) for i, name in enumerate(file.columns)],
            axis=1,
        )
    return RegularSeries(
        file.name,
        file.columns,
        values,
        known,
        ahead,
        None if times is None else times[:stop],
        file.dates,
        tuple(notes),
        file.id,
    )


def _left_out(column: str, opened: bool, dates: int, values: int) -> str:
    """Counts of missing dates (absent rows) and values (empty cells). opened: whether the first of all is a date."""
    said = []
    if dates:
        said.append(
            trn(
                "{n} date is missing, the first before this line",
                "{n} dates are missing, the first before this line",
                n=dates,
            )
            if opened
            else trn("{n} date is missing", "{n} dates are missing", n=dates)
        )
    if values:
        said.append(
            trn("{n} value is missing", "{n} values are missing", n=values)
            if opened
            else trn(
                "column {name} has no value here ({n} value is missing)",
                "column {name} has no value here ({n} values are missing)",
                name=repr(column),
                n=values,
            )
        )
    return "; ".join(said if opened else reversed(said))


def _opened(name: str, dates: Dates, values: Any, lines: Any) -> tuple[Any, Any, Any, Any]:
    """values, lines, times and which rows are new, with a row of NaN for every missing date."""
    left_out = sum(count for _, count in dates.gaps)
    if left_out > len(values):
        index, count = max(dates.gaps, key=lambda gap: gap[1])
        raise DataError(
            tr("{n} dates are missing before this line, more than the file has", n=f"{count:,}"),
            where=f"{name}:{lines[index]}",
            todo=tr("is this date right?"),
        )
    opened = np.zeros(len(values) + left_out, dtype=bool)
    times = list(dates.values.tolist())
    places = []
    for index, count in reversed(dates.gaps):
        assert dates.step is not None
        times[index:index] = [dates.step.after(times[index - 1], k) for k in range(1, count + 1)]
        places += [index] * count
    opened[[index + k for k, index in enumerate(sorted(places))]] = True
    wide = np.full((len(opened), values.shape[1]), np.nan)
    wide[~opened] = values
    # an inserted row is reported at the line after the gap
    following = np.minimum(np.cumsum(~opened) - 1 + opened, len(lines) - 1)
    return wide, np.asarray(lines)[following], np.array(times, dtype=np.int64), opened


def _filled(name: str, column: str, values: Any, known: Any, missing: Missing) -> Any:
    """One column, (T,), without NaN."""
    places = np.flatnonzero(known)
    if not len(places):
        raise DataError(tr("column {name} has no values", name=repr(column)), where=name)
    if missing == "interpolate":
        return np.interp(np.arange(len(values)), places, values[places])
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))  # last known row so far
    return values[np.where(last < 0, places[0], last)]
