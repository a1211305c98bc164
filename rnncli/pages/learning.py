"""How training went, from a run's own log, and what it came to beside baselines."""

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

Row = tuple[str, Metrics, str]  # a way to answer: its name, its metrics, a few words
OWN = ("epoch", "step", "loss", "train", "validation")  # keys of a line that `_values` reads in its own way
NAMED = 3  # names before a text, at most


def curves(targets: Sequence[Target]) -> list[Record]:
    """Loss and metrics, epoch by epoch; learning rate, gradient norm and whatever else a line of the log holds. The
    curves of several targets share a chart."""
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
    """DataError where a file of the run is JSON, but not what training writes."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(tr("this file is damaged: {why}", why=why), where=str(target.folder / name)) from error


def _values(line: Mapping[str, Json], known: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """A line of metrics.jsonl as (chart, curve) -> value. known: the task's metrics; others it measures, such as the
    accuracy at each length, share one chart."""
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
        return Message(tr("learning rate: {value} throughout", value=f"{steady.pop():g}"), "note", name="lr")
    x = sorted({epoch for line in lines.values() for epoch in line})
    drawn = {label: [line.get(epoch, float("nan")) for epoch in x] for label, line in lines.items()}
    return Series(f"curve-{name}", x, drawn, tr("epoch"), name, name, marks=dict(marks))


def results(targets: Sequence[Target]) -> list[Record]:
    """Metrics of the epoch that was kept, those of the same recipe without memory, and baselines: each once, with the
    runs that it is of where those are not all."""
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
    """A text with the names that it is about before it, where those are not all."""
    if len(names) == every:
        return text
    more = len(names) - NAMED
    shown = ", ".join(names[:NAMED]) + (f" {tr('and {n} more', n=more)}" if more > 0 else "")
    return f"{shown}: {text}"


def _result(target: Target) -> tuple[Row, list[Row]]:
    """What the run reached; and what others reach on its data."""
    result = target.result()
    part, epoch = str(result["on"]), int(json_number(result["best_epoch"]))
    about = tr("{cell}, on {part}, epoch {n}", cell=target.config.model.cell, part=tr(part), n=epoch)
    others: list[Row] = []
    for name, metrics in json_object(result.get("compared") or {}).items():
        without = tr("without memory") if name == CONTROL else name
        others.append((without, _numbers(metrics), tr("the same recipe, cell {name}", name=name)))
    for name, metrics in json_object(result.get("baselines") or {}).items():
        others.append((tr(name), _numbers(metrics), tr("baseline")))
    return (target.name, _numbers(result["metrics"]), about), others


def _numbers(metrics: Json) -> Metrics:
    return {name: json_number(value) for name, value in json_object(metrics).items() if value is not None}
