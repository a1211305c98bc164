"""State diagrams: where letters, circles and arrows are, in characters, in SVG and in a plot."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from matplotlib.figure import Figure

from rnncli.records import Diagram
from rnncli.render import diagrams
from rnncli.render.lines import View, plain

MOVES = {(0, 0): "0", (0, 1): "1", (1, 1): "0", (1, 0): "1"}
PARITY = Diagram(
    "parity",
    [(-1.0, 1.0), (1.0, -1.0)],
    ["A", "B"],
    ["even", "odd"],
    [[(-1.0, 1.0), (0.0, 0.0)], [(1.0, -1.0), (0.0, 0.0), (0.0, 0.0)]],
    MOVES,
)


def test_characters_stand_where_the_points_are_and_the_most_frequent_is_seen() -> None:
    text = [plain(line) for line in diagrams.lines(PARITY, View(width=80))]
    assert len(text) == diagrams.ROWS
    assert text[0] == "A"  # the upper left corner
    assert text[-1] == " " * (diagrams.COLUMNS - 1) + "B"
    (middle,) = [line.strip() for line in text[1:-1] if line.strip()]
    assert middle == "B"  # two to one
    narrow = [plain(line) for line in diagrams.lines(PARITY, View(width=20))]
    assert max(map(len, narrow)) == 20


def test_a_state_without_visits_stands_at_its_centre() -> None:
    text = [plain(line) for line in diagrams.lines(replace(PARITY, points=[[], []]), View(width=80))]
    assert (text[0], text[-1].strip()) == ("A", "B")


def test_arrows_end_at_the_rim_of_the_circle_they_lead_to() -> None:
    shapes = diagrams.drawing(PARITY).shapes
    circles = [
        shape.attributes for shape in shapes if shape.tag == "circle" and shape.attributes["r"] == diagrams.RADIUS
    ]
    centres = [(float(circle["cx"]), float(circle["cy"])) for circle in circles]
    curves = [str(shape.attributes["d"]) for shape in shapes if "Q" in str(shape.attributes.get("d", ""))]
    assert len(curves) == 2
    for curve, start, end in zip(curves, centres, reversed(centres), strict=True):
        x, y, *_, u, v = map(float, re.findall(r"-?[\d.]+", curve))
        assert math.dist((x, y), start) < 0.2
        assert abs(math.dist((u, v), end) - diagrams.RADIUS) < 0.2
    said = [shape.text for shape in shapes if shape.text]
    assert sorted(said) == ["0", "0", "1", "1", "A", "B", "even", "odd"]
    dots = [shape for shape in shapes if shape.tag == "circle" and shape.attributes["r"] == 2]
    assert len(dots) == 5


def test_too_many_arrows_are_left_out() -> None:
    n = 6
    moves = {(home, after): "x" for home in range(n) for after in range(n)}
    crowd = Diagram("s3", [(k, k % 2) for k in range(n)], list("ABCDEF"), list("abcdef"), [[]] * n, moves)
    assert len(moves) > diagrams.ARROWS
    assert [shape.tag for shape in diagrams.drawing(crowd).shapes if shape.tag == "path"] == []
    assert diagrams.drawing(replace(crowd, moves=MOVES)).shapes != diagrams.drawing(crowd).shapes


def test_a_plot_has_the_same_words() -> None:
    axes = Figure().add_subplot()
    diagrams.plot(axes, replace(PARITY, notes=["even", "o$d"]))
    assert sorted(text.get_text() for text in axes.texts) == sorted(
        ["", "", "1", "1", "↻ 0", "↻ 0", "A", "B", "even", r"o\$d"]
    )
    assert len(axes.collections) == 2  # the dots of each state
