"""Curves and heat maps as small SVG drawings for pages and notebooks; self-contained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnncli.records import HeatMap, Series
from rnncli.render import charts, matrices, numbers
from rnncli.render.charts import Point
from rnncli.render.lines import cells

WIDTH, HEIGHT = 640, 260
LEFT, BOTTOM, TOP, RIGHT = 72, 40, 12, 130
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4", "10 4")  # so that curves differ not only by colour


@dataclass(frozen=True)
class Shape:
    """An element of a drawing. text: its text. title: its tooltip. Attributes contain no user data."""

    tag: str
    attributes: Mapping[str, str | float]
    text: str = ""
    title: str = ""


@dataclass(frozen=True)
class Drawing:
    """A drawing without shapes."""

    title: str
    width: int = 0
    height: int = 0
    shapes: Sequence[Shape] = ()


def series(record: Series) -> Drawing:
    """The curves, with a legend at the right."""
    curves, extent = charts.points_of(record)
    if extent is None:
        return Drawing(record.title)
    x_low, x_high, y_low, y_high = extent

    def place(x: float, y: float) -> Point:
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        up = (y - y_low) / (y_high - y_low) if y_high > y_low else 0.5
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)

    marks = {label: place(x, y_low)[0] for label, x in record.marks.items() if x_low <= x <= x_high}
    shapes = [
        _rectangle(LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP, "none", "#999"),
        *_marks(marks),
        *(_band(curves[record.band[0]], curves[record.band[1]], place) if record.band else ()),
        *_curves(curves, place),
        *_axes(extent.ticks(record.log_y), charts.x_text(record, x_low), charts.x_text(record, x_high), record.x_label),
    ]
    return Drawing(record.title or record.y_label, WIDTH, HEIGHT, shapes)


def _marks(marks: Mapping[str, float]) -> Iterator[Shape]:
    for label, across in marks.items():
        line = f"M{across:.1f} {TOP}V{HEIGHT - BOTTOM}"
        yield Shape("path", {"d": line, "stroke": "#777", "stroke-dasharray": "2 2"})
        yield text_at(across + 3, TOP + 12, label)


def _curves(curves: Mapping[str, Iterable[Point]], place: Callable[[float, float], Point]) -> Iterator[Shape]:
    for k, (label, curve) in enumerate(curves.items()):
        colour, dash = charts.curve_colour(k), DASHES[k % len(DASHES)]
        style = {"fill": "none", "stroke": colour, "stroke-width": "1.6", "stroke-dasharray": dash}
        level = TOP + 12 + 18 * k
        yield Shape("path", {"d": _path(curve, place), **style})
        yield Shape("path", {"d": f"M{WIDTH - RIGHT + 8} {level - 4}h24", **style})
        yield text_at(WIDTH - RIGHT + 38, level, label)


def _band(lower: Sequence[Point], upper: Sequence[Point], place: Callable[[float, float], Point]) -> Iterator[Shape]:
    """The area between two curves where both are finite."""
    there = [pair for pair in zip(lower, upper, strict=True) if all(map(charts.drawable, pair))]
    around = [below for below, _ in there] + [above for _, above in reversed(there)]
    if around:
        yield Shape("path", {"d": _path(around, place) + "Z", "fill": "#888", "fill-opacity": "0.25", "stroke": "none"})


def _path(curve: Iterable[Point], place: Callable[[float, float], Point]) -> str:
    """A line through the points, with gaps at non-finite values."""
    path, pen = "", "M"
    for point in curve:
        if not charts.drawable(point):
            pen = "M"
            continue
        across, down = place(*point)
        path += f"{pen}{across:.1f} {down:.1f}"
        pen = "L"
    return path


def _axes(levels: Sequence[str], first: str, last: str, x_label: str) -> Iterator[Shape]:
    heights = (TOP + 10, (HEIGHT - BOTTOM + TOP) / 2, HEIGHT - BOTTOM)
    yield from (text_at(LEFT - 6, down, text, "end") for text, down in zip(levels, heights, strict=True))
    yield text_at(LEFT, HEIGHT - BOTTOM + 16, first)
    yield text_at(WIDTH - RIGHT, HEIGHT - BOTTOM + 16, last, "end")
    yield text_at((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle")


def heatmap(record: HeatMap) -> Drawing:
    """One square per value, with its number as a tooltip; counts and percentages are written in it."""
    shade = record.cells == "shade"
    values = record.values if shade else matrices.shares(record)
    low, high = charts.scale(values)
    columns = max((len(row) for row in values), default=0)
    side = max(4, min(24, 900 // max(columns, 1))) if shade else 36
    row_labels = [charts.label_of(record.row_labels, k) for k in range(len(record.values))]
    column_labels = [charts.label_of(record.column_labels, k) for k in range(columns)]
    if not shade:
        row_labels, column_labels = matrices.labels(record)
    left = 16 + 8 * max(map(cells, row_labels), default=0)
    shapes = []
    for i, row in enumerate(record.values):
        if side >= 12:
            shapes.append(text_at(left - 6, 30 + i * side + side - 4, row_labels[i], "end"))
        for j, value in enumerate(row):
            colour = charts.colour_of(values[i][j], low, high)
            written = numbers.number(value) if shade else matrices.cell(record, value)
            title = f"{row_labels[i]}, {column_labels[j]}: {written}"
            x, y = left + j * side, 30 + i * side
            shapes.append(_rectangle(x, y, side, side, charts.hexadecimal(colour), "none", title))
            if not shade:
                at: dict[str, str | float] = {"x": x + side / 2, "y": y + side / 2 + 4, "text-anchor": "middle"}
                at["style"] = f"fill:{charts.ink_on(colour)}"
                shapes.append(Shape("text", at, written))
    if side >= 12:
        shapes += [text_at(left + j * side + side / 2, 24, label, "middle") for j, label in enumerate(column_labels)]
    height = 30 + side * len(record.values) + 24
    if shade:
        shapes.append(text_at(left, height - 6, f"{numbers.number(low)} ... {numbers.number(high)}"))
    return Drawing(record.title, left + side * columns + 12, height, shapes)


def _rectangle(x: float, y: float, width: float, height: float, fill: str, stroke: str, title: str = "") -> Shape:
    return Shape("rect", {"x": x, "y": y, "width": width, "height": height, "fill": fill, "stroke": stroke}, "", title)


def text_at(x: float, y: float, text: str, anchor: str = "start") -> Shape:
    """Text at a point; anchor: which end of it is there."""
    return Shape("text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}, text)
