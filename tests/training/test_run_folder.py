"""The run folder: what lies in it, how it opens again, and that bad input leaves none."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import rnncli
from rnncli.errors import DataError, Diverged, Missing, UsageError
from rnncli.files import FolderLock
from rnncli.runs.folder import find_run, make_folder, new_folder
from rnncli.runs.manifest import Manifest
from rnncli.runs.open import load_weights, open_run
from rnncli.runs.train import run_training
from rnncli.tasks import PredictOptions, load_recipe
from tests.narrowed import as_read
from tests.training.training_runs import job_of, run_in

FILES = {
    "recipe.yaml",
    "metrics.jsonl",
    "timing.jsonl",
    "model.safetensors",
    "vocab.json",
    "environment.json",
    "result.json",
    "manifest.json",
    "resume",
    ".lock",
}


def test_what_lies_in_a_run_folder(tmp_path: Path, small_lm: dict[str, Any]) -> None:
    folder = tmp_path / "run"
    outcome = run_in(folder, job_of(small_lm))
    assert {path.name for path in folder.iterdir()} == FILES
    assert [path.name for path in (folder / "resume").iterdir()] == ["state.safetensors"]
    assert not [path for path in folder.rglob("*") if path.is_file() and path.read_bytes()[:2] in (b"\x80\x02", b"PK")]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["step"] for line in lines] == [27, 54, 81]
    assert set(lines[0]) == {"epoch", "step", "loss", "lr", "validation"}
    assert set(lines[0]["validation"]) == {"loss", "perplexity", "bits"}
    timing = [json.loads(line) for line in (folder / "timing.jsonl").read_text().splitlines()]
    assert [line["step"] for line in timing] == [27, 54, 81]
    result = json.loads((folder / "result.json").read_text())
    assert result["schema"] == "rnncli/result/1"
    assert result["run"] == str(folder)
    assert result["metrics"] == min((line["validation"] for line in lines), key=lambda m: m["loss"]) == outcome.metrics
    assert set(result["baselines"]) == {"unigram", "bigram"}
    environment = json.loads((folder / "environment.json").read_text())
    text = Path(small_lm["data"]["path"]).read_bytes()
    assert environment["data_sha256"] == hashlib.sha256(text).hexdigest()
    assert (environment["torch"], environment["seed"]) == (torch.__version__, 0)


def test_the_resolved_recipe_trains_the_same_again(tmp_path: Path, small_lm: dict[str, Any]) -> None:
    run_in(tmp_path / "one", job_of(small_lm))
    run_in(tmp_path / "two", job_of(str(tmp_path / "one" / "recipe.yaml")))
    for name in ("model.safetensors", "metrics.jsonl", "recipe.yaml"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    resolved = load_recipe(str(tmp_path / "one" / "recipe.yaml")).config
    assert (resolved.model.engine, resolved.train.device) == ("torch", "cpu")
    assert isinstance(resolved.train.threads, int)


def test_a_run_opens_with_its_best_weights(tmp_path: Path) -> None:
    job = job_of("hello", "train.lr=3.0", "train.epochs=12")
    outcome = run_in(tmp_path / "run", job)
    run = open_run(tmp_path / "run")
    assert outcome.best_epoch < 12
    assert run.task.metrics(run.config, run.model, job.splits.train, run.fitted) == pytest.approx(outcome.metrics)
    assert not run.model.training
    assert run.metrics()[outcome.best_epoch - 1]["train"] == outcome.metrics
    last = load_file(tmp_path / "run" / "resume" / "state.safetensors")["model.head.weight"]
    assert not torch.equal(last, run.model.state_dict()["head.weight"]), "the last weights are kept to go on from"


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_run_opens_in_its_own_precision(tmp_path: Path, dtype: str) -> None:
    job = job_of("hello", f"train.dtype={dtype}", "train.epochs=2")
    run_in(tmp_path / "run", job)
    run = open_run(tmp_path / "run")
    assert str(next(run.model.parameters()).dtype) == f"torch.{dtype}"
    (found,) = run.task.predict(run.config, run.model, run.fitted, ["hello"], PredictOptions())
    assert len(found.text) == 5


def test_python_trains_and_opens_in_two_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = rnncli.train("hello")
    assert run.folder == Path("runs/hello-001")
    (found,) = run.task.predict(run.config, run.model, run.fitted, ["hello"], PredictOptions())
    assert found.text == "ohlol"
    assert as_read(rnncli.open_run("last").result())["control"]["accuracy"] <= 0.8


def test_folders_count_up_and_are_never_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [str(new_folder("hello")) for _ in range(3)] == ["runs/hello-001", "runs/hello-002", "runs/hello-003"]
    assert str(new_folder("hello-cell")) == "runs/hello-cell-001"
    Path("runs/hello-041").mkdir()
    assert str(new_folder("hello")) == "runs/hello-042"


def test_out_is_new_or_empty(tmp_path: Path) -> None:
    assert make_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UsageError, match="not empty"):
        make_folder(str(tmp_path / "full"))
    with pytest.raises(UsageError, match="a file, not a folder"):
        make_folder(str(tmp_path / "full" / "x"))
    with pytest.raises(UsageError, match="a file, not a folder"):
        make_folder(str(tmp_path / "full" / "x" / "y"))


def test_last_is_the_newest_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no runs yet under"):
        find_run("last")
    rnncli.train("hello", sets=("train.epochs=1",))
    rnncli.train("hello-cell", sets=("train.epochs=1",))
    assert find_run("last") == Path("runs/hello-cell-001")
    assert find_run("hello-001") == Path("runs/hello-001")
    with pytest.raises(UsageError, match="no run named"):
        find_run("hullo")
    Path("runs/closed").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: path != Path("runs/closed"))  # root may enter every folder
    with pytest.raises(DataError, match="permission denied"):
        find_run("closed")


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json", "recipe.yaml"])
@pytest.mark.parametrize("damage", [b"", b"\x00\x01\x02 not this", None])
def test_a_damaged_run_is_one_message(tmp_path: Path, name: str, damage: bytes | None) -> None:
    run_in(tmp_path / "run", job_of("hello", "train.epochs=1"))
    path = tmp_path / "run" / name
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises((DataError, UsageError)):
        open_run(tmp_path / "run")


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    run_in(tmp_path / "a", job_of("hello", "train.epochs=1"))
    run_in(tmp_path / "b", job_of("hello", "train.epochs=1", "model.hidden_size=7"))
    path = tmp_path / "a" / "model.safetensors"
    size = f"{path.stat().st_size:,}"
    path.write_bytes((tmp_path / "b" / "model.safetensors").read_bytes())
    with pytest.raises(DataError, match=f"bytes, but had {size} when"):
        open_run(tmp_path / "a")
    manifest = Manifest(tmp_path / "a")
    manifest.seal(["model.safetensors"])  # somebody meant it
    with pytest.raises(DataError, match="cannot be used"):
        open_run(tmp_path / "a")


@pytest.mark.parametrize(
    ("sets", "error"),
    [
        (["data.path=nowhere.txt"], DataError),
        (["data.path=empty.txt"], DataError),
        (["data.path=latin1.txt"], DataError),
        (["data.path=short.txt"], DataError),
        (["model.hidden_size=10000000"], Missing),
        (["model.hidden_size=9000000000000000000"], Missing),
        (["model.embedding_size=4000000000"], Missing),
        (["train.device=cuda"], Missing),
        (["model.hiden_size=3"], UsageError),
    ],
)
def test_bad_input_is_refused_before_there_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sets: list[str], error: type[Exception]
) -> None:
    if sets == ["train.device=cuda"] and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").touch()
    Path("latin1.txt").write_bytes("ça va".encode("latin1") * 4000)
    Path("short.txt").write_text("a few words")
    with pytest.raises(error):
        rnncli.train("language-model", sets=tuple(sets))
    assert not Path("runs").exists()


def test_a_text_too_short_names_settings_that_work(tmp_path: Path, text_file: str) -> None:
    with pytest.raises(DataError) as refused:
        job_of("language-model", f"data.path={text_file}", "data.window=512")
    sets = [word for word in refused.value.todo.split() if "=" in word]
    assert len(sets) == 2
    assert run_training(job_of("language-model", f"data.path={text_file}", *sets, "train.max_steps=1"), None).steps == 1


def test_a_diverged_run_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(Diverged):
        run_in(tmp_path / "run", job_of("hello", "train.optimizer=sgd", "train.lr=1e30", "model.nonlinearity=relu"))
    assert not (tmp_path / "run" / "result.json").exists()


def test_numbers_that_are_none_stay_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of("hello", "train.epochs=1", "train.control=false")
    monkeypatch.setattr(job.task, "metrics", lambda *_: {"accuracy": math.nan, "loss": math.inf})
    run_in(tmp_path / "run", job)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        assert json.loads(line, parse_constant=refuse)["train"] == {"accuracy": "nan", "loss": "inf"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize(
    "name", ["environment.json", "model.safetensors", "vocab.json", "result.json", "manifest.json"]
)
def test_a_pipe_in_a_run_is_not_waited_for(name: str, tmp_path: Path) -> None:
    run = rnncli.train("hello", out=str(tmp_path / "run"), sets=("train.epochs=1", "train.control=false"))
    (run.folder / name).unlink()
    os.mkfifo(run.folder / name)
    with pytest.raises(DataError, match="not a regular file"):
        rnncli.open_run(run.folder)
    (run.folder / ".lock").unlink()
    os.mkfifo(run.folder / ".lock")
    assert FolderLock.holder(run.folder) == ""


def test_weights_of_a_run_with_nan_are_named(tmp_path: Path) -> None:
    run = rnncli.train("hello", out=str(tmp_path / "run"), sets=("train.epochs=1", "train.control=false"))
    path = run.folder / "model.safetensors"
    weights = load_file(path)
    weights["rnn.weight_hh_l0"][0, 0] = float("nan")
    save_file(weights, path)
    with pytest.raises(DataError, match=r"rnn\.weight_hh_l0 contains NaN"):
        load_weights(run.model, path)
