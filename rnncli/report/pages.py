"""Pages as Markdown and HTML: what the screen shows, in the form of that medium."""

from __future__ import annotations

import html as escaping
import re

from rnncli.records import Checks, ColouredText, Commands, HeatMap, Message, Page, Record, Series, Table
from rnncli.report import charts, numbers, svg
from rnncli.report.lines import View, plain
from rnncli.report.tables import Cells, write_columns
from rnncli.report.terminal import header, record_lines

_VIEW = View(width=100)  # no terminal: characters are UTF-8, and what must be drawn as text is this wide
_EDGE = 8  # numbers kept at either end of a vector; a page has more room than a screen

STYLE = """
.rnncli{font:14px/1.5 system-ui,sans-serif;color:#1c1c1c;background:#fff;padding:.5em 1em;max-width:72em}
.rnncli table{border-collapse:collapse;margin:.8em 0;font-variant-numeric:tabular-nums}
.rnncli th{color:#5a5a5a;font-weight:normal;text-align:left;border-bottom:1px solid #ccc}
.rnncli th,.rnncli td{padding:.1em 1em .1em 0;white-space:pre}
.rnncli .r{text-align:right}.rnncli .n,.rnncli pre,.rnncli code{font-family:ui-monospace,Consolas,monospace}
.rnncli .meta,.rnncli .note{color:#5a5a5a}.rnncli tr.total td{border-top:1px solid #ccc;font-weight:bold}
.rnncli .ok{color:#1a7f37}.rnncli .failed{color:#b3261e;font-weight:bold}
.rnncli .warning{color:#8a3c00;font-weight:bold}
.rnncli .sheet td.blank{min-width:7em;border-bottom:1px solid #888}.rnncli .sheet td{padding:.35em 1em .35em 0}
.rnncli .sheet td{white-space:normal}
@media print{.rnncli .sheet tr{break-inside:avoid}.rnncli .sheet+.sheet{break-before:page}@page{margin:15mm}}
.rnncli pre{overflow-x:auto}.rnncli .tokens{font-family:ui-monospace,Consolas,monospace;white-space:pre-wrap}
""".strip()


def _written(table: Table) -> tuple[list[Cells], int | None, str]:
    """Columns as texts, the row that a cut comes before, and what was cut."""
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


def _heading(cells: Cells) -> str:
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
            lines.append(f"- {mark} {_md(check.text)}{_md(_difference(check.diff, check.tol))}")
        return "\n".join(lines)
    if isinstance(record, Message) and record.kind != "code":
        return _md(record.text, keep="\n")
    if isinstance(record, Commands):
        lines = [f"{_md(record.title)}:\n"] if record.title else []
        return "\n".join(lines + [f"- `{_VIEW.fit(command)}` {_md(meaning)}" for command, meaning in record.commands])
    return _fenced("\n".join(plain(line) for line in record_lines(record, _VIEW)))


def _markdown_table(table: Table) -> str:
    columns, cut_at, cut = _written(table)
    lines = ['<div style="break-before: page"></div>\n'] if table.sheet else []
    lines += [f"**{_md(table.title)}**\n"] if table.title else []
    if columns:
        lines.append("| " + " | ".join(_md(_heading(column)) or " " for column in columns) + " |")
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
    """Text in Markdown: nothing in it is read as a mark."""
    return re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", _VIEW.fit(text, keep))


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def _difference(diff: float | None, tol: float | None) -> str:
    shown, allowed = numbers.beside(diff, tol)
    text = " ".join(part for part in (shown, f"(tol {allowed})" if allowed else "") if part)
    return f": {text}" if text else ""


# HTML


def html(page: Page) -> str:
    title = _html(page.title)
    return (
        f'<!doctype html>\n<html><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body>{fragment(page)}</body></html>\n"
    )


def fragment(page: Page) -> str:
    """Self-contained: a style of its own, nothing loaded from anywhere."""
    parts = [
        f"<style>{STYLE}</style>",
        f'<div><b>{_html(page.title)}</b> &nbsp; <span class="meta">{_html(header(page))}</span></div>',
        *(record_html(record) for record in page.records),
    ]
    return '<div class="rnncli">' + "\n".join(parts) + "</div>\n"


def record_html(record: Record) -> str:
    """One record as HTML, in the classes of STYLE."""
    if isinstance(record, Table):
        return _html_table(record)
    if isinstance(record, Series):
        return svg.series(record)
    if isinstance(record, HeatMap):
        return svg.heatmap(record)
    if isinstance(record, ColouredText):
        return _html_coloured(record)
    if isinstance(record, Checks):
        rows = "".join(
            f'<tr><td class="{"ok" if check.ok else "failed"}">{"ok" if check.ok else "FAILED"}</td>'
            f"<td>{_html(check.text)}</td><td>{_html(_difference(check.diff, check.tol).removeprefix(': '))}</td></tr>"
            for check in record.checks
        )
        return _html_title(record.title) + f"<table>{rows}</table>"
    if isinstance(record, Commands):
        rows = "".join(
            f"<tr><td>{_html(record.title) if k == 0 else ''}</td><td><code>{_html(command)}</code></td>"
            f"<td>{_html(meaning)}</td></tr>"
            for k, (command, meaning) in enumerate(record.commands)
        )
        return f"<table>{rows}</table>"
    text = escaping.escape(_VIEW.fit(record.text, keep="\n\t"))
    if record.kind == "code":
        return f"<pre>{text}</pre>"
    return f'<p class="{record.kind}">' + text.replace("\n", "<br>") + "</p>"


def _html_table(table: Table) -> str:
    columns, cut_at, cut = _written(table)
    head = "".join(f'<th class="{_align(column)}">{_html(_heading(column))}</th>' for column in columns)
    body = []
    for row in range(len(columns[0].texts) if columns else 0):
        if row == cut_at:
            body.append("<tr>" + "<td>...</td>" * len(columns) + "</tr>")
        total = table.total is not None and row == len(columns[0].texts) - 1
        cells = "".join(
            f'<td class="{_align(column)}{_blank(table, column, row)}">{escaping.escape(column.texts[row])}</td>'
            for column in columns  # whose texts are already fitted
        )
        body.append(f'<tr class="total">{cells}</tr>' if total else f"<tr>{cells}</tr>")
    notes = "".join(f'<p class="note">{_html(text)}</p>' for text in (cut, table.caption) if text)
    drawn = f"{_html_title(table.title)}<table><tr>{head}</tr>{''.join(body)}</table>{notes}"
    return f'<div class="sheet">{drawn}</div>' if table.sheet else drawn


def _blank(table: Table, cells: Cells, row: int) -> str:
    """Where a sheet asks for an answer: a line to write on."""
    return " blank" if table.sheet and cells.column.name == "value" and not cells.texts[row] else ""


def _align(cells: Cells) -> str:
    numeric = cells.column.kind not in ("text", "code", "shape")
    return ("n" if numeric else "") + (" r" if cells.align == "right" else "")


def _html_coloured(record: ColouredText) -> str:
    spans = []
    for raw, value in zip(record.tokens, record.values, strict=True):
        colour = charts.colour_of(value, record.low, record.high)
        spans.append(
            f'<span style="color:{charts.ink_on(colour)};background:{charts.hexadecimal(colour)}" '
            f'title="{numbers.number(value)}">{escaping.escape(_VIEW.fit(raw, keep=chr(10)))}</span>'
        )
    return f'{_html_title(record.title)}<p class="tokens">{_html(record.separator).join(spans)}</p>'


def _html_title(title: str) -> str:
    return f"<p><b>{_html(title)}</b></p>" if title else ""


def _html(text: str) -> str:
    return escaping.escape(_VIEW.fit(text))
