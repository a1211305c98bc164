"""The loop over cell steps: the `loop` engine, and its recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncli.cells import CELLS, CoreSpec, Gates, State, Step, Weights, spec_of, weights_of
from rnncli.replay.regularized import in_training

DIRECTIONS = ("fwd", "bwd")
BLOCK = 1024  # steps

_recording: ContextVar[bool] = ContextVar("recording", default=False)


def is_recording() -> bool:
    """True inside `trace`: every engine then calls the core's own, replaced, forward."""
    return _recording.get()


@contextmanager
def recording() -> Iterator[None]:
    token = _recording.set(True)
    try:
        yield
    finally:
        _recording.reset(token)


@dataclass(frozen=True)
class Keep:
    """What to record. steps: of 0..T-1, None for all; units: of each recorded tensor, None for all."""

    steps: range | None = None
    units: Sequence[int] | None = None

    def step(self, t: int) -> bool:
        return self.steps is None or t in self.steps

    def unit(self, tensor: Tensor) -> Tensor:
        """The selected units of a recorded (B, size) tensor; for a matrix (B, size, .) its rows."""
        if self.units is None:
            return tensor
        return tensor[:, [unit for unit in self.units if unit < tensor.shape[1]]]

    def recorded(self, state: State, gates: Gates) -> tuple[State, Gates]:
        """The tensors to store: whole while they are in a graph, since their gradient may be requested later."""
        if self.units is None or state[0].requires_grad:
            return state, gates
        return tuple(map(self.unit, state)), {name: self.unit(gate) for name, gate in gates.items()}


@dataclass
class LayerRecord:
    """One layer in one direction. made: (step, state after it, gates) in order of computation, in the graph. others:
    names that a step returns besides gates. unheld: of a padded batch in a graph, step -> the states as the step
    returned them: h comes from these, not from those that are held after the end of a row."""

    state_names: Sequence[str] = ("h",)
    others: Sequence[str] = ()
    initial: State = ()
    made: list[tuple[int, State, Gates]] = field(default_factory=list)
    unheld: dict[int, State] = field(default_factory=dict)

    @cached_property
    def steps(self) -> dict[str, dict[int, Tensor]]:
        """Name -> step -> (B, ...) tensor; names as in a Trace: `h`, `c`, `gate.f`, `q`."""
        found: dict[str, dict[int, Tensor]] = {}
        for t, state, gates in self.made:
            for name, tensor in zip(self.state_names, state, strict=True):
                found.setdefault(name, {})[t] = tensor
            for name, tensor in gates.items():
                found.setdefault(name if name in self.others else f"gate.{name}", {})[t] = tensor
        return found


class PerStep(Protocol):
    """T tensors (B, ...), by step."""

    def __len__(self) -> int: ...

    def __getitem__(self, t: int, /) -> Tensor: ...


# (t, step, x, state, weights) -> the step's results, with some of a layer's states and gates changed
StepPatch = Callable[[int, Step, Tensor, State, Weights], tuple[State, Gates]]


def run_layer(
    step: Step,
    weights: Weights,
    xs: PerStep,
    state: State,
    *,
    mask: Sequence[Tensor] | None = None,
    reverse: bool = False,
    record: LayerRecord | None = None,
    keep: Keep | None = None,
    patch: StepPatch | None = None,
) -> tuple[list[Tensor], State]:
    """One layer in one direction over a sequence: the recurrent loop itself.

    xs: T tensors (B, I). state: one (B, ...) tensor per state. mask: T tensors (B, 1), True inside the sequence;
    outside it the state is held and the output is 0, as in torch for packed sequences. reverse: from the last step to
    the first. patch: runs the steps instead of the plain cell. Returns the T outputs (B, H or P) in input order, and
    the last state.
    """
    if record is not None:
        record.initial = state
    steps = range(len(xs) - 1, -1, -1) if reverse else range(len(xs))
    outputs: list[Tensor] = [state[0]] * len(xs)
    for t in steps:
        new, gates = step(xs[t], state, weights) if patch is None else patch(t, step, xs[t], state, weights)
        if mask is None:
            state, outputs[t] = new, new[0]
        else:
            state = tuple(
                torch.where(as_wide(mask[t], after), after, before) for after, before in zip(new, state, strict=True)
            )
            outputs[t] = state[0] * mask[t]  # use `state`, the recorded tensor: gradients must pass through it
        if record is not None and keep is not None and keep.step(t):
            record.made.append((t, *keep.recorded(state, gates)))
            if mask is not None and new[0].requires_grad:
                record.unheld[t] = new
    return outputs, state


class _Sums:
    """W_ih x + b_ih of T steps, (B, G·H) each, computed for BLOCK steps at once. Without a graph, only one block is
    kept."""

    def __init__(self, xs: Sequence[Tensor], w: Weights) -> None:
        self.xs, self.w, self.start = xs, w, -1
        self.block: Sequence[Tensor] = ()

    def __len__(self) -> int:
        return len(self.xs)

    def __getitem__(self, t: int, /) -> Tensor:
        start = t - t % BLOCK
        if start != self.start:
            x = torch.stack(tuple(self.xs[start : start + BLOCK]))  # (T', B, I)
            self.start, self.block = start, F.linear(x, self.w.weight_ih, self.w.bias_ih).unbind(0)
        return self.block[t - start]


def as_wide(mask: Tensor, state: Tensor) -> Tensor:
    """mask (B, 1) with as many dimensions as the state, (B, ...)."""
    return mask if state.dim() == 2 else mask.view(-1, *[1] * (state.dim() - 1))


def initial_state(spec: CoreSpec, batch_size: int, like: Tensor) -> State:
    """Zero states: h (L·D, B, H or P) and the cell's other states, such as an LSTM's c (L·D, B, H)."""
    rows = spec.num_layers * spec.num_directions
    return tuple(like.new_zeros(rows, batch_size, *shape) for shape in spec.states.values())


def length_mask(lengths: Tensor | None, T: int, like: Tensor) -> list[Tensor] | None:
    """T tensors (B, 1), True where a step is inside its sequence; None if all are."""
    if lengths is None or bool((lengths >= T).all()):
        return None
    mask = torch.arange(T).unsqueeze(1) < lengths.cpu().unsqueeze(0)  # (T, B)
    return list(mask.to(like.device).unsqueeze(2).unbind(0))


def run_core(
    module: nn.Module,
    x: Tensor,
    state: State | None = None,
    lengths: Tensor | None = None,
    *,
    dropout: float = 0.0,
    record: Mapping[tuple[int, int], LayerRecord] | None = None,
    keep: Keep | None = None,
    step: Step | None = None,
    training: bool = False,
    patches: Mapping[tuple[int, int], StepPatch] | None = None,
) -> tuple[Tensor, State]:
    """Run all layers and directions of a core: the `loop` engine.

    module: nn.RNN, nn.LSTM, nn.GRU, their *Cell forms, or a core of ours. x: (T, B, I). state: h (L·D, B, H or P) and
    the cell's other states, (L·D, B, ...), zeros if None. lengths: (B,), None if all are T. dropout: between layers,
    drawn on (T, B, .). record: (layer, direction) -> where to record its steps. step: step function instead of the
    cell's. training: draw the masks of the core's recurrent regularizers; otherwise use their expected values. patches:
    (layer, direction) -> changes to some of its gates and states. Returns output (T, B, D·H or D·P) and the last state,
    as the torch module does.
    """
    spec = spec_of(module)
    assert spec is not None
    drawn = training and step is None and bool(spec.regularizers)
    own = step is None and not drawn and not any(spec.zoneout)
    from_sums = CELLS[spec.cell].step_from_sums if own else None
    step = step or spec.step if from_sums is None else from_sums[1]
    if state is None:
        state = initial_state(spec, x.shape[1], x)
    mask = length_mask(lengths, x.shape[0], x)
    xs = list(x.unbind(0))  # unbind once: indexing x[t] would cost O(T²) in backward
    last: list[State] = []
    for layer in range(spec.num_layers):
        outputs: list[list[Tensor]] = []
        for direction in range(spec.num_directions):
            row = layer * spec.num_directions + direction
            w, start = weights_of(module, layer, direction), tuple(tensor[row] for tensor in state)
            if drawn:
                step, w = in_training(spec, w, xs[0], start)
            output, after = run_layer(
                step,
                w,
                xs if from_sums is None else _Sums(xs, w),
                start,
                mask=mask,
                reverse=direction == 1,
                record=record[layer, direction] if record is not None else None,
                keep=keep,
                patch=None if patches is None else patches.get((layer, direction)),
            )
            outputs.append(output)
            last.append(after)
        xs = outputs[0] if len(outputs) == 1 else [torch.cat(pair, dim=1) for pair in zip(*outputs, strict=True)]
        if dropout and layer < spec.num_layers - 1:
            xs = list(F.dropout(torch.stack(xs), dropout).unbind(0))
    return torch.stack(xs), tuple(torch.stack(rows) for rows in zip(*last, strict=True))


@dataclass
class Call:
    """One call of one core: its inputs, outputs, and the record of each layer and direction."""

    x: Tensor  # (T, B, I), in the graph: a leaf if it was constant
    initial: State  # (L·D, B, .)
    lengths: Tensor | None
    output: Tensor  # (T, B, D·H), in the graph
    last: State
    layers: dict[tuple[int, int], LayerRecord]


@dataclass
class CoreTrace:
    """The recording of one recurrent core: its spec, its calls, and its path in the model."""

    path: str
    module: nn.Module
    spec: CoreSpec
    calls: list[Call] = field(default_factory=list)

    @property
    def lengths(self) -> Tensor | None:
        """(B,), if the core was called once with sequences of different lengths."""
        return self.calls[0].lengths if len(self.calls) == 1 else None

    @property
    def num_steps(self) -> int:
        return sum(call.x.shape[0] for call in self.calls)

    def step_tensors(self, layer: int, direction: int, name: str, *, held: bool = True) -> dict[int, Tensor]:
        """Step -> (B, size) tensor in the graph, with steps numbered across calls. held=False: of a padded batch, the
        states before they are held, through which every gradient passes."""
        found: dict[int, Tensor] = {}
        start = 0
        for call in self.calls:
            record = call.layers[layer, direction]
            tensors = record.steps.get(name, {})
            if not held and name in record.state_names:
                place = record.state_names.index(name)
                tensors = tensors | {t: states[place] for t, states in record.unheld.items()}
            found |= {start + t: tensor for t, tensor in tensors.items()}
            start += call.x.shape[0]
        return found
