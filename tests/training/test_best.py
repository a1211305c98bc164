"""Which epoch is kept, against the rule written out: the best metric, and among equals the lowest loss."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save

from rnncli.errors import Missing, RecipeError
from rnncli.locale import english
from rnncli.runs.manifest import Manifest
from rnncli.runs.summary import closing
from rnncli.runs.train import StoppedBySignal, run_training
from rnncli.runs.writer import CHECKPOINT
from rnncli.tasks import load_recipe, load_task, tagging, task_names, translation
from rnncli.training.best import is_better, moved, unmoved
from rnncli.training.job import Job, prepare
from rnncli.training.loop import fit
from tests.training.training_runs import interrupted_then_resumed, job_of, run_in, stop_after

TAGGING: dict[str, Any] = {
    "task": "tagging",
    "data": {"pairs": [["hello", "ohlol"], ["hole", "oleh"], ["heel", "leeh"]]},
    "model": {"hidden_size": 4},
    "train": {"epochs": 9, "batch_size": 1, "lr": 0.02, "best_by": "accuracy"},
}
Figures = list[tuple[float, float]]  # of every epoch: accuracy, loss


def scripted(figures: Figures, **train: Any) -> Job:
    """A job whose epochs measure these accuracies and losses."""
    recipe = TAGGING | {"train": TAGGING["train"] | {"epochs": len(figures), **train}}
    job, left = job_of(recipe), iter(figures)

    def metrics(*_: Any) -> dict[str, float]:
        accuracy, loss = next(left)
        return {"accuracy": accuracy, "loss": loss}

    job.task = copy.copy(job.task)
    vars(job.task)["metrics"] = metrics
    return job


def kept(figures: Figures, **train: Any) -> tuple[int, int]:
    """(the epoch kept, the last epoch trained)."""
    *_, last, end = (p for p in fit(scripted(figures, **train)) if p.event != "step")
    return end.epoch, last.epoch


def test_among_equal_epochs_the_lowest_loss_is_kept() -> None:
    figures = [(0.5, 0.9)] * 6 + [(1.0, 0.0418)] + [(1.0, 0.05)] * 7 + [(1.0, 0.0036), (1.0, 0.004)]
    assert kept(figures) == (15, 16)


def test_a_better_metric_counts_more_than_any_loss() -> None:
    assert kept([(0.4, 0.1), (0.5, 9.0), (0.4, 0.01)]) == (2, 3)


def test_early_stopping_waits_while_the_loss_of_an_unmoved_metric_falls() -> None:
    falling = [(0.0, 1 / (1 + k)) for k in range(8)]
    assert kept([*falling, *[(0.0, 1.0)] * 5], early_stopping=3) == (8, 11)


VALUES = st.sampled_from([0.0, 0.5, 1.0, math.nan, math.inf])


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8), st.sampled_from(["lower", "higher"]))
def test_the_kept_epoch_is_the_first_of_the_best(figures: Figures, direction: str) -> None:
    def usable(value: float) -> float:
        return value if math.isfinite(value) else math.inf

    sign = 1 if direction == "lower" else -1
    order = [(usable(sign * score if math.isfinite(score) else score), usable(loss)) for score, loss in figures]
    best: dict[str, float] = {}
    found, changed = 0, list[str]()
    for k, (score, loss) in enumerate(figures):
        now = {"m": score, "loss": loss}
        changed = moved(changed, ("m", "loss"), now, best or now)
        if is_better(now, best, "m", direction):
            best, found = now, k
    assert found == order.index(min(order))
    if min(order[0]) < math.inf:  # before the first usable epoch there is none to compare with
        columns = dict(zip(("m", "loss"), zip(*figures, strict=True), strict=True))
        assert changed == [name for name, column in columns.items() if len(set(map(repr, column))) > 1]


def test_what_is_said_of_a_metric_that_never_moved() -> None:
    best = {"exact-match": 0.0, "loss": 2.5, "chrf": 20.0}
    assert unmoved(best, "chrf", ["chrf", "loss"]) == ""
    said = unmoved(best, "exact-match", ["loss", "chrf"])
    assert said.startswith("exact-match was 0 at every epoch, so the epoch was selected by loss")
    assert said.endswith("to select by another metric: --set train.best_by=chrf")
    assert unmoved(best, "exact-match", ["loss"]).endswith("at every epoch, so the epoch was selected by loss")
    assert unmoved(best, "loss", []) == "the loss was 2.5 at every epoch; try a larger train.lr"


def test_it_is_said_on_the_screen_and_in_the_result() -> None:
    job = scripted([(0.0, 3.0), (0.0, 1.0), (0.0, 2.0)])
    outcome = run_training(job, None, baselines=False)
    (note,) = outcome.notes
    assert english(note).startswith("accuracy was 0 at every epoch")
    assert outcome.to_json()["notes"] == [english(note)]
    said = [record for record in closing(job_of(TAGGING), outcome).records if getattr(record, "text", "") == note]
    assert len(said) == 1
    for moving in ([(0.0, 3.0), (0.1, 1.0)], [(0.0, 3.0)]):
        assert run_training(scripted(moving), None, baselines=False).notes == []


def test_a_metric_that_moved_before_an_interruption_has_moved(tmp_path: Path) -> None:
    figures = [(0.0, 3.0), (0.5, 2.0), (0.0, 2.5), (0.5, 1.0), (0.5, 1.0)]
    with pytest.raises(StoppedBySignal):
        run_in(tmp_path / "run", scripted(figures), watch=stop_after(8))  # within the third epoch
    outcome = run_in(tmp_path / "run", scripted(figures[2:], epochs=5), resume=True)
    assert (outcome.best_epoch, outcome.notes) == (4, [])


@pytest.mark.parametrize("step", [1, 8, 12, 20])
def test_ties_are_broken_alike_in_a_run_that_was_cut(tmp_path: Path, step: int) -> None:
    whole = run_in(tmp_path / "whole", job_of(TAGGING))
    cut = interrupted_then_resumed(tmp_path / "cut", lambda: job_of(TAGGING), step)
    assert (cut.best_epoch, cut.metrics, cut.notes) == (whole.best_epoch, whole.metrics, whole.notes)
    lines = [json.loads(line) for line in (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()]
    scores = [(-line["train"]["accuracy"], line["train"]["loss"]) for line in lines]
    assert len({score for score, _ in scores}) < len(scores), "no two epochs are equal: nothing is shown"
    assert cut.best_epoch == scores.index(min(scores)) + 1


def as_of_0_1(folder: Path) -> None:
    """Turn the checkpoint into what rnncli 0.1 wrote."""
    with safe_open(folder / CHECKPOINT, framework="pt") as file:
        document = json.loads(file.metadata()["rnncli"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    state = document["state"]
    del state["lr"], state["moved"]
    state["best"] = state["best_metrics"].get("accuracy")
    (folder / CHECKPOINT).write_bytes(save(tensors, metadata={"rnncli": json.dumps(document)}))
    manifest = Manifest(folder)
    manifest.load()
    manifest.seal([CHECKPOINT])


def test_a_run_of_0_1_goes_on_bit_for_bit(tmp_path: Path) -> None:
    sets = ("train.schedule={name: exponential, gamma: 0.5}",)
    run_in(tmp_path / "whole", job_of(TAGGING, *sets))
    with pytest.raises(StoppedBySignal):
        run_in(tmp_path / "cut", job_of(TAGGING, *sets), watch=stop_after(13))
    as_of_0_1(tmp_path / "cut")
    run_in(tmp_path / "cut", job_of(TAGGING, *sets), resume=True)
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


@pytest.mark.parametrize("name", task_names())
def test_best_by_takes_every_metric_of_the_task(name: str) -> None:
    task = load_task(name)
    known = get_args(task.config_class.model_fields["train"].annotation.model_fields["best_by"].annotation)
    assert set(known) == set(task.METRICS)
    assert "loss" in known


def test_a_wrong_name_gives_the_list() -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe("translation", ["train.best_by=f1"])
    assert "chrf, exact-match, bleu, loss" in refused.value.faults[0].what


def test_a_task_whose_config_takes_any_text_refuses_a_wrong_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagging.TASK, "METRICS", {"accuracy": "higher"})
    with pytest.raises(RecipeError) as refused:
        load_recipe("hello")
    assert refused.value.faults[0].what == "expected one of accuracy, got 'loss'"


def test_bleu_without_sacrebleu_is_refused_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "_has_sacrebleu", lambda: False)
    with pytest.raises(Missing, match="bleu needs sacrebleu"):
        prepare(load_recipe("translation", ["train.best_by=bleu"]))
    assert prepare(load_recipe("translation", ["train.best_by=chrf"])).config.train.best_by == "chrf"
