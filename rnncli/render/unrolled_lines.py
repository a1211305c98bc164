"""An unrolled network and its opened cell as lines of characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from operator import itemgetter

from rnncli.locale import tr
from rnncli.records import Box, BoxLine, GridRow, OpenedCell, Unrolled
from rnncli.render import boxes
from rnncli.render.layered import Block, Gaps, Plan, plan
from rnncli.render.lines import Line, View, cells, clip, pad, strip
from rnncli.render.numbers import number, sign

FIGURES = 7  # cells of -0.1234: so that boxes of single numbers keep their width from step to step
SIGNS = {1: "positive", -1: "negative", 0: ""}
# The sides that the lines of a character connect to: 1 up, 2 right, 4 down, 8 left.
_LINES = {
    1: "│", 2: "─", 3: "└", 4: "│", 5: "│", 6: "┌", 7: "├", 8: "─", 9: "┘", 10: "─", 11: "┴", 12: "┐", 13: "┤",
    14: "┬", 15: "┼",
}  # fmt: skip
_SIDES = {(-1, 0): 1, (0, 1): 2, (1, 0): 4, (0, -1): 8}


@dataclass
class Canvas:
    """A grid of characters by (row, column); a wide one also takes the next column."""

    marks: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)

    def write(self, row: int, column: int, text: str, style: str = "") -> None:
        for character in text:
            self.marks[row, column] = (character, style)
            if cells(character) == 2:
                self.marks[row, column + 1] = ("", style)
            column += max(1, cells(character))

    def frame(self, row: int, column: int, height: int, width: int, heavy: bool = False) -> None:
        corners, across, down = ("╔╗╚╝", "═", "║") if heavy else ("┌┐└┘", "─", "│")
        style = "title" if heavy else ""
        self.write(row, column, corners[0] + across * (width - 2) + corners[1], style)
        for k in range(1, height - 1):
            self.write(row + k, column, down, style)
            self.write(row + k, column + width - 1, down, style)
        self.write(row + height - 1, column, corners[2] + across * (width - 2) + corners[3], style)

    def lines(self, view: View) -> list[Line]:
        height = max((row for row, _ in self.marks), default=-1) + 1
        found: list[Line] = []
        for row in range(height):
            width = max((c for r, c in self.marks if r == row), default=-1) + 1
            marks = [self.marks.get((row, column), (" ", "")) for column in range(width)]
            spans = groupby(marks, key=itemgetter(1))
            found.append(strip([(view.fit("".join(text for text, _ in same)), style) for style, same in spans]))
        return found


def lines(record: Unrolled, view: View) -> list[Line]:
    """The grid, then the opened cell, then notes."""
    cell = record.opened[record.step]
    drawn = [*grid_lines(record, view), [], *opened_lines(cell, opened_title(record, record.step), view)]
    return drawn + [line for note in record.notes for line in view.wrapped(note, "note")]


def opened_title(record: Unrolled, t: int) -> str:
    """`layer 0 →, step 2, unit 0`, of the cell opened at step t."""
    row = next(row for row in record.grid if row.name == record.place)
    title = tr("step {t}, unit {unit}", t=t, unit=record.opened[t].unit)
    return f"{row.label}, {title}" if len(record.grid) > 1 else title


# --- the grid


def grid_lines(record: Unrolled, view: View) -> list[Line]:
    """Time from left to right, layers from the bottom up."""
    left = max(cells(view.fit(text)) for text in (*(row.label for row in record.grid), tr("reads"), tr("answers"))) + 3
    inner = max(
        cells(_value(row, name, k)) for row in record.grid for name in row.values for k in range(len(record.steps))
    )
    inner = max(inner, min(inner + 6, max((cells(view.fit(text)) for text in record.inputs), default=1)))
    fitting = max(1, (view.width - left - 2) // (inner + 5))
    shown = window(len(record.steps), record.steps.index(record.step), fitting if not view.full else len(record.steps))
    canvas, top = Canvas(), 0
    step = inner + 5
    if any(record.heads):
        canvas.write(0, 0, view.fit(tr("answers")), "heading")
        for n, k in enumerate(shown):
            _centre(canvas, 0, left + n * step, inner + 2, view.fit(clip(record.heads[k], inner + 4)))
            canvas.write(1, left + n * step + (inner + 2) // 2, "↑" if record.heads[k] else " ")
        top = 2
    previous = ""
    for row in reversed(record.grid):
        layer = row.name.partition(".")[0]
        if previous not in ("", layer):
            _arrows(canvas, top, left, step, inner, len(shown))
            top += 1
        previous = layer
        _cells(canvas, top, left, step, inner, record, row, shown)
        canvas.write(top + 1, 0, view.fit(row.label), "heading")
        top += len(row.values) + 2
    _arrows(canvas, top, left, step, inner, len(shown))
    canvas.write(top + 1, 0, view.fit(tr("reads")), "heading")
    for n, k in enumerate(shown):
        _centre(canvas, top + 1, left + n * step, inner + 2, boxes.shortened(view.fit(record.inputs[k]), inner + 4))
        _centre(canvas, top + 2, left + n * step, inner + 2, f"t={record.steps[k]}", "heading")
    found = canvas.lines(view)
    if len(shown) < record.num_steps:
        text = tr(
            "steps {first} to {last} of {n}",
            first=record.steps[shown[0]],
            last=record.steps[shown[-1]],
            n=record.num_steps,
        )
        found.append([(view.fit(text), "note")])
    if record.answer:
        found.append([(view.fit(record.answer), "")])
    return found


def window(length: int, middle: int, most: int) -> range:
    """The indices of at most `most` of `length` items around one of them."""
    first = min(max(0, middle - most // 2), max(0, length - most))
    return range(first, min(length, first + most))


def _value(row: GridRow, name: str, k: int) -> str:
    return f"{name} {number(row.values[name][k])}"


def _centre(canvas: Canvas, row: int, column: int, width: int, text: str, style: str = "") -> None:
    canvas.write(row, column + max(0, (width - cells(text)) // 2), text, style)


def _arrows(canvas: Canvas, top: int, left: int, step: int, inner: int, count: int) -> None:
    for n in range(count):
        canvas.write(top, left + n * step + (inner + 2) // 2, "↑")


def _cells(
    canvas: Canvas, top: int, left: int, step: int, inner: int, record: Unrolled, row: GridRow, shown: Sequence[int]
) -> None:
    for n, k in enumerate(shown):
        at = left + n * step
        heavy = row.name == record.place and record.steps[k] == record.step
        canvas.frame(top, at, len(row.values) + 2, inner + 2, heavy)
        for j, name in enumerate(row.values):
            text = number(row.values[name][k])
            canvas.write(top + 1 + j, at + 1, pad(name, inner - cells(text)), "heading")
            canvas.write(top + 1 + j, at + 1 + inner - cells(text), text, SIGNS[sign(row.values[name][k])])
        arrow = "←" if row.reverse else "→"
        if n < len(shown) - 1 or record.steps[k] < record.num_steps - 1:
            canvas.write(top + 1, at + inner + 3, arrow)
        if n == 0 and record.steps[k] > 0:
            canvas.write(top + 1, at - 2, arrow)


# --- the opened cell


def opened_lines(cell: OpenedCell, title: str, view: View) -> list[Line]:
    """Boxes from top to bottom, each with its sums, and the wires between them. Inputs are at the top."""
    return view.wrapped(title, "title") + drawing(cell, view).lines


@dataclass(frozen=True)
class Drawing:
    """An opened cell as lines, and the rows of each box, as range(top, below)."""

    lines: list[Line]
    rows: dict[str, range]

    @property
    def width(self) -> int:
        return max((sum(cells(text) for text, _ in line) for line in self.lines), default=0)


def drawing(cell: OpenedCell, view: View, brief: bool = False, chosen: str = "") -> Drawing:
    """brief: boxes show only their result. chosen: the box with a heavy frame."""
    products = int(view.full or sum(box.kind != "input" for box in cell.boxes) <= 2)
    drawn = [_Drawn(_brief(box) if brief else box, view, products, FIGURES * brief) for box in cell.boxes]
    made = plan([one.block for one in drawn], Gaps(1, 1, 1, 1, view.width))
    canvas = Canvas()
    _wires(canvas, made)
    for one in drawn:
        canvas.frame(*made.places[one.box.name], one.block.along, one.block.across, one.box.name == chosen)
    for wire in made.wires:
        row, column = made.places[wire.source]
        home = next(one for one in drawn if one.box.name == wire.source)
        canvas.write(row + home.block.along - 1, column + home.block.exit, "┬")
        for _, _, (along, across) in wire.ends:
            canvas.write(along, across, "┴")
    for one in drawn:
        one.write(canvas, *made.places[one.box.name])
    rows = {one.box.name: range(top := made.places[one.box.name][0], top + one.block.along) for one in drawn}
    return Drawing(canvas.lines(view), rows)


def _brief(box: Box) -> Box:
    """A box that shows only its result."""
    sources = [name for name, _ in boxes.givers(box)]
    return replace(box, lines=[BoxLine(box.title, box.lines[-1].values, sources, role="result")], about="")


class _Drawn:
    """A box with its rows."""

    def __init__(self, box: Box, view: View, products: int, narrowest: int = 0) -> None:
        self.box, self.rows = box, boxes.rows(box, view.fit, products)
        if narrowest:
            self.rows = [replace(row, value=boxes.shortened(row.value, 2 * narrowest + 2)) for row in self.rows]
        self.title = view.fit(box.title)
        inner = max([narrowest, cells(self.title) + 2, *(boxes.width(row) for row in self.rows)])
        about = view.fit(box.about)
        if about and cells(self.title) + cells(about) + 4 <= max(inner, 16):
            self.title, inner = f"{self.title}: {about}", max(inner, cells(self.title) + cells(about) + 4)
        givers = list(dict.fromkeys(name for name, _ in boxes.givers(box)))
        inner = min(max(inner, 2 * len(givers)), view.width - 2)
        entries = tuple((name, None) for name in givers)
        self.block = Block(box.name, len(self.rows) + 2, inner + 2, (inner + 2) // 2, entries)

    def write(self, canvas: Canvas, top: int, left: int) -> None:
        block = self.block
        canvas.write(top, left + 1, f" {self.title} ", "title")
        inner = block.across - 2
        for k, row in enumerate(self.rows):
            style = {"product": "note", "sum": "", "result": "total"}.get(row.role, "")
            canvas.write(top + 1 + k, left + 1, clip(row.text, inner - cells(row.value)), style)
            canvas.write(top + 1 + k, left + 1 + inner - cells(row.value), row.value, SIGNS[row.sign] or style)


def _wires(canvas: Canvas, made: Plan) -> None:
    """Lines of a wire are joined; at a crossing the vertical one is unbroken."""
    sides: dict[tuple[int, int], dict[str, int]] = {}
    for wire in made.wires:
        for path in wire.paths:
            for (a, b), (c, d) in pairwise(path):
                along, across = (c > a) - (c < a), (d > b) - (d < b)
                while (a, b) != (c, d):
                    for place, side in (((a, b), (along, across)), ((a + along, b + across), (-along, -across))):
                        found = sides.setdefault(place, {})
                        found[wire.source] = found.get(wire.source, 0) | _SIDES[side]
                    a, b = a + along, b + across
    for (row, column), found in sides.items():
        masks = list(found.values())
        character = _LINES[masks[0]] if len(masks) == 1 else "│" if all(mask in (5, 10) for mask in masks) else "┼"
        canvas.write(row, column, character, "rule")
