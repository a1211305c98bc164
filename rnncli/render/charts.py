"""Curves, heat maps and coloured text as lines of characters. Values never depend on colour alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from string import ascii_letters
from typing import NamedTuple

from rnncli.locale import tr
from rnncli.records import ColouredText, HeatMap, Series
from rnncli.render import numbers, symbols
from rnncli.render.lines import Line, View, cells, clip, pad, strip

Point = tuple[float, float]
CURVES = ("#3b82c4", "#d2691e", "#2e9e4f", "#a05fc4", "#c43b6b", "#7a7a2a")
MARKERS = "ox+*#@%&"
HEIGHT = 10  # rows of a chart
WIDEST = 100

# Colour-blind safe ends and middle of the scale; text on it is black or white, whichever is readable.
NEGATIVE, MIDDLE, POSITIVE = (33, 102, 172), (247, 247, 247), (178, 60, 20)
DENSE = ["=", "-", ".", "+", "#"]  # strongly negative ... strongly positive, if a cell is one character


def colour_of(value: float, low: float, high: float) -> tuple[int, int, int]:
    """The colour of a value between low and high: through white at the middle of the scale, grey for nan."""
    if not math.isfinite(value):
        return (128, 128, 128)
    middle = (low + high) / 2 if low < 0 else low
    end = POSITIVE if value >= middle else NEGATIVE
    reach = (high - middle) if value >= middle else (middle - low)
    share = min(1.0, abs(value - middle) / reach) if reach > 0 else 0.0
    red, green, blue = (round(m + (e - m) * share) for m, e in zip(MIDDLE, end, strict=True))
    return red, green, blue


def curve_colour(k: int) -> str:
    return CURVES[k % len(CURVES)]


def hexadecimal(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def ink_on(colour: tuple[int, int, int]) -> str:
    """Black or white, whichever is readable on this colour."""
    red, green, blue = colour
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"


def shade(value: float, low: float, high: float) -> str:
    colour = colour_of(value, low, high)
    return f"{ink_on(colour)} on {hexadecimal(colour)}"


def scale(values: Sequence[Sequence[float]]) -> tuple[float, float]:
    """(low, high) of a heat map: symmetric about zero if any value is negative, else from zero."""
    finite = [value for row in values for value in row if math.isfinite(value)]
    reach = max((abs(value) for value in finite), default=0.0) or 1.0
    return (-reach if any(value < 0 for value in finite) else 0.0), reach


def label_of(labels: Sequence[str], k: int) -> str:
    """The label of a row or column, or its index."""
    return labels[k] if labels else str(k)


def heatmap_lines(record: HeatMap, view: View) -> list[Line]:
    """Each value as a signed digit 0-9 of the scale; one character per cell if that does not fit."""
    low, high = scale(record.values)
    signed = low < 0
    lines = view.wrapped(record.title, "title")
    if not any(record.values):
        return [*lines, [(view.fit(tr("(no values)")), "note")]]
    head, tail = view.rows(len(record.values), record.cut_rows)
    notes: list[str] = []
    if tail:
        notes.append(_cut_note(record.row_axis, head[-1], tail[0], tail[-1], len(record.values)))
    longest = max(view.width // 3, 8)
    labels = [clip(view.fit(label_of(record.row_labels, k)), longest) for k in range(len(record.values))]
    row_axis = clip(view.fit(record.row_axis), longest)
    indent = max([cells(row_axis), *(cells(labels[k]) for k in [*head, *tail])])
    room = max(view.width - indent - 2, 8)
    count = max((len(row) for row in record.values), default=0)
    columns = [view.fit(label_of(record.column_labels, k)) for k in range(count)]
    cell = 3 if signed else 2
    label_width = max((cells(label) for label in columns), default=0)
    if count * (label_width + 1) > room and count * cell <= room - 2 and _same(record):
        # one letter for each row and column
        labels = [f"{letter} {label}" for letter, label in zip(ascii_letters, labels, strict=False)]
        columns, label_width, indent, room = list(ascii_letters[:count]), 1, indent + 2, room - 2
    if count * max(cell, label_width + 1) <= room:
        cell = max(cell, label_width + 1)
    elif count * cell > room:
        cell = 1
    shown_left, shown_right = range(count), range(0)
    if count * cell > room and not view.full:
        half = (room - 3) // 2
        shown_left, shown_right = range(half), range(count - half, count)
        notes.append(_cut_note(record.column_axis, half - 1, count - half, count - 1, count))

    axis = pad(row_axis, indent) + "  "
    if cell > label_width:
        lines.append(strip([(axis + "".join(pad(label, cell, "right") for label in columns), "heading")]))
    elif columns:
        ends = tr("{axis} {first} to {last}", axis=view.fit(record.column_axis), first=columns[0], last=columns[-1])
        lines.append(strip([(axis + clip(view.fit(ends).strip(), room), "heading")]))
    for k in [*head, *tail]:
        if tail and k == tail[0]:
            lines.append([("...", "note")])
        line: Line = [(pad(labels[k], indent) + "  ", "heading")]
        for j in [*shown_left, *shown_right]:
            if shown_right and j == shown_right[0]:
                line.append(("...", "note"))
            value = record.values[k][j]
            text = _dense(value, high) if cell == 1 else _digit(value, high, signed)
            style = shade(value, low, high) if view.colour else ""
            if cell > len(text):
                line.append((" " * (cell - len(text)), ""))
            line.append((text, style))
        lines.append(line if view.colour else strip(line))
    remarks = [_legend(cell, high, signed)]
    if notes:
        remarks.append(tr("{what}   (--full shows all)", what="; ".join(notes)))
    return lines + [line for remark in remarks for line in view.wrapped(remark, "note")]


def _same(record: HeatMap) -> bool:
    """Whether rows and columns have the same labels, as in a confusion matrix, and few enough for one letter each."""
    rows, columns = record.row_labels, record.column_labels
    few = len(rows) == len(columns) <= len(ascii_letters)
    return few and all(row.startswith(column) for row, column in zip(rows, columns, strict=True))


def _cut_note(axis: str, last: int, following: int, end: int, n: int) -> str:
    return tr(
        "{axis} {first}-{last} ... {next}-{end} of {n}",
        axis=axis or tr("rows"),
        first=0,
        last=last,
        next=following,
        end=end,
        n=n,
    )


def _digit(value: float, high: float, signed: bool) -> str:
    """9 is the end of the scale, nan is ?, infinity is a signed 9; 9 is not reached by rounding up."""
    if math.isnan(value):
        return " ?" if signed else "?"
    digit = 9 if math.isinf(value) else min(9, round(abs(value) / high * 9))
    if not signed:
        return str(digit)
    return f"{'-' if value < 0 else '+' if value > 0 else ' '}{digit}"


def _dense(value: float, high: float) -> str:
    if math.isnan(value):
        return "?"
    share = value / high
    return DENSE[2 if abs(share) < 0.1 else (4 if share >= 0.5 else 3) if share > 0 else (0 if share <= -0.5 else 1)]


def _legend(cell: int, high: float, signed: bool) -> str:
    if cell == 1:
        half, tenth = numbers.number(high / 2), numbers.number(high / 10)
        if signed:
            return tr(
                "# from {half}   + from {tenth}   . near 0   - to -{tenth}   = to -{half}", half=half, tenth=tenth
            )
        return tr("# from {half}   + from {tenth}   . near 0", half=half, tenth=tenth)
    return tr("digits 0-9: 9 is {high}", high=("±" if signed else "") + numbers.number(high))


class Extent(NamedTuple):
    """The range of some points."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def ticks(self, log: bool) -> list[str]:
        """The numbers at the top, the middle and the bottom."""
        levels = (self.y_high, (self.y_low + self.y_high) / 2, self.y_low)
        return [numbers.number(10**y if log else y) for y in levels]


def points_of(record: Series) -> tuple[dict[str, list[Point]], Extent | None]:
    """The points of every curve, y as a logarithm if its axis is, and the extent of those that can be drawn; None
    if there are none."""
    curves = {
        label: [(float(x), _height(y, record.log_y)) for x, y in zip(record.x, values, strict=True)]
        for label, values in record.lines.items()
    }
    drawn = [point for curve in curves.values() for point in curve if drawable(point)]
    if not drawn:
        return curves, None
    xs, ys = zip(*drawn, strict=True)
    return curves, Extent(min(xs), max(xs), min(ys), max(ys))


def drawable(point: Point) -> bool:
    return all(map(math.isfinite, point))


def series_lines(record: Series, view: View) -> list[Line]:
    """One curve in braille dots; several, or streams without braille, use one letter per curve."""
    lines = view.wrapped(record.title, "title")
    points, extent = points_of(record)
    if extent is None:
        return [*lines, [(view.fit(tr("(no finite values to draw)")), "note")]]
    x_low, x_high, y_low, y_high = extent
    ticks = extent.ticks(record.log_y)
    left = max(map(len, ticks))
    width = max(min(view.width, WIDEST) - left - 2, 10)

    braille = len(points) == 1 and symbols.fit("⣿", view.encoding) == "⣿"
    if braille:
        grid = _braille(next(iter(points.values())), width, extent)
    else:
        grid = _letters(list(points.values()), width, extent)
    for x in record.marks.values():
        if x_low <= x <= x_high:
            column = _scaled(x, x_low, x_high, width)
            for row in grid:
                if row[column][0] == " ":
                    row[column] = (view.fit("│")[0], "rule")
    if record.y_label:
        name = tr("{axis}, log scale", axis=record.y_label) if record.log_y else record.y_label
        lines.append([(clip(view.fit(name), view.width), "heading")])
    for k, row in enumerate(grid):
        at = {0: ticks[0], HEIGHT - 1: ticks[2]} if y_high > y_low else {}
        written = {**at, HEIGHT // 2: ticks[1]}.get(k, "")
        lines.append(strip([(written.rjust(left), "heading"), (" " + view.fit("│")[0], "rule"), *row]))
    first, last = (view.fit(x_text(record, x)) for x in (x_low, x_high))
    label = clip(view.fit(record.x_label), max(width - cells(first) - cells(last) - 2, 4))
    middle = max(width - cells(first) - cells(last), cells(label) + 2)
    lines.append(
        [(" " * (left + 2) + first + pad(" " * ((middle - cells(label)) // 2) + label, middle) + last, "heading")]
    )
    lines += _series_legend(record, view, braille)
    return lines


def _series_legend(record: Series, view: View, braille: bool) -> list[Line]:
    room = view.width - 24  # for a name, with a marker before and a number after it
    lines: list[Line] = []
    for k, (label, values) in enumerate(record.lines.items()):
        mark = "" if braille else MARKERS[k % len(MARKERS)] + " "
        drawn = [value for value in values if math.isfinite(value)]
        last = tr("last {value}", value=numbers.number(drawn[-1])) if drawn else ""
        name = f"{clip(view.fit(label), room)}  "
        lines.append([(mark, curve_colour(k)), (name, ""), (view.fit(last), "note")])
    for label, x in record.marks.items():
        name = f"{clip(view.fit(label), room)}  "
        lines.append([(view.fit("│")[0] + " ", "rule"), (name, ""), ("" if record.ticks else short(x), "note")])
    return lines


def _height(y: float, log: bool) -> float:
    if not log:
        return float(y)
    return math.log10(y) if y > 0 and math.isfinite(y) else math.nan


def x_text(record: Series, x: float) -> str:
    """What is written at an x of the series."""
    return record.ticks[list(record.x).index(x)] if record.ticks else short(x)


def short(x: float) -> str:
    return str(int(x)) if x == int(x) and abs(x) < 1e6 else numbers.number(x)


def _scaled(value: float, low: float, high: float, steps: int) -> int:
    """0 ... steps - 1 from low to high; the middle if they are equal."""
    return round((value - low) / (high - low) * (steps - 1)) if high > low else (steps - 1) // 2


def _dots(curve: list[Point], columns: int, rows: int, extent: Extent) -> list[tuple[int, int]]:
    """(column, row from the top) of a curve, linear between its points, with gaps at non-finite values."""
    dots: list[tuple[int, int]] = []
    previous: tuple[int, int] | None = None
    x_low, x_high, y_low, y_high = extent
    for x, y in curve:
        if not drawable((x, y)):
            previous = None
            continue
        here = _scaled(x, x_low, x_high, columns), rows - 1 - _scaled(y, y_low, y_high, rows)
        if previous is not None:
            steps = max(abs(here[0] - previous[0]), abs(here[1] - previous[1]))
            for k in range(1, steps):
                column, row = (round(a + (b - a) * k / steps) for a, b in zip(previous, here, strict=True))
                dots.append((column, row))
        dots.append(here)
        previous = here
    return dots


def _letters(curves: list[list[Point]], width: int, extent: Extent) -> list[Line]:
    owners: dict[tuple[int, int], list[int]] = {}
    for k, curve in enumerate(curves):
        for column, row in _dots(curve, width, HEIGHT, extent):
            here = owners.setdefault((row, column), [])
            if k not in here:
                here.append(k)
    grid: list[Line] = []
    for row in range(HEIGHT):
        line: Line = []
        for column in range(width):
            here = owners.get((row, column), [])
            if not here:
                line.append((" ", ""))
                continue
            k = here[column % len(here)]  # overlapping curves alternate
            line.append((MARKERS[k % len(MARKERS)], curve_colour(k)))
        grid.append(line)
    return grid


def _braille(curve: list[Point], width: int, extent: Extent) -> list[Line]:
    bits = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # a braille cell has 4 rows of 2 dots
    codes = [[0] * width for _ in range(HEIGHT)]
    for column, row in _dots(curve, width * 2, HEIGHT * 4, extent):
        codes[row // 4][column // 2] |= bits[row % 4][column % 2]
    return [[(chr(0x2800 + code), curve_colour(0)) if code else (" ", "") for code in row] for row in codes]


def coloured_lines(record: ColouredText, view: View) -> list[Line]:
    """Tokens on coloured backgrounds; without colour, a digit below each: 0 is `low`, 9 is `high`, ? is nan."""
    lines = view.wrapped(record.title, "title")
    if not record.tokens:
        return [*lines, [(view.fit(tr("(no tokens)")), "note")]]
    separator = view.fit(record.separator)
    upper: Line = []
    lower, used = "", 0

    def flush() -> None:
        nonlocal upper, lower, used
        lines.append(upper)
        if not view.colour:
            lines.append([(lower.rstrip(), "note")])
        upper, lower, used = [], "", 0

    for raw, value in zip(record.tokens, record.values, strict=True):
        visible = symbols.token(raw, view.encoding, blanks=True)
        if used and used + cells(separator) + cells(visible) > view.width:
            flush()
        if used and separator:
            upper.append((separator, ""))
            lower += " " * cells(separator)
            used += cells(separator)
        upper.append((visible, shade(value, record.low, record.high) if view.colour else ""))
        lower += pad(_level(value, record.low, record.high), cells(visible))
        used += cells(visible)
        if raw.endswith("\n"):
            flush()
    if used:
        flush()
    lines.append([(_level_legend(record, view), "note")])
    return lines


def _level(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "?"
    if high <= low:
        return "0"
    return str(round(min(max((value - low) / (high - low), 0.0), 1.0) * 9))


def _level_legend(record: ColouredText, view: View) -> str:
    low, high = numbers.number(record.low), numbers.number(record.high)
    if view.colour and record.low < 0:
        return view.fit(tr("blue {low} ... red {high}", low=low, high=high))
    if view.colour:
        return view.fit(tr("white {low} ... red {high}", low=low, high=high))
    return view.fit(tr("digits: 0 is {low}, 9 is {high}", low=low, high=high))
