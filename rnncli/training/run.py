"""The run folder: what training leaves behind, and how to open it again.

recipe.yaml         the recipe, every value resolved     metrics.jsonl  one line an epoch: step, losses, metrics
model.safetensors   the weights of the best epoch        timing.jsonl   beside it: seconds, speed
vocab.json          what the training data taught        result.json    the closing figures
environment.json    versions, device, hash of the data   resume/        everything needed to go on
manifest.json       size and sha256 of these, checked whenever one is opened
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from rnncli import __version__
from rnncli.device import dtype_of, usable_cores
from rnncli.errors import DataError, RnncliError, UsageError
from rnncli.files import MANIFEST, FolderLock, Manifest, cannot_write, check_manifest, inside, read_json, shown
from rnncli.locale import english, tr
from rnncli.recipe import RecipeConfig, print_config, resolved_yaml
from rnncli.records import Json
from rnncli.report.documents import strict
from rnncli.tasks import Baseline, Metrics, Recipe, Task, Vocabulary, load_recipe
from rnncli.training.checkpoint import checkpoint, load_checkpoint
from rnncli.training.folder import RUNS as RUNS
from rnncli.training.folder import find_run as find_run
from rnncli.training.job import Job, cores_of, prepare, threads_of
from rnncli.training.loop import Progress, TrainState, cell_name, fit, require_finite, start, with_cell

CHECKPOINT = "resume/state.safetensors"
WEIGHTS = "model.safetensors"
LOGS = ("metrics.jsonl", "timing.jsonl")
OPENED = ("recipe.yaml", "vocab.json", "environment.json", WEIGHTS, "result.json")
CHECKPOINT_SECONDS = 60.0  # a checkpoint at the end of an epoch, but not more often than this


class StoppedBySignal(Exception):
    """A signal asked training to stop; what was reached is saved. code: 130 or 143."""

    def __init__(self, folder: Path | None, code: int) -> None:
        super().__init__(str(folder))
        self.folder = folder
        self.code = code


@dataclass
class Outcome:
    """How training ended. metrics: of the best epoch, on the part that `on` names; compared: cell -> metrics of
    the same recipe with that cell, feedforward being the control without memory."""

    metrics: Metrics
    on: str
    best_epoch: int
    epochs: int
    steps: int
    seconds: float
    counted: float
    stopped: str
    baselines: list[Baseline] = field(default_factory=list)
    compared: dict[str, Metrics] = field(default_factory=dict)
    folder: Path | None = None

    def to_json(self) -> Json:
        """The last line of `train --json`, and result.json."""
        return {
            "schema": "rnncli/result/1",
            "run": None if self.folder is None else str(self.folder),
            "metrics": self.metrics,
            "on": self.on,
            "best_epoch": self.best_epoch,
            "epochs": self.epochs,
            "steps": self.steps,
            "stopped": english(self.stopped),
            "baselines": {english(baseline.name): baseline.metrics for baseline in self.baselines},
            "control": self.compared.get("feedforward"),
            "compared": self.compared,
        }


def new_folder(name: str, out: str | None = None) -> Path:
    """`runs/NAME-001`, counting up, or `out`, which must be empty or not there yet. Raises UsageError, CannotWrite."""
    if out is not None:
        return make_folder(out)
    try:
        Path(RUNS).mkdir(exist_ok=True)
        number = 1 + max((_number(path, name) for path in Path(RUNS).iterdir()), default=0)
        while True:
            folder = Path(RUNS) / f"{name}-{number:03d}"
            try:
                folder.mkdir()
                return folder
            except FileExistsError:  # another process took it
                number += 1
    except OSError as error:
        raise _not_made(RUNS, error) from error


def make_folder(out: str) -> Path:
    """The folder `out`, made if need be, which must be empty. Raises UsageError, CannotWrite."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(
                tr("this folder is not empty"), where=out, todo=tr("choose another, or --resume it if it is a run")
            )
    except OSError as error:
        raise _not_made(out, error) from error
    return folder


def _not_made(folder: str, error: OSError) -> RnncliError:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return UsageError(tr("this is a file, not a folder"), where=folder)
    return cannot_write(folder, error)


def _number(path: Path, name: str) -> int:
    start, _, number = path.name.rpartition("-")
    return int(number) if start == name and number.isdigit() else 0


class Writer:
    """Writes a run folder while training goes on. One process at a time: the folder is locked."""

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder = folder
        self.job = job
        self.saved = time.monotonic()
        self.lock = FolderLock(folder)
        self.manifest = Manifest(folder)

    def __enter__(self) -> Writer:
        self.lock.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.lock.__exit__(*error)

    def begin(self, state: TrainState) -> None:
        """What is known before the first step. The recipe comes last: with it the folder is a run, which can be gone
        on with from then on, whatever happens."""
        try:
            (self.folder / "resume").mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        self.manifest.write(
            {
                "vocab.json": json.dumps(self.job.splits.vocab, ensure_ascii=False),
                "environment.json": json.dumps(environment(self.job), indent=1),
                **self._state(state),
                "recipe.yaml": resolved_yaml(self.job.config),
            }
        )

    def epoch(self, progress: Progress) -> None:
        """Append an epoch to both logs."""
        values = {
            "epoch": progress.epoch,
            "step": progress.step,
            "loss": progress.loss,
            "lr": progress.lr,
            self.job.splits.held_out: progress.metrics,
        }
        self._append("metrics.jsonl", values)
        speed = progress.counted / progress.seconds if progress.seconds else 0.0
        self._append("timing.jsonl", {"step": progress.step, "seconds": progress.seconds, "per_second": speed})

    def checkpoint(self, state: TrainState) -> None:
        """Everything needed to go on from here, and the best weights so far. Raises Diverged, and writes nothing, where
        a weight is no number."""
        require_finite(self.job, state)
        self.manifest.write(self._state(state))
        self.saved = time.monotonic()

    def _state(self, state: TrainState) -> dict[str, bytes]:
        logs = {name: self._size(name) for name in LOGS}
        extra: dict[str, Json] = {"logs": logs, "fingerprint": self.job.splits.fingerprint}
        return {CHECKPOINT: checkpoint(state, extra), WEIGHTS: self._weights(state)}

    def _weights(self, state: TrainState) -> bytes:
        """The best weights so far, or the present ones where no epoch has ended yet."""
        best = state.best_weights or state.model.state_dict()
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in best.items()}
        return save(tensors, metadata={"rnncli": __version__})

    def due(self, progress: Progress) -> bool:
        """Whether it is time for a checkpoint."""
        train = self.job.config.train
        waited = time.monotonic() - self.saved
        if train.checkpoint_time and waited >= train.checkpoint_time:
            return True
        if progress.event == "step":
            return bool(train.checkpoint_every) and progress.step % train.checkpoint_every == 0
        return waited >= CHECKPOINT_SECONDS

    def finish(self, state: TrainState, outcome: Outcome) -> None:
        """The result, the weights that it is of, and the seal on the logs."""
        self.manifest.write({WEIGHTS: self._weights(state), "result.json": json.dumps(outcome.to_json(), indent=1)})
        self.manifest.seal(name for name in LOGS if (self.folder / name).exists())

    def _append(self, name: str, values: Mapping[str, Json]) -> None:
        try:
            with open(self.folder / name, "a", encoding="utf-8") as file:
                file.write(json.dumps(strict(values)) + "\n")
        except OSError as error:
            raise cannot_write(self.folder / name, error) from error

    def _size(self, name: str) -> int:
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0

    def resume(self, state: TrainState) -> None:
        """Put the checkpoint into `state`, both logs back to where it was made; the recipe with its new budgets; no
        result any more. Raises DataError: a file that is not what it was, or leads out of the folder."""
        for name in (CHECKPOINT, WEIGHTS, "recipe.yaml", "result.json", *LOGS):
            inside(self.folder, name)
        check_manifest(self.folder)
        extra = load_checkpoint(self.folder / CHECKPOINT, state)
        sizes = {name: int(extra["logs"][name]) for name in LOGS}
        self.manifest.load()
        self.manifest.release(["result.json", *LOGS])
        try:
            for beside in (*self.folder.glob(".*.tmp"), *(self.folder / "resume").glob(".*.tmp")):
                beside.unlink()  # half a file of a process that was killed
            (self.folder / "result.json").unlink(missing_ok=True)
            for name, size in sizes.items():
                _cut(self.folder / name, size)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        self.manifest.write({"recipe.yaml": resolved_yaml(self.job.config)})


def _cut(path: Path, size: int) -> None:
    """The file's first `size` bytes, where it is longer. Raises DataError: it is shorter."""
    found = path.stat().st_size if path.exists() else 0
    if found < size:
        raise DataError(
            tr("has {found} bytes, and had {size} when it was written", found=found, size=size),
            where=shown(path),
            todo=tr("bring the file back from a copy"),
        )
    if found > size:
        os.truncate(path, size)


def environment(job: Job) -> dict[str, Json]:
    """Versions, machine, device, seed and the data's hash: what one needs to make sense of a run later."""
    import numpy

    return {
        "rnncli": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "system": platform.platform(),
        "device": job.device.type,
        "device_name": torch.cuda.get_device_name() if job.device.type == "cuda" else platform.processor(),
        "threads": job.config.train.threads,
        "seed": job.config.train.seed,
        "data_sha256": job.splits.fingerprint,
        "recipe": job.recipe.name,
        "origins": _origins(job.recipe),
        "git_commit": _git_commit(job.recipe),
    }


def _origins(recipe: Recipe) -> dict[str, Json]:
    """Dotted key -> where its value comes from (`hello.yaml:12`, `--lr`), of those that are no default."""
    rows = print_config(recipe.document, recipe.config).rows
    return {key: origin for key, _, origin in rows if origin != "default"}


def _git_commit(recipe: Recipe) -> str | None:
    """The commit checked out where the recipe lies, None outside a repository or without git."""
    folder = Path(recipe.document.name).resolve().parent
    if not Path(recipe.document.name).exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


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
    """
    if folder is None:
        return _train(job, None, on_progress, False, baselines)
    with Writer(folder, job) as writer:
        return _train(job, writer, on_progress, resume, baselines)


def _train(
    job: Job, writer: Writer | None, on_progress: Callable[[Progress], None] | None, resume: bool, baselines: bool
) -> Outcome:
    state = start(job)
    if writer is not None and resume:
        writer.resume(state)
    elif writer is not None:
        writer.begin(state)
    last: Progress | None = None
    cut = False  # a limit was reached within an epoch: the checkpoint made there is the one to go on from
    with _signals() as signalled:
        for progress in fit(job, state):
            last = progress
            if writer is not None and progress.event == "epoch":
                writer.epoch(progress)
            if on_progress is not None:
                on_progress(progress)
            if signalled and progress.event != "end" and not cut:
                if writer is not None:
                    writer.checkpoint(state)
                raise StoppedBySignal(None if writer is None else writer.folder, 128 + signalled[0])
            if writer is not None and not cut and (progress.stopped or writer.due(progress)):
                writer.checkpoint(state)
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
        folder=None if writer is None else writer.folder,
    )
    if baselines:
        outcome.baselines = job.task.baselines(job.config, job.splits, outcome.on)
        for name in job.config.train.compared():
            if name != cell_name(job.config.model):
                outcome.compared[name] = [progress.metrics for progress in fit(with_cell(job, name))][-1]
    if writer is not None:
        writer.finish(state, outcome)
    return outcome


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
        path = inside(self.folder, "metrics.jsonl")
        lines = _text(path).splitlines(keepends=True)
        try:
            return [json.loads(line) for line in lines if line.endswith("\n")]
        except (ValueError, RecursionError) as error:
            raise DataError(tr("this file is damaged: {why}", why=error), where=str(path)) from error

    def result(self) -> dict[str, Json]:
        """result.json; empty where training has not ended."""
        path = inside(self.folder, "result.json")
        return read_json(path) if path.exists() else {}

    def environment(self) -> dict[str, Json]:
        return read_json(inside(self.folder, "environment.json"))


def open_run(path: str | Path, sets: tuple[str, ...] = ()) -> Run:
    """Open a run folder. Raises UsageError (no such run), DataError (a file of it that cannot be used)."""
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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise DataError(tr("this file of the run is missing"), where=str(path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(tr("this file cannot be read: {why}", why=error), where=str(path)) from error


def train(recipe: Recipe | str | Mapping[str, Any], *, out: str | None = None, sets: tuple[str, ...] = ()) -> Run:
    """Train a recipe into a new run folder and open it: `rnncli.train("hello")`.

    recipe: what load_recipe takes, or what it returned. out: the folder, runs/NAME-001 by default.
    """
    loaded = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, sets)
    job = prepare(loaded)
    folder = new_folder(loaded.name, out)
    run_training(job, folder)
    return open_run(folder)
