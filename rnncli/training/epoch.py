"""An epoch as logs and callbacks have it."""

from __future__ import annotations

from dataclasses import dataclass

from rnncli.records import Json
from rnncli.tasks import Metrics
from rnncli.training.loop import Progress


@dataclass(frozen=True)
class Epoch:
    """An epoch of training that has just ended.

    epoch: counted from 1. step: updates since the beginning. loss: the mean over the epoch, of the training data. lr:
    of the last update. on: the part that metrics are of: "validation", or "train" without one. metrics: by name.
    improved: whether it is the best epoch so far. seconds: of training, since the beginning. per_second: what the task
    counts (steps, tokens or rows) in a second. answers: a few words on what the model answered before the epoch, or "".
    """

    epoch: int
    step: int
    loss: float
    lr: float
    on: str
    metrics: Metrics
    improved: bool
    seconds: float
    per_second: float
    answers: str = ""

    @classmethod
    def of(cls, progress: Progress, on: str) -> Epoch:
        return cls(
            progress.epoch,
            progress.step,
            progress.loss,
            progress.lr,
            on,
            progress.metrics,
            progress.improved,
            progress.seconds,
            progress.counted / progress.seconds if progress.seconds else 0.0,
            progress.watch,
        )

    def values(self) -> dict[str, Json]:
        """A line of metrics.jsonl."""
        return {"epoch": self.epoch, "step": self.step, "loss": self.loss, "lr": self.lr, self.on: self.metrics}

    def timing(self) -> dict[str, Json]:
        """A line of timing.jsonl."""
        return {"step": self.step, "seconds": self.seconds, "per_second": self.per_second}

    def to_json(self) -> dict[str, Json]:
        """A line of `rnncli train --json`."""
        answers: dict[str, Json] = {"answers": self.answers} if self.answers else {}
        return {"schema": "rnncli/epoch/1", **self.values(), **self.timing(), **answers}
