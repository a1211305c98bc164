"""Columns of word and tag: two, three and four, by tabs and by blanks, as they stand in shared tasks' files."""

from pathlib import Path

import pytest

from rnncli.data.columns import Columns, columns_of_file
from rnncli.data.conllu import Broken, Sentence
from rnncli.data.skipped import Skipped
from rnncli.errors import DataError

CONLL03 = "-DOCSTART- -X- -X- O\n\nU.N. NNP I-NP I-ORG\nofficial  NN I-NP O\n\n# # # O\n1996 CD\tI-NP O\n"
CONLL00 = "Rockwell NNP B-NP\nsaid VBD B-VP\n\n-DOCSTART- -X- O\n\nthe DT B-NP\n"
WNUT = "#happy\tO\n\u00a0\tO\n#\tO\n\u3000\tB-x\n\n\ufeffNew York\tB-loc\r\n"
COMMENTED = "# id = 1\nder\tART\tx\tO\n\n# a comment of words\nHund\tNN\tx\tB\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(
    ("text", "columns", "tokens", "tags"),
    [
        (CONLL03, ("blanks", 4, 3), "U.N. official|# 1996", "I-ORG O|O O"),
        (CONLL00, ("blanks", 3, 2), "Rockwell said|the", "B-NP B-VP|B-NP"),
        (COMMENTED, ("tabs", 4, 3), "der|Hund", "O|B"),
        ("the DET\ncat NOUN\n", ("blanks", 2, 1), "the cat", "DET NOUN"),
    ],
)
def test_shared_tasks(tmp_path: Path, text: str, columns: tuple[str, int, int], tokens: str, tags: str) -> None:
    path = write(tmp_path / "x", text)
    found = columns_of_file(path)
    assert (found.cut, found.width, found.tag) == columns
    sentences = list(columns_of_file(path).sentences(path, Skipped()))
    assert "|".join(" ".join(one.tokens) for one in sentences) == tokens
    assert "|".join(" ".join(map(str, one.tags)) for one in sentences) == tags
    assert "".join("".join(block.raw) for block in found.blocks(path)) == text


def test_words_that_are_white_space_or_signs(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", WNUT)
    one, two = columns_of_file(path).sentences(path, Skipped())
    assert (one.tokens, two.tokens) == (("#happy", "\u00a0", "#", "\u3000"), ("New York",))
    assert columns_of_file(path).with_tags(one, list("abcd")) == "#happy\ta\n\u00a0\tb\n#\tc\n\u3000\td\n\n"
    assert columns_of_file(path).with_tags(two, ["LOC"]) == "\ufeffNew York\tLOC\r\n"


def test_a_column_by_number(tmp_path: Path) -> None:
    path = write(tmp_path / "x", CONLL03)
    found = columns_of_file(path, "1")
    assert [one.tags for one in found.sentences(path, Skipped())] == [("NNP", "NN"), ("#", "CD")]
    second = list(found.sentences(path, Skipped()))[1]
    assert found.with_tags(second, ["SYM", "NUM"]) == "# SYM # O\n1996 NUM\tI-NP O\n"
    assert columns_of_file(path, "upos").tag == 3
    for number in ("0", "4", "1000", "99999999999"):
        with pytest.raises(DataError, match="no tag column") as refused:
            columns_of_file(path, number)
    assert refused.value.todo == "the file has 4 columns, numbered from 0; column 0 is the word"


def test_two_columns_and_lines_that_do_not_fit(tmp_path: Path) -> None:
    text = "\nthe\tDET\r\ndog\tNOUN\r\n\r\n\nruns\n\nbad\tX\tY\n\n\t\n"
    path = write(tmp_path / "x.tsv", text)
    skipped = Skipped("skip")
    one, two = columns_of_file(path).sentences(path, skipped)
    assert (one.tokens, one.tags) == (("the", "dog"), ("DET", "NOUN"))
    assert (two.tokens, two.tags) == (("runs",), (None,))
    assert skipped.count == 1
    assert skipped.first[0] == (f"{path}:8", "has 3 columns, not 2")
    assert columns_of_file(path).with_tags(two, ["VERB"]) == "\nruns\tVERB\n\n"
    blocks = list(Columns("tabs", 2, 1).blocks(path))
    assert "".join("".join(block.raw) for block in blocks) == text
    assert [isinstance(block, Broken) for block in blocks] == [False, False, True, False]
    empty = next(Columns("tabs", 2, 1).blocks("-", [(1, "the\t\n")]))
    assert isinstance(empty, Broken)
    assert empty.why == "the word or the tag is empty"
    alone = next(Columns("blanks", 3, 2).blocks("-", [(1, "the\n")]))
    assert isinstance(alone, Sentence)
    assert Columns("blanks", 3, 2).with_tags(alone, ["DT"]) == "the DT\n"
