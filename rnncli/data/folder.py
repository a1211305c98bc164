"""Labelled examples from a folder: a .txt per class, a folder per class, or the label in each file's name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rnncli.data.skipped import Skipped
from rnncli.errors import DataError
from rnncli.files import fingerprint, read_chunks, read_lines, shown
from rnncli.locale import tr, trn

ENDINGS = (".txt", ".txt.gz")
MAX_SAMPLE = 16 << 20  # characters in a file that is one example


@dataclass(frozen=True)
class Sample:
    """where: `file` or `file:line`."""

    where: str
    text: str
    label: str


class NamePattern:
    """Fields of a file name, as in `{digit}_{speaker}_{take}.wav`; `*` matches a field that is not needed.

    A field is one or more characters, none of them the character that follows it in the pattern, so that a name matches
    in at most one way.
    """

    def __init__(self, pattern: str, *needed: str | int | None) -> None:
        """needed: fields that the pattern must have; None is ignored. Raises DataError."""
        self.pattern = pattern
        self.fields: list[str] = []
        parts = re.split(r"(\{[^{}]*\}|\*)", pattern)  # literal, field, literal, field ... literal
        regex = re.escape(parts[0])
        for field, literal in zip(parts[1::2], parts[2::2], strict=True):
            last = field is parts[-2] and not literal
            if not literal and not last:
                raise DataError(
                    tr("{pattern}: two fields need a character between them", pattern=repr(pattern)),
                )
            body = "[^/]+" if last else f"[^/{re.escape(literal[0])}]+"
            if field == "*":
                regex += body
            else:
                name = field[1:-1]
                if not name.isidentifier() or name in self.fields:
                    raise DataError(
                        tr(
                            "{pattern}: {field} is not a field name, or occurs twice",
                            pattern=repr(pattern),
                            field=field,
                        )
                    )
                self.fields.append(name)
                regex += f"(?P<{name}>{body})"
            regex += re.escape(literal)
        self._regex = re.compile(regex)
        self.needed = [str(field) for field in needed if field is not None]
        for field in self.needed:
            if field not in self.fields:
                raise DataError(
                    tr("{pattern} has no field {field}", pattern=repr(pattern), field="{" + field + "}"),
                    todo=tr("its fields: {fields}", fields=", ".join(self.fields) or "-"),
                )

    def match(self, name: str) -> dict[str, str] | None:
        """Field -> text, or None if the name does not match."""
        found = self._regex.fullmatch(name)
        return found.groupdict() if found else None


def files_in(folder: str | Path, endings: tuple[str, ...], skipped: Skipped) -> list[Path]:
    """The folder's files with one of these endings, by name. Hidden files are skipped, others noted."""
    files = [entry for entry in entries(folder) if not entry.is_dir()]
    found = [file for file in files if file.name.lower().endswith(endings)]
    if len(found) < len(files):
        skipped.note(
            trn(
                "{folder}: {n} file that is not {endings} is not read",
                "{folder}: {n} files that are not {endings} are not read",
                folder=shown(folder),
                n=len(files) - len(found),
                endings=" ".join(endings),
            )
        )
    return found


def read_class_folder(folder: str | Path, skipped: Skipped) -> Iterator[Sample]:
    """Read the examples of a folder of texts.

    English.txt, French.txt ...: the file's name is the class, each non-blank line an example. Folders pos/, neg/ ...:
    the folder's name is the class, each .txt in it an example. Raises DataError for a folder of neither kind, of both,
    or of a single class.
    """
    texts = [entry for entry in entries(folder) if not entry.is_dir() and entry.name.endswith(ENDINGS)]
    folders = [entry for entry in entries(folder) if entry.is_dir()]
    if texts and folders:
        raise DataError(
            tr("contains both .txt files and folders: which are the classes?"),
            where=shown(folder),
            todo=tr("keep one kind: a .txt per class, or a folder per class"),
        )
    if len(texts) + len(folders) < 2:
        raise DataError(
            tr("this folder has fewer than two classes"),
            where=shown(folder),
            todo=tr("use a .txt per class with one example per line, or a folder per class with one .txt per example"),
        )
    for path in texts:
        label = path.name.removesuffix(".gz").removesuffix(".txt")
        for number, line in read_lines(path):
            if line.strip():
                skipped.good()
                yield Sample(f"{shown(path)}:{number}", line.strip(), label)
    for path in folders:
        for file in files_in(path, ENDINGS, skipped):
            text = _whole(file, skipped)
            if text is not None:
                yield Sample(shown(file), text, path.name)
    skipped.finish(shown(folder))


def class_folder_fingerprint(folder: str | Path) -> str:
    """sha256 over the relative names and the contents of every file that read_class_folder reads."""
    digest = hashlib.sha256()
    for entry in entries(folder):
        for path in entries(entry) if entry.is_dir() else [entry]:
            if path.name.endswith(ENDINGS) and not path.is_dir():
                digest.update(f"{fingerprint(path)} {shown(path.relative_to(folder))}\n".encode())
    return digest.hexdigest()


def with_fields(pattern: NamePattern, paths: Iterable[Path], skipped: Skipped) -> Iterator[tuple[Path, str, str]]:
    """Each path with the fields of its name that the pattern needs: a label, and a group, "" if it needs none. A name
    that does not match is a bad record."""
    for path in paths:
        fields = pattern.match(path.name)
        if fields is None:
            skipped.bad(shown(path), tr("the name does not match {pattern}", pattern=pattern.pattern))
        else:
            label, group, *_ = [*(fields[name] for name in pattern.needed), ""]
            yield path, label, group


def entries(folder: str | Path) -> list[Path]:
    """What is in a folder, by name, except hidden files."""
    try:
        return sorted(entry for entry in Path(folder).iterdir() if not entry.name.startswith("."))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(tr("cannot be read as a folder: {why}", why=why), where=shown(folder)) from error


def _whole(path: Path, skipped: Skipped) -> str | None:
    pieces: list[str] = []
    length = 0
    try:
        for chunk in read_chunks(path):
            pieces.append(chunk)
            length += len(chunk)
            if length > MAX_SAMPLE:
                raise DataError(tr("longer than {n} characters", n=f"{MAX_SAMPLE:,}"), where=shown(path))
    except DataError as error:
        skipped.bad(error.where, error.what)
        return None
    text = "".join(pieces).strip()
    if not text:
        skipped.bad(shown(path), tr("contains no text"))
        return None
    skipped.good()
    return text
