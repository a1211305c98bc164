"""Replaces the forwards of a model's recurrent cores during tracing with the recording loop, called in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rnncli.cells import CELLS, State, Step, weights_of
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.replay.changes import Change, patches_of
from rnncli.replay.loop import Call, CoreTrace, Keep, LayerRecord, StepPatch, initial_state, run_core


@dataclass(frozen=True)
class RecordOptions:
    """keep: what to record. step: step function instead of the cell's. changes: of states and gates."""

    keep: Keep
    step: Step | None
    changes: Sequence[Change]


@contextmanager
def replaced(cores: list[CoreTrace], how: RecordOptions) -> Iterator[None]:
    """A context in which every core's forward is the recording loop."""
    try:
        for core in cores:
            if isinstance(core.module, nn.RNNCellBase):
                core.module.forward = _cell_forward(core, how)
            else:
                core.module.forward = _core_forward(core, how)
        yield
    finally:
        for core in cores:
            core.module.__dict__.pop("forward", None)


def _record(core: CoreTrace, x: Tensor, state: State, lengths: Tensor | None, how: RecordOptions) -> Call:
    keep: Keep | None = how.keep
    if isinstance(core.module, nn.RNNCellBase):  # one step of its sequence
        keep = Keep(None, how.keep.units) if how.keep.step(core.num_steps) else None
    names, others = tuple(core.spec.states), CELLS[core.spec.cell].records
    layers = {place: LayerRecord(names, others) for place in core.spec.places}
    patches = _patches(core, state, lengths, how.changes) if how.changes else {}
    if torch.is_grad_enabled() and not x.requires_grad:
        x = x.detach().requires_grad_()
    output, last = run_core(core.module, x, state, lengths, record=layers, keep=keep, step=how.step, patches=patches)
    return Call(x, state, lengths, output, last, layers)


def _cell_forward(core: CoreTrace, how: RecordOptions) -> Callable[..., object]:
    """Replacement for the forwards of nn.RNNCell, nn.GRUCell and nn.LSTMCell: one step, x (B, I) or (I,)."""

    run = _core_forward(core, how)

    def forward(input: Tensor, hx: Tensor | Sequence[Tensor] | None = None) -> object:
        given = hx.unsqueeze(0) if isinstance(hx, Tensor) else None if hx is None else [t.unsqueeze(0) for t in hx]
        _, last = run(input.unsqueeze(0), given)
        return last[0] if isinstance(last, Tensor) else tuple(t[0] for t in last)

    return forward


def _core_forward(core: CoreTrace, how: RecordOptions) -> Callable[..., Any]:
    """Replacement for the forwards of nn.RNN, nn.GRU and nn.LSTM: padded or packed, batch first or not, batched or
    not."""
    batch_first = bool(getattr(core.module, "batch_first", False))

    def forward(input: Tensor | PackedSequence, hx: Tensor | Sequence[Tensor] | None = None) -> object:
        given: State | None = None if hx is None else ((hx,) if isinstance(hx, Tensor) else tuple(hx))
        lengths: Tensor | None = None
        batched = True
        if isinstance(input, PackedSequence):
            x, lengths = pad_packed_sequence(input)  # (T, B, I), in the caller's order
        else:
            batched = input.dim() == 3
            x = input if batched else input.unsqueeze(1)
            if batched and batch_first:
                x = x.transpose(0, 1)
            if not batched and given is not None:
                given = tuple(t.unsqueeze(1) for t in given)
        _require_input(core, x, tuple((x if isinstance(input, PackedSequence) else input).shape))
        state = initial_state(core.spec, x.shape[1], x)
        if given is not None:
            _require_states(core, given, state)
            state = given
        call = _record(core, x, state, lengths, how)
        core.calls.append(call)
        last = call.last if batched else tuple(t[:, 0] for t in call.last)
        output: Tensor | PackedSequence = call.output
        if isinstance(input, PackedSequence):
            assert lengths is not None
            output = _pack_like(call.output, lengths, input)
        elif not batched:
            output = call.output[:, 0]
        elif batch_first:
            output = call.output.transpose(0, 1)
        return output, (last if len(last) > 1 else last[0])

    return forward


def _require_input(core: CoreTrace, x: Tensor, shape: tuple[int, ...]) -> None:
    """Raises UsageError: an input that the core cannot read. x: (T, B, I). shape: as given."""
    name, size = core.path or type(core.module).__name__, core.spec.input_size
    if x.dim() != 3 or x.shape[2] != size:
        raise UsageError(
            tr(
                "{core} reads I={size} numbers at every step, but its input is {shape}",
                core=name,
                size=size,
                shape=shape,
            ),
            todo=tr("expected (T, B, I), or (B, T, I) with batch_first=True, or (T, I) without a batch axis"),
        )
    if 0 in x.shape[:2]:
        raise UsageError(tr("the input of {core} is empty: T={T}, B={B}", core=name, T=x.shape[0], B=x.shape[1]))
    dtype = weights_of(core.module).like.dtype  # a weight need not be a Parameter
    if x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
        raise UsageError(
            tr("the input of {core} is {dtype}, its weights are {wanted}", core=name, dtype=x.dtype, wanted=dtype)
        )


def _require_states(core: CoreTrace, given: State, wanted: State) -> None:
    """Raises UsageError: initial states of other shapes than these."""
    shapes = [[tuple(tensor.shape) for tensor in state] for state in (given, wanted)]
    if shapes[0] != shapes[1]:
        found, expected = (", ".join(map(str, part)) for part in shapes)
        raise UsageError(
            tr("the initial states of {core} are {found}, expected {expected}",
               core=core.path or type(core.module).__name__, found=found, expected=expected)
        )  # fmt: skip


def _pack_like(padded: Tensor, lengths: Tensor, like: PackedSequence) -> PackedSequence:
    """padded (T, B, .) in the caller's order -> packed in the order of `like`."""
    order = like.sorted_indices
    if order is not None:
        padded, lengths = padded.index_select(1, order), lengths[order.cpu()]
    packed = pack_padded_sequence(padded, lengths.cpu())
    return PackedSequence(packed.data, packed.batch_sizes, like.sorted_indices, like.unsorted_indices)


def by_sequence(core: CoreTrace) -> list[CoreTrace]:
    """One CoreTrace per sequence that the core ran over: a call that continues from the last state of the previous call
    (a decoder's step, a cell in a loop) belongs to its sequence; any other call starts a new one, named `path#2`."""
    sequences: list[list[Call]] = []
    for call in core.calls:
        if sequences and _continues(sequences[-1][-1], call.initial, call.lengths):
            sequences[-1].append(call)
        else:
            sequences.append([call])
    return [
        CoreTrace(core.path if i == 0 else f"{core.path}#{i + 1}", core.module, core.spec, calls)
        for i, calls in enumerate(sequences)
    ]


def _continues(before: Call, initial: State, lengths: Tensor | None) -> bool:
    if before.lengths is not None or lengths is not None or (0, 1) in before.layers:
        return False
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(before.last, initial, strict=True))


def _patches(
    core: CoreTrace, initial: State, lengths: Tensor | None, changes: Sequence[Change]
) -> dict[tuple[int, int], StepPatch]:
    """The changes for the next call of a core."""
    sequences = by_sequence(core)
    if sequences and _continues(sequences[-1].calls[-1], initial, lengths):
        return patches_of(sequences[-1], changes, sequences[-1].num_steps)
    path = core.path if not sequences else f"{core.path}#{len(sequences) + 1}"
    return patches_of(CoreTrace(path, core.module, core.spec), changes, 0)
