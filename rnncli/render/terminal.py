"""Pages as lines, and printing lines with Rich.

Rich decides about colour; text is passed as plain spans, so that data is never interpreted as markup.
"""

from __future__ import annotations

import io
import sys
from typing import IO, TYPE_CHECKING, Any

from rnncli.locale import tr, with_language
from rnncli.records import (
    Checks,
    ColouredText,
    Commands,
    Diagram,
    HeatMap,
    Json,
    Message,
    Page,
    Record,
    Series,
    Table,
    Unrolled,
)
from rnncli.render import numbers, turned
from rnncli.render.lines import Line, View, cells, pad, plain, strip, wrap

if TYPE_CHECKING:
    from rich.console import Console

# Readable on light and dark backgrounds: no yellow, no plain blue, no white or black text without a background.
STYLES = {
    "": "",
    "title": "bold",
    "meta": "dim",
    "heading": "dim",
    "rule": "dim",
    "note": "dim",
    "total": "bold",
    "ok": "green",
    "failed": "bold red",
    "warning": "bold magenta",
    "formula": "italic",
    "command": "bold",
    "bar": "#3b82c4",
    "positive": "#c4571f",
    "negative": "#3b82c4",
}


def header(page: Page) -> str:
    """The right side of the header line: seed, device, dtype and torch version."""
    parts = [f"seed {page.seed}" if page.seed is not None else "", page.device, page.dtype]
    return " · ".join(part for part in [*parts, f"torch {page.torch.partition('+')[0]}" if page.torch else ""] if part)


def page_lines(page: Page, view: View) -> list[Line]:
    """The whole screen. An answer goes above the header, and a first message then belongs to the header; other records
    are separated by an empty line, except notes that follow each other."""
    records = list(page.records)
    answers = [records.pop(0) for record in page.records[:1] if isinstance(record, Message) and record.kind == "answer"]
    lines = [line for answer in answers for line in record_lines(answer, view)] + _header_lines(page, view)
    for k, record in enumerate(records):
        drawn = record_lines(record, view)
        if not drawn:
            continue
        together = isinstance(record, Message) and (k == 0 or _are_notes(records[k - 1], record))
        if lines and not together:
            lines.append([])
        lines += drawn
    return lines


def _are_notes(*records: Record) -> bool:
    return all(isinstance(record, Message) and record.kind == "note" for record in records)


def _header_lines(page: Page, view: View) -> list[Line]:
    title, meta = view.fit(page.title), view.fit(header(page))
    room = view.width - cells(title) - cells(meta)
    if meta and room >= 2:
        return [strip([(title, "title"), (" " * room, ""), (meta, "meta")])]
    return view.wrapped(title, "title") + view.wrapped(meta, "meta")


def record_lines(record: Record, view: View) -> list[Line]:
    """Charts and drawings are imported where there is one: most pages have none."""
    match record:
        case Table():
            return turned.lines(record, view)
        case Checks():
            return _checks_lines(record, view)
        case Message():
            return _message_lines(record, view)
        case Commands():
            return _commands_lines(record, view)
        case Diagram():
            from rnncli.render import diagrams

            return diagrams.lines(record, view)
        case Unrolled():
            from rnncli.render import unrolled_lines

            return unrolled_lines.lines(record, view)
    from rnncli.render import charts, matrices

    match record:
        case Series():
            return charts.series_lines(record, view)
        case HeatMap() if record.cells != "shade":
            return matrices.lines(record, view)
        case HeatMap():
            return charts.heatmap_lines(record, view)
        case ColouredText():
            return charts.coloured_lines(record, view)


def _checks_lines(record: Checks, view: View) -> list[Line]:
    lines: list[Line] = [[(view.fit(record.title), "title")]] if record.title else []
    failed = tr("FAILED")
    marks = ["ok" if check.ok else failed for check in record.checks]
    figures = [numbers.beside(check.diff, check.tol) for check in record.checks]
    diffs = [diff for diff, _ in figures]
    tols = [f"(tol {tol})" if tol else "" for _, tol in figures]
    mark_width = max(map(cells, marks), default=0)
    diff_width = max(map(cells, diffs), default=0)
    tail_width = max((cells(tol) for tol in tols), default=0) + (diff_width + 4 if diff_width else 0)
    room = max(view.width - mark_width - 2 - tail_width, 20)
    numbered = [wrap(view.fit(check.text), room) for check, diff in zip(record.checks, diffs, strict=True) if diff]
    text_width = max((cells(line) for text in numbered for line in text), default=0)
    for check, mark, diff, tol in zip(record.checks, marks, diffs, tols, strict=True):
        texts = wrap(view.fit(check.text), room if diff or tol else view.width - mark_width - 2)
        style = "ok" if check.ok else "failed"
        tail = f"  {pad(diff, diff_width)}  {tol}" if diff or tol else ""
        lines.append(strip([(pad(mark, mark_width), style), ("  " + pad(texts[0], text_width) + tail, "")]))
        lines += [[(" " * (mark_width + 2) + text, "")] for text in texts[1:]]
    return lines


def _message_lines(record: Message, view: View) -> list[Line]:
    if record.kind == "code":
        return [[(text, "")] for text in view.fit(record.text, keep="\n\t").split("\n")]
    style = {"answer": "title", "plain": "", "note": "note", "formula": "formula", "warning": "warning"}[record.kind]
    text = record.text if record.kind != "warning" or record.text.startswith("!") else f"! {record.text}"
    paragraphs = view.fit(with_language(text), keep="\n").split("\n")
    return [[(part, style)] if part else [] for paragraph in paragraphs for part in wrap(paragraph, view.width)]


def _commands_lines(record: Commands, view: View) -> list[Line]:
    title = view.fit(record.title)
    lines: list[Line] = []
    if cells(title) > view.width // 4:
        lines, title = view.wrapped(title, "heading"), ""
    indent = cells(title) + 2 if title else 0
    commands = [(view.fit(with_language(command)), view.fit(meaning)) for command, meaning in record.commands]
    width = max((cells(command) for command, _ in commands), default=0)
    beside = view.width - indent - width - 2 >= 20
    for k, (command, meaning) in enumerate(commands):
        start = (pad(title if k == 0 else "", indent), "heading")
        if not meaning:
            lines.append([start, (command, "command")])
        elif beside:
            texts = wrap(meaning, view.width - indent - width - 2)
            lines.append([start, (pad(command, width) + "  ", "command"), (texts[0], "")])
            lines += [[(" " * (indent + width + 2) + text, "")] for text in texts[1:]]
        else:  # a command is never wrapped: its description goes below
            lines.append([start, (command, "command")])
            lines += [[(" " * (indent + 4) + text, "")] for text in wrap(meaning, view.width - indent - 4)]
    return lines


def draw(lines: list[Line], console: Console) -> None:
    from rich.text import Text

    for line in lines:
        text = Text(end="")
        for part, style in line:
            text.append(part, STYLES.get(style, style))
        console.print(text, soft_wrap=True)


def show(
    page: Page, *, width: int | None = None, file: IO[str] | None = None, ascii: bool | None = None, full: bool = False
) -> None:
    """Print a page to `file` (standard output).

    width: in terminal cells; default: the terminal's. ascii: use only ASCII; default: whatever the stream's encoding
    supports. full: do not truncate. Raises BrokenPipeError if the reader has closed the pipe.
    """
    from rich.console import Console

    stream = file if file is not None else sys.stdout
    console = Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
    system = None if console.no_color or console.legacy_windows else console.color_system
    encoding = "ascii" if ascii else getattr(stream, "encoding", None) or "utf-8"
    view = View(console.width, encoding, colour=system is not None, full=full)
    lines = page_lines(page, view)
    # Render in memory, then write once: a closed pipe is left to the caller (Rich would exit with 1).
    stream.write(_in_colour(lines, console.width, system) if system else _in_plain(lines))
    stream.flush()


def to_text(page: Page, width: int = 80, color: bool = False, ascii: bool = False, full: bool = False) -> str:
    """The output of `show` on a terminal of this width, without colour unless requested."""
    view = View(width=width, encoding="ascii" if ascii else "utf-8", colour=color, full=full)
    lines = page_lines(page, view)
    return _in_colour(lines, width, "truecolor") if color else _in_plain(lines)


def _in_plain(lines: list[Line]) -> str:
    return "".join(plain(line) + "\n" for line in lines)


def _in_colour(lines: list[Line], width: int, system: Any) -> str:
    from rich.console import Console

    file = io.StringIO()
    # Everything is set explicitly, so that Rich consults neither the environment nor Windows.
    console = Console(
        file=file,
        width=width,
        force_terminal=True,
        color_system=system,
        no_color=False,
        highlight=False,
        legacy_windows=False,
    )
    draw(lines, console)
    return file.getvalue()


def abilities(stream: IO[str]) -> dict[str, Json]:
    """Properties of a stream: encoding, whether it is a terminal, width, colours, symbols."""
    from rich.console import Console

    console = Console(file=stream)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return {
        "encoding": encoding,
        "terminal": console.is_terminal,
        "width": console.width,
        "colours": None if console.no_color else console.color_system,
        "symbols": View(encoding=encoding).fit("─█·") == "─█·",
    }
