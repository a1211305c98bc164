"""Files of tagged sentences: CoNLL-U or columns, detected from the first lines; read, and written back with predicted
tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Literal

from rnncli.data.columns import Columns, columns_of, columns_of_file
from rnncli.data.conllu import FIELDS, WHITE, Conllu, Layout, Lines, bare
from rnncli.data.skipped import Skipped
from rnncli.data.source import lines_of, name_of
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.records import Json

LONGEST = 1000  # maximum lines of the first sentence to examine

_FIRST_ID = re.compile(r"1(-[1-9][0-9]{0,8})?|0\.1")


def tagged_file(source: str, form: Literal["auto", "conllu", "tsv"], tag: str) -> Layout:
    """Detect how a file is read. tag: the recipe's setting. Raises DataError."""
    if form == "auto":
        first = next((line for _, line in lines_of(source) if not _passed_over(line)), "")
        form = "conllu" if _is_conllu(first) else "tsv"
    return Conllu(tag) if form == "conllu" else columns_of_file(source, tag)


def _passed_over(line: str) -> bool:
    return not bare(line).strip(WHITE) or bare(line).startswith("#")


def _is_conllu(line: str) -> bool:
    """From a file's first non-blank line: ten columns, or at least a word index first."""
    cells = bare(line).split("\t")
    return len(cells) == len(FIELDS) or (len(cells) > 2 and _FIRST_ID.fullmatch(cells[0]) is not None)


def suggest_tag(path: str) -> dict[str, Json]:
    """The tag to learn: upos, or xpos if the file has no upos; with more than two columns, the last."""
    file = tagged_file(path, "auto", "")
    if isinstance(file, Columns):
        return {} if file.width == 2 else {"data.tag": str(file.tag)}
    for tag in ("upos", "xpos"):
        if any(any(sentence.tags) for sentence in islice(Conllu(tag).sentences(path, Skipped("skip")), 100)):
            return {"data.tag": tag}
    raise DataError(tr("neither upos nor xpos has tags"), where=name_of(path))


class GivenLines:
    """Lines of a file or of standard input, read ahead as far as needed to detect CoNLL-U, columns, or plain text.

    learned: the layout of the run's training files, None for CoNLL-U. tags: the run's tags.
    """

    def __init__(self, lines: Iterable[str], learned: Columns | None, tag: str, tags: Container[str]) -> None:
        lines = iter(lines)
        head = _until(lines, lambda line: not _passed_over(line))
        first = head[-1] if head else ""
        self.file: Layout | None = None
        if _is_conllu(first):
            self.file = Conllu(tag if learned is None else "upos")
        elif "\t" in first or (learned is not None and learned.cut == "blanks"):
            before = len(head) - 1
            head += _until(lines, lambda line: not bare(line).strip(WHITE))
            self.file = _columns(head[before:], learned, tags)
        self._whole = chain(head, lines)

    def __iter__(self) -> Iterator[str]:
        return self._whole

    def numbered(self) -> Lines:
        return enumerate(self._whole, 1)


def _until(lines: Iterator[str], last: Callable[[str], bool]) -> list[str]:
    """Lines up to the first such line, but not too many."""
    found: list[str] = []
    for line in lines:
        found.append(line)
        if last(line) or len(found) == LONGEST:
            break
    return found


def _columns(sentence: Sequence[str], learned: Columns | None, tags: Container[str]) -> Columns | None:
    """The column layout of a first sentence, None for plain text. Tabs mean columns if the first and last cells are
    words; blanks, which plain text has too, only for a run trained on such a file, and only if it knows the tags."""
    found = columns_of(sentence, "-")
    if learned is not None and learned.width == found.width:
        found = Columns(found.cut, found.width, learned.tag)
    cells = [found.cells(text) for line in sentence if (text := bare(line)).strip(WHITE)]
    if found.cut == "tabs":
        words = all(" " not in row[0] and " " not in row[-1] for row in cells)
        return found if words or learned is not None else None
    fits = all(len(row) == found.width and row[found.tag] in tags for row in cells)
    return found if fits and learned is not None and learned.cut == "blanks" else None
