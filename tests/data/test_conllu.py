from pathlib import Path

import pytest

from rnncli.data.builtin import builtin_text
from rnncli.data.conllu import Conllu, Sentence, check_field
from rnncli.data.skipped import Skipped
from rnncli.errors import DataError

# The shape of the examples in the format's own description.
VAMONOS = (
    "\ufeff# sent_id = 1\r\n"
    "# text = vámonos al mar\r\n"
    "1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_\r\n"
    "1\tvamos\tir\tVERB\t_\tMood=Ind|Number=Plur\t0\troot\t_\t_\r\n"
    "2\tnos\tnosotros\tPRON\t_\tCase=Acc|Number=Plur|Person=1\t1\tobj\t_\t_\r\n"
    "2.1\tyo\tyo\tPRON\t_\t_\t_\t_\t1:x\t_\r\n"
    "3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_\r\n"
    "3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_\r\n"
    "4\tel\tel\t_\t_\tDefinite=Def\t5\tdet\t_\t_\r\n"
    "5\tmar adentro\tmar\tNOUN\t_\tNumber=Sing\t1\tobl\t_\tA=#b\r\n"
    "\r\n"
    "\n"
    "# newdoc\n"
    "1\tSí\tsí\tINTJ\t_\t_\t0\troot\t_\t_"
)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_words_tags_and_what_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path / "x.conllu", VAMONOS)
    first, second = Conllu().sentences(path, Skipped())
    assert first.tokens == ("vamos", "nos", "a", "el", "mar adentro")
    assert first.tags == ("VERB", "PRON", "ADP", None, "NOUN")
    assert (second.where, second.tokens) == (f"{path}:12", ("Sí",))
    numbers = next(Conllu("Number").sentences(path, Skipped())).tags
    assert numbers == ("Plur", "Plur", "_", "_", "Sing")


def test_the_blocks_are_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.conllu", VAMONOS)
    assert "".join("".join(block.raw) for block in Conllu().blocks(path)).encode() == path.read_bytes()
    same = [Conllu().with_tags(s, [t or "_" for t in s.tags]) for s in Conllu().blocks(path) if isinstance(s, Sentence)]
    assert "".join(same).encode() == path.read_bytes()


def test_tags_go_back_and_nothing_else_moves(tmp_path: Path) -> None:
    path = write(tmp_path / "x.conllu", VAMONOS)
    first = next(Conllu().sentences(path, Skipped()))
    assert Conllu().with_tags(first, list("ABCDE")) == "".join(first.raw).replace("\tVERB\t", "\tA\t").replace(
        "nosotros\tPRON", "nosotros\tB"
    ).replace("\tADP\t", "\tC\t").replace("el\tel\t_", "el\tel\tD").replace("\tNOUN\t", "\tE\t")
    put = Conllu("Number").with_tags(first, ["_", "Sing", "Plur", "Sing", "_"]).split("\r\n")
    feats = [
        line.split("\t")[5] for line in put[3:10] if "-" not in line.split("\t")[0] and "." not in line.split("\t")[0]
    ]
    assert feats == ["Mood=Ind", "Case=Acc|Number=Sing|Person=1", "Number=Plur", "Definite=Def|Number=Sing", "_"]
    with pytest.raises(ValueError, match="4 tags for 5 words"):
        Conllu().with_tags(first, list("ABCD"))


WORD = "1\ta\ta\tX\t_\t_\t0\troot\t_\t_\n"


@pytest.mark.parametrize(
    ("lines", "line", "says"),
    [
        ("1\ta\n", 1, "has 2 tab-separated columns, not 10"),
        (WORD + WORD, 2, "expected word 2, found word 1"),
        ("2" + WORD[1:], 1, "expected word 1, found word 2"),
        ("x" + WORD[1:], 1, "'x' is not a word index"),
        ("01" + WORD[1:], 1, "is not a word index"),
        ("1\t\ta\tX\t_\t_\t0\troot\t_\t_\n", 1, "the word is empty"),
        ("2-3" + WORD[1:] + WORD, 1, "multiword token 2-3 does not match the words around it"),
        ("1-2" + WORD[1:] + WORD, 1, "a multiword token extends beyond the last word"),
        (WORD + "0.1" + WORD[1:], 2, "empty node 0.1 does not follow its word"),
        (WORD + "# late\n", 2, "has 1 tab-separated column"),
    ],
)
def test_faults_by_line(tmp_path: Path, lines: str, line: int, says: str) -> None:
    path = write(tmp_path / "x.conllu", "\n" + lines + "\n" + WORD + "\n")
    skipped = Skipped("skip", "sentences")
    assert len(list(Conllu().sentences(path, skipped))) == 1
    where, why = skipped.first[0]
    assert says in why
    assert where == f"{path}:{line + 1}" or "beyond" in says
    with pytest.raises(DataError, match=r"columns?|word|token|node"):
        list(Conllu().sentences(path, Skipped()))
    assert "".join("".join(block.raw) for block in Conllu().blocks(path)) == path.read_text()


def test_fields() -> None:
    for field in ("upos", "xpos", "Number", "Number[psor]"):
        assert check_field(field) == field
    assert [check_field(number) for number in ("3", "4", "7")] == ["upos", "xpos", "deprel"]
    for field in ("0", "6", "10", "³", "UPOS=x", "pos", "", "number"):
        with pytest.raises(DataError):
            check_field(field)


def test_the_shipped_treebank_comes_back_byte_for_byte(tmp_path: Path) -> None:
    sentences = list(Conllu().sentences("builtin:treebank", Skipped()))
    assert len(sentences) > 600
    assert "".join(Conllu().with_tags(s, [t or "_" for t in s.tags]) for s in sentences) == builtin_text("treebank")


def test_a_byte_order_mark_before_a_comment_or_a_word_and_white_space_that_is_a_word(tmp_path: Path) -> None:
    """U+3000 is a word of Chinese treebanks, U+00A0 stands inside French numbers."""
    text = (
        "\ufeff# sent_id = 1\n"
        + WORD
        + WORD.replace("1\ta", "2\t\u3000")
        + "\n\ufeff"
        + WORD.replace("\ta", "\t\u00a0", 1)
    )
    first, second = Conllu().sentences(write(tmp_path / "x.conllu", text), Skipped())
    assert (first.tokens, second.tokens) == (("a", "\u3000"), ("\u00a0",))
    put = Conllu().with_tags(first, ["Y", "Y"]) + Conllu().with_tags(second, ["Y"])
    assert put == text.replace("\tX\t", "\tY\t")


def test_a_file_without_blank_lines_is_refused_early(tmp_path: Path) -> None:
    path = write(tmp_path / "x.conllu", "a\n" * 500_000)
    with pytest.raises(DataError, match="without a blank one"):
        list(Conllu().sentences(path, Skipped("skip")))
