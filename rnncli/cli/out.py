"""All text output of commands to standard output and standard error, except the pages of `render`.

Names and data must not control the terminal: control characters and bidirectional overrides are shown escaped. Data for
programs (`hand_over`) is written unchanged, byte for byte.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from typing import TextIO

from rnncli.cli.settings import settings
from rnncli.locale import tr, with_language
from rnncli.render import symbols
from rnncli.render.lines import cells, wrap


def open_streams() -> None:
    """Open the null device for a closed standard stream (`2>&-`): otherwise the next opened file gets its
    descriptor."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor
            setattr(sys, name, open(os.devnull, "r+" if number else "r", encoding="utf-8"))  # noqa: SIM115  # for good


def printed(text: str) -> str:
    """A message: rnncli commands in it keep a typed --lang; control characters are escaped."""
    return _escaped(with_language(text))


def _escaped(text: str) -> str:
    """Escape control characters for a terminal, except line ends and tabs."""
    return symbols.fit(text, keep="\n\t")


def put(text: str) -> None:
    """Print a line on standard output."""
    print(printed(text))


hush: list[Callable[[], None]] = []  # take away a line that is live on standard error


def clear() -> None:
    """Nothing live stands on standard error's last line."""
    for take_away in hush:
        take_away()


def tell(text: str) -> None:
    """Print a line on standard error."""
    clear()
    print(printed(text), file=sys.stderr, flush=True)


def note(text: str) -> None:
    """Print `note: ...` on standard error, unless empty or --quiet."""
    if text and not settings.quiet:
        tell(fitted(printed(tr("note: {text}", text=text)), sys.stderr))


_HEAD = re.compile(r"(.*\S {2,}|\w+[:：] ?|\s+)(?=\S)")  # prefix of a line; its text is wrapped to the right of it


def fitted(text: str, stream: TextIO) -> str:
    """Wrap between words, where a terminal would break inside them; commands stay on one line so that they can be
    copied. For a stream that is not a terminal, the text as it is."""
    if not stream.isatty():
        return text
    width, lines = shutil.get_terminal_size().columns, list[str]()
    for line in text.split("\n"):
        if cells(line) <= width or re.search(r"[:：] *rnncli ", line):
            lines.append(line)
            continue
        found = _HEAD.match(line)
        head = found[0] if found is not None and cells(found[0]) <= width - 16 else ""
        indent = cells(head) if head else 6
        first, *others = wrap(line[len(head) :], width - indent)
        lines += [head + first, *(" " * indent + other for other in others)]
    return "\n".join(lines)


def hand_over(text: str) -> None:
    """Print a result on standard output: unchanged for a program, escaped on a terminal."""
    sys.stdout.write(_escaped(text) if sys.stdout.isatty() else text)


def drop_output() -> None:
    """Discard stdout's buffer after the reader has closed the pipe; otherwise the interpreter fails to flush it at
    exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is not a file (in tests)
        return
