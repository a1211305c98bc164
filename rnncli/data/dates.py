"""A date column: its format, order and step, and the dates that come next.

A date is an integer of microseconds since 1970: in the file's local time, or in UTC if the file names zones and its
clocks change between steps shorter than a day.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from rnncli.data.date_forms import DAY, EPOCH, FORMS, Form, Style, Written, style_of
from rnncli.data.steps import Ints, Step, faults, infer
from rnncli.data.zones import Zone, zone_of
from rnncli.errors import DataError
from rnncli.locale import tr, trn

_NAMED = 3  # problems of one kind that a report lists
_SHOWN = 5000  # cells kept to determine a column's date style
_NO_ZONE = -1  # no UTC offset is a single microsecond


class OutOfOrder(DataError):
    """Dates that are not strictly increasing. lines: line numbers of those out of order."""

    def __init__(self, what: str, lines: Sequence[int], *, where: str, todo: str) -> None:
        super().__init__(what, where=where, todo=todo)
        self.lines = lines


@dataclass(frozen=True)
class Dates:
    """A date column. values: (T,) int64 in order of time; lines: (T,) their line numbers; style: how cells are written;
    zone: None without time zones.

    step: None if no distance is the usual one. gaps: (index of the date after the gap, steps missing). duplicates,
    backwards, off_step: indices of dates equal to the previous one, earlier than it, or not an integer of steps
    after it.
    """

    name: str
    values: Ints
    lines: Ints
    form: Form
    style: Style
    zone: Zone | None
    step: Step | None
    gaps: tuple[tuple[int, int], ...]
    duplicates: tuple[int, ...]
    backwards: tuple[int, ...]
    off_step: tuple[int, ...]

    def write(self, date: int) -> str:
        """A date in the file's own style and time zone."""
        clock, offset = (date, None) if self.zone is None else self.zone.moment(date)
        return self.form.write(clock, offset, self.style)

    @property
    def falling(self) -> bool:
        """Strictly decreasing."""
        return 0 < len(self.backwards) == len(self.values) - 1

    def turned(self) -> Dates:
        """The same dates in reverse row order."""
        values, lines = self.values[::-1].copy(), self.lines[::-1].copy()
        zone = None if self.zone is None else replace(self.zone, values=values, offsets=self.zone.offsets[::-1])
        return _dates(self.name, values, lines, self.form, self.style, zone)

    def check_order(self) -> None:
        """Raise DataError unless every date is later than the one before."""
        if not self.backwards and not self.duplicates:
            return
        if self.backwards and 10 * len(self.backwards) >= 9 * (len(self.values) - 1):
            raise DataError(
                tr("the dates run from newest to oldest"), where=self.name, todo=tr("sort the rows, oldest first")
            )
        wrong = sorted((*self.backwards, *self.duplicates))
        first = wrong[0]
        raise OutOfOrder(
            trn(
                "{date} does not come after {before} ({n} occurrence)",
                "{date} does not come after {before} ({n} occurrences)",
                date=self.write(int(self.values[first])),
                before=self.write(int(self.values[first - 1])),
                n=len(wrong),
            ),
            [int(self.lines[index]) for index in wrong],
            where=f"{self.name}:{self.lines[first]}",
            todo=tr(
                "sort the rows, oldest first, with one row per date; if the table has several series, data.id names "
                "the column that identifies them"
            ),
        )

    def report(self) -> list[str]:
        """Sentences on the step, then on gaps, duplicates and disorder, with line numbers."""
        said = [
            trn(
                "{n} date from {first} to {last}, {step}",
                "{n} dates from {first} to {last}, {step}",
                n=len(self.values),
                first=self.write(int(self.values[0])),
                last=self.write(int(self.values[-1])),
                step=self.step.shown() if self.step else tr("no regular step"),
            )
        ]
        if (not self.form.plain and self.form.name != "2026") or self._short_years():
            first, last = (_iso(int(self.values[i])) for i in (0, -1))
            said.append(tr("dates are interpreted as {first} to {last}", first=first, last=last))
        if len(self.lines) > 1 and self.lines[0] > self.lines[-1]:
            said.append(tr("the rows run from newest to oldest and are read in reverse"))
        if self.gaps:
            said.append(
                tr(
                    "{gaps}, {steps} missing, before {lines}",
                    gaps=trn("{n} gap", "{n} gaps", n=len(self.gaps)),
                    steps=trn("{n} step", "{n} steps", n=sum(missing for _, missing in self.gaps)),
                    lines=self._at([index for index, _ in self.gaps]),
                )
            )
        if self.duplicates:
            said.append(tr("duplicate dates: {lines}", lines=self._at(self.duplicates)))
        if self.backwards:
            said.append(tr("dates earlier than the one before: {lines}", lines=self._at(self.backwards)))
        if self.off_step:
            said.append(tr("dates off the regular step: {lines}", lines=self._at(self.off_step)))
        return said

    def _short_years(self) -> bool:
        found = self.form.match(self.style.example) if isinstance(self.form, Written) else None
        return found is not None and len(found["Y"]) == 2

    def _at(self, indices: Sequence[int]) -> str:
        named = ", ".join(tr("line {n}", n=self.lines[i]) for i in indices[:_NAMED])
        return named if len(indices) <= _NAMED else tr("{lines} and {n} more", lines=named, n=len(indices) - _NAMED)


class DateColumn:
    """Collects a column's dates. Every format that fits all cells so far stays a candidate; most drop out at the first
    cell."""

    def __init__(self) -> None:
        self._open: list[tuple[Form, array[int], array[int]]] = [(form, array("q"), array("q")) for form in FORMS]
        self._cells: list[str] = []

    def add(self, cell: str) -> str:
        """Add one cell; returns "" or why it is not a date here (it is then not added)."""
        cell = cell.strip()
        found = [(one, one[0].parse(cell)) for one in self._open]
        fitting = [(one, moment) for one, moment in found if moment is not None]
        if self._settled():
            lowest = min(form.rank for form, _, _ in self._open)
            fitting = [(one, moment) for one, moment in fitting if one[0].rank == lowest]
        if not fitting:
            return self._why(cell)
        for (_, clocks, offsets), (clock, offset) in fitting:
            clocks.append(clock)
            offsets.append(_NO_ZONE if offset is None else offset)
        if len(fitting) < len(found):
            self._open = [one for one, _ in fitting]
        if len(self._cells) < _SHOWN:
            self._cells.append(cell)
        return ""

    def _settled(self) -> bool:
        """After a few cells, one that does not fit is an error; it does not turn 2018010100 into seconds since 1970."""
        return len(self._open) > 1 and len(self._open[0][1]) > 2

    def _why(self, cell: str) -> str:
        if not cell:
            return tr("the date is missing")
        shown = repr(cell[:40])
        if len(self._open) == len(FORMS):
            return tr("{cell} is not a recognized date; write it as 2026-01-31 or 2026-01-31 18:00", cell=shown)
        return tr("{cell} is not a date in the format {form}", cell=shown, form=self._open[0][0].name)

    def done(self, name: str, lines: Sequence[int]) -> Dates:
        """name: the file's name for messages. lines: the line number of each date. Raises DataError if two formats
        remain possible."""
        left = [(form, np.array(clocks, np.int64), np.array(offsets, np.int64)) for form, clocks, offsets in self._open]
        form, clocks, offsets = _meant(left, name)
        values, zone = clocks, None
        if (offsets != _NO_ZONE).any():
            offsets = np.where(offsets == _NO_ZONE, 0, offsets)
            step = infer(clocks)
            whole_days = step is not None and (step.months or step.microseconds % DAY == 0)
            values = clocks if whole_days or (offsets == offsets[0]).all() else clocks - offsets
            zone = zone_of(clocks, offsets, values)
        return _dates(name, values, np.array(lines), form, style_of(form, self._cells), zone)


def _meant(left: list[tuple[Form, Ints, Ints]], name: str) -> tuple[Form, Ints, Ints]:
    """Among the formats that fit every cell, the one of lowest rank whose dates are monotonic or have a regular step.

    Digits alone are ambiguous: 2018010100 is an hour, although it could also be seconds since 1970.
    """
    lowest = min(form.rank for form, _, _ in left)
    first = [one for one in left if one[0].rank == lowest]
    if len(left) == 1 or (len(first) == 1 and (len(first[0][1]) < 3 or infer(first[0][1]) is not None)):
        return first[0]
    differences = [(one, np.diff(one[1])) for one in (first if len(first) > 1 else left)]
    ordered = [one for one, steps in differences if len(steps) and ((steps > 0).all() or (steps < 0).all())]
    regular = [one for one in ordered if infer(one[1]) is not None]
    best = ordered if len(ordered) == 1 else regular
    if len(best) == 1:
        return best[0]
    if len(first) == 1:
        return first[0]
    raise DataError(
        tr("ambiguous dates: {forms}", forms=tr(" or ").join(form.name for form, _, _ in first[:2])),
        where=name,
        todo=tr("write them as 2026-01-31"),
    )


def _dates(name: str, values: Ints, lines: Ints, form: Form, style: Style, zone: Zone | None) -> Dates:
    step = infer(values)
    return Dates(name, values, lines, form, style, zone, step, *faults(values, step))


def _iso(date: int) -> str:
    moment = EPOCH + timedelta(microseconds=date)
    return moment.date().isoformat() if not date % DAY else moment.isoformat(" ", "seconds")
