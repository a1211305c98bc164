"""Word vectors from a text file, as GloVe, word2vec and fastText write them: a word and its numbers on each line.

The file may be far larger than memory: it is read line by line, and only the rows of a vocabulary are kept. A first
line of two whole numbers (how many words, how many numbers each) is a header; GloVe has none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnncli.data.source import Source, lines_of, name_of
from rnncli.data.vocab import Vocab
from rnncli.errors import DataError
from rnncli.locale import tr, trn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

EXACT, LOWER, MISSING = 0, 1, 2  # how a token was found: as it stands, in small letters, not at all


@dataclass(frozen=True)
class Vectors:
    """table: (V, width) float32, 0 where there is no vector. found: (V,), EXACT, LOWER or MISSING. words: how many the
    file has. promised: how many its header names, None without one."""

    table: npt.NDArray[np.float32]
    found: npt.NDArray[np.int8]
    words: int
    promised: int | None = None


def read_vectors(source: Source, vocab: Vocab, width: int) -> Vectors:
    """The vectors of a vocabulary's tokens; of a token that the file lacks, those of its small letters. Of a word that
    the file has twice, the first. A line is checked for its width, and for its numbers where the vocabulary has it.

    Raises DataError with the line: another width, a value that is not a number, text that is not UTF-8; no token found.
    """
    import numpy as np

    wanted: dict[str, list[tuple[int, int]]] = defaultdict(list)  # word -> (number of a token, how it is found)
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
                "vectors of another language? A line is a word and its numbers, as GloVe and fastText (.vec) write"
            ),
        )
    return Vectors(table, found, words, promised)


def coverage(vectors: Vectors, vocab: Vocab, counts: Sequence[int], name: str) -> list[str]:
    """Sentences on how much of a vocabulary, and of the text that it is of, has a vector. counts: of each token."""
    import numpy as np

    there = vectors.found != MISSING
    seen = np.array(counts, np.int64)
    text = tr(
        "{name}: vectors for {found} of {n} tokens ({share}), {text} of the training text; "
        "{lower} of them by their small letters; the others keep random ones",
        name=name,
        found=f"{int(there.sum()):,}",
        n=f"{len(vocab):,}",
        share=f"{there.mean():.1%}",
        text=f"{seen[there].sum() / max(1, seen.sum()):.1%}",
        lower=f"{int((vectors.found == LOWER).sum()):,}",
    )
    if vectors.promised in (None, vectors.words):
        return [text]
    said = tr(
        "{name} has {n} words where its first line says {promised}: is it whole?",
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
    """The word and its numbers. A word may have blanks in it (GloVe's 840B has `. . .`)."""
    word, blank, numbers = line.replace("\t", " ").partition(" ")
    wide = numbers.count(" ") + bool(blank)
    if wide == width:
        return word, numbers
    cells = line.split()
    if len(cells) == width + 1:  # more than one blank between two
        return cells[0], " ".join(cells[1:])
    if len(cells) > width + 1 and not all(map(_is_number, cells[1:-width])):
        return " ".join(cells[:-width]), " ".join(cells[-width:])
    _require_width(len(cells) - 1, width, source, number)
    raise AssertionError  # it has that width


def _require_width(wide: int, width: int, source: Source, number: int) -> None:
    if wide != width:
        raise DataError(
            trn(
                "a vector of {n} number, and embedding_size is {width}",
                "a vector of {n} numbers, and embedding_size is {width}",
                n=wide,
                width=width,
            ),
            where=f"{name_of(source)}:{number}",
            todo=tr("--set model.embedding_size={n}", n=wide)
            if number == 1 and wide
            else tr("every line has a word and as many numbers"),
        )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(cells: str, source: Source, number: int) -> npt.NDArray[np.float32]:
    import numpy as np

    found = cells.split(" ")
    bad = next((cell for cell in found if not _is_number(cell)), None)
    if bad is None:
        with np.errstate(over="ignore"):
            row = np.array(found, np.float64).astype(np.float32)
        if np.isfinite(row).all():
            return row
        bad = found[int(np.flatnonzero(~np.isfinite(row))[0])]
    raise DataError(
        tr("{cell} is not a number that a weight can have", cell=f"{bad!r:.40}"),
        where=f"{name_of(source)}:{number}",
        todo=tr("fix or delete the line"),
    )
