"""Date formats: parsed to a number, and written back in the file's own style."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

SECOND = 1_000_000
DAY = 86_400 * SECOND
EPOCH = datetime(1970, 1, 1)
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?")


class Moment(NamedTuple):
    """clock: local time shown in the cell, in microseconds since 1970. offset: its UTC offset, if the cell names a
    zone."""

    clock: int
    offset: int | None


class Form(ABC):
    """A date format. rank: if several formats fit a whole column, the lowest rank wins. plain: whether a reader
    recognizes it as a date."""

    name: str
    rank: int = 0
    plain: bool = True

    @abstractmethod
    def parse(self, cell: str) -> Moment | None:
        """The moment in a cell, or None if it is not in this format."""

    @abstractmethod
    def write(self, clock: int, offset: int | None, style: Style) -> str:
        """Format a moment in the style of the column."""


@dataclass
class Style:
    """The style of a column's cells. example: the most complete cell. unpadded, padded: parts seen written as 1 and as
    01. midnight: whether 24:00 was seen."""

    example: str = ""
    parts: int = 0
    unpadded: frozenset[str] = frozenset()
    padded: frozenset[str] = frozenset()
    midnight: bool = False

    def see(self, cell: str, parts: Mapping[str, str]) -> None:
        given = [part for part, text in parts.items() if text]
        if (len(given), len(cell)) > (self.parts, len(self.example)):
            self.example, self.parts = cell, len(given)
        for part in given:
            text = parts[part]
            if part in "MDhW" and text.isdigit() and int(text) < 10:
                if len(text) == 1:
                    self.unpadded |= {part}
                else:
                    self.padded |= {part}
        self.midnight = self.midnight or (parts.get("h") == "24")


class Written(Form):
    """A format given by a regular expression whose groups are the parts: Y M D b (a month's name) Q (quarter) W (ISO
    week) w (a weekday's name) h m s f (fraction) p (AM, PM) z (zone). Separators are kept when a date is written."""

    def __init__(self, name: str, pattern: str, rank: int = 0, *, padded: bool = True, plain: bool = True) -> None:
        self.name, self.rank, self.plain, self.pads = name, rank, plain, padded
        self.regex = re.compile(pattern, re.ASCII | re.IGNORECASE)

    def match(self, cell: str) -> Mapping[str, str] | None:
        found = self.regex.fullmatch(cell)
        return found.groupdict("") if found else None

    def parse(self, cell: str) -> Moment | None:
        parts = self.match(cell)
        if parts is None:
            return None
        get = parts.get
        try:
            day = _day(parts["Y"], get("M", ""), get("b", ""), get("Q", ""), get("W", ""), get("D", ""))
            clock = _clock(get("h", ""), get("m", ""), get("s", ""), get("f", ""), get("p", ""))
        except ValueError:
            return None
        return Moment(day * DAY + clock, _offset(get("z", "")))

    def write(self, clock: int, offset: int | None, style: Style) -> str:
        found = self.regex.fullmatch(style.example)
        assert found is not None
        moment = EPOCH + timedelta(microseconds=clock)
        late = style.midnight and not clock % DAY  # this is 24:00 of the previous day
        day = moment - timedelta(days=1) if late else moment
        new = {part: self._part(part, found[part], day, 24 if late else moment.hour, moment, offset, style)
               for part in found.groupdict() if found[part] and part not in ("sep", "k")}  # fmt: skip
        text = style.example
        for part in sorted(new, key=found.start, reverse=True):
            text = text[: found.start(part)] + new[part] + text[found.end(part) :]
        return text

    def _part(
        self, part: str, old: str, day: datetime, hour: int, moment: datetime, offset: int | None, style: Style
    ) -> str:
        iso = day.isocalendar()
        if part == "Y":
            year = iso.year if "W" in self.regex.groupindex else day.year
            return f"{year % 100:02d}" if len(old) == 2 else f"{year:04d}"
        if part == "b":
            return _named(_MONTHS[day.month - 1], old)
        if part == "w":
            return _named(_WEEKDAYS[day.weekday()], old)
        if part == "p":
            half = "am" if hour % 24 < 12 else "pm"
            return _cased(half if len(old) == 2 else f"{half[0]}.{half[1]}.", old)
        if part == "z":
            return _zone(offset or 0, old)
        if part == "f":
            return f"{moment.microsecond:06d}".ljust(9, "0")[: len(old)]
        twelve = "p" in self.spans(style.example)
        values = {"M": day.month, "D": day.day, "Q": (day.month + 2) // 3, "W": iso.week, "m": moment.minute,
                  "s": moment.second, "h": (hour + 11) % 12 + 1 if twelve else hour}  # fmt: skip
        if part == "Q":
            return str(values[part])
        return f"{values[part]:02d}" if self.is_wide(part, style) else str(values[part])

    def is_wide(self, part: str, style: Style) -> bool:
        """Whether a number below 10 is written with two digits."""
        return part in "ms" or part in style.padded or (part not in style.unpadded and self.pads)

    def spans(self, cell: str) -> Mapping[str, tuple[int, int]]:
        """The position of each part in a cell of this form."""
        found = self.regex.fullmatch(cell)
        return {} if found is None else {part: found.span(part) for part, text in found.groupdict().items() if text}


class Counted(Form):
    """Dates as a number of units since a day: Unix time, and the serial dates of Excel."""

    plain = False

    def __init__(self, name: str, pattern: str, unit: int, rank: int = 0, since: int = 0) -> None:
        self.name, self.rank, self.unit, self.since = name, rank, unit, since
        self.regex = re.compile(pattern, re.ASCII)

    def parse(self, cell: str) -> Moment | None:
        found = self.regex.fullmatch(cell)
        if found is None:
            return None
        whole, fraction = int(found[1]), found[2] or ""
        if self.unit == 0:  # nanoseconds
            return Moment(whole // 1000, None)
        rest = round(int(fraction) * self.unit / 10 ** len(fraction)) if fraction else 0
        if self.unit == DAY and fraction:  # fractions of a day are rounded to the second, short ones to the minute
            grain = SECOND if len(fraction) > 4 else 60 * SECOND
            rest = round(rest / grain) * grain
        return Moment(whole * self.unit + rest + self.since, None)

    def write(self, clock: int, offset: int | None, style: Style) -> str:
        found = self.regex.fullmatch(style.example)
        places = len(found[2] or "") if found else 0
        if self.unit == 0:
            return str(clock * 1000)
        whole, rest = divmod(clock - self.since, self.unit)
        if not places:
            return str(whole)
        scaled = round(rest * 10**places / self.unit)
        return f"{whole + scaled // 10**places}.{scaled % 10**places:0{places}d}"


def style_of(form: Form, cells: Iterable[str]) -> Style:
    """A column's date style, from its cells."""
    style = Style()
    for cell in cells:
        style.see(cell, (form.match(cell) or {}) if isinstance(form, Written) else {"n": cell})
    return style


@lru_cache(1 << 12)
def _day(year: str, month: str, name: str, quarter: str, week: str, day: str) -> int:
    """Days since 1970. Raises ValueError."""
    Y = int(year)
    if len(year) == 2:
        Y += 2000 if Y < 50 else 1900
    if week:
        return (datetime.fromisocalendar(Y, int(week), 1) - EPOCH).days
    M = 1
    if name:
        M += next(i for i, known in enumerate(_MONTHS) if known[:3] == name[:3].lower())
    elif quarter:
        M = 3 * int(quarter) - 2
    elif month:
        M = int(month)
    return (datetime(Y, M, int(day or 1)) - EPOCH).days


@lru_cache(1 << 12)
def _clock(hour: str, minute: str, second: str, fraction: str, half: str) -> int:
    """Microseconds since midnight; 24:00 is the following midnight. Raises ValueError."""
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    if half:
        if not 1 <= h <= 12:
            raise ValueError(hour)
        h = h % 12 + (12 if half.lower().startswith("p") else 0)
    if m > 59 or s > 59 or h > 24 or (h == 24 and (m or s)):
        raise ValueError(hour)
    return ((h * 60 + m) * 60 + s) * SECOND + int(fraction.ljust(6, "0")[:6])


def _offset(zone: str) -> int | None:
    if not zone:
        return None
    found = _OFFSET.fullmatch(zone)
    if found is None:
        return 0  # Z, UTC, GMT
    size = (int(found[2]) * 60 + int(found[3] or 0)) * 60 * SECOND
    return -size if found[1] == "-" else size


def _zone(offset: int, old: str) -> str:
    if not _OFFSET.fullmatch(old):
        return old
    hours, minutes = divmod(abs(offset) // (60 * SECOND), 60)
    mark = ":" if ":" in old else ""
    rest = f"{mark}{minutes:02d}" if len(old) > 3 or minutes else ""
    return f"{'-' if offset < 0 else '+'}{hours:02d}{rest}"


def _named(name: str, old: str) -> str:
    """A month's or weekday's name, in full or abbreviated like the old one (Sept is an abbreviation, May could be
    either)."""
    whole = len(old.rstrip(".")) > 4 or old.lower() in (*_MONTHS[5:7], *_MONTHS[:1])
    return _cased(name if whole else name[:3] + ("." if old.endswith(".") else ""), old)


def _cased(text: str, old: str) -> str:
    return text.upper() if old.isupper() else text.title() if old[:1].isupper() else text


_ZONE = r"(?: ?(?P<z>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?"
_TIME = (
    r"(?P<h>\d{1,2})(?:(?P<sep>[:.])(?P<m>\d\d)(?:(?P=sep)(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?)?)?"
    r"(?: ?(?P<p>[ap]m|[ap]\.m\.))?"
)
_CLOCK = rf"(?:(?:[ T]| T|, ?){_TIME}{_ZONE})?"
_MONTH = r"(?P<b>(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?)"
_WEEKDAY = r"(?:(?P<w>(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6}),? )?"
_YEAR = r"(?P<Y>\d{4}|\d\d)"
_ERA = r"(?P<Y>1[89]\d\d|2[01]\d\d)"  # for dates that consist only of digits
_DIGITS = rf"(?P<M>\d\d)(?P<D>\d\d)(?:[T ]?(?P<h>\d\d):?(?:(?P<m>\d\d):?(?P<s>\d\d)?)?{_ZONE})?"
_SPACED = r"(?P<Y>\d{4}) (?P<M>\d{1,2})(?: (?P<D>\d{1,2})(?: (?P<h>\d{1,2})(?: (?P<m>\d{1,2}))?)?)?"

FORMS: tuple[Form, ...] = (
    Written("2026-01-31", rf"(?P<Y>\d{{4}})-(?P<M>\d{{1,2}})-(?P<D>\d{{1,2}})(?:(?:[ T]){_TIME})?{_ZONE}"),
    Written("2026-01", r"(?P<Y>\d{4})[-/](?P<M>\d{1,2})"),
    Written("2026", r"(?P<Y>\d{4})", plain=False),
    Written("2026/01/31", rf"(?P<Y>\d{{4}})(?P<k>[/.])(?P<M>\d{{1,2}})(?P=k)(?P<D>\d{{1,2}}){_CLOCK}"),
    Written("2026年1月31日", rf"(?P<Y>\d{{4}})年(?P<M>\d{{1,2}})月(?:(?P<D>\d{{1,2}})日)?{_CLOCK}"),
    Written("2026 1 31", _SPACED, padded=False),
    Written("20260131", _ERA + _DIGITS, plain=False),
    Written("202601", rf"{_ERA}(?P<M>0[1-9]|1[0-2])", 2, plain=False),
    Written("31.01.2026", rf"(?P<D>\d{{1,2}})\.(?P<M>\d{{1,2}})\.{_YEAR}{_CLOCK}"),
    Written("31/01/2026 (day first)", rf"(?P<D>\d{{1,2}})(?P<k>[/-])(?P<M>\d{{1,2}})(?P=k){_YEAR}{_CLOCK}"),
    Written("01/31/2026 (month first)", rf"(?P<M>\d{{1,2}})(?P<k>[/-])(?P<D>\d{{1,2}})(?P=k){_YEAR}{_CLOCK}"),
    Written("26-01-31 (year first)", rf"(?P<Y>\d\d)(?P<k>[/.-])(?P<M>\d\d)(?P=k)(?P<D>\d\d){_CLOCK}"),
    Written("01/2026", r"(?P<M>\d{1,2})[/-](?P<Y>\d{4})"),
    Written("2026Q1", r"(?P<Y>\d{4})[- ]?q(?P<Q>[1-4])"),
    Written("Q1 2026", r"q(?P<Q>[1-4])[- /]?(?P<Y>\d{4})"),
    Written("2026-W05", r"(?P<Y>\d{4})-?w(?P<W>\d{1,2})"),
    Written("2026M01", r"(?P<Y>\d{4})m(?P<M>\d{1,2})"),
    Written("Jan 2026", rf"{_MONTH}[ -]?{_YEAR}"),
    Written("2026 Jan", rf"(?P<Y>\d{{4}})[ -]?{_MONTH}"),
    Written("31 Jan 2026", rf"{_WEEKDAY}(?P<D>\d{{1,2}})[ -]?{_MONTH}[ -]?{_YEAR}{_CLOCK}", padded=False),
    Written("Jan 31, 2026", rf"{_WEEKDAY}{_MONTH} (?P<D>\d{{1,2}}),? ?(?P<Y>\d{{4}}){_CLOCK}", padded=False),
    Counted("seconds since 1970", r"(\d{9,10})(?:\.(\d{1,9}))?", SECOND, 1),
    Counted("milliseconds since 1970", r"(\d{12,13})(?:\.(\d{1,9}))?", SECOND // 1000, 1),
    Counted("microseconds since 1970", r"(\d{15,16})()", 1, 1),
    Counted("nanoseconds since 1970", r"(\d{18,19})()", 0, 1),
    Counted("days of Excel", r"([2-6]\d{4}|7[0-2]\d{3})(?:\.(\d{1,12}))?", DAY, 2, since=-25_569 * DAY),
)  # fmt: skip
