"""Plain text: one file, a .gz, a folder of .txt, a list of these, or `builtin:NAME`, as one string."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnncli.data import builtin
from rnncli.data.source import Source
from rnncli.errors import DataError
from rnncli.files import read_chunks, shown
from rnncli.locale import tr

MAX_CHARACTERS = 1 << 30  # held in memory at once: 1 to 4 GB
ENDINGS = (".txt", ".txt.gz")


@dataclass(frozen=True)
class Text:
    """text: every line ends in \\n, no BOM. fingerprint: sha256 of it in UTF-8. files: (name, characters) of each."""

    text: str
    fingerprint: str
    files: tuple[tuple[str, int], ...]

    def about(self) -> str:
        """One line: where the text is from, its length and its hash."""
        names = self.files[0][0] if len(self.files) == 1 else tr("{n} files", n=len(self.files))
        return tr(
            "{names}: {n} characters, sha256 {hash}", names=names, n=f"{len(self.text):,}", hash=self.fingerprint[:12]
        )


def text_files(source: Source | Sequence[Source]) -> list[Source]:
    """The files meant by a source: itself, a folder's .txt and .txt.gz in order of name, each of a list."""
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
        raise DataError(tr("there is no .txt file in this folder"), where=shown(path))
    return list(found)


def text_chunks(source: Source) -> Iterator[str]:
    """One file, or one builtin, in pieces: what reading it in bounded memory needs."""
    if builtin.is_builtin(source):
        yield builtin.builtin_text(str(source))
    else:
        yield from read_chunks(source)


def read_text(source: Source | Sequence[Source]) -> Text:
    """The whole text, files one after the other (with a line end between two where the first lacks one).

    DataError: no such file, not UTF-8 (line and byte offset named), a NUL, nothing but white space, or more than
    MAX_CHARACTERS.
    """
    pieces: list[str] = []
    files: list[tuple[str, int]] = []
    digest = hashlib.sha256()
    total = 0
    for file in text_files(source):
        before = total
        for chunk in text_chunks(file):
            if total == before and pieces and not pieces[-1].endswith("\n"):
                chunk = "\n" + chunk
            pieces.append(chunk)
            digest.update(chunk.encode("utf-8"))
            total += len(chunk)
            if total > MAX_CHARACTERS:
                raise DataError(
                    tr("the text has more than {n} characters, too much to hold at once", n=f"{MAX_CHARACTERS:,}"),
                    where=shown(file),
                )
        files.append((shown(file), total - before))
    if not any(chunk and not chunk.isspace() for chunk in pieces):
        names = ", ".join(name for name, _ in files[:3])
        raise DataError(tr("there is no text in it"), where=names)
    return Text("".join(pieces), digest.hexdigest(), tuple(files))
