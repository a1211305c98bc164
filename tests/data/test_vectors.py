"""Files of word vectors: as people have them, and as they should not be."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from rnncli.data.vectors import EXACT, LOWER, MISSING, Vectors, coverage, read_vectors
from rnncli.data.vocab import Vocab
from rnncli.errors import DataError

VOCAB = Vocab(("<unk>", "The", "cat", "Cat", "sat"), ("<unk>",))
LINES = "the 1 2\ncat 0.5 -0.25\nmat 9 9\n"


def read(path: Path, text: str | bytes, width: int = 2) -> Vectors:
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return read_vectors(path, VOCAB, width)


def test_the_rows_of_a_vocabulary(tmp_path: Path) -> None:
    """As they stand, else in small letters; whatever the file has besides is not kept."""
    found = read(tmp_path / "a.txt", LINES)
    assert found.table.tolist() == [[0, 0], [1, 2], [0.5, -0.25], [0.5, -0.25], [0, 0]]
    assert found.found.tolist() == [MISSING, LOWER, EXACT, LOWER, MISSING]
    assert (found.words, found.promised) == (3, None)
    counts = {"The": 1, "cat": 1, "Cat": 1, "sat": 2, "rare": 3, "seldom": 2}  # the last two are read as <unk>
    (said,) = coverage(found, VOCAB, counts, "a.txt")
    assert said.startswith(
        "a.txt: vectors for 3 of 5 tokens (60.0%), 30.0% of the training text; 2 of them in lower case"
    )


@pytest.mark.parametrize(
    "text",
    [
        "3 2\n" + LINES,  # word2vec's and fastText's header
        LINES.replace("\n", " \n"),  # fastText's lines end in a blank
        LINES.replace(" ", "\t"),
        LINES.replace(" ", "  "),
        LINES.replace("\n", "\r\n"),
        "\ufeff" + LINES,
        LINES + "\n\n",
        ". . . 1 1\n" + LINES.removesuffix("mat 9 9\n"),  # a word with blanks, as GloVe's 840B has
        LINES.replace("mat 9 9", "cat 7 7"),  # the first of two
        LINES.replace("0.5 -0.25", "5e-1 -2.5E-1"),
        LINES.replace("mat 9 9", "mat x y"),  # of a word that is not wanted only the width is looked at
    ],
)
def test_other_ways_to_write_the_same(tmp_path: Path, text: str) -> None:
    assert read(tmp_path / "a.vec", text).table.tolist() == read(tmp_path / "b.txt", LINES).table.tolist()


def test_exact_wins_wherever_it_stands(tmp_path: Path) -> None:
    for text in ("cat 1 1\nCat 2 2\n", "Cat 2 2\ncat 1 1\n"):
        assert read(tmp_path / "a.txt", text).table[2:4].tolist() == [[1, 1], [2, 2]]


def test_a_compressed_file_and_one_that_ends_too_early(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.vec.gz", "wt", encoding="utf-8") as file:
        file.write("9 2\n" + LINES)
    found = read_vectors(tmp_path / "a.vec.gz", VOCAB, 2)
    assert found.promised == 9
    assert (
        coverage(found, VOCAB, {"cat": 1}, "a")[1] == "a has 3 words, but its first line says 9: is the file complete?"
    )


@pytest.mark.parametrize(
    ("text", "where", "said", "todo"),
    [
        ("the 1 2 3\n", ":1", "a vector of 3 values, but embedding_size is 2", "--set model.embedding_size=3"),
        ("10 300\nthe 1 2\n", ":1", "a vector of 300 values, but embedding_size is", "--set model.embedding_size=300"),
        ("the 1 2\nmat 1\n", ":2", "a vector of 1 value, but embedding_size is 2", "every line must have a word "
"and the same number of values"),
        ("the 1 2\nmat\n", ":2", "a vector of 0 values", "every line must have a word and the same number of values"),
        ("mat 1 2\nthe 1 x\n", ":2", "'x' is not a valid weight", "fix or delete"),
        ("the 1 nan\n", ":1", "'nan' is not a valid weight", "fix or delete"),
        ("the 1 -inf\n", ":1", "'-inf' is not a valid weight", "fix or delete"),
        ("the 1e39 1\n", ":1", "'1e39' is not a valid weight", "fix or delete"),
        ("le 1 2\n", "a.txt", "none of its 1 words is in the vocabulary", "another language"),
        ("", "a.txt", "none of its 0 words", "another language"),
        (b"the 1 2\n\xff\xfe 1 2\n", ":2", "UTF-8", ""),
        (b"3 2\nthe " + bytes(8), ":2", "", ""),  # word2vec's binary form
        ("the " + "1 " * 40, ":1", "a vector of 40 values", "--set model.embedding_size=40"),
    ],
)  # fmt: skip
def test_hostile_files_in_words(tmp_path: Path, text: str | bytes, where: str, said: str, todo: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.txt", text)
    assert caught.value.where.partition(",")[0].endswith(where), caught.value.where
    assert said in caught.value.what
    assert todo in caught.value.todo


def test_a_large_file_takes_the_memory_of_the_vocabulary(tmp_path: Path) -> None:
    """Twelve megabytes of other words."""
    row = " ".join(["0.12345"] * 50)
    path = tmp_path / "a.vec"
    path.write_text("\n".join(f"w{i} {row}" for i in range(30_000)) + f"\ncat {row}\n")
    tracemalloc.start()
    try:
        found = read_vectors(path, VOCAB, 50)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20 < path.stat().st_size
    finally:
        tracemalloc.stop()
    assert found.words == 30_001
    assert found.table[2, 0] == np.float32(0.12345)
