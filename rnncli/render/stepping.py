"""A position of the step-through as a screen of a given height: tokens, the opened cell, its sums with numbers.

Depends only on the position and the terminal's size; keys and painting are handled elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rnncli.locale import tr
from rnncli.records import Box, Entry, OpenedCell, Stop
from rnncli.render import boxes
from rnncli.render.lines import Line, View, cells, clip, pad, wrap
from rnncli.render.numbers import number, sign
from rnncli.render.unrolled_lines import SIGNS, Drawing, drawing, window

PANEL = 34  # cells that sums need next to a drawing
NARROW = 64  # width below which there is no drawing next to them
LOW = 12  # height below which only the sums are shown
WIDEST = 14  # maximum width of a token; numbers are narrower
Shown = Literal["both", "drawing", "sums"]


@dataclass(frozen=True)
class Look:
    """chosen: name of the box whose sums are shown. shown: the drawing, the sums, or both. scroll: lines of the sums
    scrolled off the top."""

    chosen: str
    shown: Shown = "both"
    scroll: int = 0


def screen(stop: Stop, look: Look, view: View, height: int, foot: Sequence[Line] = ()) -> tuple[list[Line], int]:
    """Exactly `height` lines, and the scroll offset of the sums. foot: the last lines."""
    head = _head(stop, view, height)
    room = max(0, height - len(head) - len(foot))
    body, scroll = _body(stop, look, view, room - 1)
    rule: list[Line] = [[(view.fit("─" * view.width), "rule")]]
    lines = [*head, *(rule if room else []), *body][: height - len(foot)]
    lines += [[] for _ in range(height - len(foot) - len(lines))]
    return [*lines, *foot][:height], scroll


def cut(line: Line, width: int) -> Line:
    """The first `width` cells of a line."""
    found: Line = []
    for text, style in line:
        kept = ""
        for character in text:
            width -= cells(character)
            if width < 0:
                break
            kept += character
        found.append((kept, style))
        if width <= 0:
            break
    return found


# --- inputs and predictions


def place(stop: Stop) -> str:
    """`step 2 of 0-4 · unit 0 of 0-3 · layer 1 of 0-1 ←`."""
    at, sizes = stop.at, stop.sizes
    parts = [
        tr("step {k} of 0-{last}", k=at.step, last=sizes.step - 1),
        tr("unit {k} of 0-{last}", k=at.unit, last=sizes.unit - 1),
    ]
    if sizes.layer > 1:
        parts.append(tr("layer {k} of 0-{last}", k=at.layer, last=sizes.layer - 1))
    if sizes.direction > 1:
        parts.append(tr("backwards ←") if at.direction else tr("forwards →"))
    return " · ".join(parts)


def _head(stop: Stop, view: View, height: int) -> list[Line]:
    title = stop.title if stop.sizes.core == 1 else stop.core
    where = view.fit(place(stop))
    title = view.fit(title)
    gap = view.width - cells(title) - cells(where)
    lines: list[Line] = [[(title, "title"), (" " * gap, ""), (where, "")]]
    if gap < 2:
        lines = [[(title, "title")]] * (height >= LOW) + [[(text, "")] for text in wrap(where, view.width)]
    if height >= LOW:
        lines += _strip(stop, view, height)
    return lines[: max(1, height - 3)]


def _strip(stop: Stop, view: View, height: int) -> list[Line]:
    """A column for each time step that fits, with the current one in brackets; then h of every unit."""
    picture = stop.picture
    here = picture.steps.index(stop.at.step)
    numbers = any(" " in text for text in picture.inputs)
    rows = [(tr("step"), [str(t) for t in picture.steps])]
    if not numbers:
        rows.append((tr("reads"), [view.fit(text) for text in picture.inputs]))
    if any(picture.heads):
        said = [view.fit(text).rpartition(" ") for text in picture.heads]
        rows.append((tr("answers"), [answer for answer, _, _ in said]))
        if height >= LOW + 8:
            rows.append(("p", [p for _, _, p in said]))
    single = [(tr("reads"), boxes.shortened(view.fit(picture.inputs[here]), view.width - 12))] if numbers else []
    if picture.answer:
        single.append(("", view.fit(picture.answer)))
    units = f"h_{stop.at.step}"
    left = 2 + max(cells(view.fit(label)) for label in (*(label for label, _ in (*rows, *single)), units))
    lines = _columns([(pad(view.fit(label), left), texts) for label, texts in rows], here, view.width)
    lines += [[(pad(view.fit(label), left), "heading"), (text, "")] for label, text in single]
    if height >= LOW + 4 and len(stop.h) > 1:
        shown = min(stop.at.unit, len(stop.h) - 1)
        lines += _columns([(pad(units, left), [number(value) for value in stop.h])], shown, view.width, 7)
    return lines


def _columns(rows: Sequence[tuple[str, Sequence[str]]], here: int, width: int, narrowest: int = 1) -> list[Line]:
    """Rows of texts with equally wide columns; the current one is in brackets."""
    label, count = rows[0][0], len(rows[0][1])
    size = min(WIDEST, max(narrowest, *(cells(text) for _, texts in rows for text in texts))) + 3
    fitting = max(1, (width - cells(label)) // size)
    shown = window(count, here, fitting)
    lines: list[Line] = []
    for name, texts in rows:
        line: Line = [(name, "heading")]
        for k in shown:
            text = clip(texts[k], size - 3)
            room = size - 3 - cells(text)
            text = " " * (room // 2) + text + " " * (room - room // 2)
            line += [(f"[{text}]", "reverse"), (" ", "")] if k == here else [(f" {text}  ", "")]
        lines.append(line)
    return lines


# --- the opened cell and its sums


def _body(stop: Stop, look: Look, view: View, height: int) -> tuple[list[Line], int]:
    cell = stop.picture.opened[stop.at.step]
    if look.shown == "sums" or (look.shown == "both" and (view.width < NARROW or height < LOW - 6)):
        return _scrolled(_panel(stop, look, view), look.scroll, height, view)
    if look.shown == "drawing":
        return _around(drawing(cell, view, chosen=look.chosen), look.chosen, height), 0
    drawn = _beside(cell, look, view, height)
    if drawn.width > view.width - PANEL:  # stacked
        above = _around(drawn, look.chosen, height // 2)
        panel, scroll = _scrolled(_panel(stop, look, view), look.scroll, height - len(above) - 1, view)
        return [*above, [(view.fit("─" * view.width), "rule")], *panel], scroll
    left = max(drawn.width, min(view.width // 2, view.width - PANEL - 20))
    beside = View(view.width - left - 3, view.encoding)
    right, scroll = _scrolled(_panel(stop, look, beside), look.scroll, height, view)
    rows, bar, none = _around(drawn, look.chosen, height), view.fit(" │ "), [Line() for _ in range(height)]
    pairs = zip([*rows, *none][:height], [*right, *none][:height], strict=True)
    return [[*_padded(row, left), (bar, "rule"), *text] for row, text in pairs], scroll


def _beside(cell: OpenedCell, look: Look, view: View, height: int) -> Drawing:
    """The drawing with all its lines if it fits next to the sums, otherwise with results only."""
    room = View(view.width - PANEL - 3, view.encoding)
    if height >= 26 or sum(box.kind != "input" for box in cell.boxes) <= 2:
        whole = drawing(cell, room, chosen=look.chosen)
        if whole.width <= room.width and len(whole.lines) <= height:
            return whole
    return drawing(cell, room, brief=True, chosen=look.chosen)


def _padded(line: Line, width: int) -> Line:
    return [*line, (" " * (width - sum(cells(text) for text, _ in line)), "")]


def _around(drawn: Drawing, chosen: str, height: int) -> list[Line]:
    """The part of a drawing around the chosen box."""
    rows = drawn.rows.get(chosen, range(len(drawn.lines)))
    middle = (rows.start + rows.stop) // 2 if len(rows) <= height else rows.start + height // 2
    shown = window(len(drawn.lines), middle, max(height, 0))
    return list(drawn.lines[shown.start : shown.stop])


def _scrolled(lines: list[Line], scroll: int, height: int, view: View) -> tuple[list[Line], int]:
    """`height` of the lines, and the number above them."""
    first = max(0, min(scroll, len(lines) - height))
    kept = lines[first : first + max(0, height)]
    if kept and first + height < len(lines):
        kept[-1] = [(view.fit(tr("... more: PgDn")), "note")]
    return kept, first


def _panel(stop: Stop, look: Look, view: View) -> list[Line]:
    cell = stop.picture.opened[stop.at.step]
    box = next((box for box in cell.boxes if box.name == look.chosen), cell.boxes[-1])
    return [*_sums(box, view), [], *_changes(stop, view)]


def _sums(box: Box, view: View) -> list[Line]:
    title = f"{box.title}: {box.about}" if box.about else box.title
    lines = view.wrapped(title, "title")
    for one in boxes.equations(box):
        text, value = view.fit(one.text), view.fit(boxes.shortened(one.value, max(8, view.width)))
        style = "total" if one.line.role == "result" else SIGNS[boxes.sign(one.line)]
        numbers = [view.fit(part) for part in one.numbers]
        whole = f"{text} = {' '.join(numbers)}" if numbers else text
        if cells(whole) + cells(value) + 2 <= view.width:
            lines.append([(pad(whole, view.width - cells(value)), ""), (value, style)])
            continue
        head = wrap(text, view.width)
        if cells(head[-1]) + cells(value) + 2 > view.width:
            head.append("")
        lines += [[(part, "")] for part in head[:-1]]
        lines.append([(pad(head[-1], view.width - cells(value)), ""), (value, style)])
        lines += [[(part, "note")] for part in _broken(numbers, view.width)]
    return lines


def _broken(parts: Sequence[str], width: int) -> list[str]:
    """` = a + b`, continued on lines below, wrapped between parts."""
    lines: list[str] = []
    for part in parts:
        if lines and cells(lines[-1]) + 1 + cells(part) <= width:
            lines[-1] += f" {part}"
        else:
            lines += [("    " if lines or k else "  = ") + text for k, text in enumerate(wrap(part, width - 4))]
    return lines


def _changes(stop: Stop, view: View) -> list[Line]:
    table = stop.changes
    lines = view.wrapped(table.title, "title")
    names = [view.fit(str(row[0])) for row in table.rows]
    wide = max(map(cells, names), default=0)
    for name, (_, before, now, change) in zip(names, table.rows, strict=True):
        line: Line = [
            (f"{pad(name, wide)} {_figure(before):>8}{view.fit(' → ')}", ""),
            (f"{_figure(now):>8}", SIGNS[sign(now)] if isinstance(now, float) else ""),
        ]
        if change is not None:
            line.append((f" {_figure(change, signed=True):>8}", "note"))
        lines.append(line)
    return lines


def _figure(value: Entry, signed: bool = False) -> str:
    if not isinstance(value, float):
        return ""
    text = number(value)
    return f"+{text}" if signed and value > 0 else text


# --- the last line


def keys_line(keys: Sequence[tuple[str, str]], view: View) -> Line:
    """Keys and their meaning, as many as fit, most important first; the last two are always shown."""
    shown = [(view.fit(key), view.fit(word)) for key, word in keys]
    while len(shown) > 1 and sum(cells(key) + cells(word) + 3 for key, word in shown) - 2 > view.width:
        del shown[-3 if len(shown) > 2 else 0]
    line: Line = []
    for key, word in shown:
        line += [("  " if line else "", ""), (key, "command"), (f" {word}", "note")]
    return line
