"""The layout of a module's input and output: which of their axes are time and batch, found by running the module."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.rnn import PackedSequence

from rnncli.cells import spec_of
from rnncli.nn.evaluate import evaluating
from rnncli.replay import trace
from rnncli.replay.loop import recording

_Input = Tensor | PackedSequence  # what a core reads


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
    """steps: of each core that ran, over all its calls. rows: of each call. output: shape of the output, () unless it
    is a tensor."""

    steps: Sequence[int]
    rows: Sequence[int]
    output: Sequence[int]


def layouts(model: nn.Module, x: Tensor) -> tuple[Layout, Layout]:
    """The layouts of a module's input x and of its output.

    An axis is time if the cores read more steps once it is doubled, and batch if they read more rows. Where doubling is
    impossible, such as with an h_0 of fixed size, sizes decide. Raises UsageError for an x that its cores cannot read.
    """
    copy = _copy(model)
    x, once = _first(copy, x)
    if once is None:  # weights without values, which did not run
        return Layout(), Layout()
    leading = min(2, x.dim() - x.is_floating_point())  # the last axis of numbers is their features
    found: dict[str, tuple[int, int | None]] = {}  # time, batch -> axis of x, axis of the output
    for axis in range(x.dim()):
        if len(found) == 2:
            break
        try:
            twice = _sizes(copy, torch.cat([x, x], axis))
        except Exception:  # whatever a module raises, such as for features of another size
            continue
        kind = "time" if sum(twice.steps) > sum(once.steps) else "batch" if sum(twice.rows) > sum(once.rows) else ""
        if kind and kind not in found:
            pairs = zip(once.output, twice.output, strict=False)
            found[kind] = axis, next((k for k, (a, b) in enumerate(pairs) if a != b), None)
    for kind, sizes in (("batch", once.rows), ("time", once.steps)):
        if kind not in found:
            free = [axis for axis in range(leading) if axis not in _taken(found, 0) and x.shape[axis] in sizes]
            if free:
                found[kind] = free[0], _of_size(once, found, [x.shape[free[0]]])
    free = [axis for axis in range(leading) if axis not in _taken(found, 0)]
    if "time" not in found and len(free) == 1:  # cores that read a fixed number of steps
        found["time"] = free[0], _of_size(once, found, once.steps)
    (time, time_out), (batch, batch_out) = (found.get(kind, (None, None)) for kind in ("time", "batch"))
    return Layout(time, batch), Layout(time_out, batch_out)


def _taken(found: Mapping[str, tuple[int, int | None]], which: int) -> list[int | None]:
    return [axes[which] for axes in found.values()]


def _of_size(once: _Sizes, found: Mapping[str, tuple[int, int | None]], sizes: Sequence[int]) -> int | None:
    """The first axis of the output of one of these sizes that is not taken."""
    taken = _taken(found, 1)
    return next((k for k, size in enumerate(once.output) if k not in taken and size in sizes), None)


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


def _copy(model: nn.Module) -> nn.Module:
    """A copy that shares the weights, so that a run leaves lists and counters of the module as they are; the module
    itself if it cannot be copied (a lock, a file, the weight that weight_norm computes)."""
    try:
        return deepcopy(model, {id(weight): weight for weight in model.parameters() if not is_lazy(weight)})
    except Exception:
        return model


def _first(model: nn.Module, x: Tensor) -> tuple[Tensor, _Sizes | None]:
    """The sizes of a run on a few steps and rows of x, or on all of x if it cannot be cut, and what it ran on."""
    few = x[(slice(3), slice(2))[: x.dim() - x.is_floating_point()]]
    for tried in (few, x):
        try:
            return tried, _sizes(model, tried)
        except Exception:  # whatever a module raises
            continue
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        return x, None
    with _kept(model, hooks=True):  # it names what its cores cannot read, and reaches cores called without hooks
        made = trace(model, x, steps=range(0), check=False)
    output = made.result[0] if isinstance(made.result, tuple) else made.result
    steps_read, rows_read = [core.num_steps for core in made.cores], [core.calls[0].x.shape[1] for core in made.cores]
    return x, _Sizes(steps_read, rows_read, tuple(output.shape) if isinstance(output, Tensor) else ())


def _sizes(model: nn.Module, x: Tensor) -> _Sizes:
    """Sizes seen in one run of torch's own forwards. Raises whatever the module raises, and LookupError if no core
    ran."""
    calls: dict[nn.Module, list[tuple[int, int]]] = {}

    def called(core: nn.Module, args: tuple[_Input, ...], kwargs: dict[str, _Input]) -> None:
        calls.setdefault(core, []).append(_read(core, args[0] if args else kwargs["input"]))

    with evaluating(model), _kept(model), recording(), ExitStack() as hooks:
        for part in model.modules():
            if spec_of(part) is not None:
                hooks.callback(part.register_forward_pre_hook(called, with_kwargs=True).remove)
        result = model(x)
    if not calls:
        raise LookupError("no core ran")
    output = result[0] if isinstance(result, tuple) else result
    rows = [rows for made in calls.values() for _, rows in made]
    steps = [sum(steps for steps, _ in made) for made in calls.values()]
    return _Sizes(steps, rows, tuple(output.shape) if isinstance(output, Tensor) else ())


def _read(core: nn.Module, x: _Input) -> tuple[int, int]:
    """The steps and rows of one call of a core."""
    if isinstance(x, PackedSequence):
        return len(x.batch_sizes), int(x.batch_sizes[0])
    if isinstance(core, nn.RNNCellBase):
        return 1, x.shape[0] if x.dim() > 1 else 1
    if x.dim() < 3:
        return x.shape[0], 1
    steps, rows = x.shape[:2]
    return (rows, steps) if getattr(core, "batch_first", False) else (steps, rows)


@contextmanager
def _kept(model: nn.Module, *, hooks: bool = False) -> Iterator[None]:
    """Restores what a run changes in a module: what its parts hold, such as a last state for the next call, and their
    buffers. hooks: run the forward hooks that its user registered."""
    parts = [part for part in model.modules() if not isinstance(part, torch.jit.ScriptModule)]
    before = [(part, dict(vars(part)), dict(part._buffers)) for part in parts]
    try:
        for part, _, buffers in before:
            if not hooks:
                part._forward_hooks = OrderedDict()
            part._buffers.update({name: one if one is None else one.clone() for name, one in buffers.items()})
        yield
    finally:
        for part, held, buffers in before:
            vars(part).clear()
            vars(part).update(held)
            part._buffers.clear()
            part._buffers.update(buffers)
