"""The layout of a module's input and output: which of their axes are time and batch, found by running the module."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rnncli.replay import trace


@dataclass(frozen=True)
class Layout:
    """The axes of time and batch, None for an axis that is missing: (T, B, .) by default."""

    time: int | None = 0
    batch: int | None = 1

    def axes(self, features: Sequence[str]) -> tuple[str, ...]:
        """The letters of all axes in order. features: those of the other axes."""
        names, rest = {self.time: "T", self.batch: "B"}, iter(features)
        count = len(features) + len(self._present)
        return tuple(names[axis] if axis in names else next(rest) for axis in range(count))

    def inside(self, tensor: Tensor) -> Tensor:
        """A tensor of this layout as (T, B, ...); a missing axis gets size 1."""
        moved = tensor.movedim(self._present, tuple(range(len(self._present))))
        moved = moved.unsqueeze(0) if self.time is None else moved
        return moved.unsqueeze(1) if self.batch is None else moved

    def outside(self, tensor: Tensor) -> Tensor:
        """(T, B, ...) in this layout; of a missing axis the first."""
        tensor = tensor[:, 0] if self.batch is None else tensor
        tensor = tensor[0] if self.time is None else tensor
        return tensor.movedim(tuple(range(len(self._present))), self._present)

    @property
    def _present(self) -> tuple[int, ...]:
        return tuple(axis for axis in (self.time, self.batch) if axis is not None)


@dataclass(frozen=True)
class _Sizes:
    """steps, rows: of each core that ran. output: shape of the output, () unless it is a tensor."""

    steps: Sequence[int]
    rows: Sequence[int]
    output: Sequence[int]


def layouts(model: nn.Module, x: Tensor) -> tuple[Layout, Layout]:
    """The layouts of a module's input x and of its output.

    An axis is time if the cores read more steps once it is doubled, and batch if they read more rows. Where doubling is
    impossible, such as with an h_0 of fixed size, sizes decide.
    """
    once = _sizes(model, x)
    found: dict[str, tuple[int, int | None]] = {}  # time, batch -> axis of x, axis of the output
    for axis in range(x.dim()):
        try:
            twice = _sizes(model, torch.cat([x, x], axis))
        except Exception:  # whatever a module raises, such as for features of another size
            continue
        kind = "time" if sum(twice.steps) > sum(once.steps) else "batch" if sum(twice.rows) > sum(once.rows) else ""
        if kind and kind not in found:
            pairs = zip(once.output, twice.output, strict=False)
            found[kind] = axis, next((k for k, (a, b) in enumerate(pairs) if a != b), None)
    for kind, sizes in (("batch", once.rows), ("time", once.steps)):
        taken = [axes[0] for axes in found.values()], [axes[1] for axes in found.values()]
        leading = min(2, x.dim() - x.is_floating_point())  # the last axis of numbers is their features
        free = [axis for axis in range(leading) if axis not in taken[0] and x.shape[axis] in sizes]
        if kind not in found and free:
            same = (k for k, size in enumerate(once.output) if k not in taken[1] and size == x.shape[free[0]])
            found[kind] = free[0], next(same, None)
    (time, time_out), (batch, batch_out) = (found.get(kind, (None, None)) for kind in ("time", "batch"))
    return Layout(time, batch), Layout(time_out, batch_out)


def scores_inside(scores: Tensor, given: Layout, returned: Layout, T: int, B: int) -> Tensor:
    """A module's output as scores of every step, (T, B, C), or of the whole sequence, (B, C).

    given, returned: the layouts of its input, T steps of B rows, and of its output, where both axes may be one: (T·B,
    C).
    """
    axis = returned.time
    if axis is not None and axis == returned.batch:
        if scores.shape[axis] != T * B:
            returned = Layout(axis, None)
        elif (given.time or 0) < (given.batch or 0):
            scores, returned = scores.unflatten(axis, (T, B)), Layout(axis, axis + 1)
        else:
            scores, returned = scores.unflatten(axis, (B, T)), Layout(axis + 1, axis)
    moved = returned.inside(scores)
    if returned.time is None:
        return moved.reshape(moved.shape[1], -1)
    return moved if moved.dim() > 2 else moved.unsqueeze(2)


def _sizes(model: nn.Module, x: Tensor) -> _Sizes:
    """Of one run, of a copy: a module may keep its last state for the next call."""
    try:
        copy = deepcopy(model)
    except RuntimeError:  # torch copies no tensor of a graph, such as the weight that weight_norm computes
        copy = model
    made = trace(copy, x, steps=range(0), check=False)
    output = made.result[0] if isinstance(made.result, tuple) else made.result
    return _Sizes(
        [core.num_steps for core in made.cores],
        [core.calls[0].x.shape[1] for core in made.cores],
        tuple(output.shape) if isinstance(output, Tensor) else (),
    )
