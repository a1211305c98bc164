"""Evaluates a run on a split of its own data or on a new file, with its baselines."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, SupportsFloat

import torch

from rnncli.data.pictures import Confusion
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr
from rnncli.names import did_you_mean
from rnncli.notebook import Displayed
from rnncli.records import Check, Checks, Json, Message, Page, Record
from rnncli.runs.open import Run
from rnncli.runs.summary import metrics_table
from rnncli.tasks import AnySplits, Baseline, Metrics

PARTS = ("test", "validation", "train")


@dataclass(frozen=True)
class Requirement:
    """`mae<1.6`: a metric, a comparison, and a value."""

    text: str
    metric: str
    sign: str
    limit: float

    def check(self, metrics: Metrics) -> Check:
        """Whether the requirement is met; never for NaN. Raises UsageError: this run has no such metric."""
        if self.metric not in metrics:
            raise UsageError(
                tr("this run has no {metric}", metric=self.metric),
                where="--require",
                todo=tr("available: {names}", names=", ".join(metrics)),
            )
        value = metrics[self.metric]
        compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}[self.sign]
        return Check(
            self.text, compare(value, self.limit), tr("{text}: found {value}", text=self.text, value=f"{value:.6g}")
        )


def requirement(text: str, known: Sequence[str]) -> Requirement:
    """Read `METRIC<NUMBER` (also <=, >, >=). Raises UsageError: malformed, or unknown metric."""
    found = re.fullmatch(r"\s*([^\s<>=]+)\s*(<=|>=|<|>)\s*([^\s<>=]+)\s*", text)
    try:
        limit = float(found[3]) if found else float("nan")
    except ValueError:
        limit = float("nan")
    if found is None or limit != limit:
        raise UsageError(
            tr("{text!r} is not METRIC<NUMBER", text=text),
            where="--require",
            todo=tr('for example --require "{metric}<1.6"; also <=, > and >=', metric=known[0]),
        )
    if found[1] not in known:
        todo = did_you_mean(found[1], known, tr("available: {names}", names=", ".join(known)))
        raise UsageError(tr("this task has no metric {name!r}", name=found[1]), where="--require", todo=todo)
    return Requirement(text, found[1], found[2], limit)


@dataclass(frozen=True, repr=False)
class Evaluation(Displayed):
    """The results of evaluating a run.

    on: the split of the run's data (test, validation, train), or the new file. metrics: by name; loss is averaged over
    what the task counts (in nats for a cross-entropy). baselines: name, metrics, description. notes: what was skipped
    or failed. checks: whether each `require` is met. confusion: if requested; percent: whether the page shows it as a
    percentage of each true class.
    """

    run: Run
    on: str
    metrics: Metrics
    baselines: Sequence[Baseline]
    notes: Sequence[str] = field(default_factory=list)
    checks: Sequence[Check] = ()
    confusion: Confusion | None = None
    percent: bool = False

    def ok(self) -> bool:
        """Whether all requirements are met."""
        return all(check.ok for check in self.checks)

    def to_json(self) -> dict[str, Json]:
        """What `rnncli evaluate --json` prints."""
        document: dict[str, Json] = {
            "schema": "rnncli/evaluate/1",
            "run": str(self.run.folder),
            "on": self.on,
            "metrics": self.metrics,
            "baselines": {baseline.name: baseline.metrics for baseline in self.baselines},
            "require": [{"expression": check.name, "ok": check.ok} for check in self.checks],
            "notes": list(self.notes),
        }
        if (matrix := self.confusion) is not None:
            document["confusion"] = {"labels": list(matrix.labels), "counts": [list(row) for row in matrix.counts]}
        return document

    def page(self) -> Page:
        """The run's metrics on a split, its baselines, and the requirements."""
        config, on = self.run.config, self.on
        rows: list[tuple[str, Metrics, str]] = [(config.model.cell, self.metrics, str(self.run.folder))]
        rows += [(baseline.name, baseline.metrics, baseline.about) for baseline in self.baselines]
        shown: list[Record] = [*(Message(note, "note") for note in self.notes), metrics_table(rows)]
        shown += [] if self.confusion is None else [self.confusion.shown(self.percent)]
        return Page(
            schema="",
            title=tr("result on {part}", part=tr(on)),
            records=[*shown, Checks(self.checks)] if self.checks else shown,
            seed=config.train.seed,
            device="cpu",
            dtype=config.train.dtype,
            torch=torch.__version__.split("+")[0],
        )

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
        n = len(self.baselines)
        best = f"; {n} baseline{'s' if n > 1 else ''}" if n else ""
        return f"Evaluation({self.run.folder} on {self.on}: {metrics}{best})"


def evaluate(
    run: Run,
    data: str | None = None,
    split: str | None = None,
    *,
    dynamic: float | None = None,
    require: Sequence[str] = (),
    confusion: str | None = None,
) -> Evaluation:
    """Evaluate a run. data: a new file, evaluated whole; else `split` of the run's own data, by default test if
    present, then validation, then train. dynamic: learning rate of dynamic evaluation. require: for example `mae<1.6`,
    for Evaluation.checks. confusion: counts or percent. Raises DataError, UsageError."""
    if split is not None and split not in PARTS:
        raise UsageError(
            tr("{name} takes one of {names}, got {value!r}", name="--split", names=", ".join(PARTS), value=split)
        )
    if split is not None and data is not None:
        raise UsageError(tr("new data is not split: it is evaluated whole"), where="--split", todo=tr("omit --split"))
    if dynamic is not None and not (isinstance(dynamic, SupportsFloat) and 0 < dynamic < float("inf")):
        raise UsageError(tr("expected a learning rate above 0, got {value}", value=dynamic), where="--dynamic")
    known = list(dict.fromkeys((*run.task.METRICS, "loss")))
    required = [requirement(text, known) for text in require]
    if confusion not in (None, "counts", "percent"):
        raise UsageError(tr("expected counts or percent, got {value!r}", value=confusion), where="--confusion")
    found, part = _own(run, split, dynamic) if data is None else _new(run, data, dynamic)
    found = replace(found, checks=[one.check(found.metrics) for one in required], percent=confusion == "percent")
    return found if confusion is None else replace(found, confusion=_confusion(run, part))


def _confusion(run: Run, part: Any) -> Confusion:
    found = run.task.confusion(run.config, run.model, run.fitted, part)
    if found is None:
        raise UsageError(
            tr("{task} predicts no classes: there is no confusion matrix", task=run.config.task), where="--confusion"
        )
    return found


def _metrics(run: Run, part: Any, dynamic: float | None, notes: list[str]) -> Metrics:
    if dynamic is None:
        return run.task.metrics(run.config, run.model, part, run.fitted)
    found = run.task.dynamic_metrics(run.config, run.model, part, run.fitted, dynamic)
    notes.append(tr("dynamic evaluation: one SGD step after each window, learning rate {rate}", rate=f"{dynamic:g}"))
    return found


def _own(run: Run, split: str | None, dynamic: float | None) -> tuple[Evaluation, Any]:
    """Of a split, and the split itself."""
    splits = run.task.read(run.config)
    notes = list(splits.notes)
    changed = run.environment().get("data_sha256") != splits.fingerprint
    if changed:
        if splits.fitted != run.fitted:
            raise DataError(
                tr("the data and its vocabulary have changed since this run was trained"),
                where=str(run.folder),
                todo=tr("restore the old data, or evaluate a file as new data: --data FILE"),
            )
        notes.append(tr("the data has changed since this run was trained"))
    there = [name for name in PARTS if name in splits.parts]
    on = there[0] if split is None else split
    if split is None and on != splits.held_out and not changed:
        notes.append(
            tr(
                "evaluated on the {part} split, not used in training; training reported the {other} split: {option}",
                part=tr(on),
                other=tr(splits.held_out),
                option=f"--split {splits.held_out}",
            )
        )
    if on not in there:
        raise UsageError(
            tr("this run's data has no split {name}", name=on),
            where="--split",
            todo=tr("available: {names}", names=", ".join(there)),
        )
    metrics = _metrics(run, splits.part(on), dynamic, notes)
    return Evaluation(run, on, metrics, run.task.baselines(run.config, splits, on), notes), splits.part(on)


def _new(run: Run, data: str, dynamic: float | None) -> tuple[Evaluation, Any]:
    """Of new data, and that data as read."""
    part, notes = run.task.read_part(run.config, run.fitted, data)
    metrics = _metrics(run, part, dynamic, notes)
    baselines: list[Baseline] = []
    splits = _trained_on(run, notes)
    if splits is not None:
        baselines = run.task.baselines(run.config, replace(splits, parts={**splits.parts, "test": part}), "test")
    return Evaluation(run, data, metrics, baselines, notes), part


def _trained_on(run: Run, notes: list[str]) -> AnySplits | None:
    """The run's own data, on which baselines are fitted; None, with a note, if it has changed."""
    try:
        splits = run.task.read(run.config)
    except DataError as error:
        notes.append(tr("no baselines: the training data cannot be read: {why}", why=error.what))
        return None
    if run.environment().get("data_sha256") != splits.fingerprint:
        notes.append(tr("no baselines: the training data has changed"))
        return None
    return splits
