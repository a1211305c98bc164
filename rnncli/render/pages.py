"""Pages as Markdown, and helpers shared with HTML (rnncli.render.html.records)."""

from __future__ import annotations

import re

from rnncli.records import Check, Checks, Commands, Message, Page, Record, Table
from rnncli.render import numbers
from rnncli.render.lines import View, plain
from rnncli.render.tables import Cells, write_columns
from rnncli.render.terminal import header, record_lines

_VIEW = View(width=100)  # not a terminal: UTF-8, and drawings as text have this width
_EDGE = 8  # numbers kept at either end of a vector: pages have more room than screens


def written(table: Table) -> tuple[list[Cells], int | None, str]:
    """Columns as texts, the row before which rows were omitted, and notes on omissions."""
    head, tail = _VIEW.rows(len(table.rows), table.cut_rows)
    columns = write_columns(table, _VIEW, [*head, *tail], _EDGE)
    notes = [
        f"{column.label or column.column.name}: {_EDGE} ... {_EDGE} of {column.longest}"
        for column in columns
        if column.longest > 2 * _EDGE
    ]
    if tail:
        notes.append(f"{head[0]}-{head[-1]} ... {tail[0]}-{tail[-1]} of {len(table.rows)}")
    return columns, len(head) if tail else None, "; ".join(notes)


def heading(cells: Cells) -> str:
    """The heading of a column, with that of its group."""
    return f"{cells.group} {cells.label}".strip()


# Markdown


def markdown(page: Page) -> str:
    parts = [f"# {_md(page.title)}", _md(header(page))]
    parts += [_markdown_record(record) for record in page.records]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_record(record: Record) -> str:
    if isinstance(record, Table):
        return _markdown_table(record)
    if isinstance(record, Checks):
        lines = [f"**{_md(record.title)}**\n"] if record.title else []
        for check in record.checks:
            mark = "ok" if check.ok else "**FAILED**"
            found = difference(check)
            lines.append(f"- {mark} {_md(check.text)}{_md(f': {found}' if found else '')}")
        return "\n".join(lines)
    if isinstance(record, Message) and record.kind != "code":
        return _md(record.text, keep="\n")
    if isinstance(record, Commands):
        lines = [f"{_md(record.title)}:\n"] if record.title else []
        return "\n".join(lines + [f"- `{_VIEW.fit(command)}` {_md(meaning)}" for command, meaning in record.commands])
    return _fenced("\n".join(plain(line) for line in record_lines(record, _VIEW)))


def _markdown_table(table: Table) -> str:
    columns, cut_at, cut = written(table)
    lines = ['<div style="break-before: page"></div>\n'] if table.sheet else []
    lines += [f"**{_md(table.title)}**\n"] if table.title else []
    if columns:
        lines.append("| " + " | ".join(_md(heading(column)) or " " for column in columns) + " |")
        lines.append("|" + "|".join(" ---: " if column.align == "right" else " --- " for column in columns) + "|")
        for row in range(len(columns[0].texts)):
            if row == cut_at:
                lines.append("|" + " ... |" * len(columns))
            bold = "**" if table.total is not None and row == len(columns[0].texts) - 1 else ""
            cells = [_md(column.texts[row]).strip() for column in columns]
            lines.append("| " + " | ".join(f"{bold}{cell}{bold}" if cell else "" for cell in cells) + " |")
    lines += [f"\n{_md(text)}" for text in (cut, table.caption) if text]
    return "\n".join(lines)


def _md(text: str, keep: str = "") -> str:
    """Text with Markdown markup escaped."""
    return re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", _VIEW.fit(text, keep))


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def difference(check: Check) -> str:
    """`9.0e-08 (tol 1.0e-06)`, or only the part that exists."""
    shown, allowed = numbers.beside(check.diff, check.tol)
    return f"{shown} (tol {allowed})".lstrip() if allowed else shown
