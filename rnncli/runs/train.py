"""Training into a run folder: its log, its checkpoints, its result."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rnncli.locale import tr
from rnncli.recipe import TrainSection
from rnncli.runs.checkpoint import load_checkpoint, own_part
from rnncli.runs.folder import new_folder
from rnncli.runs.logs import Logs
from rnncli.runs.read import read_log
from rnncli.runs.unfinished import folders_to_make, remove_if_not_started
from rnncli.runs.writer import CHECKPOINT, Writer
from rnncli.training.advice import advice
from rnncli.training.divergence import require_finite
from rnncli.training.epoch import Epoch
from rnncli.training.job import Job, is_own_cell, with_cell
from rnncli.training.loop import Progress, TrainState, fit, notes_on_best, start
from rnncli.training.outcome import Outcome

STOP = "stop"  # what a caller's on_epoch returns to end training
CHECKPOINT_SECONDS = 60.0  # minimum interval between checkpoints at the end of epochs


OnEpoch = Callable[[Epoch], object]


class StoppedBySignal(Exception):
    """Training was stopped by a signal (Ctrl-C, a notebook's interrupt); its state is saved and can be resumed.

    folder: of the run. code: exit code, 130 or 143.
    """

    def __init__(self, folder: Path | None, code: int) -> None:
        super().__init__(tr("stopped; everything so far is in {run}", run=folder))
        self.folder = folder
        self.code = code


@contextmanager
def new_run_folder(job: Job, out: str | None) -> Iterator[Path | None]:
    """The folder of a new run; None for ranks other than 0. If the run cannot start, the folder and those created for
    it are removed. Raises like `new_folder`."""
    if job.rank:
        yield None
        return
    made = [] if out is None else folders_to_make(out)
    folder = new_folder(job.recipe.name, out)
    try:
        yield folder
    except StoppedBySignal:
        raise
    except Exception:
        remove_if_not_started(folder, [folder] if out is None else made)
        raise


def run_training(
    job: Job,
    folder: Path | None,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    resume: bool = False,
    baselines: bool = True,
    on_epoch: OnEpoch | None = None,
    say: Callable[[str], None] = logging.getLogger("rnncli").warning,
) -> Outcome:
    """Train a job into a run folder (None: save nothing), with baselines and, if configured, the control.

    on_progress: called after every step and epoch. resume: from the folder's checkpoint. on_epoch: called after every
    epoch; if it returns STOP, training ends there, with a result. An exception from it ends training, too, after a
    checkpoint; both can be resumed. say: called with a message if a logger of `train.log` fails; the run continues.
    Raises StoppedBySignal after SIGINT or SIGTERM, once the step is finished and everything is saved. A second signal
    stops at once. Only rank 0 writes and calls on_epoch; the others need a folder only to resume.
    """
    if folder is None or job.rank:
        return _train(job, None, folder, on_progress, resume, baselines, on_epoch)
    logs = Logs(job, folder, say)

    def both(progress: Progress) -> None:
        logs(progress)
        if on_progress is not None:
            on_progress(progress)

    with Writer(folder, job) as writer, closing(logs):
        outcome = _train(job, writer, folder, both, resume, baselines, on_epoch)
        logs.end()
    return outcome


def _train(
    job: Job,
    writer: Writer | None,
    folder: Path | None,
    on_progress: Callable[[Progress], None] | None,
    resume: bool,
    baselines: bool,
    on_epoch: OnEpoch | None,
) -> Outcome:
    state = start(job)
    kept = job.group.folder = job.group.broadcast(lambda: "" if folder is None else str(folder))
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
    cut = False  # a limit was reached within an epoch: training resumes from the checkpoint saved there
    with _signals() as signalled:
        job.group.local_status = lambda: (signalled[0] if signalled else 0, 0.0 if writer is None else writer.waited())
        for progress in fit(job, state):
            last = progress
            epoch = Epoch.of(progress, job.splits.held_out) if progress.event == "epoch" else None
            if writer is not None and epoch is not None:
                writer.epoch(epoch)
            if on_progress is not None:
                on_progress(progress)
            if epoch is not None:
                if on_epoch is not None:
                    state.asked = _stop_reason(job, on_epoch, epoch, checkpoint)
                job.group.sync()
            signal_number, waited = job.group.status()
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
            if not is_own_cell(job.config.model, name):
                outcome.compared[name] = [progress.metrics for progress in fit(with_cell(job, name))][-1]
    if writer is not None and baselines:
        outcome.advice = advice(job, outcome, read_log(writer.folder / "metrics.jsonl"))
    if writer is not None:
        writer.finish(state, outcome.to_json())
    return outcome


def _stop_reason(job: Job, on_epoch: OnEpoch, epoch: Epoch, checkpoint: Callable[[], None]) -> str:
    """Why training ends after this epoch, "" if it continues: the decision of the caller's function, for all
    processes."""
    try:
        stop = job.group.broadcast(lambda: on_epoch(epoch) == STOP)
    except Exception:
        checkpoint()
        raise
    return tr("stopped by on_epoch") if stop else ""


def _save(job: Job, state: TrainState, write: Callable[[TrainState, list[bytes]], None] | None) -> None:
    """Save a checkpoint, written by the process that has `write`, with the parts of all processes."""
    parts = job.group.all_gather(own_part(state))
    if write is not None:
        write(state, parts)
    job.group.sync()  # barrier: the checkpoint is on disk before any rank exits


def _due(train: TrainSection, progress: Progress, waited: float) -> bool:
    """Whether a checkpoint is due. waited: seconds since the last."""
    if train.checkpoint_time and waited >= train.checkpoint_time:
        return True
    if progress.event == "step":
        return bool(train.checkpoint_every) and progress.step % train.checkpoint_every == 0
    return waited >= CHECKPOINT_SECONDS


@contextmanager
def _signals() -> Iterator[list[int]]:
    """A list that receives the first SIGINT or SIGTERM; a second one has its usual effect."""
    found: list[int] = []
    before: dict[signal.Signals, signal._HANDLER] = {}

    def note(number: int, frame: object) -> None:
        found.append(number)
        for known, handler in before.items():
            signal.signal(known, handler)

    try:
        for wanted in (signal.SIGINT, signal.SIGTERM):
            before[wanted] = signal.signal(wanted, note)
    except ValueError:  # not the main thread: leave signals alone
        pass
    try:
        yield found
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
