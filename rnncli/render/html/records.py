"""A page or record as self-contained HTML, for files, notebooks and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.records import (
    Checks,
    ColouredText,
    Commands,
    Diagram,
    HeatMap,
    Page,
    Record,
    Series,
    Table,
    Unrolled,
)
from rnncli.render import charts, diagrams, numbers, pages, scene, svg, unrolled_scene
from rnncli.render.html.templates import as_it_is, read, render
from rnncli.render.tables import Cells
from rnncli.render.terminal import header

if TYPE_CHECKING:
    from markupsafe import Markup


LONG = 40  # characters from which on a cell's text is broken into lines


def document(page: Page) -> str:
    """An HTML file."""
    return render("document.html", title=page.title, fragment=_fragment(page)) + "\n"


def to_html(page: Page) -> str:
    """A self-contained HTML fragment with its own style, for a notebook."""
    return str(_fragment(page))


def _fragment(page: Page) -> Markup:
    records = [draw(record) for record in page.records]
    style = as_it_is(read("fragment.css"))
    return render("fragment.html", style=style, title=page.title, header=header(page), records=records)


def draw(record: Record) -> Markup:
    """One record, styled by the classes of fragment.css."""
    if isinstance(record, Table):
        return _table(record)
    if isinstance(record, Series):
        return render("drawing.html", drawing=svg.series(record))
    if isinstance(record, HeatMap):
        return render("drawing.html", drawing=svg.heatmap(record))
    if isinstance(record, Diagram):
        return render("drawing.html", drawing=diagrams.drawing(record))
    if isinstance(record, Unrolled):
        return as_it_is(scene.svg(unrolled_scene.scene(record)))
    if isinstance(record, ColouredText):
        return _coloured(record)
    if isinstance(record, Checks):
        rows = [(check.ok, check.text, pages.difference(check)) for check in record.checks]
        return render("checks.html", title=record.title, rows=rows)
    if isinstance(record, Commands):
        return render("commands.html", title=record.title, rows=record.commands)
    return render("message.html", kind=record.kind, text=record.text)


def _table(table: Table) -> Markup:
    columns, cut_at, cut = pages.written(table)
    count = len(columns[0].texts) if columns else 0
    return render(
        "table.html",
        title=table.title,
        sheet=table.sheet,
        headings=[(_classes(column), pages.heading(column)) for column in columns],
        rows=[
            [(_classes(column) + _blank(table, column, k), column.texts[k]) for column in columns] for k in range(count)
        ],
        cut_at=cut_at,
        total_at=count - 1 if table.total is not None else None,
        notes=[text for text in (cut, table.caption) if text],
    )


def _blank(table: Table, cells: Cells, row: int) -> str:
    """A line to write on, for a worksheet's blank."""
    return " blank" if table.sheet and cells.column.name == "value" and not cells.texts[row] else ""


def _classes(cells: Cells) -> str:
    numeric = cells.column.kind not in ("text", "formula", "code", "shape")
    long = not numeric and any(len(text) > LONG for text in cells.texts)
    return ("n" if numeric else "") + (" r" if cells.align == "right" else "") + (" long" if long else "")


def _coloured(record: ColouredText) -> Markup:
    tokens = []
    for text, value in zip(record.tokens, record.values, strict=True):
        colour = charts.colour_of(value, record.low, record.high)
        tokens.append((text, charts.ink_on(colour), charts.hexadecimal(colour), numbers.number(value)))
    return render("coloured.html", title=record.title, tokens=tokens, separator=record.separator)
