"""An unrolled network and its opened cell as a scene: the grid above, the cell below, time from left to right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Literal

from rnncli.locale import tr
from rnncli.records import Box, OpenedCell, Unrolled
from rnncli.render import boxes, symbols
from rnncli.render.boxes import Row
from rnncli.render.layered import Block, Gaps, plan
from rnncli.render.lines import cells
from rnncli.render.numbers import number, sign
from rnncli.render.scene import Scene
from rnncli.render.unrolled_lines import SIGNS, opened_title

CHARACTER = 8.5  # width of a character in the scene's units
ROW, SMALL, HEAD, EDGE = 19, 14, 24, 16  # heights of a row, of a product's row, of a box's title; the margin
STRONG = 0.5  # values of at least this magnitude are drawn thick


def scene(record: Unrolled) -> Scene:
    """The whole picture. Each opened step is a frame; a static picture has one."""
    title = record.title or opened_title(record, record.step)
    drawn = Scene(frames=sorted(record.opened), still=record.step, title=title)
    grid = _Grid(record, drawn)
    grid.draw()
    cell = _Cell(record, drawn, grid.bottom + EDGE)
    width = max(grid.right, cell.width) + 2 * EDGE
    cell.draw(EDGE)
    y = cell.bottom
    for note in record.notes:
        y += ROW
        drawn.add("text", (EDGE, y), "note", text=note)
    drawn.width, drawn.height = width, y + EDGE
    return drawn


def _tip(
    drawn: Scene, x: float, y: float, way: Literal["right", "left", "up"], style: str = "tip", frame: int | None = None
) -> None:
    a, b = {"right": (-1, 0), "left": (1, 0), "up": (0, 1)}[way]
    points = [x, y, x + 8 * a + 4 * b, y + 8 * b + 4 * a, x + 8 * a - 4 * b, y + 8 * b - 4 * a]
    drawn.add("shape", points, style, frame=frame)


class _Grid:
    """Columns are steps, rows are layers and directions from the bottom up; inputs are below, predictions above."""

    def __init__(self, record: Unrolled, drawn: Scene) -> None:
        self.record, self.drawn = record, drawn
        self.D = 2 if any(row.reverse for row in record.grid) else 1
        self.shift = 24.0 if self.D == 2 else 0.0  # shift of backward rows, so that wires pass next to them
        values = [
            f"{name} {number(value)}" for row in record.grid for name, each in row.values.items() for value in each
        ]
        longest = max(map(cells, values))
        self.inputs = [symbols.fit(text) for text in record.inputs]
        inner = max(longest, *(min(cells(text), longest + 12) for text in self.inputs), *map(cells, record.heads))
        self.box = inner * CHARACTER + 16
        labels = [*(row.label for row in record.grid), tr("reads"), tr("answers")]
        self.left = EDGE + max(cells(symbols.fit(text)) for text in labels) * CHARACTER + 40
        self.column = self.box + self.shift + 40
        lines = max(len(row.values) for row in record.grid)
        self.depth = lines * ROW + 10
        self.right = self.left + len(record.steps) * self.column
        heads = ROW + 26 if any(record.heads) or record.answer else 0
        self.top = EDGE + HEAD + 12 + heads
        self.bottom = self._y(0) + self.depth + 26 + 2 * ROW + 8

    def _y(self, k: int) -> float:
        """The top of row k."""
        above = range(k, len(self.record.grid) - 1)
        return self.top + sum(self.depth + (34 if j % self.D == self.D - 1 else 14) for j in above)

    def _x(self, n: int, k: int) -> float:
        return self.left + n * self.column + (self.shift if self.record.grid[k].reverse else 0)

    def draw(self) -> None:
        record, drawn = self.record, self.drawn
        drawn.add("text", (EDGE, EDGE + 12), "head", text=record.title or tr("the network over time"))
        for k, row in enumerate(record.grid):
            drawn.add("text", (EDGE, self._y(k) + self.depth / 2 + 5), "note", text=row.label)
            self._recurrence(k)
        for n in range(len(record.steps)):
            self._upwards(n)
        for k in range(len(record.grid)):
            for n in range(len(record.steps)):
                self._box(n, k)
        self._below()
        self._above()
        self._now()

    def _box(self, n: int, k: int) -> None:
        x, y, row = self._x(n, k), self._y(k), self.record.grid[k]
        self.drawn.add("box", (x, y, self.box, self.depth), "cell")
        for j, (name, values) in enumerate(row.values.items()):
            at = y + 18 + j * ROW
            self.drawn.add("text", (x + 8, at), "note", text=name)
            style = SIGNS[sign(values[n])] or "text"
            self.drawn.add("text", (x + self.box - 8, at), style, text=number(values[n]), anchor="end")

    def _recurrence(self, k: int) -> None:
        row, record = self.record.grid[k], self.record
        y = self._y(k) + self.depth / 2
        for n, t in enumerate(record.steps):
            x = self._x(n, k) + self.box
            following = n + 1 < len(record.steps)
            end = self._x(n + 1, k) if following else x + 26
            if following or t < record.num_steps - 1 or not row.reverse:
                self.drawn.add("line", (x, y, end, y), "wire")
                _tip(self.drawn, *((x, y, "left") if row.reverse else (end, y, "right")))
        x = self._x(0, k)
        self.drawn.add("line", (x - 26, y, x, y), "wire")
        _tip(self.drawn, *((x - 26, y, "left") if row.reverse else (x, y, "right")))

    def _upwards(self, n: int) -> None:
        """The wires from each layer to the next, and from the inputs to the lowest."""
        rows, drawn = self.record.grid, self.drawn
        for first in range(0, len(rows), self.D):
            readers = [(self._in(n, k), k) for k in range(first, first + self.D)]
            below = self._y(first) + self.depth
            bus = below + 14
            if first == 0:
                givers = [(x, self.bottom - 2 * ROW - 8) for x, _ in readers]
            else:
                givers = [(self._out(n, k), self._y(k)) for k in range(first - self.D, first)]
                if self.D == 1:
                    givers = [(readers[0][0], self._y(first - 1))]
            for x, k in readers:
                drawn.add("line", (x, bus, x, self._y(k) + self.depth), "wire")
                _tip(drawn, x, self._y(k) + self.depth, "up")
            for x, y in givers:
                drawn.add("line", (x, y, x, bus), "wire")
            across = [x for x, _ in (*readers, *givers)]
            if first and max(across) > min(across):
                drawn.add("line", (min(across), bus, max(across), bus), "wire")
        if any(self.record.heads) or self.record.answer:
            last = range(len(rows) - self.D, len(rows))
            across = [self._out(n, k) if self.D == 2 else self._x(n, k) + self.box / 2 for k in last]
            if self.record.heads[n] or (n == len(self.record.steps) - 1 and self.record.answer):
                middle = self.left + n * self.column + (self.box + self.shift) / 2
                bus = self.top - 12
                for x, k in zip(across, last, strict=True):
                    drawn.add("line", (x, self._y(k), x, bus), "wire")
                if self.D == 2:
                    drawn.add("line", (min(*across, middle), bus, max(*across, middle), bus), "wire")
                drawn.add("line", (middle, bus, middle, bus - 10), "wire")
                _tip(drawn, middle, bus - 10, "up")

    def _in(self, n: int, k: int) -> float:
        """Where a cell's x enters from below, next to the box below it."""
        return self._x(n, k) + (self.box - 12 if self.record.grid[k].reverse else self.box / 2)

    def _out(self, n: int, k: int) -> float:
        """Where a cell's h goes up, next to the box above it."""
        x = self._x(n, k)
        return x + self.box / 2 if self.record.grid[k].reverse else x + 12

    def _below(self) -> None:
        y = self.bottom - ROW - 8
        self.drawn.add("text", (EDGE, y + 5), "note", text=tr("reads"))
        for n, t in enumerate(self.record.steps):
            x = self.left + n * self.column + (self.box + self.shift) / 2
            text = boxes.shortened(self.inputs[n], int((self.column - 12) / CHARACTER))
            self.drawn.add("text", (x, y + 5), "title", text=text, anchor="middle")
            self.drawn.add("text", (x, y + 5 + ROW), "small", text=f"t = {t}", anchor="middle")

    def _above(self) -> None:
        record, y = self.record, EDGE + HEAD + 24
        if not any(record.heads) and not record.answer:
            return
        if any(record.heads):
            self.drawn.add("text", (EDGE, y), "note", text=tr("answers"))
        for n, text in enumerate(record.heads):
            x = self.left + n * self.column + (self.box + self.shift) / 2
            self.drawn.add("text", (x, y), "title", text=text, anchor="middle")
        if record.answer:
            end = self.left + (len(record.steps) - 1) * self.column + self.box + self.shift
            self.drawn.add("text", (end, y), "title", text=record.answer, anchor="end")

    def _now(self) -> None:
        record = self.record
        k = next(k for k, row in enumerate(record.grid) if row.name == record.place)
        for t in record.opened:
            n = list(record.steps).index(t)
            box = (self._x(n, k) - 3, self._y(k) - 3, self.box + 6, self.depth + 6)
            self.drawn.add("box", box, "now", frame=t)


class _Cell:
    """The opened cell: inputs at the left, new states at the right. Boxes have room for every frame."""

    def __init__(self, record: Unrolled, drawn: Scene, top: float) -> None:
        self.record, self.drawn, self.top = record, drawn, top
        self.frames = {t: {box.name: box for box in cell.boxes} for t, cell in record.opened.items()}
        self.first = record.opened[record.step]
        self.rows = {t: self._rows(cell) for t, cell in record.opened.items()}
        self.plan = plan([self._block(box) for box in self.first.boxes], Gaps(11, 8, 12, 8))
        self.width = float(self.plan.along)
        self.bottom = top + 2 * HEAD + self.plan.across

    def _rows(self, cell: OpenedCell) -> Mapping[str, Sequence[Row]]:
        return {box.name: boxes.rows(box, symbols.fit, 2) for box in cell.boxes}

    def _title(self, box: Box) -> str:
        return f"{box.title}  {box.about}" if box.about else box.title

    def _block(self, box: Box) -> Block:
        """A box's size over all frames, and the entry position of each line."""
        alike = [(self.frames[t][box.name], self.rows[t][box.name]) for t in self.frames if box.name in self.frames[t]]
        inner = max(max(map(self._characters, rows)) for _, rows in alike)
        inner = max(inner, max(cells(self._title(each)) for each, _ in alike))
        rows = self.rows[self.record.step][box.name]
        tops = self._tops(rows)
        centres = {row.line: y + ROW // 2 for row, y in zip(rows, tops, strict=False) if row.line is not None}
        entries: list[tuple[str, int | None]] = []
        givers = boxes.givers(box)
        for name, line in givers:
            same = [other for other, where in givers if where == line]
            entries.append((name, round(centres[line] + 6 * (same.index(name) - (len(same) - 1) / 2))))
        return Block(
            box.name,
            round(inner * CHARACTER + 20),
            tops[-1] + 8,
            centres[max(centres)],
            tuple(entries),
            late=box.kind == "input" and box.name != "x",
        )

    def _characters(self, row: Row) -> float:
        """Width of a row in full-size characters; products are smaller."""
        return boxes.width(row) * 0.86 if row.role == "product" else boxes.width(row)

    def _tops(self, rows: Sequence[Row]) -> list[int]:
        """The top of every row within the box, and the end of the last."""
        return list(accumulate((SMALL if row.role == "product" else ROW for row in rows), initial=HEAD))

    def draw(self, left: float) -> None:
        self.left, top = left, self.top + HEAD
        self.top = top + 10
        for t in self.frames:
            self.drawn.add("text", (left, top - 6), "head", text=opened_title(self.record, t), frame=t)
        for x in self.plan.wires:
            for path in x.paths:
                self.drawn.add("line", self._points(path), "wire")
        for box in self.first.boxes:
            self._frame(box)
        for t in self.frames:
            self._ends(t)
            for name, box in self.frames[t].items():
                self._texts(t, name, box)

    def _points(self, path: Sequence[tuple[int, int]]) -> Iterator[float]:
        for along, across in path:
            yield self.left + along
            yield self.top + across

    def _frame(self, box: Box) -> None:
        along, across = self.plan.places[box.name]
        block = self._block(box)
        self.drawn.add("box", (self.left + along, self.top + across, block.along, block.across), box.kind)

    def _ends(self, t: int) -> None:
        """The last segment of each wire, with the colour, dash and weight of its contribution."""
        for wire in self.plan.wires:
            for reader, entry, (along, across) in wire.ends:
                box = self.frames[t][reader]
                _, line = boxes.givers(box)[entry]
                values = box.lines[line].values
                value = values[0] if len(values) == 1 else 0.0
                path = next(path for path in wire.paths if tuple(path[-1]) == (along, across))
                start = path[-2][0] if len(path) > 2 else along - 12
                kind = SIGNS[sign(value)]
                style = f"{kind}-{'strong' if abs(value) >= STRONG else 'wire'}" if kind else "wire"
                x, y = self.left + along, self.top + across
                self.drawn.add("line", (self.left + start, y, x - 7, y), style, frame=t)
                _tip(self.drawn, x, y, "right", f"{kind}-tip" if kind else "tip", frame=t)

    def _texts(self, t: int, name: str, box: Box) -> None:
        along, across = self.plan.places[name]
        x, y = self.left + along, self.top + across
        right = x + self._block(box).along - 9
        self.drawn.add("text", (x + 9, y + 17), "title", text=box.title, frame=t)
        if box.about:
            self.drawn.add("text", (right, y + 17), "small", text=box.about, anchor="end", frame=t)
        rows = self.rows[t][name]
        for k, (row, top) in enumerate(zip(rows, self._tops(rows), strict=False)):
            y = self.top + across + top
            if row.role in ("sum", "result") and k and rows[k - 1].role in ("term", "product"):
                self.drawn.add("line", (x + 9, y + 1, right, y + 1), "rule", frame=t)
            small = row.role == "product"
            if row.text:
                style = "small" if small else "title" if row.role == "result" else "text"
                self.drawn.add("text", (x + 9, y + (11 if small else 15)), style, text=row.text, frame=t)
            if row.value:
                style = SIGNS[row.sign] or "text"
                self.drawn.add("text", (right, y + 15), style, text=row.value, anchor="end", frame=t)
