"""Training curves from a run's log, and final metrics compared with baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.names import CONTROL
from rnncli.records import Json, Message, Record, Series, json_number, json_object
from rnncli.runs.summary import metrics_table
from rnncli.targets import Target
from rnncli.tasks import Metrics

Row = tuple[str, Metrics, str]  # method: name, metrics, description
OWN = ("epoch", "step", "loss", "train", "validation")  # keys of a log line that `_values` handles separately
NAMED = 3  # maximum number of names before a text


def curves(targets: Sequence[Target]) -> list[Record]:
    """Loss and metrics by epoch; learning rate, gradient norm and any other logged value. Curves of several targets
    share a chart."""
    found: dict[str, dict[str, dict[int, float]]] = {}  # chart -> curve -> epoch -> value
    marks: dict[str, float] = {}
    for target in targets:
        head = f"{target.name}: " if len(targets) > 1 else ""
        with _readable(target, "metrics.jsonl"):
            log = [(int(json_number(line["epoch"])), _values(line, target.task.METRICS)) for line in target.log()]
        for epoch, values in log:
            for (chart, curve), value in values.items():
                found.setdefault(chart, {}).setdefault(f"{head}{curve}" if curve else target.name, {})[epoch] = value
        best = target.result().get("best_epoch")
        if best and len(log) > 1 and len(targets) == 1:
            marks[tr("kept")] = json_number(best)
    return [_chart(name, lines, marks) for name, lines in found.items()]


@contextmanager
def _readable(target: Target, name: str) -> Iterator[None]:
    """Raise DataError if a file of the run is JSON but not as written by training."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(tr("this file is damaged: {why}", why=why), where=str(target.folder / name)) from error


def _values(line: Mapping[str, Json], known: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """A line of metrics.jsonl as (chart, curve) -> value. known: the task's METRICS; other metrics, such as accuracy by
    length, share one chart."""
    values = {(tr("loss"), tr("train")): json_number(line["loss"])}
    for part in ("train", "validation"):
        for name, value in json_object(line.get(part) or {}).items():
            curve = tr("validation") if part == "validation" else tr("train, after the epoch")
            if name == "loss":
                values[tr("loss"), curve] = json_number(value)
            elif name in known:
                values[tr(name), curve] = json_number(value)
            else:
                values[tr("by length"), name] = json_number(value)
    for name, value in line.items():
        if name not in OWN and isinstance(value, int | float | str):
            chart = {"lr": tr("learning rate"), "grad_norm": tr("gradient norm")}.get(name, name)
            values[chart, ""] = json_number(value)
    return values


def _chart(name: str, lines: Mapping[str, Mapping[int, float]], marks: Mapping[str, float]) -> Record:
    steady = {value for line in lines.values() for value in line.values()}
    if name == tr("learning rate") and len(steady) == 1:
        return Message(tr("constant learning rate: {value}", value=f"{steady.pop():g}"), "note", name="lr")
    x = sorted({epoch for line in lines.values() for epoch in line})
    drawn = {label: [line.get(epoch, float("nan")) for epoch in x] for label, line in lines.items()}
    return Series(f"curve-{name}", x, drawn, tr("epoch"), name, name, marks=dict(marks))


def results(targets: Sequence[Target]) -> list[Record]:
    """Metrics of the selected epoch, of the same recipe without memory, and of baselines: each once, with the names of
    its runs if not all."""
    rows: list[Row] = []
    below: dict[tuple[str, str, str], tuple[Row, list[str]]] = {}
    for target in targets:
        if target.result():
            with _readable(target, "result.json"):
                own, others = _result(target)
            rows.append(own)
            for row in others:
                below.setdefault((row[0], str(row[1]), row[2]), (row, []))[1].append(target.name)
    if not rows:
        return []
    others = [(name, metrics, of_some(about, of, len(rows))) for (name, metrics, about), of in below.values()]
    return [metrics_table([*rows, *others])]


def of_some(text: str, names: Sequence[str], every: int) -> str:
    """A text prefixed with the names it applies to, if not all."""
    if len(names) == every:
        return text
    more = len(names) - NAMED
    shown = ", ".join(names[:NAMED]) + (f" {tr('and {n} more', n=more)}" if more > 0 else "")
    return f"{shown}: {text}"


def _result(target: Target) -> tuple[Row, list[Row]]:
    """The run's metrics, and those of other methods on its data."""
    result = target.result()
    part, epoch = str(result["on"]), int(json_number(result["best_epoch"]))
    about = tr("{cell}, on {part}, epoch {n}", cell=target.config.model.cell, part=tr(part), n=epoch)
    others: list[Row] = []
    for name, metrics in json_object(result.get("compared") or {}).items():
        without = tr("without memory") if name == CONTROL else name
        others.append((without, _numbers(metrics), tr("same recipe with cell {name}", name=name)))
    for name, metrics in json_object(result.get("baselines") or {}).items():
        others.append((tr(name), _numbers(metrics), tr("baseline")))
    return (target.name, _numbers(result["metrics"]), about), others


def _numbers(metrics: Json) -> Metrics:
    return {name: json_number(value) for name, value in json_object(metrics).items() if value is not None}
