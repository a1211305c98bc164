"""Sentences in column format, one word a line, columns separated by tabs or blanks: two columns, CoNLL-2000,
CoNLL-2003 (Tjong Kim Sang and De Meulder 2003: word, part of speech, chunk, entity).

On output, everything except the tags is reproduced exactly.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from rnncli.data.conllu import WHITE, Layout, Malformed, bare
from rnncli.data.source import Source, lines_of, name_of
from rnncli.errors import DataError
from rnncli.locale import tr, trn

DOCUMENT = "-DOCSTART-"  # in place of a word: the start of a document
HEAD = 200  # non-blank lines examined to detect how columns are separated

_BLANKS = re.compile(r"[^ \t]+")


@dataclass(frozen=True)
class Columns(Layout):
    """How lines are split: at every tab, or at runs of blanks. width: number of columns. tag: index of the tag column;
    column 0 is the word."""

    cut: Literal["tabs", "blanks"]
    width: int
    tag: int
    format = "tsv"

    def words(self, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, str | None]]:
        """A one-column line has no tag (None)."""
        started = False
        for i, text in lines:
            if not started and self.is_remark(text):
                continue
            cells = self.cells(text)
            if why := self._faulty(cells):
                raise Malformed(why, i)
            started = True
            yield i, cells[0], cells[self.tag] if len(cells) > 1 else None

    def _faulty(self, cells: Sequence[str]) -> str:
        """Why a line is not a valid word line, or ""."""
        if len(cells) not in (1, self.width):
            return trn("has {n} column, not {wanted}", "has {n} columns, not {wanted}", n=len(cells), wanted=self.width)
        return "" if cells[0] and (len(cells) == 1 or cells[self.tag]) else tr("the word or the tag is empty")

    def put(self, line: str, tag: str) -> str:
        """The tag is appended where a line has only a word."""
        spans = self.spans(line)
        if len(spans) == 1:
            return line + ("\t" if self.cut == "tabs" else " ") + tag
        start, end = spans[self.tag]
        return line[:start] + tag + line[end:]

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Start and end of each cell of a line."""
        if self.cut == "blanks":
            return [found.span() for found in _BLANKS.finditer(line)]
        ends = [i for i, character in enumerate(line) if character == "\t"] + [len(line)]
        return list(zip([0, *(end + 1 for end in ends)], ends, strict=False))

    def cells(self, line: str) -> list[str]:
        return [line[start:end].strip(WHITE) for start, end in self.spans(line)]

    def is_remark(self, line: str) -> bool:
        """Whether a line before a sentence's first word is a comment or a document marker."""
        cells = self.cells(line)
        remark = line.startswith("#") and " " in line and len(cells) != self.width  # a lone "#happy" is a word
        return remark or cells[0] == DOCUMENT

    def about(self) -> str:
        """One sentence."""
        cut = tr("tabs") if self.cut == "tabs" else tr("blanks")
        return tr(
            "{n} columns separated by {cut}: column 0 is the word, column {tag} the tag",
            n=self.width,
            cut=cut,
            tag=self.tag,
        )


def columns_of(lines: Iterable[str], name: str, tag: str = "") -> Columns:
    """Detect from the first lines how a file is split: at tabs if most have one. tag: a column index; default: the
    last.

    Raises DataError if there is no such column.
    """
    with_something = (text for line in lines if (text := bare(line)).strip(WHITE))
    head = list(islice(with_something, HEAD))
    tabs = sum(1 if "\t" in line else -1 for line in head if len(line.split()) > 1 and not line.startswith("#"))
    cut: Literal["tabs", "blanks"] = "tabs" if tabs > 0 else "blanks"
    counts = Counter(len(Columns(cut, 2, 1).spans(line)) for line in head)
    del counts[1]
    width = min(counts, key=lambda n: (-counts[n], n), default=2)
    if not (tag.isdecimal() and tag.isascii()):
        return Columns(cut, width, width - 1)
    if len(tag) > 3 or not 0 < int(tag) < width:
        raise DataError(
            tr("no tag column {tag}", tag=tag),
            where=name,
            todo=tr("the file has {n} columns, numbered from 0; column 0 is the word", n=width),
        )
    return Columns(cut, width, int(tag))


def columns_of_file(source: Source, tag: str = "") -> Columns:
    """See `columns_of`."""
    return columns_of((line for _, line in lines_of(source)), name_of(source), tag)
