"""`rnncli evaluate`: metrics beside baselines, and what is required of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rnncli
from rnncli.data.builtin import builtin_text
from rnncli.runs.evaluation import requirement
from tests.fixture_types import Typed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    bank = builtin_text("treebank").split("\n\n")
    (folder / "bank.conllu").write_text("\n\n".join(bank[:300]) + "\n\n")
    (folder / "new.conllu").write_text("\n\n".join(bank[300:400]) + "\n\n")
    sets = ("train.epochs=3", "train.control=false", f"data.path={folder / 'bank.conllu'}")
    rnncli.train("pos-tagging", out=str(folder / "tags"), sets=sets)
    rnncli.train("hello", out=str(folder / "hello"), sets=("train.control=false",))
    return folder


def test_the_part_that_was_kept_for_the_last_word(typed: Typed, home: Path) -> None:
    code, out, _ = typed("evaluate", f"{home}/tags", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["schema"], found["on"]) == ("rnncli/evaluate/1", "test")
    assert found["metrics"]["accuracy"] > found["baselines"]["most frequent label"]["accuracy"]
    own = json.loads((home / "tags" / "result.json").read_text())
    again = json.loads(typed("evaluate", f"{home}/tags", "--split", "validation", "--json")[1])
    assert again["metrics"] == pytest.approx(own["metrics"])
    assert again["baselines"] == own["baselines"]
    assert json.loads(typed("evaluate", f"{home}/hello", "--json")[1])["on"] == "train"


def test_the_confusion_matrix_counts_what_is_predicted(typed: Typed, home: Path) -> None:
    """By hand, from what predict says of the same words; then as per cent of each row."""
    words = ("evaluate", f"{home}/tags", "--data", f"{home}/new.conllu", "--confusion")
    found = json.loads(typed(*words, "counts", "--json")[1])["confusion"]
    answers = typed("predict", f"{home}/tags", "--file", f"{home}/new.conllu")[1]
    given, tagged = (
        [line.split("\t")[3] for line in text.splitlines() if line[:1].isdigit()]
        for text in ((home / "new.conllu").read_text(), answers)
    )
    wanted = [[0] * len(found["labels"]) for _ in found["labels"]]
    for true, predicted in zip(given, tagged, strict=True):
        if true in found["labels"]:
            wanted[found["labels"].index(true)][found["labels"].index(predicted)] += 1
    assert found["counts"] == wanted
    code, out, _ = typed(*words, "counts")
    assert code == 0
    assert "confusion matrix (rows: true class)" in out
    assert f"NOUN ({sum(wanted[found['labels'].index('NOUN')])})" in out
    assert "next  rnncli report" in out
    assert "100%" in typed(*words, "percent")[1] or ">99%" in typed(*words, "percent")[1]


def test_only_classes_are_confused(typed: Typed, home: Path, tmp_path: Path) -> None:
    assert typed("evaluate", f"{home}/hello", "--confusion", "shares")[0] == 2
    sets = ("train.epochs=1", "train.control=false", "model.hidden_size=2")
    rnncli.train("forecasting", out=str(tmp_path / "series"), sets=sets)
    code, _, err = typed("evaluate", str(tmp_path / "series"), "--confusion", "counts")
    assert (code, "no classes" in err) == (2, True)


def test_new_data_is_measured_whole_beside_baselines_of_the_old(typed: Typed, home: Path) -> None:
    code, out, _ = typed("evaluate", f"{home}/tags", "--data", f"{home}/new.conllu", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["on"] == f"{home}/new.conllu"
    # by hand: every word's commonest tag in the training sentences, PRON ... for the others
    run = rnncli.open_run(home / "tags")
    seen: dict[str, dict[str, int]] = {}
    every: dict[str, int] = {}
    for row in run.task.read(run.config).train.rows:
        for word, tag in zip(*row, strict=True):
            seen.setdefault(word, {})[tag] = seen.setdefault(word, {}).get(tag, 0) + 1
            every[tag] = every.get(tag, 0) + 1

    def commonest(counts: dict[str, int]) -> str:
        return sorted(counts, key=lambda tag: (-counts[tag], tag))[0]

    lines = [line.split("\t") for line in (home / "new.conllu").read_text().splitlines() if line[:1].isdigit()]
    right = sum(commonest(seen.get(cells[1], every)) == cells[3] for cells in lines)
    assert found["baselines"]["most frequent label"]["accuracy"] == pytest.approx(right / len(lines))
    assert found["metrics"]["accuracy"] > right / len(lines)


def test_baselines_need_the_old_data(typed: Typed, home: Path, tmp_path: Path) -> None:
    bank = home / "bank.conllu"
    text = bank.read_text()
    try:
        bank.write_text(text.split("\n\n", 1)[1])
        code, out, _ = typed("evaluate", f"{home}/tags", "--data", f"{home}/new.conllu", "--json")
        assert code == 0
        assert json.loads(out)["baselines"] == {}
        assert "no baselines: the training data has changed" in json.loads(out)["notes"]
        bank.unlink()
        code, out, _ = typed("evaluate", f"{home}/tags", "--data", f"{home}/new.conllu", "--json")
        assert code == 0
        assert "cannot be read" in json.loads(out)["notes"][-1]
        assert typed("evaluate", f"{home}/tags")[0] == 3
    finally:
        bank.write_text(text)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("accuracy>0.5", 0),
        ("accuracy >= 0.5", 0),
        ("loss<100", 0),
        ("accuracy<=1", 0),
        ("accuracy>0.9999999", 1),
        ("loss<1e-9", 1),
        ("loss<nan", 2),
        ("accuracy=1", 2),
        ("accuracy", 2),
        ("0.5<accuracy", 2),
        ("acuracy>0.5", 2),
        ("accuracy>a", 2),
        ("", 2),
    ],
)
def test_require(typed: Typed, home: Path, expression: str, code: int) -> None:
    found, out, err = typed("evaluate", f"{home}/tags", "--require", expression)
    assert found == code, err
    assert bool(out) == (code != 2), "the table is shown where the expression is one"
    assert bool(err) == (code != 0)


def test_every_requirement_must_hold(typed: Typed, home: Path) -> None:
    code, out, err = typed("evaluate", f"{home}/tags", "--require", "accuracy>0.5", "--require", "loss<0", "--json")
    assert code == 1
    assert json.loads(out)["require"] == [
        {"expression": "accuracy>0.5", "ok": True},
        {"expression": "loss<0", "ok": False},
    ]
    assert "loss<0" in err
    assert "accuracy" not in err


def test_no_number_holds_no_requirement() -> None:
    nan = float("nan")
    assert not any(requirement(f"loss{sign}1", ["loss"]).check({"loss": nan}).ok for sign in ("<", "<=", ">", ">="))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["tags", "--split", "dev"], 2, "takes one of"),
        (["hello", "--split", "test"], 2, "available: train"),
        (["tags", "--data", "x", "--split", "test"], 2, "new data is not split: it is evaluated whole"),
        (["tags", "--data", "nowhere.conllu"], 3, "no such file"),
        (["tags", "--data", "other.tsv"], 3, "none of its tags"),
        (["hello", "--data", "other.tsv"], 2, "inline pairs"),
    ],
)
def test_what_is_wrong_is_one_message(typed: Typed, home: Path, words: list[str], code: int, said: str) -> None:
    Path("other.tsv").write_text("the\tNN1\ncat\tNN2\n\n")
    found, out, err = typed("evaluate", f"{home}/{words[0]}", *words[1:])
    assert found == code, err
    assert said in err
    assert out == ""
