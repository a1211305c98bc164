"""Tables as lines: columns chosen to fit the width, never a number shortened or a vector wrapped.

Tried in this order: everything side by side; without the optional columns; under 100 cells, tall (a line per column
under each row's first cell) where that shows the vectors whole; vectors cut at their edges; text wrapped; tall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rnncli.locale import tr
from rnncli.records import Column, Table
from rnncli.report import numbers, symbols
from rnncli.report.lines import Line, View, cells, pad, strip, wrap

GAP = "  "
TALL_BELOW = 100  # cells; from here on a table stays wide and its vectors are cut
BAR = 10  # cells of a bar
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
_RIGHT = ("count", "number", "percent", "seconds", "bytes", "diff")


@dataclass
class Cells:
    """One column, written: a text for each shown row and for the total, all of one width where they are numbers."""

    column: Column
    label: str
    texts: list[str]
    align: str
    longest: int = 0  # numbers in the longest vector
    number_width: int = 0

    @property
    def width(self) -> int:
        return max([cells(self.label), *(cells(text) for text in self.texts)])


def write_value(value: Any, column: Column, view: View) -> str:
    """One value as its column's kind says; None is empty. Vectors whole."""
    if value is None:
        return ""
    if column.kind in _WRITERS:
        return _WRITERS[column.kind](value)
    if column.kind == "vector":
        return numbers.vector(value)
    if column.kind == "bar":
        return f"{bar(value, view)} {numbers.number(value)}"
    if column.kind == "code":
        return symbols.token(str(value), view.encoding)
    return view.fit(str(value))


def bar(share: float, view: View) -> str:
    """A share of 1 as a bar; nothing is drawn for nan."""
    filled = round(min(max(share, 0.0), 1.0) * BAR) if share == share else 0
    return view.fit("█" * filled + "░" * (BAR - filled))


def write_columns(table: Table, view: View, shown: Sequence[int], edge: int | None = None) -> list[Cells]:
    """Every column of the shown rows and the total. edge: numbers kept at either end of a vector; None keeps all."""
    rows = [table.rows[k] for k in shown] + ([table.total] if table.total is not None else [])
    return [_write_column(column, [row[k] for row in rows], view, edge) for k, column in enumerate(table.columns)]


def _write_column(column: Column, values: list[Any], view: View, edge: int | None) -> Cells:
    label = view.fit(column.label)
    if column.kind == "vector":
        vectors = [value for value in values if value is not None]
        width = max((len(numbers.number(number)) for vector in vectors for number in _ends(vector, edge)), default=0)
        texts = ["" if value is None else numbers.vector(value, width, edge) for value in values]
        longest = max((len(vector) for vector in vectors), default=0)
        return Cells(column, label, texts, "left", longest, width)
    texts = [write_value(value, column, view) for value in values]
    if column.kind == "bar":  # the numbers behind the bars line up
        texts = [text[:BAR] + text[BAR:].rjust(max(map(len, texts)) - BAR) if text else "" for text in texts]
    if column.once:
        texts = [
            "" if k and value is not None and value == values[k - 1] else text
            for k, (value, text) in enumerate(zip(values, texts, strict=True))
        ]
    return Cells(column, label, texts, "right" if column.kind in _RIGHT else "left")


def _ends(vector: Sequence[float], edge: int | None) -> Sequence[float]:
    return vector if edge is None or len(vector) <= 2 * edge else [*vector[:edge], *vector[-edge:]]


def table_lines(table: Table, view: View) -> list[Line]:
    """The whole record: title, headings, rows, total, and one line for everything that is not shown."""
    head, tail = view.rows(len(table.rows), table.cut_rows)
    shown = [*head, *tail]
    notes: list[str] = []
    if tail:
        notes.append(
            tr(
                "rows {first}-{last} ... {next}-{end} of {n}",
                first=0,
                last=head[-1],
                next=tail[0],
                end=tail[-1],
                n=len(table.rows),
            )
        )
    body = _body(table, view, shown, len(head) if tail else None, notes)
    lines: list[Line] = []
    if table.title:
        lines += [[(text, "title")] for text in wrap(view.fit(table.title), view.width)]
    lines += body
    if not table.rows:
        lines.append([(view.fit(tr("(no rows)")), "note")])
    if notes:
        text = tr("{what}   (--full shows all)", what=view.fit("; ".join(notes)))
        lines += [[(part, "note")] for part in wrap(view.fit(text), view.width)]
    if table.caption:
        lines += [[(part, "")] for part in wrap(view.fit(table.caption), view.width)]
    return lines


def _body(table: Table, view: View, shown: list[int], cut_at: int | None, notes: list[str]) -> list[Line]:
    written = write_columns(table, view, shown)
    if not written:
        return []
    has_total = table.total is not None

    def wide(columns: list[Cells]) -> list[Line]:
        return _wide(columns, view, cut_at, has_total)

    if _fits(written, view):
        return wide(written)
    if not view.full:
        dropped = [column.label for column in written if column.column.optional]
        kept = [k for k, column in enumerate(written) if not column.column.optional]
        if dropped and kept:
            written = [written[k] for k in kept]
            notes.append(tr("without {names}: too narrow", names=", ".join(dropped)))
            if _fits(written, view):
                return wide(written)
    else:
        kept = list(range(len(written)))
    if any(column.longest for column in written):
        if view.full or (view.width < TALL_BELOW and _fits_tall(written, view)):
            return _tall(written, view, cut_at, has_total)
        longest = max(column.longest for column in written)
        for edge in range(min((longest - 1) // 2, view.width // 4), numbers.EDGE - 1, -1):
            cut = [write_columns(table, view, shown, edge)[k] for k in kept]
            if _fits(cut, view):
                notes += _cut_notes(cut, edge)
                return wide(cut)
        edge = _tall_edge(written, view)
        cut = [write_columns(table, view, shown, edge)[k] for k in kept]
        notes += _cut_notes(cut, edge)
        return _tall(cut, view, cut_at, has_total)
    narrow = _wrapped_widths(written, view)
    if narrow:
        return _wide(written, view, cut_at, has_total, narrow)
    return _tall(written, view, cut_at, has_total)


def _cut_notes(columns: list[Cells], edge: int) -> list[str]:
    """`h_t 3 ... 3 of 256`, once for columns that are cut alike."""
    lengths: dict[int, list[str]] = {}
    for column in columns:
        if column.longest > 2 * edge:
            lengths.setdefault(column.longest, []).append(column.label or column.column.name)
    return [
        tr("{names}: {edge} ... {edge} of {n}", names=", ".join(names), edge=edge, n=n) for n, names in lengths.items()
    ]


def _total_width(columns: list[Cells]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _fits(columns: list[Cells], view: View) -> bool:
    groups = _groups(columns, [column.width for column in columns])
    return max(_total_width(columns), sum(width for _, width, _ in groups) + len(GAP) * (len(groups) - 1)) <= view.width


def _wrapped_widths(columns: list[Cells], view: View) -> list[int] | None:
    """Widths with the text columns narrowed, the widest first, until all fits; None where that is not enough."""
    widths = [column.width for column in columns]
    over = _total_width(columns) - view.width
    text = [k for k, column in enumerate(columns) if column.column.kind in ("text", "code")]
    while over > 0:
        widest = max(text, key=lambda k: widths[k], default=None)
        if widest is None or widths[widest] <= NARROWEST_TEXT:
            return None
        widths[widest] -= 1
        over -= 1
    return widths


def _groups(columns: list[Cells], widths: list[int]) -> list[tuple[str, int, str]]:
    """(group heading, its width, its alignment) from left to right; neighbours of one group share a heading."""
    groups: list[tuple[str, int, str]] = []
    previous = None
    for column, width in zip(columns, widths, strict=True):
        name = column.column.group
        if name and name == previous:
            _, before, _ = groups[-1]
            groups[-1] = (name, before + len(GAP) + width, "left")
        else:
            groups.append((name, max(width, cells(name)), column.align))
        previous = name
    return groups


def _wide(
    columns: list[Cells], view: View, cut_at: int | None, has_total: bool, narrow: list[int] | None = None
) -> list[Line]:
    widths = narrow or [column.width for column in columns]
    lines: list[Line] = []
    if any(column.column.group for column in columns):
        # A group's heading may be wider than its columns: the last of them takes the room.
        position = 0
        for name, width, _ in _groups(columns, widths):
            members = 1
            while name and position + members < len(columns) and columns[position + members].column.group == name:
                members += 1
            room = max(width, cells(name)) - sum(widths[position : position + members]) - len(GAP) * (members - 1)
            widths = [
                *widths[: position + members - 1],
                widths[position + members - 1] + room,
                *widths[position + members :],
            ]
            position += members
        groups = _groups(columns, widths)
        lines.append(_joined([(pad(view.fit(name), width, align), "heading") for name, width, align in groups]))
    if any(column.label for column in columns):
        labels = [wrap(column.label, width) for column, width in zip(columns, widths, strict=True)]
        for k in range(max(map(len, labels))):
            parts = zip(labels, columns, widths, strict=True)
            lines.append(
                _joined(
                    [(pad(label[k] if k < len(label) else "", width, c.align), "heading") for label, c, width in parts]
                )
            )
    count = max(len(column.texts) for column in columns)
    for row in range(count):
        if cut_at is not None and row == cut_at:
            lines.append([("...", "note")])
        total = has_total and row == count - 1
        if total:
            lines.append([(view.fit("─") * min(sum(widths) + len(GAP) * (len(widths) - 1), view.width), "rule")])
        texts = [
            wrap(column.texts[row], width) if cells(column.texts[row]) > width else [column.texts[row]]
            for column, width in zip(columns, widths, strict=True)
        ]
        for k in range(max(map(len, texts))):
            spans = [
                (
                    pad(text[k] if k < len(text) else "", width, column.align),
                    "total" if total else _style(column.column),
                )
                for text, column, width in zip(texts, columns, widths, strict=True)
            ]
            lines.append(_joined(spans))
    return lines


def _tall_names(columns: list[Cells]) -> tuple[list[str], int]:
    names = [
        " ".join(part for part in (column.column.group, column.label or column.column.name) if part)
        for column in columns
    ]
    return names, max(cells(name) for name in names)


def _fits_tall(columns: list[Cells], view: View) -> bool:
    _, indent = _tall_names(columns)
    return all(
        len(GAP) * 2 + indent + cells(text) <= view.width
        for column in columns
        if column.longest
        for text in column.texts
    )


def _tall_edge(columns: list[Cells], view: View) -> int:
    """The most numbers at either end that fit in one line of a tall table, at least numbers.EDGE."""
    _, indent = _tall_names(columns)
    width = max(column.number_width for column in columns) + 1
    return max(numbers.EDGE, (view.width - indent - len(GAP) * 2 - 4) // width // 2)


def _tall(columns: list[Cells], view: View, cut_at: int | None, has_total: bool) -> list[Line]:
    """Each row as a line for its first cell, and below it a line for every other column."""
    names, indent = _tall_names(columns)
    first, rest = columns[0], columns[1:]
    if not rest:  # one column: no names needed
        first, rest, names = Cells(Column("", ""), "", [""] * len(first.texts), "left"), columns, ["", *names]
    lines: list[Line] = []
    count = len(first.texts)
    for row in range(count):
        if cut_at is not None and row == cut_at:
            lines.append([("...", "note")])
        if has_total and row == count - 1:
            lines.append([(view.fit("─") * min(40, view.width), "rule")])
        if first.texts[row]:
            lines.append(strip([(f"{names[0]} ", "heading"), (first.texts[row], "title")]))
        for name, column in zip(names[1:], rest, strict=True):
            if not column.texts[row]:
                continue
            room = view.width - indent - 2 * len(GAP)
            parts = [column.texts[row]]
            if cells(parts[0]) > room:
                parts = _folded(column, row, room) if column.longest else wrap(parts[0], room)
            for k, part in enumerate(parts):
                label = pad(name if k == 0 else "", indent)
                lines.append(strip([(GAP + label + GAP, "heading"), (part, _style(column.column))]))
    return lines


def _folded(column: Cells, row: int, room: int) -> list[str]:
    """A whole vector over several lines (only --full asks for it), with the index that each line begins at."""
    width = column.number_width
    values = column.texts[row].split()
    prefix = len(f"[{len(values)}] ")
    per_line = max(1, (room - prefix + 1) // (width + 1))
    return [
        f"[{start}] ".rjust(prefix) + " ".join(value.rjust(width) for value in values[start : start + per_line])
        for start in range(0, len(values), per_line)
    ]


def _joined(spans: list[tuple[str, str]]) -> Line:
    line: Line = []
    for k, span in enumerate(spans):
        if k:
            line.append((GAP, ""))
        line.append(span)
    return strip(line)


def _style(column: Column) -> str:
    return "bar" if column.kind == "bar" else ""
