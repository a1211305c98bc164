"""The run folder: what training leaves behind, and how to open it again.

recipe.yaml         the recipe, every value resolved     metrics.jsonl  one line an epoch: step, losses, metrics
model.safetensors   the weights of the best epoch        timing.jsonl   beside it: seconds, speed
vocab.json          what the training data taught        result.json    the closing figures
environment.json    versions, device, hash of the data   resume/        everything needed to go on
manifest.json       size and sha256 of these, checked whenever one is opened
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from rnncli.device import dtype_of, usable_cores
from rnncli.errors import DataError, UsageError
from rnncli.files import MANIFEST, check_manifest, inside, read_json
from rnncli.locale import tr
from rnncli.recipe import RecipeConfig, TrainSection
from rnncli.records import Json
from rnncli.tasks import Recipe, Task, Vocabulary, load_recipe
from rnncli.training.advice import advice
from rnncli.training.checkpoint import load_checkpoint, own_part
from rnncli.training.folder import RUNS, find_run, not_made, number_of
from rnncli.training.job import Job, cell_name, cores_of, prepare, threads_of, with_cell, with_others
from rnncli.training.loop import Progress, TrainState, fit, notes_on_best, require_finite, start
from rnncli.training.outcome import Outcome
from rnncli.training.writer import CHECKPOINT, LOGS, WEIGHTS, Writer

OPENED = ("recipe.yaml", "vocab.json", "environment.json", WEIGHTS, "result.json")
CHECKPOINT_SECONDS = 60.0  # a checkpoint at the end of an epoch, but not more often than this


class StoppedBySignal(Exception):
    """A signal asked training to stop; what was reached is saved. code: 130 or 143."""

    def __init__(self, folder: Path | None, code: int) -> None:
        super().__init__(str(folder))
        self.folder = folder
        self.code = code


def new_folder(name: str, out: str | None = None) -> Path:
    """`runs/NAME-001`, counting up, or `out`, which must be empty or not there yet. Raises UsageError, CannotWrite."""
    if out is not None:
        return make_folder(out, resumable=True)
    try:
        Path(RUNS).mkdir(exist_ok=True)
        number = 1 + max((number_of(path, name) for path in Path(RUNS).iterdir()), default=0)
        while True:
            folder = Path(RUNS) / f"{name}-{number:03d}"
            try:
                folder.mkdir()
                return folder
            except FileExistsError:  # another process took it
                number += 1
    except OSError as error:
        raise not_made(RUNS, error) from error


def make_folder(out: str, *, resumable: bool = False) -> Path:
    """The folder `out`, made if need be, which must be empty. resumable: a run in it could be gone on with instead.
    Raises UsageError, CannotWrite."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            todo = tr("choose another")
            if resumable and (folder / "recipe.yaml").is_file():
                todo = tr("choose another, or go on with this run: {command}", command=f"rnncli train --resume {out}")
            raise UsageError(tr("this folder is not empty"), where=out, todo=todo)
    except OSError as error:
        raise not_made(out, error) from error
    return folder


def run_training(
    job: Job,
    folder: Path | None,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    resume: bool = False,
    baselines: bool = True,
) -> Outcome:
    """Train a job into a run folder (nowhere if None), with baselines and, if the recipe asks, the control.

    on_progress: called after every update and epoch. resume: go on from the folder's checkpoint. Raises StoppedBySignal
    where SIGINT or SIGTERM came: the step was finished and everything saved first. A second signal stops at once.
    Of several processes only the first writes; the others need a folder only to resume.
    """
    if folder is None or job.rank:
        return _train(job, None, folder, on_progress, resume, baselines)
    with Writer(folder, job) as writer:
        return _train(job, writer, folder, on_progress, resume, baselines)


def _train(
    job: Job,
    writer: Writer | None,
    folder: Path | None,
    on_progress: Callable[[Progress], None] | None,
    resume: bool,
    baselines: bool,
) -> Outcome:
    state = start(job)
    kept = _kept_in(job, folder)
    if resume and writer is not None:
        writer.resume(state)
    elif resume:
        load_checkpoint(Path(kept) / CHECKPOINT, job, state)
    elif kept:
        _save(job, state, None if writer is None else writer.begin)

    def checkpoint() -> None:
        if kept:
            require_finite(job, state)
            _save(job, state, None if writer is None else writer.checkpoint)

    last: Progress | None = None
    cut = False  # a limit was reached within an epoch: the checkpoint made there is the one to go on from
    with _signals() as signalled:
        asked = _asked(job, signalled, writer)
        for progress in fit(job, state):
            last = progress
            if writer is not None and progress.event == "epoch":
                writer.epoch(progress)
            if on_progress is not None:
                on_progress(progress)
            signal_number, waited = asked(progress)
            if signal_number and progress.event != "end" and not cut:
                checkpoint()
                raise StoppedBySignal(folder, 128 + signal_number)
            if not cut and (progress.stopped or _due(job.config.train, progress, waited)):
                checkpoint()
            cut = cut or (progress.event == "step" and bool(progress.stopped))
    assert last is not None
    outcome = Outcome(
        metrics=last.metrics,
        on=job.splits.held_out,
        best_epoch=state.best_epoch,
        epochs=state.epoch - 1,
        steps=state.step,
        seconds=state.seconds,
        counted=state.counted,
        stopped=last.stopped,
        notes=notes_on_best(job, state),
        folder=folder,
    )
    if baselines:
        if job.rank == 0:
            outcome.baselines = job.task.baselines(job.config, job.splits, outcome.on)
        for name in job.config.train.compared():
            if name != cell_name(job.config.model):
                outcome.compared[name] = [progress.metrics for progress in fit(with_cell(job, name))][-1]
    if writer is not None and baselines:
        outcome.advice = advice(job, outcome, _epochs(writer.folder))
    if writer is not None:
        writer.finish(state, outcome.to_json())
    return outcome


def _kept_in(job: Job, folder: Path | None) -> str:
    """The run folder, "" where nothing is kept; of several processes the first says."""
    here = "" if folder is None else str(folder)
    if job.team is None:
        return here
    job.team.folder = job.team.told(lambda: here)
    return job.team.folder


def _save(job: Job, state: TrainState, write: Callable[[TrainState, list[bytes]], None] | None) -> None:
    """A checkpoint, written by the process that has `write` from the parts of all."""
    part = own_part(state)
    parts = [part] if job.team is None else job.team.exchange(part)
    if write is not None:
        write(state, parts)
    if job.team is not None:
        job.team.agree()  # that it is written: none ends before


def _asked(job: Job, signalled: list[int], writer: Writer | None) -> Callable[[Progress], tuple[int, float]]:
    """After a step of training: the signal to stop for (0: none), and seconds since the last checkpoint."""

    def here() -> tuple[int, float]:
        return (signalled[0] if signalled else 0), (0.0 if writer is None else writer.waited())

    team = job.team
    if team is None:
        return lambda progress: here()
    team.asked = here

    def agreed(progress: Progress) -> tuple[int, float]:
        if progress.event == "epoch":
            team.agree()
        return team.stop, team.waited

    return agreed


def _due(train: TrainSection, progress: Progress, waited: float) -> bool:
    """Whether it is time for a checkpoint. waited: seconds since the last."""
    if train.checkpoint_time and waited >= train.checkpoint_time:
        return True
    if progress.event == "step":
        return bool(train.checkpoint_every) and progress.step % train.checkpoint_every == 0
    return waited >= CHECKPOINT_SECONDS


@contextmanager
def _signals() -> Iterator[list[int]]:
    """A list that the first SIGINT or SIGTERM is put into; the second has its usual effect, at once."""
    found: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def note(number: int, frame: Any) -> None:
        found.append(number)
        for known, handler in before.items():
            signal.signal(known, handler)

    try:
        for wanted in (signal.SIGINT, signal.SIGTERM):
            before[wanted] = signal.signal(wanted, note)
    except ValueError:  # not the main thread: signals are not ours
        pass
    try:
        yield found
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)


# ------------------------------------------------------------------------------------------------------- opening a run


@dataclass
class Run:
    """A run folder, opened: its recipe, vocabulary and best weights, on the CPU, in eval mode."""

    folder: Path
    recipe: Recipe
    vocab: Vocabulary
    model: nn.Module

    def with_threads(self, batch_size: int) -> Run:
        """Itself, torch's CPU threads set for batches of that size: one, unless the model is large."""
        torch.set_num_threads(threads_of(list(cores_of(self.model).values()), batch_size, usable_cores()))
        return self

    @property
    def config(self) -> RecipeConfig:
        return self.recipe.config

    @property
    def task(self) -> Task:
        return self.recipe.task

    def metrics(self) -> list[dict[str, Json]]:
        """The lines of metrics.jsonl; one that is being written, or was cut by a kill, is left out."""
        return _epochs(self.folder)

    def result(self) -> dict[str, Json]:
        """result.json; empty where training has not ended."""
        path = inside(self.folder, "result.json")
        return read_json(path) if path.exists() else {}

    def environment(self) -> dict[str, Json]:
        return read_json(inside(self.folder, "environment.json"))


def open_run(path: str | Path, sets: tuple[str, ...] = ()) -> Run:
    """Open a run folder: its recipe, vocabulary and best weights, on the CPU, in eval mode.

    path: a folder, a name under runs/, or `last`. sets: `a.b=value` texts, as after --set; the weights must still fit.
    Raises UsageError (no such run), DataError (a file of it that cannot be used).

    >>> run = open_run("last")
    >>> run.result()["metrics"]["accuracy"], run.model.training
    (1.0, False)
    """
    folder = find_run(str(path))
    for name in (*OPENED, *LOGS):
        inside(folder, name)
    if not (folder / MANIFEST).exists():
        raise DataError(tr("this file of the run is missing"), where=str(folder / MANIFEST))
    check_manifest(folder, (*OPENED, *LOGS))
    recipe = load_recipe(str(folder / "recipe.yaml"), sets)
    vocab = read_json(folder / "vocab.json")
    try:
        model = recipe.task.build(recipe.config, vocab).to(dtype_of(recipe.config.train.dtype))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(
            tr("this file does not fit the run's recipe: {why}", why=why), where=str(folder / "vocab.json")
        ) from error
    load_weights(model, folder / WEIGHTS)
    return Run(folder, recipe, vocab, model.eval())


def load_weights(model: nn.Module, path: Path) -> None:
    """Put a safetensors file's weights into a model. Raises DataError: damaged, or of another model."""
    try:
        tensors = load_file(path)
        model.load_state_dict(tensors)
    except FileNotFoundError as error:
        raise DataError(tr("there are no weights in this run yet"), where=str(path)) from error
    except (SafetensorError, RuntimeError, OSError) as error:
        raise DataError(
            tr("these weights cannot be used: {why}", why=" ".join(str(error).split())[:300]), where=str(path)
        ) from error
    whole = [name for name, own in model.state_dict().items() if own.is_floating_point()]
    wrong = [name for name in whole if not tensors[name].is_floating_point()]
    if wrong:
        why = f"{wrong[0]}: {tensors[wrong[0]].dtype}"
        raise DataError(tr("these weights cannot be used: {why}", why=why), where=str(path))


def _epochs(folder: Path) -> list[dict[str, Json]]:
    path = inside(folder, "metrics.jsonl")
    lines = _text(path).splitlines(keepends=True)
    try:
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except (ValueError, RecursionError) as error:
        raise DataError(tr("this file is damaged: {why}", why=error), where=str(path)) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(tr("this file of the run is missing"), where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(tr("this file cannot be read: {why}", why=error), where=str(path)) from error


def train(recipe: Recipe | str | Mapping[str, Any], *, out: str | None = None, sets: tuple[str, ...] = ()) -> Run:
    """Train a recipe into a new run folder and open it.

    recipe: what load_recipe takes, or what it returned. out: the folder, runs/NAME-001 by default. sets: `a.b=value`
    texts, as after --set. Prints nothing. Raises what load_recipe raises, UsageError (a folder that is not empty),
    DataError (data that cannot be used), Diverged (the loss is no number), Missing (device, memory), CannotWrite; and
    StoppedBySignal after Ctrl-C, when everything so far is saved.

    >>> run = train("hello", sets=["train.control=false"])
    >>> run.folder.name, run.result()["metrics"]["accuracy"]
    ('hello-001', 1.0)
    """
    loaded = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, sets)
    job = prepare(loaded)
    with with_others(job):
        outcome = run_training(job, new_folder(loaded.name, out) if job.rank == 0 else None)
        folder = outcome.folder if job.team is None else job.team.folder
    assert folder is not None
    return open_run(folder)
