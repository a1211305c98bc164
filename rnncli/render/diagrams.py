"""State diagrams as lines of characters, as SVG shapes, and as a plot."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rnncli.locale import tr
from rnncli.records import Diagram
from rnncli.render.charts import Point, curve_colour
from rnncli.render.lines import Line, View
from rnncli.render.svg import Drawing, Shape, text_at
from rnncli.render.symbols import in_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS, ROWS = 60, 12  # characters
WIDTH, HEIGHT, EDGE, RADIUS = 640, 360, 56, 13  # of an SVG drawing
ARROWS = 30  # maximum number of transitions drawn
BEND = 0.18  # curvature of arrows, relative to their length, so that opposite arrows do not overlap


def lines(record: Diagram, view: View) -> list[Line]:
    """Each visit as the letter of its state; the most frequent one if several share a grid position."""
    width, place = min(COLUMNS, view.width), _scaled(record)
    places: dict[tuple[int, int], Counter[str]] = {}
    for label, centre, points in zip(record.labels, record.centres, record.points, strict=True):
        for x, y in map(place, points or [centre]):
            at = round((1 - y) * (ROWS - 1)), round(x * (width - 1))
            places.setdefault(at, Counter())[label if len(label) == 1 else "*"] += 1
    drawn = view.wrapped(record.title, "title")
    if not record.centres:
        return [*drawn, [(view.fit(tr("(no values)")), "note")]]
    for row in range(ROWS):
        text = "".join(places[row, x].most_common(1)[0][0] if (row, x) in places else " " for x in range(width))
        drawn.append([(view.fit(text.rstrip()), "")])
    return drawn


def drawing(record: Diagram) -> Drawing:
    """Visits as dots, states as named circles, transitions as arrows labelled with their symbols."""
    if not record.centres:
        return Drawing(record.title)
    scaled = _scaled(record)

    def place(point: Point) -> Point:
        x, y = scaled(point)
        return EDGE + x * (WIDTH - 2 * EDGE), HEIGHT - EDGE - y * (HEIGHT - 2 * EDGE)

    centres = [place(centre) for centre in record.centres]
    shapes = [
        Shape("circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": 2, "fill": curve_colour(state), "opacity": 0.5})
        for state, points in enumerate(record.points)
        for x, y in map(place, points)
    ]
    for home, after, text in _arrows(record):
        shapes += _arrow(centres[home], centres[after], text) if home != after else _loop(centres[home], text)
    for state, (x, y) in enumerate(centres):
        at: dict[str, str | float] = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": RADIUS}
        edge = {"fill": "#ffffff", "stroke": curve_colour(state)}
        shapes.append(Shape("circle", at | edge, title=record.notes[state]))
        shapes.append(text_at(x, y + 4, record.labels[state], "middle"))
        shapes.append(text_at(x, y + RADIUS + 12, record.notes[state], "middle"))
    return Drawing(record.title, WIDTH, HEIGHT, shapes)


def plot(axes: Axes, record: Diagram) -> None:
    """Plot the diagram on matplotlib axes."""
    for state, points in enumerate(record.points):
        across, up = ([point[k] for point in points] for k in (0, 1))
        axes.scatter(across, up, s=6, color=curve_colour(state), alpha=0.5, linewidths=0)
    for home, after, text in _arrows(record):
        (x, y), (u, v) = record.centres[home], record.centres[after]
        if home == after:
            axes.annotate(in_plot(f"↻ {text}"), (x, y), (0, 13), textcoords="offset points", ha="center", fontsize=8)
            continue
        style = {"arrowstyle": "->", "connectionstyle": f"arc3,rad={BEND}", "shrinkA": 9, "shrinkB": 9, "color": "#555"}
        axes.annotate("", (u, v), (x, y), arrowprops=style)
        middle = (x + u) / 2 + BEND / 2 * (v - y), (y + v) / 2 - BEND / 2 * (u - x)
        axes.annotate(in_plot(text), middle, ha="center", va="center", fontsize=8)
    for state, (x, y) in enumerate(record.centres):
        box = {"boxstyle": "circle", "facecolor": "white", "edgecolor": curve_colour(state)}
        axes.annotate(in_plot(record.labels[state]), (x, y), ha="center", va="center", fontsize=9, bbox=box)
        note = in_plot(record.notes[state])
        axes.annotate(note, (x, y), (0, -17), textcoords="offset points", ha="center", va="top", fontsize=8)
    axes.margins(0.12, 0.2)
    axes.set_xticks([])
    axes.set_yticks([])


def _scaled(record: Diagram) -> Callable[[Point], Point]:
    """Map a point of the record to the unit square."""
    every = [*record.centres, *(point for points in record.points for point in points)]
    low = [min((point[k] for point in every), default=0.0) for k in (0, 1)]
    reach = [max((point[k] for point in every), default=0.0) - low[k] or 1.0 for k in (0, 1)]
    return lambda point: ((point[0] - low[0]) / reach[0], (point[1] - low[1]) / reach[1])


def _arrows(record: Diagram) -> Iterator[tuple[int, int, str]]:
    if len(record.moves) <= ARROWS:
        yield from ((home, after, text) for (home, after), text in record.moves.items())


def _arrow(start: Point, end: Point, text: str) -> list[Shape]:
    """A curved arrow from circle to circle, with its label at the apex."""
    (x, y), (u, v) = start, end
    length = math.hypot(u - x, v - y) or 1.0
    a, b = (x + u) / 2 - BEND * (v - y), (y + v) / 2 + BEND * (u - x)  # control point
    reach = math.hypot(u - a, v - b) or 1.0
    p, q = u - RADIUS * (u - a) / reach, v - RADIUS * (v - b) / reach  # the tip
    along = (u - a) / reach, (v - b) / reach
    sides = [f"{p - 8 * along[0] + s * 4 * along[1]:.1f} {q - 8 * along[1] - s * 4 * along[0]:.1f}" for s in (1, -1)]
    bend = BEND / 2 + 9 / length
    return [
        Shape("path", {"d": f"M{x:.1f} {y:.1f}Q{a:.1f} {b:.1f} {p:.1f} {q:.1f}", "fill": "none", "stroke": "#555"}),
        Shape("path", {"d": f"M{p:.1f} {q:.1f}L{sides[0]}L{sides[1]}Z", "fill": "#555"}),
        text_at((x + u) / 2 - bend * (v - y), (y + v) / 2 + bend * (u - x) + 4, text, "middle"),
    ]


def _loop(at: Point, text: str) -> list[Shape]:
    x, y = at
    bow = f"M{x - 6:.1f} {y - 11:.1f}C{x - 22:.1f} {y - 38:.1f} {x + 22:.1f} {y - 38:.1f} {x + 6:.1f} {y - 11:.1f}"
    tip = f"M{x + 6:.1f} {y - 11:.1f}l1 -9l6 5Z"
    return [
        Shape("path", {"d": bow, "fill": "none", "stroke": "#555"}),
        Shape("path", {"d": tip, "fill": "#555"}),
        text_at(x, y - 35, text, "middle"),
    ]
