"""torch: nn.RNN, nn.LSTM and nn.GRU, whose kernels are fused: cuDNN's on a GPU, oneDNN's for an LSTM on a CPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rnncli.cells import CELLS, CoreSpec, State, parameter_of, quiet_projections
from rnncli.locale import tr
from rnncli.nn.engines import Engine, Sequence, call
from rnncli.replay import initial_state


def run(core: nn.Module, spec: CoreSpec, given: Sequence) -> tuple[Tensor, State]:
    """The module itself; layer by layer with dropout, which torch draws differently on packed data."""
    if given.dropout and isinstance(core, nn.RNNBase):
        return _layer_by_layer(core, spec, given)
    return call(core, spec, given)


def refuses(spec: CoreSpec) -> str:
    if spec.torch_class is not None:
        return ""
    what = spec.cell if CELLS[spec.cell].torch_class is None else tr("nonlinearity none")
    if spec.options:
        what = spec.with_options
    return tr("engine torch has no module for {what}", what=what)


def _layer_by_layer(core: nn.RNNBase, spec: CoreSpec, given: Sequence) -> tuple[Tensor, State]:
    """torch's fused kernels one layer at a time, with dropout between them on padded data."""
    x, lengths = given.tensor, given.lengths
    state = initial_state(spec, x.shape[1], x) if given.state is None else given.state
    D, T = spec.num_directions, x.shape[0]
    last: list[State] = []
    for layer in range(spec.num_layers):
        hx = tuple(tensor[layer * D : (layer + 1) * D].contiguous() for tensor in state)
        with quiet_projections(spec):
            if lengths is None:
                x, after = _fused(core, spec, layer, x, hx)
            else:
                packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
                order, back = packed.sorted_indices, packed.unsorted_indices
                assert order is not None
                assert back is not None
                data, after = _fused(core, spec, layer, packed, tuple(t.index_select(1, order) for t in hx))
                x, _ = pad_packed_sequence(PackedSequence(data, packed.batch_sizes, order, back), total_length=T)
                after = tuple(t.index_select(1, back) for t in after)
        last.append(after)
        if layer < spec.num_layers - 1:
            x = F.dropout(x, given.dropout)
    return x, tuple(torch.cat(rows) for rows in zip(*last, strict=True))


def _fused(core: nn.RNNBase, spec: CoreSpec, layer: int, x: Tensor | PackedSequence, hx: State) -> tuple[Tensor, State]:
    """One layer of torch's kernel. x: (T, B, in), or packed, which returns packed data."""
    weights = [
        parameter_of(core, name, layer, direction)
        for direction in range(spec.num_directions)
        for name in spec.parameter_shapes(layer)
    ]
    kernel: Callable[..., tuple[Tensor, ...]] = getattr(torch, core.mode.lower())  # torch.lstm, gru, rnn_tanh, rnn_relu
    states = hx if len(hx) > 1 else hx[0]
    if isinstance(x, PackedSequence):
        found = kernel(x.data, x.batch_sizes, states, weights, spec.bias, 1, 0.0, True, spec.bidirectional)
    else:
        found = kernel(x, states, weights, spec.bias, 1, 0.0, True, spec.bidirectional, False)
    return found[0], found[1:]


ENGINE = Engine(run, refuses, lambda spec, work: 1.0)  # the baseline of the others
