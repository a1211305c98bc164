"""Jobs and runs, made, cut short and gone on with."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnncli.runs.train import StoppedBySignal, run_training
from rnncli.tasks import load_recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import Progress, fit
from rnncli.training.outcome import Outcome


def job_of(target: str | dict[str, Any], *sets: str) -> Job:
    return prepare(load_recipe(target, sets))


def epochs(target: str | dict[str, Any], *sets: str) -> list[Progress]:
    return [progress for progress in fit(job_of(target, *sets)) if progress.event == "epoch"]


def stop_after(step: int, number: int = signal.SIGINT) -> Callable[[Progress], None]:
    """Sends this process a signal after that update, as Ctrl-C does."""

    def watch(progress: Progress) -> None:
        if progress.event == "step" and progress.step == step:
            os.kill(os.getpid(), number)

    return watch


def run_in(folder: Path, job: Job, *, resume: bool = False, watch: Any = None) -> Outcome:
    folder.mkdir(exist_ok=True)
    return run_training(job, folder, watch, resume=resume)


def interrupted_then_resumed(folder: Path, make: Callable[[], Job], step: int) -> Outcome:
    with pytest.raises(StoppedBySignal):
        run_in(folder, make(), watch=stop_after(step))
    return run_in(folder, make(), resume=True)
