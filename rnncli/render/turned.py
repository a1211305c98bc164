"""Tables whose rows are shown as columns: `key | A | B`, for a few rows with many values each."""

from __future__ import annotations

from rnncli.records import Column, Entry, Table
from rnncli.render.lines import Line, View
from rnncli.render.tables import GAP, table_lines, write_columns, write_value

FEW = 3  # columns whose texts may be wrapped


def lines(table: Table, view: View) -> list[Line]:
    """As it is, or turned where that fits."""
    if not table.turned or not table.rows:
        return table_lines(table, view)
    other = _turned(table, view)
    columns = write_columns(other, view, range(len(other.rows)))
    width = sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)
    return table_lines(other if width <= view.width or len(columns) <= FEW else table, view)


def _turned(table: Table, view: View) -> Table:
    """A row for each column but the first, whose texts are the headings."""
    name, *others = table.columns
    heads = [write_value(row[0], name, view) for row in table.rows]
    columns = [Column("key", "", "text"), *(Column(f"row{k}", head, "text") for k, head in enumerate(heads))]
    rows: list[list[Entry]] = [
        [column.label or column.name, *(write_value(row[k], column, view) for row in table.rows)]
        for k, column in enumerate(others, 1)
    ]
    return Table(table.name, columns, rows, title=table.title, caption=table.caption)
