"""Training progress: lines for a terminal, JSON lines for a program."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING, Any

from rnncli import render
from rnncli.cli.out import drop_output, tell
from rnncli.locale import tr
from rnncli.render.lines import pad
from rnncli.render.numbers import number

if TYPE_CHECKING:
    from rnncli.render.progress import LiveProgress
    from rnncli.training.job import Job
    from rnncli.training.loop import Progress

MOST_LINES = 15  # of epochs, so that a run fits on one screen
CELL = 12  # width of a column in cells; only as many metrics as fit the terminal are shown


class Lines:
    """A live line while an epoch runs, and permanent lines for selected epochs: the first, the last, evenly spaced
    ones, and those where the task's preview changed."""

    def __init__(self, job: Job, live: LiveProgress) -> None:
        self.job = job
        self.live = live
        self.steps = job.steps_per_epoch()
        self.every = ceil(job.config.train.epochs / MOST_LINES)
        self.watch = ""
        self.headed = False
        self.begun = False
        self.pending: Progress | None = None
        self.best = 0  # the best epoch so far
        self.shown: set[int] = set()
        self.per_second = {"steps": tr("steps/s"), "tokens": tr("tokens/s"), "rows": tr("rows/s")}[job.task.COUNTED]

    def __call__(self, progress: Progress) -> None:
        if progress.event == "step":
            if not self.begun and progress.step > 1:
                self.live.line(tr("resuming at epoch {epoch}, step {n}", epoch=progress.epoch, n=progress.step - 1))
            self.begun = True
            total = self.job.config.train.epochs * self.steps
            limit = self.job.config.train.max_steps
            self.live.update(
                progress.step, min(total, limit) if limit else total, lambda: self._fields(progress), tr("step")
            )
        elif progress.event == "epoch":
            self.best = progress.epoch if progress.improved else self.best
            changed = progress.watch != self.watch
            regular = not progress.watch and progress.epoch % self.every == 0
            if progress.epoch == 1 or changed or regular:
                self._line(progress)
            else:
                self.pending = progress
            self.watch = progress.watch
        else:
            if self.pending is not None:
                self._line(self.pending)
            if self.best and self.best not in self.shown:
                self.live.line(tr("some epochs are not shown; the best was epoch {n}", n=self.best))
            self.live.wait(tr("measuring the baselines ..."))

    def _fields(self, progress: Progress) -> dict[str, str]:
        speed = progress.counted / progress.seconds if progress.seconds else 0.0
        return {
            tr("epoch"): str(progress.epoch),
            tr("loss"): number(progress.loss),
            self.per_second: f"{speed:,.0f}",
        }

    def _line(self, progress: Progress) -> None:
        self.pending = None
        self.shown.add(progress.epoch)
        held_out = self.job.splits.held_out
        # metrics outside METRICS (accuracy by length) are shown only in the final table
        shown = {name: value for name, value in progress.metrics.items() if name in self.job.task.METRICS}
        if progress.watch and held_out == "train":
            shown = {}
        room = (shutil.get_terminal_size().columns - len("  best  ")) // CELL - 2
        names = list(shown)[:room]
        columns = [progress.epoch, progress.loss, *(shown[name] for name in names)]
        if not self.headed:
            self.headed = True
            if names:
                part = tr("train") if held_out == "train" else tr("validation")
                self.live.line(" " * (2 * CELL) + pad(part, CELL, "right"))
            heading = "".join(
                pad(head, CELL, "right") for head in (tr("epoch"), tr("loss"), *(tr(name) for name in names))
            )
            self.live.line(heading + (f"  {tr('answers')}" if progress.watch else ""))
        row = "".join((str(x) if isinstance(x, int) else number(x)).rjust(CELL) for x in columns)
        best = f"  {tr('best')}" if progress.improved and shown else ""
        self.live.line(row + (f"  {progress.watch}" if progress.watch else best))


class JsonLines:
    """One JSON document per epoch on standard output. If the reader closes the pipe, one note is printed and training
    continues."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.left = False  # whether the reader has closed the pipe

    def __call__(self, progress: Progress) -> None:
        from rnncli.training.epoch import Epoch  # imports torch

        if progress.event != "epoch":
            return
        self.write(Epoch.of(progress, self.job.splits.held_out).to_json())

    def write(self, document: Mapping[str, Any]) -> None:
        """Print one line unless the pipe is closed."""
        if self.left:
            return
        try:
            render.dump_json(document, sys.stdout)
            sys.stdout.flush()
        except BrokenPipeError:
            self.left = True
            drop_output()
            tell(tr("standard output was closed; training continues"))
