"""What a finished run says of itself. Histories and figures are written here; the commands are run."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnncli.runs.folder import new_folder, typed_run
from rnncli.runs.train import run_training
from rnncli.tasks import Baseline, load_recipe
from rnncli.training.advice import advice, better_baseline, still_falling
from rnncli.training.job import Job, prepare
from rnncli.training.outcome import Outcome


@pytest.mark.parametrize(
    ("losses", "falling"),
    [
        ([], False),
        ([1.0], False),  # one epoch says nothing
        ([2.0, 1.0], True),
        ([2.0, 1.995], False),  # by less than a hundredth
        ([3.0, 2.0, 1.0, 1.5], False),
        ([3.0 - 0.1 * n for n in range(20)], True),
        ([1.0] * 18 + [0.9, 0.95], True),  # the last two of twenty
        ([1.0] * 17 + [0.9, 0.95, 0.95], False),
        (["nan", 2.0, 1.0], True),
        ([2.0, "nan"], False),
        (["nan", "nan"], False),
    ],
)
def test_still_falling(losses: list[Any], falling: bool) -> None:
    assert still_falling(losses) == falling


def outcome(job: Job, **values: Any) -> Outcome:
    metrics = values.pop("metrics", {"macro-f1": 0.5, "accuracy": 0.6, "loss": 1.0})
    train = job.config.train
    return Outcome(metrics, "validation", 2, train.epochs, 40, 9.0, 1.0, "", **values)


def history(*pairs: tuple[float, float]) -> list[dict[str, Any]]:
    return [{"loss": trained, "validation": {"loss": held_out}} for trained, held_out in pairs]


FALLING = history((3.0, 3.0), (2.0, 2.0), (1.0, 1.5))
BY_HEART = history((3.0, 3.0), (1.0, 2.0), (0.1, 2.5))
STUCK = history((3.0, 3.0), (2.9, 2.9), (2.9, 2.9))


@pytest.fixture(scope="module")
def names_job() -> Job:
    return prepare(load_recipe("names", ["train.epochs=3"]))


def with_train(job: Job, **values: Any) -> Job:
    return replace(job, config=job.config.model_copy(update={"train": job.config.train.model_copy(update=values)}))


@pytest.mark.parametrize(
    ("train", "done", "command"),
    [
        ({}, {}, "rnncli train --resume last --epochs 6"),
        ({"epochs": 9, "max_steps": 40}, {"epochs": 3}, "rnncli train --resume last --set train.max_steps=80"),
        ({"epochs": 9, "max_time": 8.0}, {"epochs": 3}, "rnncli train --resume last --max-time 16"),
        ({"epochs": 9}, {"epochs": 3}, ""),  # early stopping
        ({"schedule": "cosine"}, {}, "rnncli train 'a b/recipe.yaml' --epochs 6"),
    ],
)
def test_a_run_that_still_fell_is_gone_on_with(names_job: Job, train: Any, done: Any, command: str) -> None:
    job = with_train(names_job, **train)
    ended = replace(outcome(job, folder=Path("a b")), **done)
    found = advice(job, ended, FALLING)
    assert [one.typed("last", Path("a b")) for one in found] == ([command] if command else [])
    assert advice(job, ended, STUCK) == []
    if "--resume" in command:
        assert found[0].to_json()["command"] == command.replace("last", "RUN")
    perfect = replace(ended, metrics={"macro-f1": 1.0, "accuracy": 1.0, "loss": 0.1})
    assert advice(job, perfect, FALLING) == []
    for name, best in {"chrf": 100.0, "bleu": 100.0, "exact-match": 1.0, "cer": 0.0}.items():
        by = with_train(job, best_by=name)
        assert advice(by, replace(ended, metrics={name: best, "loss": 0.1}), FALLING) == []
        assert bool(advice(by, replace(ended, metrics={name: 0.5, "loss": 0.1}), FALLING)) == bool(command)
    assert (
        advice(job, replace(ended, on="train"), [{"loss": 1.0, "train": line["validation"]} for line in FALLING]) == []
    )


@pytest.mark.parametrize(
    ("past", "todo"),
    [
        (FALLING, "train longer"),
        (BY_HEART, "overfits"),
        (STUCK, "it underfits its training split; try another train.lr or a larger model"),
    ],
)
def test_a_better_baseline_is_named_with_what_to_try(names_job: Job, past: Any, todo: str) -> None:
    rivals = [Baseline("majority", {"macro-f1": 0.1}), Baseline("n-grams", {"macro-f1": 0.7, "accuracy": 0.8})]
    found = advice(names_job, outcome(names_job, baselines=rivals), past)[-1]
    assert found.about == "worse than a baseline"
    assert found.text.startswith("n-grams is better: macro-f1 0.7000, this network 0.5000: ")
    assert todo in found.text


@pytest.mark.parametrize(
    ("rivals", "compared", "better"),
    [
        ([{"macro-f1": 0.4}], {}, ""),
        ([{"macro-f1": 0.5}], {}, ""),  # level, and nothing else to compare
        ([{"macro-f1": 0.5, "accuracy": 0.7}], {}, "rival is better: accuracy"),
        ([{"macro-f1": 0.5, "accuracy": 0.5, "loss": 0.1}], {}, ""),
        ([{"loss": 0.5}], {}, "rival is better: loss 0.5000"),  # lower is better
        ([{"macro-f1": float("nan")}], {}, ""),
        ([{"bleu": 9.0}], {}, ""),
        ([], {"feedforward": {"macro-f1": 0.6}}, "without memory is better"),
        ([], {"gru": {"macro-f1": 0.6}}, ""),  # another cell is no baseline
    ],
)
def test_which_baseline_is_better(names_job: Job, rivals: Any, compared: Any, better: str) -> None:
    ended = outcome(names_job, baselines=[Baseline("rival", metrics) for metrics in rivals], compared=compared)
    found = better_baseline(names_job, ended)
    assert found.startswith(better)
    assert bool(found) == bool(better)


@pytest.mark.parametrize(("written", "said"), [(["", " ", "a", "b"], True), (["", "b", "c"], False), ([], False)])
def test_empty_answers_are_said(names_job: Job, written: list[str], said: bool) -> None:
    class Task:
        METRICS = names_job.task.METRICS

        @staticmethod
        def answers(*_: object) -> list[str]:
            return written

    job = replace(names_job, task=Task)  # type: ignore[arg-type]
    found = advice(job, outcome(job), STUCK)
    assert [one.about for one in found] == (["empty answers"] if said else [])
    assert not said or found[0].text.startswith("2 of 4 answers on validation are empty: ")


def test_the_answers_of_sound_and_of_sentences_are_those_that_are_measured(thinned: None) -> None:
    sounds = prepare(load_recipe("transcription", ["train.epochs=1"]))
    part = sounds.splits.part("validation")
    written = list(sounds.task.answers(sounds.config, sounds.model, part, sounds.splits.fitted))
    assert len(written) == len(part.rows)
    from rnncli.data.edits import error_rates

    texts = [clip.text for clip in part.rows.listed]
    metrics = sounds.task.metrics(sounds.config, sounds.model, part, sounds.splits.fitted)
    assert error_rates(zip(written, texts, strict=True))[0] == pytest.approx(metrics["cer"])


def test_the_run_goes_on_by_the_command(
    small_lm: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rnncli.cli import run

    monkeypatch.chdir(tmp_path)
    job = prepare(load_recipe(small_lm))
    for out, typed in ((None, "last"), ("my runs/one", "'my runs/one'"), ("elsewhere/runs/x", "elsewhere/runs/x")):
        ended = run_training(job := prepare(load_recipe(small_lm)), new_folder("lm", out))
        (one,) = [one for one in ended.advice if one.command]
        assert ended.folder is not None
        assert typed_run(ended.folder) == typed
        command = one.typed(typed_run(ended.folder), ended.folder)
        assert command == f"rnncli train --resume {typed} --epochs 6"
        assert run(shlex.split(command)[1:]) == 0
        assert "epoch 6" in capsys.readouterr().out
    assert job.config.train.epochs == 3
