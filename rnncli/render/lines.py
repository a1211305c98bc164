"""A screen as lines of styled spans, before any terminal: what every drawing here is made of.

`View` is where it will be shown. Widths are counted in terminal cells (a Chinese character takes two), by Rich's table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rnncli.render import symbols

Span = tuple[str, str]  # text, style: a key of terminal.STYLES, or a Rich style as it is
Line = list[Span]


@dataclass(frozen=True)
class View:
    """width: cells a line may take. encoding: what the stream can carry. full: nothing is cut or left out."""

    width: int = 80
    encoding: str = "utf-8"
    colour: bool = False
    full: bool = False

    def fit(self, text: str, keep: str = "") -> str:
        return symbols.fit(text, self.encoding, keep)

    def rows(self, length: int, limit: int | None) -> tuple[range, range]:
        """The rows to show of `length`: all and none, or the first and last ones where more than `limit`."""
        if limit is None or self.full or length <= limit:
            return range(length), range(0)
        head = (limit + 1) // 2
        return range(head), range(length - (limit - head), length)


def cells(text: str) -> int:
    """Terminal cells that `text` takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def pad(text: str, width: int, align: str = "left") -> str:
    room = " " * max(0, width - cells(text))
    return room + text if align == "right" else text + room


def plain(line: Line) -> str:
    return "".join(text for text, _ in line).rstrip()


def strip(line: Line) -> Line:
    """Without white space at the end."""
    line = list(line)
    while line:
        text, style = line.pop()
        if text.rstrip():
            # A background shows on blanks: those of a coloured span stay.
            return [*line, (text if " on " in style else text.rstrip(), style)]
    return line


def wrap(text: str, width: int) -> list[str]:
    """Broken between words, and between any two wide characters, into lines of at most `width` cells.

    Only a word longer than a line is broken inside. Blanks inside a line stay as they are.
    """
    width = max(width, 2)
    lines, line, used = [], "", 0
    for piece in _pieces(text):
        length = cells(piece)
        if used + cells(piece.rstrip()) > width and line.strip():
            lines.append(line.rstrip())
            piece = piece.lstrip()
            line, used, length = "", 0, cells(piece)
        while length > width and cells(piece.rstrip()) > width:
            head = _take(piece, width)
            lines.append(head)
            piece = piece[len(head) :]
            length = cells(piece)
        line, used = line + piece, used + length
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def clip(text: str, width: int) -> str:
    """A name (never a number) cut to `width` cells, with dots where something is missing."""
    return text if cells(text) <= width else _take(text, max(width - 3, 1)) + "..."


def _pieces(text: str) -> Iterator[str]:
    """Words with the blanks after them; each wide character by itself, closing punctuation kept with what it closes."""
    for word in re.findall(r"\s*\S+\s*|\s+", text):
        if word.isascii():
            yield word
            continue
        piece = ""
        for character in word:
            wide = cells(character) == 2
            if wide and piece.strip() and character not in "，。、；：？！）】》”’":
                yield piece
                piece = ""
            piece += character
        yield piece


def _take(text: str, width: int) -> str:
    used = 0
    for position, character in enumerate(text):
        used += cells(character)
        if used > width:
            return text[: max(position, 1)]
    return text
