"""Passes a run's results to the loggers of `rnncli.loggers`: during training, or afterwards from its folder.

Both read the same log lines and weights from the folder, so both give the same result.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from rnncli.errors import CheckFailed, DataError, RnncliError, UsageError
from rnncli.files import FolderLock, inside
from rnncli.locale import tr
from rnncli.loggers import LOGGERS, LoggedEpoch, LoggedResult, LoggedRun, Logger, require
from rnncli.names import did_you_mean
from rnncli.recipe import RecipeConfig, plain
from rnncli.recipe.parse import flow_text
from rnncli.recipe.show import leaves
from rnncli.records import HeatMap, Json, Message, json_number
from rnncli.runs.open import Run, open_run
from rnncli.runs.read import blaming, numbers, read_log
from rnncli.tasks import AnySplits, load_recipe
from rnncli.training.epoch import Epoch
from rnncli.training.job import Job
from rnncli.training.loop import Progress
from rnncli.views import Options, subject_of_task
from rnncli.views._show import name_of, place, places

UNITS, STEPS = 64, 256  # size limits of a picture of states


class Logs:
    """The loggers of a running training: called with its Progress, then `end`, then `close`.

    A failing logger is reported once, with `say`, and then dropped: no logger can stop a run.
    """

    def __init__(self, job: Job, folder: Path, say: Callable[[str], None]) -> None:
        self.job, self.folder, self.say = job, folder, say
        self.names = job.config.train.loggers()
        self.loggers: dict[str, Logger] = {}
        self.begun = False

    def __call__(self, progress: Progress) -> None:
        if not self.begun:  # at the first progress: training that fails before it leaves nothing behind
            self.begun = True
            epochs = read_epochs(self.folder) if self.names else []
            before = epochs[:-1] if progress.event == "epoch" else epochs
            for name in self.names:
                self._guarded(name, partial(self._begin, name, before))
        if progress.event == "epoch" and self.loggers:
            epoch = logged_epoch(
                Epoch.of(progress, self.job.splits.held_out).values(), progress.seconds, progress.watch
            )
            self._each(lambda logger: logger.epoch(epoch))

    def _begin(self, name: str, before: list[LoggedEpoch]) -> None:
        logger = LOGGERS[name]()
        logger.begin(logged_run(self.folder, self.job.config, self.folder / name), before)
        self.loggers[name] = logger

    def end(self) -> None:
        """The run has ended, and its folder contains the result."""
        found: list[LoggedResult] = []

        def end(logger: Logger) -> None:
            if not found:
                found.append(logged_result(open_run(self.folder), self.job.splits))
            logger.end(found[0])

        self._each(end)

    def close(self) -> None:
        self._each(lambda logger: logger.close())

    def _each(self, call: Callable[[Logger], None]) -> None:
        for name, logger in list(self.loggers.items()):
            self._guarded(name, partial(call, logger))

    def _guarded(self, name: str, call: Callable[[], None]) -> None:
        try:
            with torch.random.fork_rng(devices=[]):  # a logger that draws random numbers must not change the run
                call()
        except Exception as error:
            self.loggers.pop(name, None)
            command = f"rnncli runs export {shlex.quote(str(self.folder))} --to {name}"
            self.say(
                tr("logging to {name} stopped: {why}", name=name, why=_why(error))
                + "\n"
                + tr("the run is not affected; once it has ended: {command}", command=command)
            )


def _why(error: Exception) -> str:
    if isinstance(error, RnncliError):
        return f"{error.what} ({error.where})" if error.where else error.what
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def require_logger(name: str) -> None:
    """Raises UsageError: no such logger; Missing: its package is not installed."""
    if name not in LOGGERS:
        todo = did_you_mean(name, LOGGERS, tr("available: {names}", names=", ".join(LOGGERS)))
        raise UsageError(tr("no logger {name!r}", name=name), where="--to", todo=todo)
    require(name, "--to")


def export_log(folder: Path, to: str, out: Path | None = None) -> list[str]:
    """Log a run as `train.log` would have done during training. folder: of the run. to: the logger. out: the folder for
    its files; by default inside the run's folder. Returns notes.

    Raises UsageError (no such logger, the run is training), Missing (a package), DataError (a file of the run),
    CannotWrite, CheckFailed (an error in the logger).
    """
    require_logger(to)
    if out is not None:
        return _export(folder, to, out)
    with FolderLock(folder):
        return _export(folder, to, inside(folder, to))


def _export(folder: Path, to: str, out: Path) -> list[str]:
    config = load_recipe(str(folder / "recipe.yaml")).config
    epochs, result = read_epochs(folder), None
    notes: list[str] = []
    if (folder / "result.json").exists():
        run = open_run(folder)
        splits, notes = _data_of(run)
        result = logged_result(run, splits)
    else:
        notes.append(tr("training has not ended: no result yet"))
    try:
        logger = LOGGERS[to]()
        logger.begin(logged_run(folder, config, out), epochs)
        if result is not None:
            logger.end(result)
        logger.close()
    except RnncliError:
        raise
    except Exception as error:
        raise CheckFailed(tr("logging to {name} failed: {why}", name=to, why=_why(error)), where=str(folder)) from error
    return notes


def _data_of(run: Run) -> tuple[AnySplits | None, list[str]]:
    """The data of a run, None if it is missing or has changed; and notes on that."""
    try:
        splits = run.task.read(run.config)
    except DataError as error:
        return None, [tr("without text and states: its data cannot be read: {why}", why=error.what)]
    if run.environment().get("data_sha256") != splits.fingerprint:
        return None, [tr("without text and states: the data has changed since this run was trained")]
    return splits, []


def logged_run(folder: Path, config: RecipeConfig, out: Path) -> LoggedRun:
    settings = {key: value if isinstance(value, bool | int | float | str) else flow_text(value)
                for key, value in leaves(plain(config))}  # fmt: skip
    started = (folder / "environment.json").stat().st_mtime  # written once, before the first step
    return LoggedRun(folder.resolve().name, folder, out, settings, started)


def read_epochs(folder: Path) -> list[LoggedEpoch]:
    """The epochs in a run's logs. Raises DataError."""
    with blaming("timing.jsonl"):
        seconds = {line["step"]: json_number(line["seconds"]) for line in read_log(folder / "timing.jsonl")}
    with blaming("answers.jsonl"):
        answers = {line["epoch"]: str(line["answers"]) for line in read_log(folder / "answers.jsonl")}
    with blaming("metrics.jsonl"):
        return [
            logged_epoch(line, seconds.get(line["step"], 0.0), answers.get(line["epoch"], ""))
            for line in read_log(folder / "metrics.jsonl")
        ]


def logged_epoch(line: Mapping[str, Json], seconds: float, answers: str) -> LoggedEpoch:
    """line: from metrics.jsonl."""
    values: dict[str, float] = {}
    for key, value in line.items():
        if isinstance(value, Mapping):  # of a split
            values |= {f"{key}/{name}": json_number(figure) for name, figure in value.items()}
        elif key not in ("epoch", "step"):
            values[key] = json_number(value)
    return LoggedEpoch(int(json_number(line["epoch"])), int(json_number(line["step"])), seconds, values, answers)


def logged_result(run: Run, splits: AnySplits | None) -> LoggedResult:
    """The final report of a run with a result. splits: its data; without it, no texts and states."""
    result, epochs = run.result(), read_epochs(run.folder)
    with blaming("result.json"):
        metrics = numbers(result["metrics"])
        best = int(json_number(result["best_epoch"]))
    seconds = epochs[-1].seconds if epochs else 0.0
    if splits is None:
        return LoggedResult(best, seconds, metrics)
    shown = run.task.summarize(run.config, run.model, splits, splits.held_out)
    texts = {one.name: one.text for one in shown if isinstance(one, Message) and one.kind == "code"}
    return LoggedResult(best, seconds, metrics, texts, _states(run, splits))


def _states(run: Run, splits: AnySplits) -> list[HeatMap]:
    """h of the first held-out sample, by core, layer and direction: rows are units, columns are time steps. In English,
    like every file for a program."""
    subject = subject_of_task(run.recipe, run.model, run.fitted, splits, title=run.folder.name, origin="")
    made = subject.trace()
    maps = []
    for core in made.cores:
        steps = min(subject.length(core, 0), STEPS)
        labels = subject.labels(core) or [str(t) for t in range(steps)]
        for layer, direction in places(core.spec, Options()):
            home = place(layer, direction)
            h = made.vectors(f"{made.prefix(core)}{home}.h")[:steps, 0, :UNITS]  # (T, H)
            name, (shown, units) = f"{name_of(core)}.{home}", (h.shape[1], core.spec.state_size)
            cut = "" if shown == units else f", {shown} of {units} units"
            rows, title = [str(unit) for unit in range(shown)], f"{name}.h{cut}"
            maps.append(HeatMap(name, h.T.double().tolist(), rows, labels[:steps], "unit", "step", title))
    return maps
