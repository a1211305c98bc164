"""Advice on a finished run: it was still improving, a baseline is better, predictions are empty; each with a
suggestion. Returns sentences and commands; prints nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice

from rnncli.locale import tr, trn
from rnncli.names import CONTROL, SCHEDULES_BY_EPOCHS
from rnncli.records import Json, json_object
from rnncli.tasks import Baseline, Metrics
from rnncli.training.job import Job
from rnncli.training.outcome import RUN, Advice, Outcome

FALLING = 0.01  # relative decrease of the validation loss in the last tenth of the epochs that counts as improving
EMPTY = 0.5  # minimum share of empty predictions to report
ANSWERS = 100  # rows predicted to find out
BY_HEART = 0.7  # a training loss below this fraction of the validation loss means overfitting
History = Sequence[Mapping[str, Json]]  # lines of metrics.jsonl


def advice(job: Job, outcome: Outcome, history: History) -> list[Advice]:
    """Advice for a run that has ended. history: its epochs. The job's model must have the kept weights."""
    losses = [json_object(line[outcome.on])["loss"] for line in history]
    falling = outcome.on == "validation" and not _perfect(job, outcome) and still_falling(losses)
    command = _going_on(job, outcome) if falling else ""
    found = [Advice("still falling", tr("train longer: the loss was still falling"), command)] if command else []
    empty, answered = _empty(job, outcome.on)
    if answered and empty >= EMPTY * answered:
        what = trn(
            "{n} of {answers} on {part} is empty",
            "{n} of {answers} on {part} are empty",
            n=empty,
            answers=trn("{n} answer", "{n} answers", n=answered),
            part=tr(outcome.on),
        )
        todo = tr("train longer") if command else tr("try a larger train.lr, or more data")
        found.append(Advice("empty answers", tr("{what}: {todo}", what=what, todo=todo)))
    better = better_baseline(job, outcome)
    if better:
        todo = tr("train longer") if command else _remedy(outcome, history)
        found.append(Advice("worse than a baseline", tr("{what}: {todo}", what=better, todo=todo)))
    return found


def still_falling(losses: Sequence[object]) -> bool:
    """Whether the last tenth of the epochs (at least one) lowered the loss by 1 % or more.

    >>> still_falling([3.0, 2.0, 1.5]), still_falling([3.0, 1.5, 1.6])
    (True, False)
    """
    numbers = [loss if isinstance(loss, int | float) else math.inf for loss in losses]  # "nan" in the log
    last = max(1, len(numbers) // 10)
    if len(numbers) <= last:
        return False
    before, after = min(numbers[:-last]), min(numbers[-last:])
    return before - after > FALLING * abs(before) if math.isfinite(before) else math.isfinite(after)


def _perfect(job: Job, outcome: Outcome) -> bool:
    """Whether the selection metric has its best possible value. A loss never has."""
    name = job.config.train.best_by
    if name == "loss" or name not in outcome.metrics:
        name = next((name for name in job.task.METRICS if name != "loss" and name in outcome.metrics), "loss")
    value = outcome.metrics.get(name, math.nan)
    if name in ("accuracy", "macro-f1", "mcc", "f1", "exact-match"):
        return value >= 1.0
    if name in ("chrf", "bleu"):
        return value >= 100.0
    return name in ("cer", "wer") and value <= 0.0


def _going_on(job: Job, outcome: Outcome) -> str:
    """The command that resumes training with twice the budget; "" if early stopping ended the run."""
    train = job.config.train
    if outcome.epochs >= train.epochs:
        options = f"--epochs {2 * train.epochs}"
    elif train.max_steps and outcome.steps >= train.max_steps:
        options = f"--set train.max_steps={2 * train.max_steps}"
    elif train.max_time and outcome.seconds >= train.max_time:
        options = f"--max-time {2 * train.max_time:g}"
    else:
        return ""
    name = train.schedule if isinstance(train.schedule, str) else train.schedule.get("name")
    if name in SCHEDULES_BY_EPOCHS:  # cannot be resumed for longer
        return f"rnncli train {RUN}/recipe.yaml {options}"
    return f"{job.group.resume_command(RUN)} {options}"


def _empty(job: Job, part: str) -> tuple[int, int]:
    """(empty predictions, predictions) for the first rows of a split; (0, 0) for tasks that do not output texts."""
    splits = job.splits
    found = list(islice(job.task.answers(job.config, job.model, splits.part(part), splits.fitted), ANSWERS))
    return sum(not answer.strip() for answer in found), len(found)


def better_baseline(job: Job, outcome: Outcome) -> str:
    """`letter n-grams is better: macro-f1 0.7740 against 0.7330`, for the best baseline or the same network without
    memory; "" if none is better. Compares the selection metric and, on ties, the next metric."""
    rivals = list(outcome.baselines)
    if CONTROL in outcome.compared:
        rivals.append(Baseline(tr("without memory"), outcome.compared[CONTROL]))
    for name in dict.fromkeys((job.config.train.best_by, *job.task.METRICS)):
        lower = job.task.METRICS.get(name, "lower") == "lower"
        there = [rival for rival in rivals if _is_number(rival.metrics, name)]
        if not there or not _is_number(outcome.metrics, name):
            continue
        best = (min if lower else max)(there, key=lambda rival: rival.metrics[name])
        theirs, ours = best.metrics[name], outcome.metrics[name]
        if theirs == ours:
            continue
        if (theirs < ours) != lower:
            return ""
        values = {"metric": tr(name), "theirs": f"{theirs:.4f}", "ours": f"{ours:.4f}"}
        return tr("{baseline} is better: {metric} {theirs}, this network {ours}", baseline=best.name, **values)
    return ""


def _is_number(metrics: Metrics, name: str) -> bool:
    return math.isfinite(metrics.get(name, math.nan))


def _remedy(outcome: Outcome, history: History) -> str:
    """What to try if more epochs would not help: depends on whether the model fits its training split."""
    last = history[-1] if history else {}
    trained, held_out = last.get("loss"), json_object(last.get(outcome.on, {})).get("loss")
    numbers = [loss for loss in (trained, held_out) if isinstance(loss, int | float)]
    if len(numbers) == 2 and outcome.on != "train" and numbers[0] < BY_HEART * numbers[1]:
        return tr("it overfits its training split; try more data, dropout or a smaller model")
    return tr("it underfits its training split; try another train.lr or a larger model")
