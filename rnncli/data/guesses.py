"""Guesses about a table's columns, from their names and first cells: which are dates, which are ids, how numbers are
written, whether several series are stacked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from rnncli.data.cells import MISSING, NumberFormat, Thousands, number
from rnncli.data.dates import DateColumn, Dates
from rnncli.errors import DataError

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_a-zA-Z]+")
_DATE_WORDS = "date dates datum day days time timestamp datetime ds ts zeit tag fecha dia jour heure month week year"
_DATE = frozenset([*_DATE_WORDS.split(), "hour", "hr", "minute", "weekday", "quarter", "日期", "时间", "年月"])
_PARTS = (  # a date in columns of its own
    frozenset(["year", "yr", "yyyy", "jahr", "annee", "año", "年", "年份"]),
    frozenset(["month", "mon", "mm", "mo", "monat", "mois", "mes", "月", "月份"]),
    frozenset(["day", "dd", "dom", "tag", "jour", "dia", "日"]),
    frozenset(["hour", "hr", "hh", "stunde", "heure", "hora", "时", "小时"]),
)
_CLOCK = re.compile(r"\d{1,2}[:.]\d\d([:.]\d\d([.,]\d+)?)?( ?[ap]\.?m\.?)?|\d{1,2}", re.IGNORECASE)
_QUARTER = re.compile(r"q[1-4]", re.IGNORECASE)
_LIKE_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d:\d\d|[12]\d{3}[-/]\d\d")
_AMBIGUOUS = re.compile(r"\W*[1-9]\d{0,2}[,.]\d{3}\W*")
_SERIES_WORDS = (
    "unique_id series_id series item_id item id key store shop store_id product sku symbol ticker code country region"
    " city station sensor meter household customer name"
)
_SERIES = frozenset([*_SERIES_WORDS.split(), "序列", "门店", "商品", "编号", "名称"])
_PAIRED = 12  # columns tried in pairs
_LOOKS = 0.8  # minimum share of dates among the cells of a date column


@dataclass(frozen=True)
class DateGuess:
    """columns, places: the columns whose joined cells are the dates. dates: the readable ones, in file order; None if
    only the column's name suggests dates."""

    columns: tuple[str, ...]
    places: tuple[int, ...]
    dates: Dates | None

    @property
    def ordered(self) -> bool:
        """Whether the dates are monotonic."""
        dates = self.dates
        return dates is not None and (dates.falling or not (dates.backwards or dates.duplicates))

    def fits(self, cell: str) -> bool:
        """Whether another cell is a date of this column, too."""
        return self.dates is not None and self.dates.form.parse(cell) is not None


def is_id(name: str) -> bool:
    """Whether a column's name suggests a row id."""
    return any(word.lower() in ("id", "ids", "uuid", "guid", "index", "unnamed") for word in _WORDS.findall(name))


def date_column(names: Sequence[str], cells: Sequence[Sequence[str]], lines: Sequence[int]) -> DateGuess | None:
    """The date column: prefer one in order, then one named like dates, then the first; or several columns that are
    dates only together: date and time, or year, month, day and hour."""
    found = [guess for place, name in enumerate(names) if (guess := _of(names, (place,), cells, lines)) is not None]
    best = min(found, key=lambda one: (not one.ordered, not is_date(one.columns[0])), default=None)
    if best is not None and best.ordered and best.dates is not None and best.dates.form.plain:
        return best
    for places in _together(names, cells, best):
        joined = _of(names, places, cells, lines)
        if joined is not None and (best is None or joined.ordered or not best.ordered):
            return joined
    if best is not None:
        return best
    for place, name in enumerate(names):  # so that reading reports which cell is not a date
        column = cells[place]
        like = sum(_LIKE_DATE.search(cell) is not None for cell in column)
        seems = like > _LOOKS * len(lines) or (is_date(name) and _some(column) > len(lines) / 2)
        if seems and len(set(column)) > len(lines) / 2:
            return DateGuess((name,), (place,), None)
    return None


def _of(
    names: Sequence[str], places: tuple[int, ...], cells: Sequence[Sequence[str]], lines: Sequence[int]
) -> DateGuess | None:
    """These columns as dates, if nearly all cells are. Mere digits must also have a regular step or a date's name."""
    column, good = DateColumn(), []
    bad_ones = int((1 - _LOOKS) * len(lines))  # tolerated number of non-dates
    for line, *parts in zip(lines, *(cells[place] for place in places), strict=True):
        if not column.add(" ".join(parts)):
            good.append(line)
        elif bad_ones:
            bad_ones -= 1
        else:
            return None
    if not good:
        return None
    try:
        dates = column.done("", good)
    except DataError:
        return None
    columns = tuple(names[place] for place in places)
    guess = DateGuess(columns, places, dates)
    if len(set(dates.values.tolist())) < 2:
        return None
    called = any(map(is_date, columns)) or len(places) > 1
    if not dates.form.plain and not called and (dates.form.rank > 1 or dates.step is None or not guess.ordered):
        return None
    return None if not dates.form.plain and not called and len(good) < len(lines) else guess


def _together(names: Sequence[str], cells: Sequence[Sequence[str]], date: DateGuess | None) -> list[tuple[int, ...]]:
    """Column combinations that may form a date, most likely first."""
    low = [name.strip().lower() for name in names]
    parts: list[int] = []
    for known in _PARTS:
        place = next((place for place, name in enumerate(low) if name in known), None)
        if place is None:
            break
        parts.append(place)
    found = [tuple(parts[:n]) for n in range(len(parts), 1, -1)]
    if parts:
        found += [(parts[0], p) for p, column in enumerate(cells) if all(map(_QUARTER.fullmatch, column))]
    if date is not None and len(date.places) == 1:
        clocks = [p for p, column in enumerate(cells) if p not in date.places and all(map(_CLOCK.fullmatch, column))]
        found += [
            (*date.places, p)
            for p in clocks
            if low[p] in _PARTS[3] or (is_date(names[p]) and not cells[p][0].isdecimal())
        ]
    return found


def is_date(name: str) -> bool:
    """Whether a column's name suggests dates or times."""
    return any(word.lower() in _DATE for word in _WORDS.findall(name))


def _some(cells: Sequence[str]) -> int:
    return sum(any(map(str.isdigit, cell)) and number(cell) is None for cell in cells)


@dataclass(frozen=True)
class SeveralGuess:
    """Stacked series. columns: the id columns. dates: of the first series. gaps: whether dates are missing in any."""

    columns: tuple[str, ...]
    dates: Dates
    gaps: bool


def is_series_name(name: str) -> bool:
    """Whether a column's name suggests series ids."""
    return name.strip().lower() in _SERIES


def several_series(names: Sequence[str], cells: Sequence[Sequence[str]], date: DateGuess) -> SeveralGuess | None:
    """The columns that identify stacked series: dates are not monotonic overall, but are within rows that share these
    cells. One column, or else two; columns named like ids come first, and texts before numbers."""
    if date.dates is None or date.ordered or len(date.dates.values) < len(cells[0]):
        return None
    values = date.dates.values.tolist()
    most = min(len(date.dates.backwards) + len(date.dates.duplicates) + 1, len(values) // 3)
    likely = sorted(
        (place for place in range(len(names)) if place not in date.places and not is_date(names[place])),
        key=lambda place: (not is_series_name(names[place]), number(cells[place][0]) is not None),
    )
    few = [place for place in likely if len(set(cells[place])) <= most][:_PAIRED]
    for places in [*((place,) for place in likely), *combinations(few, 2)]:
        groups: dict[tuple[str, ...], list[int]] = {}
        for row in range(len(values)):
            groups.setdefault(tuple(cells[place][row] for place in places), []).append(row)
        if not 2 <= len(groups) <= most:
            continue  # every series but the first starts with a date that is not later than the previous row's
        steps = [[values[b] - values[a] for a, b in pairwise(rows)] for rows in groups.values()]
        if all(all(step > 0 for step in one) or all(step < 0 for step in one) for one in steps):
            columns = tuple(names[place] for place in places)
            dates = [_dates_of(rows, date, cells) for rows in groups.values()]
            return SeveralGuess(columns, dates[0], any(one.gaps for one in dates))
    return None


def _dates_of(rows: Sequence[int], date: DateGuess, cells: Sequence[Sequence[str]]) -> Dates:
    """The dates of some rows, from old to new."""
    column = DateColumn()
    for row in rows:
        column.add(" ".join(cells[place][row] for place in date.places))
    dates = column.done("", rows)
    return dates.turned() if dates.falling else dates


def number_format(cells: Sequence[Sequence[str]], delimiter: str) -> NumberFormat:
    """The decimal and thousands separators with which the most columns are numeric. Anything but a plain decimal point
    must be proved by an unambiguous cell; a decimal comma is usual in files separated by ;."""
    best = NumberFormat()
    most = sum(are_numbers(column, best) for column in cells)
    marks: tuple[tuple[str, Thousands], ...] = ((",", ""), (".", ","), (",", "."))
    for decimal, thousands in marks:
        form = NumberFormat(decimal, thousands)
        n = sum(are_numbers(column, form) for column in cells)
        if n > most and (delimiter == ";" or _shown(cells, form)):
            best, most = form, n
    return best


def are_numbers(cells: Sequence[str], form: NumberFormat) -> bool:
    """Whether all cells are numbers or missing, and at least one is a number."""
    present = [cell for cell in cells if cell.lower() not in MISSING]
    return bool(present) and all(form.number(cell) is not None for cell in present)


def _shown(cells: Sequence[Sequence[str]], form: NumberFormat) -> bool:
    """Whether a cell with a comma or a point is a number with these separators but not with the others."""
    other, mark = "," if form.decimal == "." else ".", form.thousands or form.decimal
    return any(
        number(cell, form.decimal) is not None and number(cell, other) is None
        for column in cells
        for cell in column
        if mark in cell and not _AMBIGUOUS.fullmatch(cell)
    )
