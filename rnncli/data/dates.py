"""Dates of a column: their form, their order, their step, and the dates that come next.

A date is a whole number of microseconds since 1970 (UTC where the file names a zone, the clock of the file otherwise).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rnncli.errors import DataError
from rnncli.locale import tr, trn

SECOND = 1_000_000
DAY = 86_400 * SECOND
_EPOCH = datetime(1970, 1, 1)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMED = 3  # faults of one kind that a report names


@dataclass(frozen=True)
class Form:
    """One way to write dates. parse: the date's number, or None. write: the number as text, as an example has it."""

    name: str
    parse: Callable[[str], int | None]
    write: Callable[[int, str], str]


@dataclass(frozen=True)
class Step:
    """The distance of neighbouring dates: months, or microseconds (weekdays: a day that leaves out weekends).

    name: hourly, daily, weekdays, weekly, monthly, quarterly, yearly, or "every 15 min"; no language changes it.
    season: steps after which such series usually repeat (12 for monthly), 1 where nothing is usual.
    """

    name: str
    season: int
    months: int = 0
    microseconds: int = 0
    weekdays: bool = False

    def after(self, date: int, count: int) -> int:
        """The date `count` steps on. The last day of a month stays the last day."""
        if self.months:
            return _add_months(date, count * self.months)
        if self.weekdays:
            day, rest = divmod(date, DAY)
            import numpy as np

            moved = np.busday_offset(np.datetime64(day, "D"), count, roll="forward")
            return int(moved.astype(np.int64)) * DAY + rest
        return date + count * self.microseconds


@dataclass(frozen=True)
class Dates:
    """A date column. values: (T,) int64 as they stand in the file; lines: (T,) their line numbers; example: one cell.

    step: None where no distance is the usual one. gaps: (index of the date after it, steps missing). duplicates,
    backwards, off_step: indices of dates equal to the one before, earlier than it, or at no whole number of steps.
    """

    name: str
    values: Any
    lines: Any
    form: Form
    example: str
    step: Step | None
    gaps: tuple[tuple[int, int], ...]
    duplicates: tuple[int, ...]
    backwards: tuple[int, ...]
    off_step: tuple[int, ...]

    def write(self, date: int) -> str:
        return self.form.write(date, self.example)

    def following(self, count: int) -> list[str]:
        """The next dates after the last, written as the file writes them."""
        if self.step is None:
            raise DataError(tr("the dates have no regular step, so the next ones are not known"), where=self.name)
        try:
            return [self.write(self.step.after(int(self.values[-1]), k)) for k in range(1, count + 1)]
        except (ValueError, OverflowError) as error:  # datetime ends there
            raise DataError(tr("the next dates lie beyond the year 9999"), where=self.name) from error

    def check_order(self) -> None:
        """DataError unless every date is later than the one before."""
        if not self.backwards and not self.duplicates:
            return
        if self.backwards and len(self.backwards) > len(self.values) // 2:
            raise DataError(
                tr("the dates run from new to old"), where=self.name, todo=tr("sort the rows, oldest first")
            )
        first = min((*self.backwards, *self.duplicates))
        raise DataError(
            trn(
                "{date} does not come after {before} ({n} occurrence)",
                "{date} does not come after {before} ({n} occurrences)",
                date=self.write(int(self.values[first])),
                before=self.write(int(self.values[first - 1])),
                n=len(self.backwards) + len(self.duplicates),
            ),
            where=f"{self.name}:{self.lines[first]}",
            todo=tr("sort the rows, oldest first, with one row for each date"),
        )

    def report(self) -> list[str]:
        """Sentences: the step, then gaps, duplicates and disorder with their lines."""
        said = [
            trn(
                "{n} date from {first} to {last}, {step}",
                "{n} dates from {first} to {last}, {step}",
                n=len(self.values),
                first=self.write(int(self.values[0])),
                last=self.write(int(self.values[-1])),
                step=self.step.name if self.step else tr("no regular step"),
            )
        ]
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
            said.append(tr("dates that stand twice: {lines}", lines=self._at(self.duplicates)))
        if self.backwards:
            said.append(tr("dates earlier than the one before: {lines}", lines=self._at(self.backwards)))
        if self.off_step:
            said.append(tr("dates between the steps: {lines}", lines=self._at(self.off_step)))
        return said

    def _at(self, indices: Sequence[int]) -> str:
        named = ", ".join(tr("line {n}", n=self.lines[i]) for i in indices[:_NAMED])
        return named if len(indices) <= _NAMED else tr("{lines} and {n} more", lines=named, n=len(indices) - _NAMED)


class DateColumn:
    """Collects a column's dates. Every form that fits all cells so far stays possible; most leave at the first cell."""

    def __init__(self) -> None:
        self._open: list[tuple[Form, array[int]]] = [(form, array("q")) for form in FORMS]
        self._example = ""

    def add(self, cell: str) -> str:
        """Takes one cell; returns "" or why it is no date here (it is then not taken)."""
        cell = cell.strip()
        found = [(form, values, form.parse(cell)) for form, values in self._open]
        fitting = [(form, values, date) for form, values, date in found if date is not None]
        if not fitting:
            return self._why(cell)
        for _, values, date in fitting:
            values.append(date)
        self._open = [(form, values) for form, values, _ in fitting]
        self._example = cell
        return ""

    def _why(self, cell: str) -> str:
        if not cell:
            return tr("the date is missing")
        shown = repr(cell[:40])
        if len(self._open) == len(FORMS):
            return tr("{cell} is no date that is known here; write it as 2026-01-31 or 2026-01-31 18:00", cell=shown)
        return tr("{cell} is no date of the form {form}", cell=shown, form=self._open[0][0].name)

    def done(self, name: str, lines: Sequence[int]) -> Dates:
        """name: of the file, for messages. lines: the line of each date. DataError where two forms stay possible."""
        import numpy as np

        left = [(form, np.array(values, dtype=np.int64)) for form, values in self._open]
        if len(left) > 1:
            rising = [(form, values) for form, values in left if len(values) > 1 and (np.diff(values) > 0).all()]
            regular = [(form, values) for form, values in rising if _infer(values) is not None]
            best = rising if len(rising) == 1 else regular
            if len(best) != 1:
                raise DataError(
                    tr(
                        "the dates can be read in two ways: {forms}",
                        forms=tr(" or ").join(form.name for form, _ in left[:2]),
                    ),
                    where=name,
                    todo=tr("write them as 2026-01-31"),
                )
            left = best
        form, values = left[0]
        step = _infer(values)
        return Dates(name, values, np.array(lines), form, self._example, step, *_faults(values, step))


def _faults(
    values: Any, step: Step | None
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    import numpy as np

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


def _steps_between(values: Any, step: Step) -> tuple[Any, Any]:
    """For each pair of neighbours: the steps from one to the other, and whether that is a whole number."""
    import numpy as np

    if step.months:
        months = values.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
        between = np.diff(months)
        return between // step.months, between % step.months == 0
    if step.weekdays:
        days = (values // DAY).astype("datetime64[D]")
        between = np.busday_count(days[:-1], days[1:])
        return between, np.ones(len(between), dtype=bool)
    between = np.diff(values)
    return between // step.microseconds, between % step.microseconds == 0


def _infer(values: Any) -> Step | None:
    """The step that more than half of the neighbouring dates keep, or None."""
    import numpy as np

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
        usual, share = _mode(np.diff(months.astype(np.int64)))
        known = {1: ("monthly", 12), 3: ("quarterly", 4), 12: ("yearly", 1)}
        name, season = known.get(usual, (f"every {usual} months", 12 // usual if 12 % usual == 0 else 1))
        return Step(name, season, months=usual) if share > 0.5 else None
    usual, share = _mode(differences)
    if share <= 0.5:
        return None
    if usual == DAY and np.is_busday(stamps.astype("datetime64[D]")).all() and (differences > DAY).any():
        return Step("weekdays", 5, microseconds=DAY, weekdays=True)
    names = {3600 * SECOND: "hourly", DAY: "daily", 7 * DAY: "weekly"}
    seasons = {DAY: 7, 7 * DAY: 52}
    season = seasons.get(usual, DAY // usual if usual < DAY and DAY % usual == 0 else 1)
    return Step(names.get(usual, f"every {_duration(usual)}"), season, microseconds=usual)


def _mode(values: Any) -> tuple[int, float]:
    import numpy as np

    distinct, counts = np.unique(values, return_counts=True)
    best = int(counts.argmax())
    return int(distinct[best]), float(counts[best]) / len(values)


def _duration(microseconds: int) -> str:
    for unit, text in ((DAY, "{n} d"), (3600 * SECOND, "{n} h"), (60 * SECOND, "{n} min"), (SECOND, "{n} s")):
        if microseconds % unit == 0:
            return text.format(n=microseconds // unit)
    return f"{microseconds / SECOND:g} s"


def _number(moment: datetime) -> int:
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(date: int) -> datetime:
    return _EPOCH + timedelta(microseconds=date)


def _add_months(date: int, count: int) -> int:
    moment = _moment(date)
    last = (moment + timedelta(days=1)).month != moment.month
    year, month = divmod(moment.year * 12 + moment.month - 1 + count, 12)
    first_of_next = datetime(year + (month == 11), (month + 1) % 12 + 1, 1)
    days = (first_of_next - timedelta(days=1)).day
    return _number(moment.replace(year=year, month=month + 1, day=days if last else min(moment.day, days)))


def _from_parts(pattern: str, order: str) -> Callable[[str], int | None]:
    """A parser by a regular expression whose groups are the parts named in order: Y M D h m s, or b: a month's name."""
    regex = re.compile(pattern, re.ASCII | re.IGNORECASE)

    def parse(cell: str) -> int | None:
        found = regex.fullmatch(cell)
        if found is None:
            return None
        parts = {"M": 1, "D": 1, "h": 0, "m": 0, "s": 0}
        for letter, text in zip(order, found.groups(), strict=True):
            if letter == "b":
                parts["M"] = _MONTHS.index(text[:3].lower()) + 1
            elif letter == "Q":
                parts["M"] = 3 * int(text) - 2
            elif text is not None:
                parts[letter] = int(text)
        try:
            return _number(datetime(parts["Y"], parts["M"], parts["D"], parts["h"], parts["m"], parts["s"]))
        except ValueError:
            return None

    return parse


def _parse_iso(cell: str) -> int | None:
    if not _ISO.match(cell):
        return None
    try:
        return _number(datetime.fromisoformat(cell))
    except (ValueError, OverflowError):
        return None


def _write_iso(date: int, example: str) -> str:
    moment = _moment(date)
    if len(example) <= 10:
        return moment.date().isoformat() if not date % DAY else moment.isoformat(" ")
    clock = example[11:]
    zone = "Z" if clock.endswith("Z") else "+00:00" if re.search(r"[+-]\d\d:?\d\d$", clock) else ""
    parts = "auto" if "." in clock else "seconds" if clock.count(":") > 1 or date % (60 * SECOND) else "minutes"
    return moment.isoformat(example[10], parts) + zone


def _write_like(layout: str, clock: bool = False) -> Callable[[int, str], str]:
    def write(date: int, example: str) -> str:
        moment = _moment(date)
        # %Y of years before 1000 is not padded everywhere.
        text = moment.strftime(layout.replace("%Y", f"{moment.year:04d}").replace("%q", str((moment.month + 2) // 3)))
        if clock and ":" in example:
            text += moment.strftime(" %H:%M:%S" if example.count(":") > 1 else " %H:%M")
        return text

    return write


def _write_named_month(layout: str) -> Callable[[int, str], str]:
    def write(date: int, example: str) -> str:
        moment = _moment(date)
        name = _MONTHS[moment.month - 1].title()
        return layout.format(D=moment.day, b=name, Y=f"{moment.year:04d}")

    return write


def _unix(digits: int, unit: int) -> Form:
    regex = re.compile(rf"\d{{{digits}}}", re.ASCII)
    return Form(
        "seconds since 1970" if unit == SECOND else "milliseconds since 1970",
        lambda cell: int(cell) * unit if regex.fullmatch(cell) else None,
        lambda date, _: str(date // unit),
    )


_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s?(?:Z|[+-]\d\d:?\d\d)?)?\Z", re.ASCII)
_CLOCK = r"(?: (\d{1,2}):(\d\d)(?::(\d\d))?)?"
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"

FORMS: tuple[Form, ...] = (
    Form("2026-01-31", _parse_iso, _write_iso),
    Form("2026-01", _from_parts(r"(\d{4})-(\d{1,2})", "YM"), _write_like("%Y-%m")),
    Form("2026", _from_parts(r"(\d{4})", "Y"), _write_like("%Y")),
    Form("2026/01/31", _from_parts(r"(\d{4})/(\d{1,2})/(\d{1,2})" + _CLOCK, "YMDhms"), _write_like("%Y/%m/%d", True)),
    Form("20260131", _from_parts(r"(\d{4})(\d\d)(\d\d)", "YMD"), _write_like("%Y%m%d")),
    Form("31.01.2026", _from_parts(r"(\d{1,2})\.(\d{1,2})\.(\d{4})" + _CLOCK, "DMYhms"), _write_like("%d.%m.%Y", True)),
    Form(
        "31/01/2026 (day first)",
        _from_parts(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})" + _CLOCK, "DMYhms"),
        _write_like("%d/%m/%Y", True),
    ),
    Form(
        "01/31/2026 (month first)",
        _from_parts(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})" + _CLOCK, "MDYhms"),
        _write_like("%m/%d/%Y", True),
    ),
    Form("2026Q1", _from_parts(r"(\d{4})[- ]?q([1-4])", "YQ"), _write_like("%YQ%q")),
    Form("Jan 2026", _from_parts(_MONTH + r"[ -](\d{4})", "bY"), _write_named_month("{b} {Y}")),
    Form(
        "31 Jan 2026", _from_parts(r"(\d{1,2})[ -]" + _MONTH + r"[ -](\d{4})", "DbY"), _write_named_month("{D} {b} {Y}")
    ),
    Form("Jan 31, 2026", _from_parts(_MONTH + r" (\d{1,2}), ?(\d{4})", "bDY"), _write_named_month("{b} {D}, {Y}")),
    _unix(10, SECOND),
    _unix(13, SECOND // 1000),
)
