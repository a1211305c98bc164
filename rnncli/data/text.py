"""Plain text of any length: one file, a .gz, a folder of .txt, a list of these, or `builtin:NAME`."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnncli.data import builtin
from rnncli.data.folder import ENDINGS
from rnncli.data.progress import Reading, follow
from rnncli.data.source import Source
from rnncli.errors import DataError
from rnncli.files import read_chunks, shown
from rnncli.locale import tr, trn

HELD = 8 << 20  # characters of a text that is kept in memory; a longer one is encoded into a file


@dataclass(frozen=True)
class Text:
    """A text that has been scanned once. files: (name, number of characters) of each. characters: total number.
    fingerprint: sha256 of the text in UTF-8. alphabet: its distinct characters by code point. held: the text itself, in
    chunks, if it has at most HELD characters, else None."""

    source: Source | Sequence[Source]
    files: tuple[tuple[str, int], ...]
    characters: int
    fingerprint: str
    alphabet: str
    held: tuple[str, ...] | None

    @property
    def name(self) -> str:
        return self.files[0][0] if len(self.files) == 1 else tr("{n} files", n=len(self.files))

    @property
    def short(self) -> str:
        """A short name."""
        return Path(self.name).name

    def pieces(self) -> Iterator[str]:
        """The text in chunks of about a megabyte: lines end in \n, no BOM. Raises DataError if a file has changed."""
        if self.held is not None:
            yield from self.held
            return
        digest = hashlib.sha256()
        for _, piece in text_pieces(self.source):
            digest.update(piece.encode("utf-8"))
            yield piece
        if digest.hexdigest() != self.fingerprint:
            raise DataError(tr("the text changed while it was being read"), where=self.name)

    def about(self) -> str:
        """One line: the text's name, length and hash."""
        return trn(
            "{names}: {n} character, sha256 {hash}",
            "{names}: {n} characters, sha256 {hash}",
            names=self.name,
            n=self.characters,
            hash=self.fingerprint[:12],
        )


def text_files(source: Source | Sequence[Source]) -> list[Source]:
    """The files of a source: the file itself, a folder's .txt and .txt.gz sorted by name, or the files of each item of
    a list."""
    if not isinstance(source, (str, Path)):
        if not source:
            raise DataError(tr("the list of files is empty"))
        return [file for one in source for file in text_files(one)]
    if builtin.is_builtin(source):
        return [source]
    path = Path(source)
    try:
        if not path.is_dir():
            return [path]
        found = sorted(file for file in path.iterdir() if file.name.endswith(ENDINGS) and not file.is_dir())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(tr("cannot be read: {why}", why=why), where=shown(path)) from error
    if not found:
        raise DataError(tr("this folder contains no .txt file"), where=shown(path))
    return list(found)


def text_pieces(source: Source | Sequence[Source]) -> Iterator[tuple[int, str]]:
    """(file index, chunk), one file after the other, read in bounded memory; a line end is inserted between files if
    the first lacks one."""
    last = "\n"
    for number, file in enumerate(text_files(source)):
        first = True
        for piece in [builtin.builtin_text(str(file))] if builtin.is_builtin(file) else read_chunks(file):
            if first and last != "\n":
                piece = "\n" + piece
            first, last = False, piece[-1]
            yield number, piece


def scan(source: Source | Sequence[Source]) -> Generator[Reading, None, Text]:
    """Read a text once, in bounded memory, and return its summary.

    DataError: no such file, not UTF-8 (line and byte offset named), a NUL, or nothing but white space.
    """
    import numpy as np

    names = [shown(file) for file in text_files(source)]
    lengths = [0] * len(names)
    what, total = tr("reading {name}", name=Path(names[0]).name), bytes_of(source)
    digest, done, blank = hashlib.sha256(), 0, True
    seen = np.zeros(sys.maxunicode + 1, dtype=bool)
    held: list[str] | None = []
    for number, piece in text_pieces(source):
        raw = piece.encode("utf-8")
        digest.update(raw)
        done += len(raw)
        lengths[number] += len(piece)
        blank = blank and piece.isspace()
        seen[np.frombuffer(piece.encode("utf-32-le"), "<u4")] = True
        if held is not None and sum(lengths) <= HELD:
            held.append(piece)
        else:
            held = None
            yield Reading(what, done, total)
    if blank:
        raise DataError(tr("contains no text"), where=", ".join(names[:3]))
    return Text(
        source,
        tuple(zip(names, lengths, strict=True)),
        sum(lengths),
        digest.hexdigest(),
        "".join(map(chr, np.flatnonzero(seen).tolist())),
        None if held is None else tuple(held),
    )


def bytes_of(source: Source | Sequence[Source]) -> int:
    """Total size of all files, for a progress bar; 0 if one is compressed, since its size says little."""
    paths = [Path(file) for file in text_files(source) if not builtin.is_builtin(file)]
    if any(path.name.endswith(".gz") for path in paths):
        return 0
    return sum(path.stat().st_size for path in paths if path.is_file())


def read_text(source: Source | Sequence[Source]) -> Text:
    """`scan`, reporting its progress to the listener."""
    return follow(scan(source))
