"""Loggers: what they are told, during training and afterwards, and that no run depends on one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli import cli
from rnncli.errors import CannotWrite, CheckFailed, DataError, Missing, RecipeError, UsageError
from rnncli.files import FolderLock
from rnncli.loggers import LOGGERS, LoggedEpoch, LoggedResult, LoggedRun, Logger
from rnncli.runs.logs import export_log
from rnncli.runs.open import open_run
from rnncli.runs.train import StoppedBySignal, run_training
from rnncli.tasks import PredictOptions, load_recipe
from rnncli.training.process_group import ProcessGroup
from tests.added_package import Typed, install
from tests.narrowed import as_read, some
from tests.training.training_runs import interrupted_then_resumed, job_of, run_in, stop_after

ROOT = Path(__file__).parents[2]
QUICK = ("train.epochs=4", "train.control=false")
LOGGED = (*QUICK, "train.log=tensorboard")


class Noted(Logger):
    """Keeps what it is told, and draws random numbers meanwhile."""

    told: list[tuple[str, Any]] = []  # noqa: RUF012

    def begin(self, run: LoggedRun, epochs: Sequence[LoggedEpoch]) -> None:
        self.told.append(("begin", (run, list(epochs))))

    def epoch(self, epoch: LoggedEpoch) -> None:
        torch.rand(7)
        self.told.append(("epoch", epoch))

    def end(self, result: LoggedResult) -> None:
        torch.manual_seed(3)
        self.told.append(("end", result))

    def close(self) -> None:
        self.told.append(("close", None))


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What a logger is told, in the place of TensorBoard."""
    monkeypatch.setitem(LOGGERS.loaded, "tensorboard", Noted)
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(Noted, "told", told)
    return told


def test_what_a_logger_is_told(tmp_path: Path, noted: list[tuple[str, Any]]) -> None:
    run_in(tmp_path / "run", job_of("hello", *LOGGED))
    assert [what for what, _ in noted] == ["begin", *["epoch"] * 4, "end", "close"]
    run, before = noted[0][1]
    assert (run.name, run.folder, run.out, before) == ("run", tmp_path / "run", tmp_path / "run" / "tensorboard", [])
    assert (run.settings["model.hidden_size"], run.settings["train.log"]) == (4, "tensorboard")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    timing = [json.loads(line) for line in (tmp_path / "run" / "timing.jsonl").read_text().splitlines()]
    for (_, epoch), line, time in zip(noted[1:5], lines, timing, strict=True):
        metrics = {f"train/{name}": value for name, value in line["train"].items()}
        assert epoch.values == {"loss": line["loss"], "lr": line["lr"], **metrics}
        assert (epoch.number, epoch.step, epoch.seconds) == (line["epoch"], line["step"], time["seconds"])
        assert re.fullmatch("[ehlo]{5}", epoch.answers)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert noted[5][1].metrics == result["metrics"]
    assert noted[5][1].epoch == result["best_epoch"]


def test_the_states_are_those_of_torch(tmp_path: Path, noted: list[tuple[str, Any]]) -> None:
    """h by torch's own module, on the one sequence of hello, from the weights in the folder."""
    sets = ("model.cell=gru", "model.bidirectional=true", "model.engine=torch")
    run_in(tmp_path / "run", job_of("hello", *LOGGED, *sets))
    run = open_run(tmp_path / "run")
    rnn = next(module for module in run.model.modules() if isinstance(module, torch.nn.GRU))
    known = as_read(run.fitted.to_json())["tokens"]["tokens"]
    x = torch.eye(4)[[known.index(token) for token in "hello"]]  # (T, I)
    output, _ = rnn(x.unsqueeze(1))  # (T, B, 2·H)
    forward, backward = noted[-2][1].states
    for states, h in ((forward, output[:, 0, :4]), (backward, output[:, 0, 4:])):
        assert torch.allclose(torch.tensor(states.values), h.T, atol=1e-6)
        assert states.column_labels == list("hello")
    assert (forward.name, backward.name) == ("rnn.l0.fwd", "rnn.l0.bwd")


def test_a_language_model_logs_the_text_that_it_writes(
    tmp_path: Path, small_lm: dict[str, Any], noted: list[tuple[str, Any]]
) -> None:
    small_lm["train"] |= {"sample": {"length": 30}, "log": ["tensorboard"], "epochs": 1}
    run_in(tmp_path / "run", job_of(small_lm))
    run = open_run(tmp_path / "run")
    (found,) = run.task.predict(run.config, run.model, run.fitted, [""], PredictOptions())
    assert noted[-2][1].texts == {"text": found.text}
    assert len(found.text) == 30


def test_a_run_is_the_same_with_and_without(tmp_path: Path, noted: list[tuple[str, Any]]) -> None:
    """Whatever a logger draws from torch's random numbers: dropout would show it."""
    sets = (*QUICK, "model.num_layers=2", "model.dropout=0.5", "train.control=true")
    run_in(tmp_path / "without", job_of("hello", *sets))
    run_in(tmp_path / "with", job_of("hello", *sets, "train.log=tensorboard"))
    assert noted
    for name in ("model.safetensors", "metrics.jsonl", "answers.jsonl", "vocab.json"):
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes(), name
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("with", "without")]
    assert {**results[0], "run": ""} == {**results[1], "run": ""}
    recipes = [(tmp_path / name / "recipe.yaml").read_text() for name in ("with", "without")]
    assert recipes[0].replace("log: tensorboard", "log: []") == recipes[1]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_resumed_run_logs_each_epoch_once(tmp_path: Path, noted: list[tuple[str, Any]], step: int) -> None:
    run_in(tmp_path / "whole", job_of("hello", *LOGGED))
    whole = [replace(epoch, seconds=0) for what, epoch in noted if what == "epoch"]
    noted.clear()
    interrupted_then_resumed(tmp_path / "cut", lambda: job_of("hello", *LOGGED), step)
    second = [place for place, (what, _) in enumerate(noted) if what == "begin"][1]
    assert noted[second - 1] == ("close", None)  # the interrupted one
    before = noted[second][1][1]
    after = [epoch for what, epoch in noted[second:] if what == "epoch"]
    assert len(before) == step - 1
    assert [replace(epoch, seconds=0) for epoch in [*before, *after]] == whole


def test_a_log_may_begin_when_a_run_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: list[tuple[str, Any]]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoppedBySignal):
        run_in(tmp_path / "run", job_of("hello", *QUICK), watch=stop_after(3))
    assert cli.run(["-q", "train", "--resume", "run", "--set", "train.log=tensorboard"]) == 0
    assert len(noted[0][1][1]) == 2
    assert [epoch.number for what, epoch in noted if what == "epoch"] == [3, 4]


@pytest.mark.parametrize("where", ["begin", "epoch", "end", "close"])
@pytest.mark.parametrize("error", [ValueError("planted"), CannotWrite("planted", where="disk"), OSError(28, "planted")])
def test_no_run_is_lost_by_a_logger(
    tmp_path: Path, noted: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch, where: str, error: Exception
) -> None:
    def fails(*given: object) -> None:
        raise error

    monkeypatch.setattr(Noted, where, fails)
    said: list[str] = []
    (tmp_path / "run").mkdir()
    run_training(job_of("hello", *LOGGED), tmp_path / "run", say=said.append)
    assert open_run(tmp_path / "run").result()["epochs"] == 4
    assert len(said) == 1
    assert "planted" in said[0]
    assert f"rnncli runs export {tmp_path / 'run'} --to tensorboard" in said[0]
    if where != "epoch":  # epochs are given to begin
        with pytest.raises((CheckFailed, CannotWrite), match="planted"):
            export_log(tmp_path / "run", "tensorboard")


def test_a_failing_logger_is_said_on_the_screen_once(
    tmp_path: Path, noted: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*given: object) -> None:
        raise ConnectionError("no such host")

    monkeypatch.setattr(Noted, "epoch", fails)
    monkeypatch.chdir(tmp_path)
    train = ["train", "hello", *(word for text in LOGGED for word in ("--set", text))]
    for words in (train, [*train, "--json"], ["-q", *train]):
        assert cli.run(words) == 0
        err = capsys.readouterr().err
        assert err.count("logging to tensorboard stopped: ConnectionError: no such host") == 1
        assert "Traceback" not in err


@pytest.mark.parametrize("stop", [2, 4])
def test_an_export_says_what_training_said(
    tmp_path: Path, small_lm: dict[str, Any], noted: list[tuple[str, Any]], stop: int
) -> None:
    small_lm["train"] |= {"sample": {"length": 10}, "log": "tensorboard", "epochs": 2}
    run_in(tmp_path / "run", job_of(small_lm))
    (_, (run, _)), *during = noted.copy()
    noted.clear()
    assert export_log(tmp_path / "run", "tensorboard", tmp_path / "out") == []
    (_, (other, epochs)), *after = noted
    assert replace(other, out=run.out) == run
    assert [("epoch", epoch) for epoch in epochs] + after == during
    assert other.out == tmp_path / "out"


def test_an_export_without_result_or_data(
    tmp_path: Path, small_lm: dict[str, Any], noted: list[tuple[str, Any]]
) -> None:
    with pytest.raises(StoppedBySignal):
        run_in(tmp_path / "cut", job_of("hello", *QUICK), watch=stop_after(3))
    (note,) = export_log(tmp_path / "cut", "tensorboard")
    assert "has not ended" in note
    assert [what for what, _ in noted] == ["begin", "close"]
    run_in(tmp_path / "run", job_of(small_lm))
    path = Path(small_lm["data"]["path"])
    path.write_text(path.read_text() + "more\n")
    (note,) = export_log(tmp_path / "run", "tensorboard")
    assert "the data has changed" in note
    assert noted[-2][1].metrics
    assert not noted[-2][1].states
    path.unlink()
    (note,) = export_log(tmp_path / "run", "tensorboard")
    assert "its data cannot be read" in note
    (tmp_path / "run" / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(DataError):
        export_log(tmp_path / "run", "tensorboard")


def test_a_run_that_trains_is_exported_elsewhere_only(tmp_path: Path, noted: list[tuple[str, Any]]) -> None:
    run_in(tmp_path / "run", job_of("hello", *QUICK))
    with FolderLock(tmp_path / "run"):
        with pytest.raises(UsageError, match=str(os.getpid())):
            export_log(tmp_path / "run", "tensorboard")
        export_log(tmp_path / "run", "tensorboard", tmp_path / "out")


def test_only_rank_0_logs(
    small_lm: dict[str, Any], noted: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_lm["train"] |= {"log": "tensorboard", "epochs": 1}
    monkeypatch.setattr(ProcessGroup, "rank", 1)
    monkeypatch.setattr(ProcessGroup, "world", 2)
    run_training(job_of(small_lm), None)
    assert noted == []


def test_a_trial_run_of_two_updates_logs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: list[tuple[str, Any]]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["-q", "recipes", "copy", "hello", "mine.yaml", "--set", "train.log=tensorboard"]) == 0
    assert load_recipe("mine.yaml").config.train.loggers() == ["tensorboard"]
    assert cli.run(["-q", "train", "mine.yaml", "--fast-dev-run"]) == 0
    assert noted == []


def test_a_run_of_a_sweep_logs_too(tmp_path: Path, noted: list[tuple[str, Any]]) -> None:
    from rnncli.sweeps.worker import work

    events: list[str] = []

    def tell(event: str, **values: object) -> None:
        events.append(event)

    asked: Any = {
        "target": "hello", "sets": list(LOGGED), "flags": {}, "folder": str(tmp_path / "s" / "trial" / "seed-0"),
        "threads": 1, "ask": False, "parent": os.getppid(),
    }  # fmt: skip
    with open(os.devnull) as nothing:
        work(asked, tell, nothing)
    assert events[-1] == "done"
    assert noted[0][1][0].out == tmp_path / "s" / "trial" / "seed-0" / "tensorboard"
    assert noted[-2][0] == "end"


@pytest.mark.parametrize("value", ["tensorbord", "[tensorboard, tensorbord]"])
def test_a_wrong_name_is_a_fault_of_the_recipe(value: str) -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe("hello", (f"train.log={value}",))
    (fault,) = refused.value.faults
    assert fault.key.startswith("train.log")
    assert "tensorboard" in fault.what + fault.todo


def test_a_wrong_name_of_an_export(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no logger 'tensorbord'") as refused:
        export_log(tmp_path, "tensorbord")
    assert refused.value.todo == "did you mean tensorboard?"


def test_a_missing_package_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = {"tensorboard": None}
    monkeypatch.setattr("rnncli.loggers._logger.find_spec", lambda name: absent.get(name, name))
    monkeypatch.chdir(tmp_path)
    assert cli.run(["train", "hello", "--set", "train.log=tensorboard"]) == 5
    err = capsys.readouterr().err
    assert "logging to tensorboard needs tensorboard" in err
    assert "pip install 'rnncli[tensorboard]'" in err
    assert not (tmp_path / "runs").exists()
    run_in(tmp_path / "run", job_of("hello", *QUICK))
    with pytest.raises(Missing):
        export_log(tmp_path / "run", "tensorboard")


MLFLOW = """
import json

def _note(*what):
    with open("calls.jsonl", "a") as file:
        file.write(json.dumps(what) + "\\n")

def start_run(run_name): _note("start_run", run_name)
def log_params(params): _note("log_params", params)
def log_metrics(metrics, step=None): _note("log_metrics", metrics, step)
def log_text(text, name): _note("log_text", text, name)
def end_run(): _note("end_run")
"""


def example() -> str:
    text = (ROOT / "docs" / "how-to" / "log.md").read_text("utf-8")
    return some(re.search(r"^```python\n(# mlflow_logger\.py\n.*?)^```", text, re.M | re.S))[1]


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    """As a package of its own, with a module that stands for MLflow; without that package the run opens."""
    install(tmp_path / "site", {"mlflow_logger": example()}, {"rnncli.loggers": {"mlflow": "strangers.mlflow_logger"}})
    (tmp_path / "site" / "mlflow.py").write_text(MLFLOW)
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat\n" * 60)
    sets = "--set data.window=8 --set train.batch_size=8 --epochs 2 --set train.sample.length=5"
    with Typed(tmp_path / "site", tmp_path / "work") as typed:
        typed.well(f"rnncli train language-model --data {text} {sets} --set train.log=mlflow --out run")
        calls = [json.loads(line) for line in (tmp_path / "work" / "calls.jsonl").read_text().splitlines()]
        (tmp_path / "work" / "calls.jsonl").unlink()
        typed.well("rnncli runs export run --to mlflow")
        again = [json.loads(line) for line in (tmp_path / "work" / "calls.jsonl").read_text().splitlines()]
    assert [call[0] for call in calls] == [
        "start_run", "log_params", "log_metrics", "log_metrics", "log_metrics", "log_text", "end_run"
    ]  # fmt: skip
    assert again == calls
    lines = [json.loads(line) for line in (tmp_path / "work" / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [call[1]["loss"] for call in calls[2:4]] == [line["loss"] for line in lines]
    assert [call[2] for call in calls[2:5]] == [1, 2, None]
    assert len(calls[5][1]) == 5
    assert open_run(tmp_path / "work" / "run").result()["epochs"] == 2
    with pytest.raises(RecipeError):
        load_recipe(str(tmp_path / "work" / "run" / "recipe.yaml"))
