"""Uniform access to files and `builtin:NAME`: lines, name for messages, fingerprint."""

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
    """(line number, line) like rnncli.files.read_lines."""
    if not builtin.is_builtin(source):
        yield from read_lines(source, raw=raw)
        return
    text = builtin.builtin_text(str(source))
    end = "\n" if raw else ""
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        yield number, line + end


def fingerprint_of(sources: Iterable[Source]) -> str:
    """sha256 over the sources' contents in order; for a single source, its own sha256."""
    prints = [
        hashlib.sha256(builtin.builtin_text(str(source)).encode("utf-8")).hexdigest()
        if builtin.is_builtin(source)
        else fingerprint(source)
        for source in sources
    ]
    return prints[0] if len(prints) == 1 else hashlib.sha256("\n".join(prints).encode("ascii")).hexdigest()
