"""A network that sees one frame of each sequence: if it does as well, order is not needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rnncli.data.batch import Batch, Order, index_batches, permutation
from rnncli.nn.evaluate import device_of, evaluating

if TYPE_CHECKING:
    from torch import Tensor, nn

EPOCHS = 20  # maximum number of training epochs


class Rows(Protocol):
    """Sequences of frames, T of each, and their classes."""

    @property
    def inputs(self) -> Sequence[Any]: ...
    @property
    def lengths(self) -> Sequence[int]: ...
    @property
    def targets(self) -> Sequence[int]: ...


class SingleFrame:
    """Trained for `epochs`, at most EPOCHS, on a random frame of each row per epoch; evaluated on the middle frame.

    make: the front end and the head on it, (B, features) -> (B, C). batch: frames as the front end reads them. Torch's
    random state is restored.
    """

    def __init__(
        self, make: Callable[[], tuple[nn.Module, nn.Module]], batch: Callable[[Sequence[Any]], Batch], seed: int
    ) -> None:
        import torch
        from torch import nn

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.front, self.head = make()
        self.both = nn.ModuleList([self.front, self.head])
        self.batch, self.seed = batch, seed

    def fit(self, learned: Rows, epochs: int, size: int, lr: float) -> None:
        """size: rows in a batch. lr: of Adam."""
        import torch
        from torch.nn import functional as F

        optimizer = torch.optim.Adam(self.both.parameters(), lr=lr)
        for epoch in range(min(epochs, EPOCHS)):
            draw = permutation(1 << 16, self.seed, epoch, 2)  # large random numbers that select a frame of each row
            for rows in index_batches(len(learned.targets), size, Order(self.seed, epoch)):
                of_row = [int(draw[row % len(draw)]) for row in rows]
                frames = [n % learned.lengths[row] for n, row in zip(of_row, rows, strict=True)]
                scores = self._scores(learned, rows, frames)
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(scores, torch.tensor([learned.targets[row] for row in rows])).backward()
                optimizer.step()

    def log_probs(self, tested: Rows, size: int) -> Tensor:
        """(rows, C)."""
        import torch

        found = []
        for rows in index_batches(len(tested.targets), size, None):
            with evaluating(self.both):
                scores = self._scores(tested, rows, [tested.lengths[row] // 2 for row in rows])
            found.append(scores.log_softmax(1))
        return torch.cat(found)

    def _scores(self, part: Rows, rows: Sequence[int], frames: Sequence[int]) -> Tensor:
        """(B, C)."""
        chosen = [part.inputs[row][frame : frame + 1] for row, frame in zip(rows, frames, strict=True)]
        scores: Tensor = self.head(self.front(self.batch(chosen).to(device_of(self.both)))[0][0])
        return scores
