"""Sentences with one tag per word: CoNLL-U (https://universaldependencies.org/format.html).

A sentence keeps its lines verbatim, so that predicted tags can be written back without changing anything else, not even
line ends.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from rnncli.data.skipped import Skipped
from rnncli.data.source import Source, lines_of, name_of
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.names import nearest

FIELDS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
LEARNT = ("upos", "xpos", "lemma", "deprel")
Lines = Iterable[tuple[int, str]]  # (line number, line with its end)
WHITE = " \t\r\n"  # separators; other white space, such as U+00A0 or U+3000, can be a word
MAX_SENTENCE = 32 << 20  # characters between two blank lines; with more, this is not CoNLL-U

_WORD = re.compile(r"[1-9][0-9]{0,8}\Z")
_RANGE = re.compile(r"([1-9][0-9]{0,8})-([1-9][0-9]{0,8})\Z")
_EMPTY = re.compile(r"(0|[1-9][0-9]{0,8})\.[1-9][0-9]{0,8}\Z")


@dataclass(frozen=True)
class Sentence:
    """tokens and tags: one per word; a tag is None where the file has `_`.

    where: `file:line` of its first line. raw: every line verbatim, line ends included; at[i]: index in raw of word i.
    """

    where: str
    tokens: tuple[str, ...]
    tags: tuple[str | None, ...]
    raw: tuple[str, ...]
    at: tuple[int, ...]


@dataclass(frozen=True)
class Broken:
    """A malformed sentence. where: the offending line."""

    where: str
    why: str
    raw: tuple[str, ...]


def check_field(field: str) -> str:
    """Validate a recipe's field: upos, xpos, lemma or deprel, by name or by index from 0, or a feature such as
    Number."""
    if field.isdecimal() and field.isascii() and len(field) < 3 and int(field) < len(FIELDS):
        field = FIELDS[int(field)]
    if field in LEARNT or (field[:1].isupper() and not set(field) & set("=|\t\n\r ")):
        return field
    near = nearest(field, (*LEARNT, "Number", "Case", "Gender", "Tense"))
    raise DataError(
        tr("{field} is not a CoNLL-U column that can be learned", field=repr(field)),
        todo=tr("upos, xpos, lemma, deprel, or a feature such as Number")
        + (tr("; did you mean {name}?", name=near) if near else ""),
    )


class Malformed(Exception):
    """Why a block of lines is not a sentence. index: of the offending line."""

    def __init__(self, why: str, index: int = 0) -> None:
        super().__init__(why)
        self.index = index


class Layout(ABC):
    """How a file has its sentences: one word a line, with its tag, and a blank line after each sentence."""

    format: ClassVar[Literal["conllu", "tsv"]]

    @abstractmethod
    def words(self, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, str | None]]:
        """(index, word, tag) of each word of a block. lines: (index, line without its end), those that are not blank.
        Raises Malformed."""

    @abstractmethod
    def put(self, line: str, tag: str) -> str:
        """A word's line with this tag; every other character unchanged."""

    def blocks(self, source: Source, lines: Lines | None = None) -> Iterator[Sentence | Broken]:
        """Every block of lines up to a blank line; joined, their `raw` is the file. A block of comments or blank lines
        has no tokens. lines: read these instead of the source, which then only provides the name."""
        name = name_of(source)
        for first, raw in blocks_of(source, lines):
            filled = ((i, text) for i, line in enumerate(raw) if (text := bare(line)).strip(WHITE))
            try:
                words = list(self.words(filled))
            except Malformed as fault:
                yield Broken(f"{name}:{first + fault.index}", str(fault), raw)
            else:
                at, tokens, tags = zip(*words, strict=True) if words else ((), (), ())
                yield Sentence(f"{name}:{first}", tokens, tags, raw, at)

    def sentences(self, source: Source, skipped: Skipped) -> Iterator[Sentence]:
        """The sentences of a file; one with a malformed line is a bad record."""
        for block in self.blocks(source):
            if isinstance(block, Broken):
                skipped.bad(block.where, block.why)
            elif block.tokens:
                skipped.good()
                yield block
        skipped.finish(name_of(source))

    def with_tags(self, sentence: Sentence, tags: Sequence[str]) -> str:
        """The sentence's own lines with these tags, one per word."""
        if len(tags) != len(sentence.tokens):
            raise ValueError(f"{len(tags)} tags for {len(sentence.tokens)} words")
        lines = list(sentence.raw)
        for i, tag in zip(sentence.at, tags, strict=True):
            text = bare(lines[i])
            start = lines[i].index(text)
            lines[i] = lines[i][:start] + self.put(text, tag) + lines[i][start + len(text) :]
        return "".join(lines)


@dataclass(frozen=True)
class Conllu(Layout):
    """field: see check_field. A word without the feature has the tag `_` (which can be learned, too); a word whose
    column is `_` has None. Multiword tokens (1-2) and empty nodes (1.1) have no tag and are skipped."""

    field: str = "upos"
    format = "conllu"

    def words(self, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, str | None]]:
        field = check_field(self.field)
        column = FIELDS.index(field) if field in FIELDS else None
        count = range_end = 0
        for i, text in lines:
            if text.startswith("#") and not count:
                continue
            cells = text.split("\t")
            if why := _faulty(cells, count, range_end):
                raise Malformed(why, i)
            if found := _RANGE.match(cells[0]):
                range_end = int(found[2])
            elif _WORD.match(cells[0]):
                count += 1
                yield i, cells[1], _feature(cells[5], field) if column is None else _value(cells[column])
        if range_end > count:
            raise Malformed(tr("a multiword token extends beyond the last word"))

    def put(self, line: str, tag: str) -> str:
        """A feature is inserted among the others in their order; the tag `_` removes it."""
        field, cells = check_field(self.field), line.split("\t")
        if field in FIELDS:
            cells[FIELDS.index(field)] = tag
            return "\t".join(cells)
        pairs = [pair for pair in cells[5].split("|") if pair != "_" and pair.partition("=")[0] != field]
        if tag != "_":
            place = sum(pair.partition("=")[0].lower() < field.lower() for pair in pairs)
            pairs.insert(place, f"{field}={tag}")
        cells[5] = "|".join(pairs) or "_"
        return "\t".join(cells)


def blocks_of(source: Source, lines: Lines | None) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line number of the first line, lines with their ends), each block ending with its first blank line."""
    block: list[str] = []
    content = False
    first = 1
    size = 0
    for number, line in lines_of(source, raw=True) if lines is None else lines:
        block.append(line)
        size += len(line) + 80  # per-line overhead of a short string
        if size > MAX_SENTENCE:
            raise DataError(
                tr("more than {n} lines without a blank one", n=f"{len(block) - 1:,}"),
                where=f"{name_of(source)}:{number}",
                todo=tr("a blank line ends a sentence; is this really a treebank?"),
            )
        blank = not bare(line).strip(WHITE)
        content = content or not blank
        if blank and content:
            yield first, tuple(block)
            block, content, first, size = [], False, number + 1, 0
    if block:
        yield first, tuple(block)


def bare(line: str) -> str:
    """A line without its end and without a byte order mark."""
    return line.removeprefix("\ufeff").rstrip("\r\n")


def _faulty(cells: list[str], words: int, range_end: int) -> str:
    """Why a line cannot follow `words` words, or ""."""
    if len(cells) != len(FIELDS):
        return trn("has {n} tab-separated column, not 10", "has {n} tab-separated columns, not 10", n=len(cells))
    number = cells[0]
    if _WORD.match(number):
        if int(number) != words + 1:
            return tr("expected word {wanted}, found word {got}", got=number, wanted=words + 1)
    elif found := _RANGE.match(number):
        if int(found[1]) != words + 1 or int(found[2]) < int(found[1]) or range_end > words:
            return tr("multiword token {id} does not match the words around it", id=number)
    elif _EMPTY.match(number):
        if int(number.split(".")[0]) != words:
            return tr("empty node {id} does not follow its word", id=number)
    else:
        return tr("{id} is not a word index", id=repr(number))
    return "" if cells[1] else tr("the word is empty")


def _value(cell: str) -> str | None:
    return None if cell in ("_", "") else cell


def _feature(feats: str, name: str) -> str:
    for pair in feats.split("|"):
        key, _, value = pair.partition("=")
        if key == name:
            return value
    return "_"
