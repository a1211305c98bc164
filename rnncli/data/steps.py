"""The regular step of a series: inferred from its dates, extrapolated, and the dates that deviate from it.

Dates are whole numbers of microseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from rnncli.data.date_forms import DAY, EPOCH, SECOND
from rnncli.locale import tr, trn

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Step:
    """The distance between neighbouring dates: months, or microseconds (with a weekmask: one day, skipping days marked
    0).

    name: hourly, daily, weekdays, weekly, monthly, quarterly, yearly, or "every 15 min"; not translated. weekmask: of
    Monday to Sunday, such as 1111100. season: usual seasonal period in steps (12 for monthly), 1 if there is none.
    """

    name: str
    season: int
    months: int = 0
    microseconds: int = 0
    weekmask: str = ""

    def shown(self) -> str:
        """Its name in the current language."""
        if not self.name[0].isdigit() and not self.name.startswith("every "):
            return tr(self.name)
        if self.months:
            return trn("every {n} month", "every {n} months", n=self.months)
        if self.weekmask:
            return trn("{n} day a week", "{n} days a week", n=self.season)
        return tr("every {length}", length=self.name.removeprefix("every "))

    def after(self, date: int, count: int) -> int:
        """The date `count` steps later. The last day of a month stays the last day."""
        if self.months:
            return _add_months(date, count * self.months)
        if self.weekmask:
            day, rest = divmod(date, DAY)
            moved = np.busday_offset(np.datetime64(day, "D"), count, roll="forward", weekmask=self.weekmask)
            return int(moved.astype(np.int64)) * DAY + rest
        return date + count * self.microseconds


def faults(
    values: Ints, step: Step | None
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    differences = np.diff(values)
    duplicates = tuple((np.flatnonzero(differences == 0) + 1).tolist())
    backwards = tuple((np.flatnonzero(differences < 0) + 1).tolist())
    if step is None:
        return (), duplicates, backwards, ()
    counts, whole = _steps_between(values, step)
    forward = differences > 0
    gaps = tuple((int(i) + 1, int(counts[i]) - 1) for i in np.flatnonzero(forward & whole & (counts > 1)))
    off = tuple((np.flatnonzero(forward & ~whole) + 1).tolist())
    return gaps, duplicates, backwards, off


def _steps_between(values: Ints, step: Step) -> tuple[Ints, Flags]:
    """For each pair of neighbours: the number of steps between them, and whether it is an integer."""
    if step.months:
        months = values.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
        between = np.diff(months)
        return between // step.months, between % step.months == 0
    if step.weekmask:
        days = (values // DAY).astype("datetime64[D]")
        between = np.busday_count(days[:-1], days[1:], weekmask=step.weekmask)
        return between, np.ones(len(between), dtype=bool)
    between = np.diff(values)
    return between // step.microseconds, between % step.microseconds == 0


def infer(values: Ints) -> Step | None:
    """The step between more than half of the neighbouring dates, or None."""
    dates = np.unique(values)
    if len(dates) < 2:
        return None
    differences = np.diff(dates)
    stamps = dates.astype("datetime64[us]")
    months = stamps.astype("datetime64[M]")
    days = (stamps.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    month_ends = (stamps.astype("datetime64[D]") + 1).astype("datetime64[M]") > months
    same_day = (days == days[0]).all() or month_ends.all()
    if same_day and (dates % DAY == dates[0] % DAY).all() and differences.min() >= 28 * DAY:
        counted: Ints = months.astype(np.int64)
        usual, share = _mode(np.diff(counted))
        known = {1: ("monthly", 12), 3: ("quarterly", 4), 12: ("yearly", 1)}
        name, season = known.get(usual, (f"every {usual} months", 12 // usual if 12 % usual == 0 else 1))
        return Step(name, season, months=usual) if share > 0.5 else None
    usual, share = _mode(differences)
    if share <= 0.5:
        return None
    if usual == DAY and (differences > DAY).any() and (mask := _weekmask(dates)):
        name = "weekdays" if mask == "1111100" else f"{mask.count('1')} days a week"
        return Step(name, mask.count("1"), microseconds=DAY, weekmask=mask)
    names = {3600 * SECOND: "hourly", DAY: "daily", 7 * DAY: "weekly"}
    seasons = {DAY: 7, 7 * DAY: 52}
    season = seasons.get(usual, DAY // usual if usual < DAY and DAY % usual == 0 else 1)
    return Step(names.get(usual, f"every {_duration(usual)}"), season, microseconds=usual)


def _weekmask(dates: Ints) -> str:
    """The weekmask of dates (microseconds), "" if all days occur: weekdays, or, over at least three weeks, any five or
    six days (Sunday to Thursday; Monday to Saturday)."""
    seen = np.bincount((dates // DAY + 3) % 7, minlength=7) > 0  # 1970-01-01 was a Thursday
    if not seen[5:].any():
        return "1111100"
    enough = dates[-1] - dates[0] >= 21 * DAY and 5 <= seen.sum() < 7
    return "".join("1" if day else "0" for day in seen) if enough else ""


def _mode(values: Ints) -> tuple[int, float]:
    distinct, counts = np.unique(values, return_counts=True)
    best = int(counts.argmax())
    return int(distinct[best]), float(counts[best]) / len(values)


def _duration(microseconds: int) -> str:
    for unit, text in ((DAY, "{n} d"), (3600 * SECOND, "{n} h"), (60 * SECOND, "{n} min"), (SECOND, "{n} s")):
        if microseconds % unit == 0:
            return text.format(n=microseconds // unit)
    return f"{microseconds / SECOND:g} s"


def _add_months(date: int, count: int) -> int:
    moment = EPOCH + timedelta(microseconds=date)
    last = (moment + timedelta(days=1)).month != moment.month
    year, month = divmod(moment.year * 12 + moment.month - 1 + count, 12)
    first_of_next = datetime(year + (month == 11), (month + 1) % 12 + 1, 1)
    days = (first_of_next - timedelta(days=1)).day
    moved = moment.replace(year=year, month=month + 1, day=days if last else min(moment.day, days))
    return (moved - EPOCH) // timedelta(microseconds=1)
