"""`rnncli predict`: literal text, files and standard input, answers in the input's format."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import rnncli
from rnncli.data.builtin import builtin_text
from tests import warm
from tests.fixture_types import Typed

ROOT = Path(__file__).parents[2]
FAST = ("train.epochs=3", "train.control=false")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three small runs."""
    folder = tmp_path_factory.mktemp("runs")
    rnncli.train("hello", out=str(folder / "hello"))
    rnncli.train("pos-tagging", out=str(folder / "tags"), sets=FAST)
    text = folder / "text.txt"
    text.write_text("the cat sat on the mat and the dog ran\n" * 60)
    small = ("data.window=16", "train.batch_size=4", "train.epochs=2", f"data.path={text}", "model.hidden_size=16")
    rnncli.train("language-model", out=str(folder / "lm"), sets=small)
    return folder


def test_literal_text(typed: Typed, home: Path) -> None:
    assert typed("predict", f"{home}/hello", "hello") == (0, "ohlol\n", "")
    assert typed("predict", f"{home}/hello", "hello", "he")[1].splitlines()[0] == "ohlol"
    code, out, err = typed("predict", f"{home}/tags", "We light a fire.")
    assert (code, out) == (0, "We/PRON light/VERB a/DET fire/NOUN ./PUNCT\n")
    assert "fire" in err, "seen once in training: said to be unknown"


def test_a_name_of_a_file_is_text_and_said_so(typed: Typed, home: Path) -> None:
    Path("hello").write_text("x")
    code, out, err = typed("predict", f"{home}/hello", "hello")
    assert (code, out) == (0, "ohlol\n")
    assert "--file hello" in err
    assert typed("-q", "predict", f"{home}/hello", "hello")[2] == ""


def test_lines_of_a_file_and_of_standard_input(typed: Typed, home: Path) -> None:
    text = b"\xef\xbb\xbfhello\r\n\r\nhe\n"
    Path("lines.txt").write_bytes(text)
    for found in (
        typed("predict", f"{home}/hello", "--file", "lines.txt"),
        typed("predict", f"{home}/hello", "-", input=text),
        typed("predict", f"{home}/hello", "--file", "-", input=text),
    ):
        assert found[0] == 0, found[2]
        assert found[1].splitlines()[:2] == ["ohlol", ""]
        assert len(found[1].splitlines()) == 3


def test_an_empty_file_gives_nothing(typed: Typed, home: Path) -> None:
    Path("empty.txt").touch()
    for run in ("hello", "tags", "lm"):
        assert typed("predict", f"{home}/{run}", "--file", "empty.txt") == (0, "", "")
        assert typed("predict", f"{home}/{run}", "-") == (0, "", "")


def test_conllu_comes_back_as_it_was_but_for_the_tags(typed: Typed, home: Path) -> None:
    whole = builtin_text("treebank").split("\n\n")[:20]
    text = "\n\n".join(whole).replace("1\t", "1-2\tmulti\t_\t_\t_\t_\t_\t_\t_\t_\n1\t", 1) + "\n\n"
    lines = text.replace("\n", "\r\n").split("\r\n")
    bare = [line.split("\t") for line in lines]
    for cells in bare:
        if len(cells) == 10 and "-" not in cells[0]:
            cells[3] = "_"
    Path("in.conllu").write_bytes("\r\n".join("\t".join(cells) for cells in bare).encode())
    code, out, _ = typed("predict", f"{home}/tags", "--file", "in.conllu")
    assert code == 0
    found = [line.split("\t") for line in out.split("\n")]
    assert len(found) == len(bare)
    right, words = 0, 0
    for before, after, gold in zip(bare, found, lines, strict=True):
        if len(before) < 10 or "-" in before[0]:
            assert "\t".join(after).rstrip("\r") == "\t".join(before)
            continue
        assert before[:3] + before[4:] == [*after[:3], *after[4:9], after[9].rstrip("\r")]
        right += after[3] == gold.split("\t")[3]
        words += 1
    assert right / words > 0.9
    piped = typed("predict", f"{home}/tags", "-", input=Path("in.conllu").read_bytes())
    assert piped[1] == out


def test_a_sentence_that_breaks_the_format_stays_as_it_is(typed: Typed, home: Path) -> None:
    broken = "1\tOne\t_\t_\t_\t_\t_\t_\t_\t_\n3\tthree\t_\t_\t_\t_\t_\t_\t_\t_\n\n"
    good = "1\tShe\t_\t_\t_\t_\t_\t_\t_\t_\n\n"
    Path("in.conllu").write_text(broken + good)
    code, out, err = typed("predict", f"{home}/tags", "--file", "in.conllu")
    assert code == 0
    assert out == broken + good.replace("She\t_\t_", "She\t_\tPRON")
    assert "expected word 2, found word 3" in err


def test_json_lines_and_top_k(typed: Typed, home: Path) -> None:
    _, out, _ = typed("predict", f"{home}/tags", "We light it", "She", "--json", "--top-k", "3")
    first, second = (json.loads(line) for line in out.splitlines())
    assert first["tokens"] == ["We", "light", "it"]
    assert first["labels"][0] == "PRON"
    assert second["steps"][0]["choices"][0]["label"] == second["labels"][0]
    for step in first["steps"]:
        chances = [choice["p"] for choice in step["choices"]]
        assert len(chances) == 3
        assert chances == sorted(chances, reverse=True)
        assert 0 < sum(chances) <= 1 + 1e-6
    _, out, _ = typed("predict", f"{home}/tags", "She", "--top-k", "2")
    assert out.startswith("She\tPRON 0.")


def test_the_language_model_goes_on(typed: Typed, home: Path) -> None:
    def write(*words: str) -> str:
        code, out, err = typed("predict", f"{home}/lm", "the cat", *words)
        assert code == 0, err
        assert out.startswith("the cat")
        return out

    assert len(write("--length", "40")) == 7 + 40 + 1
    assert write("--length", "0") == "the cat\n"
    assert write("--seed", "1") == write("--seed", "1") != write("--seed", "2")
    assert write("--temperature", "0", "--seed", "1") == write("--temperature", "0", "--seed", "2")
    assert write("--top-k", "1", "--seed", "3") == write("--temperature", "0")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["hello"], 2, "give TEXT, --file FILE, or - for standard input"),
        (["hello", "a", "--file", "b"], 2, "give TEXT, --file FILE, or - for standard input"),
        (["hello", "-", "hello"], 2, "cannot be combined"),
        (["hello", "-", "--file", "b"], 2, "- and --file cannot be combined"),
        (["hello", "--file", "nowhere.txt"], 3, "no such file"),
        (["hello", "hex"], 3, "known tokens: 'e' 'h' 'l' 'o'"),
        (["hello", "hello", "--beam", "3"], 2, "does not support --beam"),
        (["hello", "hello", "--length", "3"], 2, "it supports --top-k"),
        (["lm", "the", "--beam", "2"], 2, "it supports --top-k, --temperature, --seed, --length"),
        (["lm", "the", "--top-k", "0"], 2, "--top-k"),
        (["lm", "the", "--temperature", "-1"], 2, "--temperature"),
        (["nowhere", "x"], 3, "no such file or folder"),
    ],
)
def test_what_is_wrong_is_one_message(typed: Typed, home: Path, words: list[str], code: int, said: str) -> None:
    found, out, err = typed("predict", f"{home}/{words[0]}", *words[1:])
    assert found == code, err
    assert said in err
    assert out == ""
    assert "Traceback" not in err


def test_a_recipe_has_no_trained_weights(typed: Typed) -> None:
    code, _, err = typed("predict", "hello", "hello")
    assert code == 2
    assert "rnncli train hello" in err


def test_input_that_is_no_utf8(typed: Typed, home: Path) -> None:
    Path("latin1.txt").write_bytes("hello\nça\n".encode("latin1"))
    assert typed("predict", f"{home}/hello", "--file", "latin1.txt")[0] == 3
    code, _, err = typed("predict", f"{home}/hello", "-", input="hello\nça\n".encode("latin1"))
    assert code == 3
    assert "-:2" in err


def test_answers_come_while_input_is_still_open(home: Path) -> None:
    running = subprocess.Popen(
        [warm.python(), "-m", "rnncli", "predict", str(home / "hello"), "-"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdin is not None
    assert running.stdout is not None
    for _ in range(2):
        running.stdin.write(b"hello\n")
        running.stdin.flush()
        assert running.stdout.readline().strip() == b"ohlol"
    running.stdin.close()
    assert running.wait(60) == 0
    running.stdout.close()


def test_a_forecast_is_a_csv_table(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the option; the rows after JSON Lines, too, which are JSON Lines without it."""
    monkeypatch.chdir(tmp_path)
    rows = [(str(1950 + i), i % 4 + 0.5) for i in range(50)]
    Path("s.csv").write_text("year,y\n" + "".join(f"{year},{y}\n" for year, y in rows))
    Path("s.jsonl").write_text("".join(json.dumps({"year": year, "y": y}) + "\n" for year, y in rows))
    sets = ("data.path=s.csv", "data.date=year", "data.target=y", "data.window=8", "data.horizon=3", "data.season=1")
    rnncli.train("forecasting", out="series", sets=(*sets, "train.epochs=1", "train.control=false"))
    found = typed("predict", "./series", "s.csv", "--csv")
    assert found == typed("predict", "./series", "s.csv")
    assert found[0] == 0
    assert [line.split(",")[0] for line in found[1].splitlines()] == ["year", "2000", "2001", "2002"]
    assert typed("predict", "./series", "s.jsonl")[1].startswith('{"year": "2000"')
    assert typed("predict", "./series", "s.jsonl", "--csv") == found
    code, out, _ = typed("predict", "./series", "missing.csv", "s.csv", "--csv")
    assert (code, out) == (3, found[1])
