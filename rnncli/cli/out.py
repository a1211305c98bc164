"""The one place where a command's text meets standard output and standard error, apart from `render`'s pages.

Names and data must not control the terminal: control characters and bidirectional overrides are shown escaped. What a
program reads from a pipe or a file (`hand_over`) stays byte for byte as it is.
"""

from __future__ import annotations

import os
import sys

from rnncli.cli.settings import settings
from rnncli.locale import tr
from rnncli.render import symbols


def open_streams() -> None:
    """Give a closed standard stream (`2>&-`) a place that takes everything: otherwise Python prints to the other one,
    and the next file that is opened gets its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            setattr(sys, name, open(os.devnull, "r+" if number else "r", encoding="utf-8"))  # noqa: SIM115  # for good


def printed(text: str) -> str:
    """Text as a terminal may see it: line ends and tabs stay."""
    return symbols.fit(text, keep="\n\t")


def put(text: str) -> None:
    """A line on standard output."""
    print(printed(text))


def tell(text: str) -> None:
    """A line on standard error."""
    print(printed(text), file=sys.stderr, flush=True)


def note(text: str) -> None:
    """`note: ...` on standard error, where there is one to say and the command is not quiet."""
    if text and not settings.quiet:
        tell(tr("note: {text}", text=text))


def hand_over(text: str) -> None:
    """A result on standard output: as it is for a program, as `printed` on a terminal."""
    sys.stdout.write(printed(text) if sys.stdout.isatty() else text)


def drop_output() -> None:
    """Nobody can read what is left in stdout's buffer; without this the interpreter stumbles over it at its end."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is not a file (in tests)
        return
