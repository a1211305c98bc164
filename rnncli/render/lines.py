"""Screens as lines of styled spans, independent of the terminal.

`View` describes the output. Widths are in terminal cells (a Chinese character takes two), by Rich's table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rnncli.render import symbols

Span = tuple[str, str]  # text, style: a key of terminal.STYLES or a Rich style
Line = list[Span]


@dataclass(frozen=True)
class View:
    """width: maximum cells per line. encoding: of the stream. full: do not truncate or omit anything."""

    width: int = 80
    encoding: str = "utf-8"
    colour: bool = False
    full: bool = False

    def fit(self, text: str, keep: str = "") -> str:
        return symbols.fit(text, self.encoding, keep)

    def wrapped(self, text: str, style: str) -> list[Line]:
        """A text in one style, over several lines if needed; no line for an empty text."""
        return [[(part, style)] for part in wrap(self.fit(text), self.width)] if text else []

    def rows(self, length: int, limit: int | None) -> tuple[range, range]:
        """The rows to show of `length`: all of them, or the first and last ones if there are more than `limit`."""
        if limit is None or self.full or length <= limit:
            return range(length), range(0)
        head = (limit + 1) // 2
        return range(head), range(length - (limit - head), length)


def cells(text: str) -> int:
    """Width of `text` in terminal cells."""
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
    """Strip trailing whitespace."""
    line = list(line)
    while line:
        text, style = line.pop()
        if text.rstrip():
            # Keep spaces of a coloured span: their background is visible.
            return [*line, (text if " on " in style else text.rstrip(), style)]
    return line


def wrap(text: str, width: int) -> list[str]:
    """Wrap between words, and between any two wide characters, into lines of at most `width` cells.

    Only words longer than a line are broken. Spaces inside a line are kept.
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
    """A name (never a number) truncated to `width` cells, with an ellipsis."""
    return text if cells(text) <= width else _take(text, max(width - 3, 1)) + "..."


def _pieces(text: str) -> Iterator[str]:
    """Words with the spaces after them; wide characters separately, with their punctuation attached."""
    for word in re.findall(r"\s*\S+\s*|\s+", text):
        if word.isascii():
            yield word
            continue
        piece = ""
        for character in word:
            wide = cells(character) == 2
            if wide and piece.strip() and character not in "，。、；：？！）】》”’" and piece[-1] not in "（【《“‘":
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
