"""`rnncli runs`: what stands in the files of run folders, whole, broken, running or nothing at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnncli.files import FolderLock
from rnncli.records import Json, Table
from rnncli.runs.listing import compare_page, short_names
from rnncli.runs.read import RunSummary, read_run
from rnncli.runs.train import run_training
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.training.outcome import Outcome
from tests.fixture_types import Typed


def make(folder: str, *sets: str) -> Outcome:
    Path(folder).mkdir(parents=True)
    return run_training(prepare(load_recipe("hello", ("train.control=false", "train.epochs=3", *sets))), Path(folder))


@pytest.fixture
def three(typed: Typed) -> list[Outcome]:
    return [
        make("runs/hello-001"),
        make("runs/hello-002", "model.cell=gru", "train.lr=0.05"),
        make("runs/deep/er/hello-003", "train.epochs=5"),
    ]


def rows(out: str, table: str = "") -> dict[str, dict[str, Any]]:
    found = [row for row in json.loads(out)["rows"] if row.get("table", "") == table]
    return {row["run"]: row for row in found}


def test_list(typed: Typed, three: list[Outcome]) -> None:
    code, out, err = typed("runs", "list", "--json")
    assert (code, err) == (0, "")
    found = rows(out)
    assert set(found) == {"hello-001", "hello-002", "deep/er/hello-003"}
    for outcome, row in zip(
        three, (found[name] for name in ("hello-001", "hello-002", "deep/er/hello-003")), strict=True
    ):
        assert row["score"] == outcome.metrics["loss"]
        assert row["seconds"] == pytest.approx(outcome.seconds, abs=0.5)
        assert (row["task"], row["state"], row["metric"]) == ("tagging", "finished", "loss")
    assert found["hello-002"]["model"] == "gru 4"
    assert found["deep/er/hello-003"]["epochs"] == "5/5, best 5"
    code, out, _ = typed("runs", "list", "runs/deep")
    assert code == 0
    assert "er/hello-003" in out
    assert "hello-001" not in out
    assert typed("runs")[1] == typed("runs", "list", "runs")[1]
    assert max(map(len, typed("runs")[1].splitlines())) <= 80


def names(out: str) -> list[str]:
    return [row["run"] for row in json.loads(out).get("rows", [])]


def test_list_sorts_filters_and_marks_the_best(typed: Typed, three: list[Outcome]) -> None:
    every = ["hello-001", "hello-002", "deep/er/hello-003"]
    scores = dict(zip(every, (outcome.metrics["loss"] for outcome in three), strict=True))
    by_score = sorted(every, key=lambda name: scores[name])
    found = rows(typed("runs", "list", "--json")[1])
    assert {name for name, row in found.items() if row["best"] == "best"} == {by_score[0]}
    assert names(typed("runs", "list", "--sort", "score", "--json")[1]) == by_score
    assert names(typed("runs", "list", "--sort", "loss", "--reverse", "--json")[1]) == by_score[::-1]
    assert names(typed("runs", "list", "--sort", "train.epochs", "--json")[1])[-1] == "deep/er/hello-003"
    assert names(typed("runs", "list", "--where", "cell=gru", "--json")[1]) == ["hello-002"]
    assert names(typed("runs", "list", "--where", "lr=5e-2", "--json")[1]) == ["hello-002"]
    assert names(typed("runs", "list", "--where", "task=tagging", "--where", "state=running", "--json")[1]) == []
    # one of several: in the whole list the best stays the best
    assert rows(typed("runs", "list", "--where", "cell=gru", "--json")[1])["hello-002"]["best"] == (
        "best" if by_score[0] == "hello-002" else ""
    )
    out = typed("runs", "list", "--where", "cell=lstm")[1]
    assert "none matches" in out
    for words, said in (
        (("--sort", "hiden_size"), "hidden_size"),
        (("--where", "x=1"), "no key"),
        (("--where", "x"), ""),
    ):
        code, out, err = typed("runs", "list", *words)
        assert (code, out) == (2, "")
        assert said in err


def test_the_best_is_of_the_same_data_and_by_its_metric(typed: Typed, three: list[Outcome]) -> None:
    """Higher accuracy is better; a run on other data is compared with none."""
    for name, score in (("hello-001", 0.5), ("hello-002", 0.75), ("deep/er/hello-003", 1.0)):
        folder = Path("runs") / name
        recipe = (folder / "recipe.yaml").read_text()
        (folder / "recipe.yaml").write_text(recipe.replace("best_by: loss", "best_by: accuracy"))
        result = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps({**result, "metrics": {**result["metrics"], "accuracy": score}}))
    assert rows(typed("runs", "list", "--json")[1])["deep/er/hello-003"]["best"] == "best"
    assert names(typed("runs", "list", "--sort", "score", "--json")[1])[0] == "deep/er/hello-003"
    environment = Path("runs/deep/er/hello-003/environment.json")
    environment.write_text(json.dumps({**json.loads(environment.read_text()), "data_sha256": "other"}))
    found = rows(typed("runs", "list", "--json")[1])
    assert {name for name, row in found.items() if row["best"]} == {"hello-002"}


def test_two_runs_stand_side_by_side(typed: Typed, three: list[Outcome]) -> None:
    lines = [line.split() for line in typed("runs", "compare", "hello-001", "hello-002")[1].splitlines()]
    assert ["hello-001", "hello-002"] in lines
    assert ["cell", "rnn", "gru"] in lines
    assert any(line[:1] == ["accuracy"] and len(line) == 3 for line in lines)


def test_compare(typed: Typed, three: list[Outcome]) -> None:
    code, out, err = typed("runs", "compare", "hello-001", "hello-002", "runs/deep/er/hello-003", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    settings = rows(out, "settings")
    assert set(next(iter(settings.values()))) == {"table", "run", "model.cell", "train.epochs", "train.lr"}
    assert [settings[name]["model.cell"] for name in ("hello-001", "hello-002", "hello-003")] == ["rnn", "gru", "rnn"]
    for outcome, row in zip(three, rows(out, "metrics").values(), strict=True):
        assert (row["loss"], row["accuracy"]) == (outcome.metrics["loss"], outcome.metrics["accuracy"])
    (series,) = document["series"]
    assert series["x"] == [1, 2, 3, 4, 5]
    logged = [json.loads(line)["loss"] for line in Path("runs/hello-002/metrics.jsonl").read_text().splitlines()]
    assert series["lines"]["hello-002"] == [*logged, "nan", "nan"]
    code, out, err = typed("runs", "compare", "hello-001", "hello-002", "--save", "both.svg", "--save", "both.svg")
    assert code == 0
    assert b"<svg" in Path("both.svg").read_bytes()
    assert "settings that differ" in out
    assert "training loss" in out
    assert max(map(len, out.splitlines())) <= 80


def test_what_cannot_be_compared(typed: Typed, three: list[Outcome]) -> None:
    assert typed("runs", "compare", "hello-001")[0] == 2
    assert typed("runs", "compare", "hello-001", "runs/hello-001")[0] == 2
    assert typed("runs", "compare", "hello-001", "nothing")[0] == 2
    assert typed("runs", "compare")[0] == 2
    shutil.copytree("runs/hello-001", "copy")
    assert "no settings differ" in typed("runs", "compare", "hello-001", "copy")[1]


BROKEN: dict[str, tuple[str, bytes | None]] = {
    "no recipe": ("recipe.yaml", None),
    "no YAML": ("recipe.yaml", b"]"),
    "no mapping": ("recipe.yaml", b"[1, 2]"),
    "no sections": ("recipe.yaml", b"task: tagging\n"),
    "bytes": ("recipe.yaml", b"\xff\xfe\x00"),
    "empty result": ("result.json", b""),
    "another result": ("result.json", b"[]"),
    "result without figures": ("result.json", b'{"metrics": 3}'),
    "result of words": ("result.json", b'{"metrics": {"loss": "high"}, "on": "train", "best_epoch": 1}'),
    "deep result": ("result.json", b"[" * 100_000),
    "timing": ("timing.jsonl", b'{"seconds": []}\n'),
    "timing of nothing": ("timing.jsonl", b"[]\n"),
    "log": ("metrics.jsonl", b"}\n"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_runs_are_shown_as_such(typed: Typed, kind: str) -> None:
    make("runs/whole")
    shutil.copytree("runs/whole", "runs/hurt")
    name, content = BROKEN[kind]
    if name.endswith(".jsonl") and name != "timing.jsonl":
        (Path("runs/hurt") / "result.json").unlink()
    path = Path("runs/hurt") / name
    path.unlink() if content is None else path.write_bytes(content)
    code, out, err = typed("runs", "list", "--json")
    assert (code, err) == (0, "")
    found = rows(out)
    assert (found["whole"]["state"], found["hurt"]["state"]) == ("finished", "broken")
    code, out, err = typed("runs", "list")
    assert code == 0
    assert "Traceback" not in out + err
    assert f"hurt: {name}" in out
    if content is not None:
        code, out, err = typed("runs", "compare", "whole", "hurt")
        assert code == 0
        assert "broken" in out


def test_states(typed: Typed, three: list[Outcome]) -> None:
    folder = Path("runs/hello-001")
    (folder / "result.json").unlink()
    assert read_run(folder).state == "stopped"
    with FolderLock(folder):
        held = read_run(folder)
        assert (held.state, held.note) == ("running", f"process {os.getpid()}")
    (folder / FolderLock.NAME).write_text("999999")  # of a process that was killed
    assert read_run(folder).state == "stopped"
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 4, "st')  # being written
    assert len(read_run(folder).epochs) == 3
    assert "stopped" in typed("runs", "compare", "hello-001", "hello-002")[1]


def test_nothing_there(typed: Typed) -> None:
    code, out, _ = typed("runs", "list")
    assert code == 0
    assert "no runs under runs/" in out
    assert "rnncli train hello" in out
    assert typed("runs", "list", "--json")[0] == 0
    assert typed("runs", "list", "nowhere")[0] == 3
    Path("file").write_text("")
    assert typed("runs", "list", "file")[0] == 3
    Path("empty").mkdir()
    assert typed("runs", "list", "empty")[0] == 0


def test_a_walk_that_does_not_end_is_cut_and_says_so(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnncli.runs.read.MOST_FOLDERS", 50)
    for k in range(49):
        Path(f"runs/a/{k}").mkdir(parents=True)
    make("runs/b")  # near the top: it is found before what is deep below its neighbour
    out = typed("runs", "list")[1]
    assert "b" in rows(typed("runs", "list", "--json")[1])
    assert "stopped after" in out  # runs/, a and 48 below it are 50
    Path("runs/a/48").rmdir()
    assert "stopped after" not in typed("runs", "list")[1]
    make("runs/a/47/deep")
    assert "a/47/deep" in rows(typed("runs", "list", "--json")[1])


def test_a_nested_key_does_not_read_as_another() -> None:
    """The taggers' model.hidden_size is the same, so it has no line."""
    shared: dict[str, Json] = {"model.hidden_size": 64, "model.cell": "lstm"}
    letters: dict[str, Json] = {"model.characters.hidden_size": 32, "data.split.test": 0.1, "data.test": None}
    runs = [
        RunSummary(Path("runs/words"), "finished", shared | {"data.test": "t.conllu"}),
        RunSummary(Path("runs/letters"), "finished", shared | letters),
    ]
    table = compare_page(runs).records[0]
    assert isinstance(table, Table)
    assert [column.label for column in table.columns[1:]] == ["test", "characters.hidden_size", "split.test"]


def test_names_are_as_short_as_tells_them_apart() -> None:
    folders = [Path(path) for path in ("s/a/seed-0", "s/a/seed-1", "s/b/seed-0")]
    assert short_names(folders) == ["a/seed-0", "a/seed-1", "b/seed-0"]
    assert short_names(folders[:2]) == ["seed-0", "seed-1"]


def test_no_torch_is_imported(rnncli: Callable[..., Any], three: list[Outcome], tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys; from rnncli.cli import run; c = run(sys.argv[1:]); sys.exit(c or 'torch' in sys.modules)"
    root = str(Path(__file__).parents[2])
    for words in (["runs", "list"], ["runs", "compare", "hello-001", "hello-002"]):
        subprocess.run([sys.executable, "-c", code, *words], env={**os.environ, "PYTHONPATH": root}, check=True)


def test_in_chinese(typed: Typed, three: list[Outcome]) -> None:
    out = typed("--lang", "zh", "runs", "compare", "hello-001", "hello-002")[1]
    assert "不同的设置" in out
    assert "训练损失" in out
