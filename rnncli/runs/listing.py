"""`rnncli runs`: lists run folders and compares runs."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

from rnncli.errors import UsageError
from rnncli.locale import tr, trn
from rnncli.names import differing
from rnncli.recipe.parse import flow_text
from rnncli.recipe.show import labels_of
from rnncli.records import Column, Commands, Json, Message, Page, Record, Series, Table
from rnncli.runs.read import MOST_FOLDERS, RunSummary, curve
from rnncli.runs.select import best_of, matching, ordered

MOST_ROWS = 40  # on the screen; --full and files have all
LOG_AXIS_RATIO = 100.0  # ratio of the largest to the smallest loss above which the axis is logarithmic
MACHINE_KEYS = ("format", "train.device", "train.threads", "model.engine")  # differ by machine, not by intent


def list_page(
    runs: Sequence[RunSummary],
    folder: Path,
    whole: bool = True,
    *,
    sort: str = "",
    reverse: bool = False,
    where: Sequence[str] = (),
) -> Page:
    """One row per run, the newest last: its model, progress and metrics; the best of comparable runs is marked.

    whole: whether every folder was searched. sort, reverse, where: as in rnncli.runs.select. Raises UsageError.
    """
    best = best_of(runs)
    listed = ordered(matching(runs, where), sort, reverse)
    columns = [
        Column("run", tr("run"), "text"),
        Column("task", tr("task"), "text", optional=True),
        Column("model", tr("model"), "text"),
        Column("epochs", tr("epochs"), "text"),
        Column("metric", tr("metric"), "text"),
        Column("score", tr("score")),
        Column("best", "", "text"),
        Column("state", tr("state"), "text"),
        Column("seconds", tr("time"), "seconds", optional=True),
        Column("when", tr("when"), "text", optional=True),
    ]
    rows = [
        [
            name_of(run, folder),
            str(run.settings.get("task", "")),
            model_words(run),
            _epochs(run),
            run.best_by if run.score is not None else "",
            run.score,
            tr("best") if run in best else "",
            state_words(run),
            run.seconds,
            _when(run),
        ]
        for run in listed
    ]
    shown: list[Record] = [Table("runs", columns, rows, cut_rows=MOST_ROWS)]
    broken = [run for run in runs if run.state == "broken"]
    shown += [Message(f"{name_of(run, folder)}: {run.note}", "warning") for run in broken[:5]]
    if len(broken) > 5:
        shown.append(Message(tr("and {n} more", n=len(broken) - 5), "warning"))
    if not runs:
        shown = [Message(tr("no runs under {folder}/", folder=folder))]
    if runs and not listed:
        text = trn("{n} run, and none matches --where", "{n} runs, and none matches --where", n=len(runs))
        shown = [Message(text)]
    if not whole:
        n = f"{MOST_FOLDERS:,}"
        text = tr("stopped after {n} folders: give a folder closer to the runs", n=n)
        shown.append(Message(text, "warning"))
    commands = [("rnncli runs compare RUN RUN", tr("settings, metrics and curves side by side"))]
    if not runs:
        commands = [("rnncli train hello", tr("train one"))]
    shown.append(Commands(tr("next"), commands))
    return Page("rnncli/runs/1", tr("runs under {folder}", folder=folder), shown, {"folder": str(folder)})


def name_of(run: RunSummary, folder: Path) -> str:
    """The run's path relative to the listed folder; its own name if it is that folder."""
    return str(run.folder.relative_to(folder)) if run.folder != folder else run.folder.name


def model_words(run: RunSummary) -> str:
    """`lstm 64`, `gru 32 x2 bi`."""
    settings = run.settings
    words = [str(settings.get("model.cell", "")), str(settings.get("model.hidden_size", ""))]
    if settings.get("model.num_layers", 1) != 1:
        words.append(f"x{settings['model.num_layers']}")
    if settings.get("model.bidirectional") is True:
        words.append("bi")
    return " ".join(word for word in words if word)


def _epochs(run: RunSummary) -> str:
    """The last epoch, the planned number, and the best one; only the last for a run without a result."""
    planned = run.settings.get("train.epochs")
    if not run.best_epoch or not planned:
        return ""
    if run.state != "finished":
        return f"{run.best_epoch}/{planned}"
    return tr("{n}/{planned}, best {best}", n=run.last_epoch, planned=planned, best=run.best_epoch)


def state_words(run: RunSummary) -> str:
    return {
        "finished": tr("finished"),
        "running": tr("running"),
        "stopped": tr("stopped"),
        "diverged": tr("diverged"),
        "pruned": tr("given up"),
        "broken": tr("broken"),
    }[run.state]


def _when(run: RunSummary) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(run.modified)) if run.modified else ""


def compare_page(runs: Sequence[RunSummary]) -> Page:
    """Settings that differ, metrics and time, loss curves. Raises UsageError: fewer than two, or one of them twice."""
    if len(runs) < 2:
        raise UsageError(tr("needs at least two runs"), todo=tr("see: rnncli runs list"))
    names = short_names([run.folder for run in runs])
    shown: list[Record] = [_settings(runs, names), _figures(runs, names)]
    shown += [
        Message(f"{name}: {state_words(run)}{', ' + run.note if run.note else ''}", "warning")
        for name, run in zip(names, runs, strict=True)
        if run.state != "finished"
    ]
    shown += _curves(runs, names)
    title = tr("comparing {n} runs", n=len(runs))
    return Page("rnncli/runs-compare/1", title, shown, {"runs": [str(run.folder) for run in runs]})


def short_names(folders: Sequence[Path], least: int = 1) -> list[str]:
    """Each folder by its last path components, as few as needed to distinguish all, at least `least`. Raises UsageError
    for duplicates."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError(tr("duplicate run"), todo=tr("give each run once"))
    most = max(len(folder.resolve().parts) for folder in folders)
    for count in range(least, most + 1):
        names = ["/".join(folder.resolve().parts[-count:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    raise AssertionError("distinct folders must have distinct names")


def _settings(runs: Sequence[RunSummary], names: Sequence[str]) -> Record:
    """A row per run, a column per key whose value differs. A broken run shows what could be read."""
    found = [run.settings for run in runs if run.settings]
    keys = [key for key in differing(found, _value) if key not in MACHINE_KEYS]
    if not keys:
        return Message(tr("no settings differ"))
    labels = labels_of(keys)
    columns = [Column("run", tr("run"), "text"), *(Column(key, labels[key], "text") for key in keys)]
    rows = [[name, *(_value(run.settings.get(key)) for key in keys)] for name, run in zip(names, runs, strict=True)]
    return Table("settings", columns, rows, title=tr("settings that differ"), turned=True)


def _value(value: Json) -> str:
    return "" if value is None else value if isinstance(value, str) else flow_text(value)


def _figures(runs: Sequence[RunSummary], names: Sequence[str]) -> Table:
    metrics = list(dict.fromkeys(name for run in runs for name in run.metrics))
    columns = [
        Column("run", tr("run"), "text"),
        Column("on", tr("evaluated on"), "text", optional=True),
        *(Column(metric, metric) for metric in metrics),
        Column("epochs", tr("epochs"), "text"),
        Column("seconds", tr("time"), "seconds"),
        Column("state", tr("state"), "text", optional=True),
    ]
    rows = [
        [name, run.on, *(run.metrics.get(metric) for metric in metrics), _epochs(run), run.seconds, state_words(run)]
        for name, run in zip(names, runs, strict=True)
    ]
    return Table("metrics", columns, rows, title=tr("metrics of the best epoch"), turned=True)


def _curves(runs: Sequence[RunSummary], names: Sequence[str]) -> list[Record]:
    """The loss over epochs: training, and held-out split if there is one."""
    shown: list[Record] = []
    for part, name, title in (
        ("", "loss", tr("training loss")),
        ("validation", "validation_loss", tr("validation loss")),
    ):
        found = {label: curve(run, part, "loss") for label, run in zip(names, runs, strict=True)}
        epochs = sorted({epoch for values in found.values() for epoch in values})
        if not epochs:
            continue
        lines = {label: [values.get(epoch, math.nan) for epoch in epochs] for label, values in found.items() if values}
        values = [value for line in lines.values() for value in line if math.isfinite(value)]
        wide = bool(values) and min(values) > 0 and max(values) > LOG_AXIS_RATIO * min(values)
        shown.append(Series(name, epochs, lines, x_label=tr("epoch"), y_label=tr("loss"), title=title, log_y=wide))
    return shown
