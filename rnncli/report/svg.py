"""Curves and heat maps as small SVG drawings, for pages and notebooks; no library, nothing linked."""

from __future__ import annotations

import html
import math

from rnncli.records import HeatMap, Series
from rnncli.report import charts, numbers, symbols
from rnncli.report.lines import cells

WIDTH, HEIGHT = 640, 260
LEFT, BOTTOM, TOP, RIGHT = 72, 40, 12, 130
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4", "10 4")  # curves differ by more than colour


def series(record: Series) -> str:
    """The curves, their names at the right with a sample of each line."""
    points = {
        label: [(float(x), charts.height(y, record.log_y)) for x, y in zip(record.x, values, strict=True)]
        for label, values in record.lines.items()
    }
    finite = [(x, y) for curve in points.values() for x, y in curve if math.isfinite(x) and math.isfinite(y)]
    if not finite:
        return f"<p>{_text(record.title)}</p>"
    x_low, x_high = min(x for x, _ in finite), max(x for x, _ in finite)
    y_low, y_high = min(y for _, y in finite), max(y for _, y in finite)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        up = (y - y_low) / (y_high - y_low) if y_high > y_low else 0.5
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)

    parts = [_rectangle(LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP, "none", "#999")]
    for label, x in record.marks.items():
        if x_low <= x <= x_high:
            across, _ = place(x, y_low)
            parts.append(f'<path d="M{across:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#777" stroke-dasharray="2 2"/>')
            parts.append(_label(across + 3, TOP + 12, label))
    for k, (label, curve) in enumerate(points.items()):
        colour, dash = charts.CURVES[k % len(charts.CURVES)], DASHES[k % len(DASHES)]
        style = f'fill="none" stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dash}"'
        path, pen = "", "M"
        for x, y in curve:
            if not (math.isfinite(x) and math.isfinite(y)):
                pen = "M"
                continue
            across, down = place(x, y)
            path += f"{pen}{across:.1f} {down:.1f}"
            pen = "L"
        parts.append(f'<path d="{path}" {style}/>')
        level = TOP + 12 + 18 * k
        parts.append(f'<path d="M{WIDTH - RIGHT + 8} {level - 4}h24" {style}/>')
        parts.append(_label(WIDTH - RIGHT + 38, level, label))
    for y, down in ((y_high, TOP + 10), ((y_low + y_high) / 2, (HEIGHT - BOTTOM + TOP) / 2), (y_low, HEIGHT - BOTTOM)):
        parts.append(_label(LEFT - 6, down, charts.tick(y, record.log_y), "end"))
    parts.append(_label(LEFT, HEIGHT - BOTTOM + 16, charts.short(x_low)))
    parts.append(_label(WIDTH - RIGHT, HEIGHT - BOTTOM + 16, charts.short(x_high), "end"))
    parts.append(_label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, record.x_label, "middle"))
    return _drawing(record.title or record.y_label, WIDTH, HEIGHT, parts)


def heatmap(record: HeatMap) -> str:
    """One square a value; its number shows when the pointer rests on it."""
    low, high = charts.scale(record.values)
    columns = max((len(row) for row in record.values), default=0)
    side = max(4, min(24, 900 // max(columns, 1)))
    row_labels = [charts.label_of(record.row_labels, k) for k in range(len(record.values))]
    column_labels = [charts.label_of(record.column_labels, k) for k in range(columns)]
    left = 16 + 8 * max(map(cells, row_labels), default=0)
    parts = []
    for i, row in enumerate(record.values):
        if side >= 12:
            parts.append(_label(left - 6, 30 + i * side + side - 4, row_labels[i], "end"))
        for j, value in enumerate(row):
            colour = charts.hexadecimal(charts.colour_of(value, low, high))
            title = f"{row_labels[i]}, {column_labels[j]}: {numbers.number(value)}"
            parts.append(_rectangle(left + j * side, 30 + i * side, side, side, colour, "none", _text(title)))
    if side >= 12:
        parts += [_label(left + j * side + side / 2, 24, label, "middle") for j, label in enumerate(column_labels)]
    height = 30 + side * len(record.values) + 24
    parts.append(_label(left, height - 6, f"{numbers.number(low)} ... {numbers.number(high)}"))
    return _drawing(record.title, left + side * columns + 12, height, parts)


def _drawing(title: str, width: float, height: float, parts: list[str]) -> str:
    heading = f"<p><b>{_text(title)}</b></p>" if title else ""
    return (
        f'{heading}<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'font-family="system-ui,sans-serif" font-size="12">{"".join(parts)}</svg>'
    )


def _rectangle(x: float, y: float, width: float, height: float, fill: str, stroke: str, title: str = "") -> str:
    shape = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}" stroke="{stroke}"'
    return f"{shape}><title>{title}</title></rect>" if title else f"{shape}/>"


def _label(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_text(text)}</text>'


def _text(text: str) -> str:
    return html.escape(symbols.fit(text))
