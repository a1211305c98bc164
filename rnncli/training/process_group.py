"""The processes that train one model, as seen by the training loop; a single process sends nothing."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from typing import TypeVar

from torch import Tensor, nn

from rnncli.cells import State
from rnncli.data.batch import Batch
from rnncli.tasks import Loss

LossFunction = Callable[[Batch, State | None], Loss]
Made = TypeVar("Made")  # plain JSON values


class ProcessGroup:
    """The processes that train a job together, seen from one of them; here, a process alone.

    rank, world: as in torch.distributed; rank 0 evaluates, writes and prints. local_status: returns the signal received
    by this process (0: none) and the seconds since rank 0 wrote a checkpoint. folder: of the run, "" if nothing is
    saved.
    """

    rank, world = 0, 1

    def __init__(self) -> None:
        self.local_status: Callable[[], tuple[int, float]] = lambda: (0, 0.0)
        self.folder = ""

    def status(self) -> tuple[int, float]:
        """The status shared at the last exchange: the signal to stop for (0: none), and the seconds since the last
        checkpoint."""
        return self.local_status()

    def clock(self, began: float) -> Callable[[], float]:
        """Seconds since `began`, the same in every process. began: of time.perf_counter."""
        return lambda: time.perf_counter() - began

    def data_parallel(self, loss: LossFunction, model: nn.Module, seed: int) -> LossFunction:
        """The loss; its backward pass averages the gradients over all processes."""
        return loss

    def all_reduce(self, total: Tensor, count: float) -> tuple[Tensor, float]:
        """The sums of a batch's loss and count over all processes. total: ()."""
        return total, count

    def sync(self) -> None:
        """Wait for all processes, and bring status and clock up to date."""

    def broadcast(self, make: Callable[[], Made]) -> Made:
        """A value made by rank 0 (plain JSON), broadcast to the others."""
        return make()

    def all_gather(self, data: bytes) -> list[bytes]:
        """All-gather one bytes object per process, by rank."""
        return [data]

    def resume_command(self, run: str = "") -> str:
        """The command that resumes this run, or `run` (already quoted)."""
        return f"rnncli train --resume {run or shlex.quote(self.folder)}"
