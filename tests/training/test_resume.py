"""A run that was cut short and went on is the run that was never cut: bit for bit, files included."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rnncli import names
from rnncli.errors import DataError, UsageError
from rnncli.files import FolderLock
from rnncli.runs.checkpoint import checkpoint, load_checkpoint, own_part
from rnncli.runs.open import open_run
from rnncli.runs.resume import check_same, is_finished, recipe_of
from rnncli.runs.train import StoppedBySignal
from rnncli.runs.writer import CHECKPOINT
from rnncli.training.job import prepare
from rnncli.training.loop import start
from tests.training.training_runs import interrupted_then_resumed, job_of, run_in, stop_after

PAIRS: dict[str, Any] = {
    "task": "tagging",
    "data": {"pairs": [["hello", "ohlol"], ["hole", "oleh"], ["heel", "leeh"]]},
    "model": {"hidden_size": 4},
    "train": {"epochs": 4, "batch_size": 1, "lr": 0.02},
}


def same_run(one: Path, two: Path) -> None:
    for name in ("model.safetensors", "metrics.jsonl", "recipe.yaml", "vocab.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    first, second = load_file(one / CHECKPOINT), load_file(two / CHECKPOINT)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    results = [json.loads((folder / "result.json").read_text()) | {"run": ""} for folder in (one, two)]
    assert results[0] == results[1]


def goes_on(folder: Path, recipe: Any, *steps: int) -> None:
    """Cut after each of the steps and gone on with, it is the run that was never cut."""
    run_in(folder / "whole", job_of(recipe))
    for step in steps:
        interrupted_then_resumed(folder / f"cut-{step}", lambda: job_of(recipe), step)
        same_run(folder / "whole", folder / f"cut-{step}")


def test_hello(tmp_path: Path) -> None:
    goes_on(tmp_path, "hello", 1, 13, 29)


@pytest.mark.parametrize("engine", ["torch", "loop"])
def test_a_language_model_with_dropout_and_carried_state(tmp_path: Path, small_lm: dict[str, Any], engine: str) -> None:
    small_lm["model"]["engine"] = engine
    small_lm["train"]["epochs"] = 2
    # within an epoch, at the end of the first, within the second; the slower loop in the hardest place alone
    goes_on(tmp_path, small_lm, *((5, 27, 40) if engine == "torch" else (40,)))


@pytest.mark.parametrize("name", names.OPTIMIZERS)
def test_every_optimizer(tmp_path: Path, name: str) -> None:
    arguments = {"sgd": {"momentum": 0.9}, "rmsprop": {"momentum": 0.5, "centered": True}}.get(name, {})
    goes_on(tmp_path, PAIRS | {"train": PAIRS["train"] | {"optimizer": {"name": name, **arguments}}}, 5)


@pytest.mark.parametrize("name", names.SCHEDULES)
def test_every_schedule(tmp_path: Path, name: str) -> None:
    of_schedules: dict[str, dict[str, Any]] = {
        "exponential": {"gamma": 0.5},
        "step": {"step_size": 2},
        "multistep": {"milestones": [1, 3]},
        "cosine-restarts": {"T_0": 2},
        "plateau": {"patience": 0, "threshold": 0.9},
    }
    arguments = of_schedules.get(name, {})
    goes_on(tmp_path, PAIRS | {"train": PAIRS["train"] | {"schedule": {"name": name, **arguments}}}, 3, 5)


@pytest.mark.parametrize("budget", ["train.epochs=3", "train.max_steps=8", "train.max_steps=9"])
def test_a_larger_budget_goes_on_as_if_it_had_been_there_from_the_start(tmp_path: Path, budget: str) -> None:
    """Even where the smaller one ended within an epoch, and the best epoch was not the last."""
    more = ("train.lr=2.0", "train.epochs=6", "train.max_steps=0")
    run_in(tmp_path / "whole", job_of(PAIRS, *more))
    run_in(tmp_path / "cut", job_of(PAIRS, "train.lr=2.0", "train.epochs=6", budget))
    before = (tmp_path / "cut" / "result.json").read_text()
    recipe = recipe_of(tmp_path / "cut", more[1:])
    assert not is_finished(open_run(tmp_path / "cut"), recipe)
    run_in(tmp_path / "cut", prepare(recipe), resume=True)
    assert (tmp_path / "cut" / "result.json").read_text() != before
    same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path, small_lm: dict[str, Any]) -> None:
    """What stands in the logs behind the checkpoint is cut off, and written again."""
    sets = ("train.checkpoint_every=20", "train.epochs=2")
    run_in(tmp_path / "whole", job_of(small_lm, *sets))

    class Killed(Exception):
        pass

    def watch(progress: Any) -> None:
        if progress.step == 35:  # 20 was the last checkpoint, 27 the end of the first epoch
            raise Killed

    with pytest.raises(Killed):
        run_in(tmp_path / "cut", job_of(small_lm, *sets), watch=watch)
    assert len((tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()) == 1
    run_in(tmp_path / "cut", job_of(small_lm, *sets), resume=True)
    same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_run_that_was_gone_on_with_and_stopped_again_is_not_finished(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_in(folder, job_of(PAIRS))
    recipe = recipe_of(folder, ("train.epochs=9",))
    with pytest.raises(StoppedBySignal):
        run_in(folder, prepare(recipe), resume=True, watch=stop_after(14))
    again = recipe_of(folder)
    assert again.config.train.epochs == 9
    assert not is_finished(open_run(folder), again)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_everything_first(tmp_path: Path, number: int, code: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StoppedBySignal) as stopped:
        run_in(tmp_path / "run", job_of("hello"), watch=stop_after(7, number))
    assert stopped.value.code == code
    assert signal.getsignal(number) is before
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 6
    assert open_run(tmp_path / "run").recipe.config.task == "tagging"


@pytest.mark.parametrize("change", ["model.hidden_size=5", "train.lr=0.5", "train.seed=1", "data.tokens=words"])
def test_only_budgets_may_change(tmp_path: Path, change: str) -> None:
    run_in(tmp_path / "run", job_of(PAIRS))
    with pytest.raises(UsageError, match=change.partition("=")[0]) as refused:
        recipe_of(tmp_path / "run", (change,))
    assert refused.value.exit_code == 2


def test_a_schedule_made_for_a_number_of_epochs_holds_it(tmp_path: Path) -> None:
    run_in(tmp_path / "run", job_of(PAIRS, "train.schedule=cosine"))
    with pytest.raises(UsageError, match=r"train\.epochs"):
        recipe_of(tmp_path / "run", ("train.epochs=9",))


def test_other_data_is_refused_and_another_torch_is_said(tmp_path: Path, small_lm: dict[str, Any]) -> None:
    run_in(tmp_path / "run", job_of(small_lm, "train.max_steps=2"))
    environment = open_run(tmp_path / "run").environment()
    job = job_of(small_lm)
    assert check_same(environment, job, tmp_path) == []
    said = check_same(environment | {"torch": "1.0"}, job, tmp_path)
    assert said == [f"not bit-exact: torch was 1.0, now {torch.__version__}"]
    text = Path(small_lm["data"]["path"])
    text.write_text(text.read_text() + "more\n")
    with pytest.raises(UsageError, match="the data has changed"):
        check_same(environment, job_of(small_lm), tmp_path)


@pytest.mark.parametrize("damage", ["cut", "random", "gone", "other model"])
def test_a_damaged_checkpoint_is_one_message(tmp_path: Path, damage: str) -> None:
    job = job_of("hello")
    path = tmp_path / "state.safetensors"
    state = start(job)
    path.write_bytes(checkpoint(state, {}, [own_part(state)]))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "random":
        path.write_bytes(bytes(range(256)) * 20)
    elif damage == "gone":
        path.unlink()
    else:
        job = job_of("hello", "model.hidden_size=9")
    with pytest.raises(DataError) as error:
        load_checkpoint(path, job, start(job))
    assert str(path) in str(error.value)


def test_a_run_that_is_being_trained_is_locked(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_in(folder, job_of("hello"))
    with FolderLock(folder), pytest.raises(UsageError, match="another process"):
        run_in(folder, job_of("hello"), resume=True)
