"""Files of tagged sentences: CoNLL-U or columns, as their first lines tell; read, and given back with other tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal

from rnncli.data.columns import Columns, column_blocks, columns_of, columns_of_file, columns_with_tags, read_columns
from rnncli.data.conllu import (
    FIELDS,
    WHITE,
    Broken,
    Lines,
    Sentence,
    bare,
    conllu_blocks,
    conllu_with_tags,
    read_conllu,
)
from rnncli.data.skipped import Skipped
from rnncli.data.source import lines_of, name_of
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.records import Json

FileFormat = Literal["conllu", "tsv"]
LONGEST = 1000  # lines of a first sentence that are looked at

_FIRST_ID = re.compile(r"1(-[1-9][0-9]{0,8})?|0\.1")


@dataclass(frozen=True)
class Tagged:
    """How a file is read. tag: the field of CoNLL-U. columns: how others are cut; None of CoNLL-U."""

    tag: str
    columns: Columns | None = None

    @property
    def format(self) -> FileFormat:
        return "conllu" if self.columns is None else "tsv"

    def sentences(self, source: str, skipped: Skipped) -> Iterator[Sentence]:
        if self.columns is None:
            return read_conllu(source, skipped, self.tag)
        return read_columns(source, skipped, self.columns)

    def blocks(self, name: str, lines: Lines) -> Iterator[Sentence | Broken]:
        """Of lines, sentence by sentence; what stands between them, too."""
        if self.columns is None:
            return conllu_blocks(name, self.tag, lines)
        return column_blocks(name, self.columns, lines)

    def with_tags(self, block: Sentence, tags: Sequence[str]) -> str:
        """The block as it was, with the tags in place."""
        if self.columns is None:
            return conllu_with_tags(block, tags, self.tag)
        return columns_with_tags(block, tags, self.columns)


def tagged_file(source: str, form: Literal["auto", "conllu", "tsv"], tag: str) -> Tagged:
    """How a file is read. tag: of a recipe. Raises DataError."""
    if form == "auto":
        first = next((line for _, line in lines_of(source) if not _passed_over(line)), "")
        form = "conllu" if _is_conllu(first) else "tsv"
    return Tagged(tag) if form == "conllu" else Tagged(tag, columns_of_file(source, tag))


def _passed_over(line: str) -> bool:
    return not bare(line).strip(WHITE) or bare(line).startswith("#")


def _is_conllu(line: str) -> bool:
    """By a file's first line with something in it: as many columns, or at least the first word's number."""
    cells = bare(line).split("\t")
    return len(cells) == len(FIELDS) or (len(cells) > 2 and _FIRST_ID.fullmatch(cells[0]) is not None)


def suggest_tag(path: str) -> dict[str, Json]:
    """The tag to learn: upos, or xpos where the file has no upos; of more than two columns, the last."""
    file = tagged_file(path, "auto", "")
    if file.columns is not None:
        return {} if file.columns.width == 2 else {"data.tag": str(file.columns.tag)}
    for tag in ("upos", "xpos"):
        if any(any(sentence.tags) for sentence in islice(read_conllu(path, Skipped("skip"), tag), 100)):
            return {"data.tag": tag}
    raise DataError(tr("neither upos nor xpos holds a tag"), where=name_of(path))


class GivenLines:
    """Lines as a file or standard input has them, looked into as far as it takes to know whether they are CoNLL-U,
    columns, or plain texts.

    learnt: how the run's own files were cut, None for one that learnt from CoNLL-U. tags: those that it knows.
    """

    def __init__(self, lines: Iterable[str], learnt: Columns | None, tag: str, tags: Container[str]) -> None:
        lines = iter(lines)
        head = _until(lines, lambda line: not _passed_over(line))
        first = head[-1] if head else ""
        self.file: Tagged | None = None
        if _is_conllu(first):
            self.file = Tagged(tag if learnt is None else "upos")
        elif "\t" in first or (learnt is not None and learnt.cut == "blanks"):
            before = len(head) - 1
            head += _until(lines, lambda line: not bare(line).strip(WHITE))
            if (cut := _columns(head[before:], learnt, tags)) is not None:
                self.file = Tagged(tag, cut)
        self._whole = chain(head, lines)

    def __iter__(self) -> Iterator[str]:
        return self._whole

    def numbered(self) -> Lines:
        return enumerate(self._whole, 1)


def _until(lines: Iterator[str], last: Callable[[str], bool]) -> list[str]:
    """Lines up to the first of that kind, not too many."""
    found: list[str] = []
    for line in lines:
        found.append(line)
        if last(line) or len(found) == LONGEST:
            break
    return found


def _columns(sentence: Sequence[str], learnt: Columns | None, tags: Container[str]) -> Columns | None:
    """How the lines of a first sentence are cut, None where they are texts. Tabs mean columns where a word stands in
    the first and the last; blanks, which texts have too, only to a run that learnt from such a file, and where the tags
    are those it knows."""
    found = columns_of(sentence, "-")
    if learnt is not None and learnt.width == found.width:
        found = Columns(found.cut, found.width, learnt.tag)
    cells = [found.cells(text) for line in sentence if (text := bare(line)).strip(WHITE)]
    if found.cut == "tabs":
        words = all(" " not in row[0] and " " not in row[-1] for row in cells)
        return found if words or learnt is not None else None
    fits = all(len(row) == found.width and row[found.tag] in tags for row in cells)
    return found if fits and learnt is not None and learnt.cut == "blanks" else None
