"""One way to a file and to `builtin:NAME`: their lines, their name for messages, their fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from rnncli.data import builtin
from rnncli.files import fingerprint, read_lines, shown

Source = str | Path  # a path, or `builtin:NAME`


def name_of(source: Source) -> str:
    return shown(source)


def lines_of(source: Source, *, raw: bool = False) -> Iterator[tuple[int, str]]:
    """(line number, line) as rnncli.files.read_lines gives them."""
    if not builtin.is_builtin(source):
        yield from read_lines(source, raw=raw)
        return
    text = builtin.builtin_text(str(source))
    end = "\n" if raw else ""
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        yield number, line + end


def fingerprint_of(sources: Iterable[Source]) -> str:
    """sha256 over the contents of each source in turn; one source's own sha256 where there is but one."""
    prints = [
        hashlib.sha256(builtin.builtin_text(str(source)).encode("utf-8")).hexdigest()
        if builtin.is_builtin(source)
        else fingerprint(source)
        for source in sources
    ]
    return prints[0] if len(prints) == 1 else hashlib.sha256("\n".join(prints).encode("ascii")).hexdigest()
