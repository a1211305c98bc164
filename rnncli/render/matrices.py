"""Matrices of counts or shares, such as a confusion matrix, as text: every number itself.

Columns are as wide as their numbers. Columns that do not fit side by side follow below, with the row labels again.
"""

from __future__ import annotations

from string import ascii_letters

from rnncli.records import HeatMap
from rnncli.render import numbers, symbols
from rnncli.render.charts import shade
from rnncli.render.lines import Line, View, cells, clip, pad, strip

LONGEST = 24  # cells of a row label


def cell(record: HeatMap, value: float) -> str:
    """A value of the matrix, as text."""
    return numbers.count(int(value)) if record.cells == "count" else numbers.percent(value)


def shares(record: HeatMap) -> list[list[float]]:
    """Each value as a share of its row, which its shade shows."""
    return [[value / (sum(row) or 1.0) for value in row] for row in record.values]


def labels(record: HeatMap, encoding: str = "utf-8") -> tuple[list[str], list[str]]:
    """Of rows and columns. Long names of columns become letters, or numbers, which stand before those of rows too."""
    columns = [symbols.fit(text, encoding) for text in record.column_labels]
    rows = [clip(symbols.fit(text, encoding), LONGEST) for text in record.row_labels]
    widest = max((cells(cell(record, value)) for row in record.values for value in row), default=1)
    if any(cells(name) > widest for name in columns) and len(rows) == len(columns):
        few = len(columns) <= len(ascii_letters)
        columns = list(ascii_letters[: len(columns)]) if few else [str(k) for k in range(len(columns))]
        rows = [f"{short} {row}" for short, row in zip(columns, rows, strict=True)]
    return rows, columns


def lines(record: HeatMap, view: View) -> list[Line]:
    """Title, headings, rows."""
    texts = [[cell(record, value) for value in row] for row in record.values]
    rows, heads = labels(record, view.encoding)
    corner = clip(view.fit(record.row_axis), LONGEST)
    indent = max(map(cells, [corner, *rows]), default=0)
    widths = [max(cells(head), *(cells(row[k]) for row in texts)) for k, head in enumerate(heads)]
    found = view.wrapped(record.title, "title")
    for block in _blocks(widths, view.width - indent):
        head = "".join("  " + pad(heads[k], widths[k], "right") for k in block)
        found.append(strip([(pad(corner, indent) + head, "heading")]))
        for label, row, parts in zip(rows, texts, shares(record), strict=True):
            line: Line = [(pad(label, indent), "heading")]
            for k in block:
                style = shade(parts[k], 0.0, 1.0) if view.colour else ""
                line += [(" " * (widths[k] + 2 - len(row[k])), ""), (row[k], style)]
            found.append(line if view.colour else strip(line))
    return found


def _blocks(widths: list[int], room: int) -> list[list[int]]:
    """The columns that fit side by side, two blanks before each."""
    blocks: list[list[int]] = [[]]
    used = 0
    for k, width in enumerate(widths):
        if blocks[-1] and used + width + 2 > room:
            blocks.append([])
            used = 0
        blocks[-1].append(k)
        used += width + 2
    return blocks
