"""Tables as lines: columns are chosen to fit the width; numbers are never shortened, nor vectors wrapped.

Layouts in order of preference: everything side by side; without the optional columns; below 100 cells, tall (a line per
column under each row's first cell) if that shows whole vectors; truncated vectors; wrapped text; tall.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rnncli.locale import tr
from rnncli.records import Column, Table
from rnncli.render import numbers, symbols
from rnncli.render.lines import Line, View, cells, pad, strip, wrap

GAP = "  "
TALL_BELOW = 100  # from this width on, a table stays wide and its vectors are truncated
BAR = 10  # width of a bar
NARROWEST_TEXT = 12

_WRITERS: dict[str, Callable[[Any], str]] = {
    "count": numbers.count,
    "number": numbers.number,
    "diff": numbers.diff,
    "percent": numbers.percent,
    "seconds": numbers.seconds,
    "bytes": numbers.size,
    "interval": numbers.interval,
}
_WRAPPED = ("text", "code", "formula")  # only these may be wrapped
_RIGHT = ("count", "number", "percent", "seconds", "bytes", "diff")


@dataclass
class Cells:
    """A formatted column: a text for each shown row and for the total, of equal width for numbers."""

    column: Column
    label: str
    texts: list[str]
    align: str
    group: str = ""
    longest: int = 0  # length of the longest vector
    number_width: int = 0

    @property
    def width(self) -> int:
        return max([cells(self.label), *(cells(text) for text in self.texts)])


def write_value(value: Any, column: Column, view: View) -> str:
    """A value formatted by its column's kind; None is empty. Vectors are not truncated."""
    if value is None:
        return ""
    if column.kind in _WRITERS:
        return _WRITERS[column.kind](value)
    if column.kind == "vector":
        return numbers.vector(value)
    if column.kind == "bar":
        return f"{bar(value, view)} {numbers.number(value)}"
    if column.kind == "spark":
        return spark(value, view)
    if column.kind == "code":
        return symbols.token(str(value), view.encoding)
    return view.fit(str(value))


def bar(share: float, view: View) -> str:
    """A share of 1 as a bar; empty for nan."""
    filled = round(min(max(share, 0.0), 1.0) * BAR) if share == share else 0
    return view.fit("█" * filled + "░" * (BAR - filled))


def spark(values: Sequence[float], view: View) -> str:
    """Sparkline scaled to the largest value: blocks, or digits 0-8 without them; nan is ?."""
    blocks = symbols.SPARK if view.fit(symbols.SPARK[1]) == symbols.SPARK[1] else "012345678"
    top = max((value for value in values if math.isfinite(value)), default=0.0)
    # any value above zero is visible
    return "".join(
        "?" if math.isnan(value) else blocks[0 if value <= 0 or top <= 0 else min(8, max(1, round(value / top * 8)))]
        for value in values
    )


def write_columns(
    table: Table, view: View, shown: Sequence[int], edge: int | None = None, width: int = 0
) -> list[Cells]:
    """All columns of the shown rows and the total, formatted. edge: numbers kept at either end of a vector; None for
    all. width: of their numbers; default: what each column needs."""
    rows = [table.rows[k] for k in shown] + ([table.total] if table.total is not None else [])
    return [
        _write_column(column, [row[k] for row in rows], view, edge, width) for k, column in enumerate(table.columns)
    ]


def _aligned(table: Table, view: View, shown: Sequence[int], edge: int | None = None) -> list[Cells]:
    """The columns of a tall table, or of one that compares: all numbers of vectors take the same width."""
    columns = write_columns(table, view, shown, edge)
    width = max(column.number_width for column in columns)
    return write_columns(table, view, shown, edge, width)


def _write_column(column: Column, values: list[Any], view: View, edge: int | None, width: int) -> Cells:
    label, group = view.fit(column.label), view.fit(column.group)
    if column.kind == "vector":
        vectors = [value for value in values if value is not None]
        width = width or max(
            (len(numbers.number(number)) for vector in vectors for number in _ends(vector, edge)), default=0
        )
        texts = ["" if value is None else numbers.vector(value, width, edge) for value in values]
        longest = max((len(vector) for vector in vectors), default=0)
        return Cells(column, label, texts, "left", group, longest, width)
    texts = [write_value(value, column, view) for value in values]
    if column.kind == "bar":  # align the numbers after the bars
        texts = [text[:BAR] + text[BAR:].rjust(max(map(len, texts)) - BAR) if text else "" for text in texts]
    return Cells(column, label, texts, "right" if column.kind in _RIGHT else "left", group)


def _ends(vector: Sequence[float], edge: int | None) -> Sequence[float]:
    return vector if edge is None or len(vector) <= 2 * edge else [*vector[:edge], *vector[-edge:]]


def _span(rows: range) -> str:
    return f"{rows[0]}-{rows[-1]}" if len(rows) > 1 else str(rows[0])


def table_lines(table: Table, view: View) -> list[Line]:
    """The whole record: title, headings, rows, total, and a line on omissions."""
    head, tail = view.rows(len(table.rows), table.cut_rows)
    shown = [*head, *tail]
    notes: list[str] = []
    if tail:
        notes.append(tr("rows {first} ... {last} of {n}", first=_span(head), last=_span(tail), n=len(table.rows)))
    body = _body(table, view, shown, len(head) if tail else None, notes)
    lines = [*view.wrapped(table.title, "title"), *body]
    if not table.rows:
        lines.append([(view.fit(tr("(no rows)")), "note")])
    if notes:
        lines += view.wrapped(tr("{what}   (--full shows all)", what=view.fit("; ".join(notes))), "note")
    return lines + view.wrapped(table.caption, "")


def _body(table: Table, view: View, shown: list[int], cut_at: int | None, notes: list[str]) -> list[Line]:
    written = write_columns(table, view, shown)
    if not written:
        return []
    if any(column.group for column in written):  # compared side by side: signs and digits at the same places
        same = _aligned(table, view, shown)
        written = same if _fits([column for column in same if not column.column.optional], view) else written
    has_total = table.total is not None

    def wide(columns: list[Cells], gap: str = GAP) -> list[Line]:
        return _wide(columns, view, cut_at, has_total, [column.width for column in columns], gap)

    if _fits(written, view):
        return wide(written)
    everything, narrowed = written, []
    kept = list(range(len(written)))
    optional = [column.label or column.column.name for column in written if column.column.optional]
    if optional and len(optional) < len(written) and not view.full:
        kept = [k for k, column in enumerate(everything) if not column.column.optional]
        written = [everything[k] for k in kept]
        narrowed = [tr("columns {names} omitted: the terminal is too narrow", names=tr(", ").join(optional))]
        if _fits(written, view):
            notes += narrowed
            return wide(written)
    if any(column.longest for column in written):
        below = _aligned(table, view, shown)
        if view.full or (view.width < TALL_BELOW and _fits_tall(below, view)):
            return _tall(below, view, cut_at, has_total)
        longest = max(column.longest for column in written)
        for edge in range(min((longest - 1) // 2, view.width // 4), numbers.EDGE - 1, -1):
            columns = write_columns(table, view, shown, edge)
            cut = [columns[k] for k in kept]
            if _fits(cut, view):
                notes += [*narrowed, *_cut_notes(cut, edge)]
                return wide(cut)
        edge = _tall_edge(below, view)
        cut = _aligned(table, view, shown, edge)
        notes += _cut_notes(cut, edge)
        return _tall(cut, view, cut_at, has_total)
    if _fits(written, view, gap=" "):  # not with vectors: their numbers are separated by one space
        notes += narrowed
        return wide(written, gap=" ")
    narrow = _wrapped_widths(written, view)
    if narrow:
        notes += narrowed
        return _wide(written, view, cut_at, has_total, narrow, GAP)
    return _tall(everything, view, cut_at, has_total)


def _cut_notes(columns: list[Cells], edge: int) -> list[str]:
    """`h_t 3 ... 3 of 256`, once for columns truncated in the same way."""
    lengths: dict[int, list[str]] = {}
    for column in columns:
        if column.longest > 2 * edge:
            lengths.setdefault(column.longest, []).append(column.label or column.column.name)
    return [
        tr("{names}: {edge} ... {edge} of {n}", names=", ".join(names), edge=edge, n=n) for n, names in lengths.items()
    ]


def _fits(columns: list[Cells], view: View, gap: str = GAP) -> bool:
    widths = [width for _, width, _ in _groups(columns, [column.width for column in columns], gap)]
    return sum(widths) + len(gap) * (len(widths) - 1) <= view.width


def _wrapped_widths(columns: list[Cells], view: View) -> list[int] | None:
    """Widths with text columns narrowed, the widest first, until everything fits; None if that is not enough."""
    widths = [column.width for column in columns]
    groups = _groups(columns, widths, GAP)  # a group heading may be wider than its columns
    over = sum(width for _, width, _ in groups) + len(GAP) * (len(groups) - 1) - view.width
    text = [k for k, column in enumerate(columns) if column.column.kind in _WRAPPED]
    while over > 0:
        widest = max(text, key=lambda k: widths[k], default=None)
        if widest is None or widths[widest] <= NARROWEST_TEXT:
            return None
        widths[widest] -= 1
        over -= 1
    return widths


def _groups(columns: list[Cells], widths: list[int], gap: str) -> list[tuple[str, int, str]]:
    """(group heading, width, alignment) from left to right; adjacent columns of a group share a heading."""
    groups: list[tuple[str, int, str]] = []
    for name, members in groupby(zip(columns, widths, strict=True), key=lambda pair: pair[0].group):
        found = list(members)
        if name and len(found) > 1:
            whole = sum(width for _, width in found) + len(gap) * (len(found) - 1)
            groups.append((name, max(whole, cells(name)), "left"))
        else:
            groups += [(name, max(width, cells(name)), column.align) for column, width in found]
    return groups


def _wide(
    columns: list[Cells], view: View, cut_at: int | None, has_total: bool, widths: list[int], gap: str
) -> list[Line]:
    lines: list[Line] = []
    if any(column.group for column in columns):
        widths = _widened(columns, widths, gap)
        groups = _groups(columns, widths, gap)
        lines.append(_joined([(pad(name, width, align), "heading") for name, width, align in groups], gap))
    if any(column.label for column in columns):
        lines += _stacked([column.label for column in columns], columns, widths, gap, ["heading"] * len(columns))
    count = len(columns[0].texts)
    styles = [_style(column.column) for column in columns]
    for row in range(count):
        if row == cut_at:
            lines.append([("...", "note")])
        total = has_total and row == count - 1
        if total:
            lines.append([(view.fit("─") * min(sum(widths) + len(gap) * (len(widths) - 1), view.width), "rule")])
        texts = [
            ""
            if column.column.once and 0 < row != cut_at and column.texts[row - 1] == column.texts[row]
            else column.texts[row]
            for column in columns
        ]
        lines += _stacked(texts, columns, widths, gap, ["total"] * len(columns) if total else styles)
    return lines


def _stacked(texts: list[str], columns: list[Cells], widths: list[int], gap: str, styles: list[str]) -> list[Line]:
    """One row, with as many lines as its tallest text."""
    wrapped = [wrap(text, width) if cells(text) > width else [text] for text, width in zip(texts, widths, strict=True)]
    return [
        _joined(
            [
                (pad(parts[k] if k < len(parts) else "", width, column.align), style)
                for parts, column, width, style in zip(wrapped, columns, widths, styles, strict=True)
            ],
            gap,
        )
        for k in range(max(map(len, wrapped)))
    ]


def _widened(columns: list[Cells], widths: list[int], gap: str) -> list[int]:
    """Widen the last column of a group whose heading is wider than its columns."""
    widths = list(widths)
    for name, places in groupby(range(len(columns)), key=lambda k: columns[k].group):
        own = list(places)
        widths[own[-1]] += max(0, cells(name) - sum(widths[k] for k in own) - len(gap) * (len(own) - 1))
    return widths


def _tall_name(column: Cells) -> str:
    return " ".join(part for part in (column.group, column.label or column.column.name) if part)


def _tall_parts(columns: list[Cells], view: View) -> tuple[list[Cells], list[Cells]]:
    """The columns that share a row's first line, and those with a line each."""
    vectors = [k for k, column in enumerate(columns) if column.longest]
    first = columns[: max(vectors[0], 1) if vectors else 1]
    if sum(cells(_tall_name(column)) + column.width + 3 for column in first) > view.width:
        first = columns[:1]
    if len(columns) == 1 or first[0].longest:
        first = []
    return first, columns[len(first) :]


def _tall_indent(columns: list[Cells], view: View) -> int:
    """Width of the names at the left, or 0 if one is so long that values go below their names."""
    longest = max(cells(_tall_name(column)) for column in _tall_parts(columns, view)[1])
    return longest if longest <= view.width // 3 else 0


def _tall_room(columns: list[Cells], view: View) -> int:
    return view.width - 2 * len(GAP) - _tall_indent(columns, view)


def _fits_tall(columns: list[Cells], view: View) -> bool:
    room = _tall_room(columns, view)
    return all(cells(text) <= room for column in columns if column.longest for text in column.texts)


def _tall_edge(columns: list[Cells], view: View) -> int:
    """The maximum of numbers at either end that fit in one line of a tall table."""
    width = max(column.number_width for column in columns) + 1
    return max(1, (_tall_room(columns, view) - 3) // width // 2)


def _tall(columns: list[Cells], view: View, cut_at: int | None, has_total: bool) -> list[Line]:
    """Each row as a line with the columns before its first vector, then a line for every other column."""
    first, rest = _tall_parts(columns, view)
    indent, room = _tall_indent(columns, view), _tall_room(columns, view)
    lines: list[Line] = []
    count = len(columns[0].texts)
    for row in range(count):
        if row == cut_at:
            lines.append([("...", "note")])
        if has_total and row == count - 1:
            lines.append([(view.fit("─") * min(40, view.width), "rule")])
        head: Line = []
        for column in first:
            if column.texts[row]:
                head += [(GAP if head else "", ""), (f"{_tall_name(column)} ", "heading"), (column.texts[row], "title")]
        if head:
            lines.append(head)
        for column in rest:
            text = column.texts[row]
            if not text:
                continue
            parts = [text]
            if cells(text) > room and column.longest:
                parts = _folded(column, row, room)
            elif cells(text) > room and column.column.kind in _WRAPPED:
                parts = wrap(text, room)
            name = _tall_name(column)
            if not indent:
                lines.append([(GAP + name, "heading")])
            for k, part in enumerate(parts):
                label = pad(name if k == 0 else "", indent) if indent else ""
                lines.append(strip([(GAP + label + GAP, "heading"), (part, _style(column.column))]))
    return lines


def _folded(column: Cells, row: int, room: int) -> list[str]:
    """A whole vector over several lines (only with --full), each with the index it begins at."""
    width = column.number_width
    values = column.texts[row].split()
    prefix = len(f"[{len(values)}] ")
    per_line = max(1, (room - prefix + 1) // (width + 1))
    return [
        f"[{start}] ".rjust(prefix) + " ".join(value.rjust(width) for value in values[start : start + per_line])
        for start in range(0, len(values), per_line)
    ]


def _joined(spans: list[tuple[str, str]], gap: str) -> Line:
    return strip([part for span in spans for part in ((gap, ""), span)][1:])


def _style(column: Column) -> str:
    return "bar" if column.kind == "bar" else ""
