"""Rows into batches: which rows, in which order, for which process; padding; the parallel lanes of a long text.

Every order is a pure function of integers, so a run resumes where it stopped, and several processes share the work
without communicating.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rnncli.errors import DataError, UsageError
from rnncli.locale import tr, trn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor

    from rnncli.data.stored import Stored


@dataclass
class Batch:
    """What a model reads at once, layout (T, B, ...): B rows of up to T steps.

    inputs: token ids (T, B), features (T, B, F), frames (T, B, height, width, channels). lengths: (B,) on the CPU, None
    if every row has T steps. targets: the loss's targets, in the task's own form. extra: further inputs by name. rows:
    indices of these rows in the split.
    """

    inputs: Tensor
    lengths: Tensor | None = None
    targets: Tensor | None = None
    extra: dict[str, Tensor] = field(default_factory=dict)
    rows: Sequence[int] = ()

    @property
    def size(self) -> int:
        return self.inputs.shape[1]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device; lengths stay on the CPU, where pack_padded_sequence needs them."""
        return Batch(
            self.inputs.to(device),
            self.lengths,
            None if self.targets is None else self.targets.to(device),
            {name: tensor.to(device) for name, tensor in self.extra.items()},
            self.rows,
        )


POOL = 50  # batches whose rows are sorted together by length: long enough to save padding, short enough to stay random


@dataclass(frozen=True)
class Order:
    """A process's position in the data. next_batch: the first batch to make. rank, world: which share of each batch is
    its own."""

    seed: int
    epoch: int
    next_batch: int = 0
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if self.seed < 0 or self.epoch < 0 or self.next_batch < 0 or not 0 <= self.rank < self.world:
            raise ValueError(f"not an order: {self}")


def permutation(n: int, *numbers: int) -> npt.NDArray[np.int64]:
    """0 ... n-1 in an order drawn from the given integers (>= 0), as an int64 array."""
    return generator(*numbers).permutation(n)


def generator(*numbers: int) -> np.random.RandomState:
    """numpy's RandomState from integers (>= 0). RandomState is frozen (NEP 19): it draws the same numbers in every
    version."""
    import numpy as np  # here, task files import this module, and checking a recipe needs no numpy

    words: list[int] = []
    for number in numbers:  # each as its count of 32-bit words, then the words, so that no two lists coincide
        parts = [number >> shift & 0xFFFFFFFF for shift in range(0, max(1, number.bit_length()), 32)]
        words += [len(parts), *parts]
    return np.random.RandomState(words)


def index_batches(
    n: int,
    batch_size: int,
    order: Order | None,
    *,
    shuffle: bool = True,
    lengths: Sequence[int] | npt.NDArray[np.integer] | None = None,
) -> Iterator[list[int]]:
    """The row numbers of each batch of an epoch over n rows, from batch order.next_batch on; without an order, of all
    rows, unshuffled.

    Each process gets rows rank, rank + world ... of every global batch (an empty list if none is left), so the union
    over processes is the batch of a single process. With `lengths` (one per row), rows of similar length share a batch:
    shuffled, POOL batches at a time are sorted by length, cut, and the batches shuffled.
    """
    import numpy as np

    if batch_size < 1:
        raise ValueError("batch_size must be at least 1")
    shuffle, order = shuffle and order is not None, order or Order(0, 0)
    rows = permutation(n, order.seed, order.epoch) if shuffle else np.arange(n)
    starts = np.arange(0, n, batch_size)
    if lengths is not None:
        if len(lengths) != n:
            raise ValueError(f"{len(lengths)} lengths for {n} rows")
        of_row = np.asarray(lengths)
        pool = POOL * batch_size if shuffle else max(1, n)
        for start in range(0, n, pool):
            part = rows[start : start + pool]
            rows[start : start + pool] = part[np.argsort(of_row[part], kind="stable")]
        if shuffle:
            starts = starts[permutation(len(starts), order.seed, order.epoch, 1)]
    for start in starts[order.next_batch :]:
        yield rows[start : start + batch_size][order.rank :: order.world].tolist()


def pad(
    sequences: Sequence[Tensor | Sequence[float] | npt.NDArray[np.generic]], value: float = 0
) -> tuple[Tensor, Tensor]:
    """Sequences of T_b steps, each a list or a tensor (T_b,) or (T_b, F), as one tensor, padded with `value`.

    Returns (T, B) or (T, B, F), T the longest, and the lengths, (B,) int64 on the CPU. Whole numbers become int64,
    others keep their dtype (lists: float32). No sequences at all give (0, 0).
    """
    import torch

    lengths = torch.tensor([len(sequence) for sequence in sequences], dtype=torch.int64)
    tensors = [torch.as_tensor(sequence) for sequence in sequences]
    model = next((tensor for tensor in tensors if tensor.numel()), None)
    if model is None:
        longest = int(lengths.max()) if len(lengths) else 0
        return torch.full((longest, len(lengths)), int(value), dtype=torch.int64), lengths
    dtype = model.dtype if model.is_floating_point() or model.dtype == torch.bool else torch.int64
    shape = (int(lengths.max()), len(tensors), *model.shape[1:])  # (T, B[, F])
    padded = torch.full(shape, value, dtype=dtype, device=model.device)
    for b, tensor in enumerate(tensors):
        if len(tensor):
            padded[: len(tensor), b] = tensor
    return padded, lengths


def mask(lengths: Tensor, T: int) -> Tensor:
    """(T, B) bool: True if step t is within row b. lengths: (B,)."""
    import torch

    return torch.arange(T, device=lengths.device)[:, None] < lengths[None, :]


def stream_steps(n: int, batch_size: int) -> int:
    """Steps of each of batch_size parallel streams over n tokens; the (n - 1) % batch_size left over are not read."""
    return max(0, n - 1) // batch_size


AHEAD = 1 << 18  # tokens read at once over all streams: each reads one contiguous stretch, and memory stays bounded


def stream_batches(text: Stored, window: int, batch_size: int, order: Order) -> Iterator[tuple[Tensor, Tensor]]:
    """(inputs, targets) windows for a language model, each (t, B) int64 with t <= window.

    A text of N token ids is cut into batch_size streams of S = (N-1) // B steps: stream b reads tokens b·S ... b·S+S-1,
    and its targets are the tokens one step later. Window k holds steps k·window ... of every stream, so the state after
    one window is the initial state of the next; the last window may be shorter. A process gets streams rank, rank +
    world ... A text is never shuffled: seed and epoch have no effect. Raises DataError if the text is too short for the
    streams.
    """
    import numpy as np
    import torch

    if window < 1 or batch_size < 1:
        raise ValueError("window and batch_size must be at least 1")
    if batch_size < order.world:
        raise UsageError(
            trn(
                "{n} stream cannot be shared by {world} processes",
                "{n} streams cannot be shared by {world} processes",
                n=batch_size,
                world=order.world,
            ),
            todo=tr("raise train.batch_size, or use fewer processes"),
        )
    steps = stream_steps(len(text), batch_size)
    if steps < 1:
        raise DataError(
            tr(
                "too short: {tokens} for {streams} in parallel",
                tokens=trn("{n} token", "{n} tokens", n=len(text)),
                streams=trn("{n} stream", "{n} streams", n=batch_size),
            ),
            todo=tr("lower train.batch_size, or use a longer text"),
        )
    mine = range(order.rank, batch_size, order.world)
    stretch = window * max(1, AHEAD // (window * len(mine)))
    for start in range(order.next_batch * window, steps, stretch):
        stop = min(start + stretch, steps)
        rows = np.stack([text.read(b * steps + start, b * steps + stop + 1) for b in mine])  # (B, stop - start + 1)
        tokens = torch.from_numpy(rows).t().contiguous()  # (stop - start + 1, B)
        for t in range(0, stop - start, window):
            end = min(t + window, stop - start)
            yield tokens[t:end], tokens[t + 1 : end + 1]
