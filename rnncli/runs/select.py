"""Which runs of a list are shown, in which order, and which of comparable runs is best. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from rnncli.errors import RnncliError, UsageError
from rnncli.locale import tr
from rnncli.names import did_you_mean
from rnncli.recipe.parse import flow_text
from rnncli.records import Json
from rnncli.runs.read import RunSummary

OWN: Mapping[str, Callable[[RunSummary], Json]] = {
    "run": lambda run: str(run.folder),
    "task": lambda run: run.settings.get("task"),
    "metric": lambda run: run.best_by,
    "score": lambda run: run.score,
    "state": lambda run: run.state,
    "epochs": lambda run: run.last_epoch,
    "time": lambda run: run.seconds,
    "when": lambda run: run.modified,
}


def matching(runs: Sequence[RunSummary], where: Sequence[str]) -> list[RunSummary]:
    """The runs for which every `KEY=VALUE` holds. Raises UsageError for another form or an unknown key."""
    found = list(runs)
    for text in where:
        key, equals, wanted = text.partition("=")
        if not equals:
            raise UsageError(tr("expected KEY=VALUE, got {text!r}", text=text), where="--where")
        key = _known(key.strip(), runs, "--where")
        found = [run for run in found if _same(_value(run, key), wanted.strip())]
    return found


def ordered(runs: Sequence[RunSummary], key: str, reverse: bool) -> list[RunSummary]:
    """By a key, runs without it last; by `score` the best first, within each task and metric. Without a key, the newest
    last. Raises UsageError for an unknown key."""
    if not key:
        return sorted(runs, key=lambda run: (run.modified, str(run.folder)), reverse=reverse)
    key = _known(key, runs, "--sort")
    known: list[RunSummary] = []
    unknown: list[RunSummary] = []
    for run in runs:
        (unknown if _value(run, key) in (None, "") else known).append(run)
    return sorted(known, key=lambda run: _rank(run, key), reverse=reverse) + unknown


def best_of(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The best run of each task, metric, split and data, where several finished runs share them."""
    groups: dict[tuple[object, ...], list[RunSummary]] = {}
    for run in runs:
        if run.state == "finished" and run.data and run.score is not None and math.isfinite(run.score):
            groups.setdefault((run.settings.get("task"), run.best_by, run.on, run.data), []).append(run)
    return [min(group, key=_goodness) for group in groups.values() if len(group) > 1]


def _goodness(run: RunSummary) -> float:
    """The score, or its negative where higher is better."""
    assert run.score is not None
    return -run.score if _higher(run) else run.score


def _higher(run: RunSummary) -> bool:
    from rnncli.tasks.registry import load_task, task_names

    task = str(run.settings.get("task", ""))
    try:
        return task in task_names() and load_task(task).METRICS.get(run.best_by) == "higher"
    except RnncliError:  # a task of a package that is not installed
        return False


def _rank(run: RunSummary, key: str) -> tuple[object, ...]:
    if key == "score":
        return str(run.settings.get("task")), run.best_by, _goodness(run)
    value = _value(run, key)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return not number, value if number else flow_text(value)


def _value(run: RunSummary, key: str) -> Json:
    return OWN[key](run) if key in OWN else run.settings.get(key, run.metrics.get(key))


def _same(value: Json, wanted: str) -> bool:
    """As text, or as numbers: 0.1 is 1e-1."""
    if value is None:
        return False
    if (value if isinstance(value, str) else flow_text(value)) == wanted:
        return True
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and value == float(wanted)
    except ValueError:
        return False


def _known(key: str, runs: Sequence[RunSummary], flag: str) -> str:
    """The key, or the setting of a section that it names: `hidden_size`. Raises UsageError."""
    names = dict.fromkeys([*OWN, *(name for run in runs for name in (*run.settings, *run.metrics))])
    if key in names or not runs:
        return key
    ends = [name for name in names if name.partition(".")[2] == key]
    if len(ends) == 1:
        return ends[0]
    todo = did_you_mean(key, names, tr("available: {names}", names=", ".join([*(ends or OWN), "model.cell ..."])))
    raise UsageError(tr("these runs have no key {name!r}", name=key), where=flag, todo=todo)
