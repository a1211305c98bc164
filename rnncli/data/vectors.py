"""Word vectors from a text file, in the format of GloVe, word2vec and fastText: one word and its values per line.

The file may be far larger than memory: it is read line by line, and only the rows of a vocabulary are kept. A first
line of two integers (number of words, dimension) is a header; GloVe files have none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rnncli.data.source import Source, lines_of, name_of
from rnncli.data.vocab import Vocab
from rnncli.errors import DataError
from rnncli.locale import tr, trn

EXACT, LOWER, MISSING = 0, 1, 2  # how a token was found: exactly, in lower case, not at all


@dataclass(frozen=True)
class Vectors:
    """table: (V, width) float32, 0 for missing vectors. found: (V,), EXACT, LOWER or MISSING. words: number of words in
    the file. promised: the number in its header, None without one."""

    table: npt.NDArray[np.float32]
    found: npt.NDArray[np.int8]
    words: int
    promised: int | None = None


def read_vectors(source: Source, vocab: Vocab, width: int) -> Vectors:
    """Read the vectors of a vocabulary's tokens, falling back to the lower-cased token. The first of duplicate words
    wins. Every line's width is checked, and its values if the word is in the vocabulary.

    Raises DataError with the line: wrong width, a value that is not a number, text that is not UTF-8; or no token
    found.
    """
    wanted: dict[str, list[tuple[int, int]]] = defaultdict(list)  # word -> (token id, how it is found)
    for row, token in enumerate(vocab.tokens):
        wanted[token].append((row, EXACT))
        if token.lower() != token:
            wanted[token.lower()].append((row, LOWER))
    table = np.zeros((len(vocab), width), np.float32)
    found = np.full(len(vocab), MISSING, np.int8)
    words, promised = 0, None
    for number, line in lines_of(source):
        line = line.strip(" \t\r")
        if number == 1 and (header := _header(line)) is not None:
            promised, wide = header
            _require_width(wide, width, source, number)
            continue
        if not line:
            continue
        word, numbers = _cut(line, width, source, number)
        words += 1
        for row, how in wanted.get(word, ()):
            if how < found[row]:
                table[row] = _numbers(numbers, source, number)
                found[row] = how
    if not words or (found == MISSING).all():
        raise DataError(
            tr("none of its {n} words is in the vocabulary", n=f"{words:,}"),
            where=name_of(source),
            todo=tr(
                "are these vectors of another language? Each line must be a word and its values, as in GloVe and "
                "fastText (.vec)"
            ),
        )
    return Vectors(table, found, words, promised)


def coverage(vectors: Vectors, vocab: Vocab, counts: Mapping[str, int], name: str) -> list[str]:
    """Sentences on the coverage of the vocabulary and of the training text. counts: of each token of that text, with
    those that are read as <unk>."""
    there = vectors.found != MISSING
    covered = sum(counts.get(token, 0) for token, found in zip(vocab.tokens, there, strict=True) if found)
    text = tr(
        "{name}: vectors for {found} of {n} tokens ({share}), {text} of the training text; "
        "{lower} of them in lower case; the others stay random",
        name=name,
        found=f"{int(there.sum()):,}",
        n=f"{len(vocab):,}",
        share=f"{there.mean():.1%}",
        text=f"{covered / max(1, sum(counts.values())):.1%}",
        lower=f"{int((vectors.found == LOWER).sum()):,}",
    )
    if vectors.promised in (None, vectors.words):
        return [text]
    said = tr(
        "{name} has {n} words, but its first line says {promised}: is the file complete?",
        name=name,
        n=f"{vectors.words:,}",
        promised=f"{vectors.promised:,}",
    )
    return [text, said]


def _header(line: str) -> tuple[int, int] | None:
    cells = line.split()
    if len(cells) != 2 or not all(cell.isascii() and cell.isdigit() and len(cell) < 19 for cell in cells):
        return None
    return int(cells[0]), int(cells[1])


def _cut(line: str, width: int, source: Source, number: int) -> tuple[str, str]:
    """The word and its values. A word may contain blanks (GloVe's 840B has `. . .`)."""
    word, blank, numbers = line.replace("\t", " ").partition(" ")
    wide = numbers.count(" ") + bool(blank)
    if wide == width:
        return word, numbers
    cells = line.split()
    if len(cells) == width + 1:  # repeated blanks between values
        return cells[0], " ".join(cells[1:])
    if len(cells) > width + 1 and not all(map(_is_number, cells[1:-width])):
        return " ".join(cells[:-width]), " ".join(cells[-width:])
    _require_width(len(cells) - 1, width, source, number)
    raise AssertionError  # it has that width


def _require_width(wide: int, width: int, source: Source, number: int) -> None:
    if wide != width:
        raise DataError(
            trn(
                "a vector of {n} value, but embedding_size is {width}",
                "a vector of {n} values, but embedding_size is {width}",
                n=wide,
                width=width,
            ),
            where=f"{name_of(source)}:{number}",
            todo=tr("--set model.embedding_size={n}", n=wide)
            if number == 1 and wide
            else tr("every line must have a word and the same number of values"),
        )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(cells: str, source: Source, number: int) -> npt.NDArray[np.float32]:
    found = cells.split(" ")
    bad = next((cell for cell in found if not _is_number(cell)), None)
    if bad is None:
        with np.errstate(over="ignore"):
            row = np.array(found, np.float64).astype(np.float32)
        if np.isfinite(row).all():
            return row
        bad = found[int(np.flatnonzero(~np.isfinite(row))[0])]
    raise DataError(
        tr("{cell} is not a valid weight", cell=f"{bad!r:.40}"),
        where=f"{name_of(source)}:{number}",
        todo=tr("fix or delete the line"),
    )
