"""Recurrent cores and their engines: one set of weights, by torch's names, and several ways to run them.

Engines: `cell`, the Python loop over the steps of cells.py, which can record; `torch`, nn.RNN, nn.LSTM and nn.GRU;
`scan`, backpropagation through time written out over the whole sequence (scan.py).
They agree in outputs, last states and gradients; dropout between layers is drawn here, outside the cores, on padded
(T, B, .) data, so that they agree with dropout on as well (torch's packed and padded modules draw differently).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rnncli.cells import CELLS, CoreSpec, State, parameter_name, parameter_of, quiet_projections, spec_of
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.frontends import Rows
from rnncli.replay import initial_state, is_recording, run_core

if TYPE_CHECKING:  # pydantic comes with it, and demo needs none
    from rnncli.recipe import CoreSection


class PlainCore(nn.Module):
    """A core that torch has no module for: any cell but rnn, lstm and gru, or an rnn without nonlinearity. Only `cell`
    runs it. Parameters have the cell's names with torch's endings, `_l0`, and are drawn as the cell says."""

    def __init__(self, spec: CoreSpec, dropout: float = 0.0) -> None:
        super().__init__()
        self.spec = spec
        self.dropout = dropout
        draw = CELLS[spec.cell].draw
        for layer in range(spec.num_layers):
            for direction in range(spec.num_directions):
                for name, shape in spec.parameter_shapes(layer).items():
                    parameter = nn.Parameter(torch.empty(shape))
                    with torch.no_grad():
                        draw(name, parameter, spec)
                    self.register_parameter(parameter_name(name, layer, direction), parameter)

    def forward(self, x: Tensor, hx: Tensor | State | None = None) -> tuple[Tensor, Tensor | State]:
        """x (T, B, I), h_0 (L·D, B, H) -> output (T, B, D·H), h_n (L·D, B, H); of a cell with several states, all."""
        output, last = run_core(self, x, (hx,) if isinstance(hx, Tensor) else hx)
        return output, last if len(last) > 1 else last[0]


Core = nn.RNNBase | PlainCore


def make_core(spec: CoreSpec, dropout: float = 0.0) -> Core:
    """A core with fresh weights: torch's own module where there is one, so a bare torch script draws the same."""
    if spec.torch_class is None:
        return PlainCore(spec, dropout)
    # torch warns where dropout cannot act; the recipe refuses that already
    dropout = dropout if spec.num_layers > 1 else 0.0
    options: dict[str, Any] = {"nonlinearity": spec.nonlinearity} if len(CELLS[spec.cell].nonlinearities) > 1 else {}
    if spec.proj_size:
        options["proj_size"] = spec.proj_size
    return spec.torch_class(
        spec.input_size,
        spec.hidden_size,
        num_layers=spec.num_layers,
        bias=spec.bias,
        dropout=dropout,
        bidirectional=spec.bidirectional,
        **options,
    )


def core_of_section(section: CoreSection, input_size: int) -> tuple[Core, CoreSpec]:
    """The core that a recipe's `model:` describes, with fresh weights, and its spec."""
    spec = spec_of_section(section, input_size)
    return make_core(spec, section.dropout), spec


def spec_of_section(section: CoreSection, input_size: int) -> CoreSpec:
    """What a recipe's `model:` describes."""
    return CoreSpec(
        cell=section.cell,
        nonlinearity=section.nonlinearity,
        input_size=input_size,
        hidden_size=section.hidden_size,
        num_layers=section.num_layers,
        bidirectional=section.bidirectional,
        proj_size=section.proj_size,
        bias=section.bias,
    )


@torch.no_grad()
def keep_state(core: Core) -> None:
    """Fresh weights changed as the cell has it so that each state is kept at first, and gradients reach far back."""
    spec = spec_of(core)
    assert spec is not None
    for layer in range(spec.num_layers):
        for direction in range(spec.num_directions):
            for name in spec.parameter_shapes(layer):
                CELLS[spec.cell].keep(name, parameter_of(core, name, layer, direction), spec)


# Steps from which on the scan engine is faster than torch's modules: what it does before and after its loop costs some.
SHORTEST_SCAN = 10


def choose_engine(
    spec: CoreSpec, dtype: torch.dtype, device: str, *, T: int, padded: bool = False, gradients: bool = True
) -> str:
    """What `engine: auto` means: a pure function of the core's spec, dtype, the device's type, the steps of a sequence,
    whether the rows of a batch differ in length, and whether gradients are wanted (without, torch's module has less to
    do than in training, and scan has not). From measurements of training on a CPU, against torch's module:

    - rnn, gru: scan is 1.0 to 2.9 times as fast. torch has no fused kernel for them.
    - lstm: torch's is oneDNN's, 1.2 to 5 times as fast as scan; but not in float64 (scan: 1.2 times as fast), nor for
      rows of different lengths, which it packs (scan: 1.0 to 1.5).
    """
    if spec.torch_class is None:
        return "cell"
    if device != "cpu" or not can_scan(spec) or not _long_training(T, gradients):
        return "torch"
    return "scan" if spec.cell != "lstm" or padded or dtype == torch.float64 else "torch"


def _long_training(T: int, gradients: bool) -> bool:
    """Where the scan engine can be faster than torch's module."""
    return T >= SHORTEST_SCAN and gradients


def can_scan(spec: CoreSpec) -> bool:
    """Whether the scan engine has this cell written out: rnn (tanh, relu), gru and lstm, without projection."""
    return spec.torch_class is not None and not spec.proj_size


def check_engine(spec: CoreSpec, engine: str) -> None:
    """UsageError where `engine` cannot run this core."""
    if engine == "scan" and not can_scan(spec):
        what = tr("projections") if spec.proj_size else tr("{cell} without memory or nonlinearity", cell=spec.cell)
        raise UsageError(
            tr("engine scan is not written for {what}", what=what), todo=tr("take engine: auto or engine: cell")
        )
    if engine == "torch" and spec.torch_class is None:
        what = spec.cell if CELLS[spec.cell].torch_class is None else tr("a nonlinearity of none")
        raise UsageError(
            tr("engine torch has no module for {what}", what=what), todo=tr("take engine: auto or engine: cell")
        )


def run(
    core: Core, x: Tensor | Rows, lengths: Tensor | None = None, state: State | None = None, *, engine: str = "auto"
) -> tuple[Tensor, State]:
    """A core over a batch, as a model runs it: by `engine`, but where scan cannot gain, in a forward pass without
    gradients or over less than 10 steps, by torch's module instead. Arguments and results: `run_by`."""
    spec = spec_of(core)
    assert spec is not None
    like, T = (x.like, len(x.numbers)) if isinstance(x, Rows) else (x, len(x))
    gradients = torch.is_grad_enabled()
    if engine == "auto":
        padded = lengths is not None
        engine = choose_engine(spec, like.dtype, like.device.type, T=T, padded=padded, gradients=gradients)
    if engine == "scan" and can_scan(spec) and not _long_training(T, gradients):
        engine = "torch"
    return run_by(engine, core, x, lengths, state)


def run_by(
    engine: str, core: Core, x: Tensor | Rows, lengths: Tensor | None = None, state: State | None = None
) -> tuple[Tensor, State]:
    """A core over a batch by one engine: cell, torch or scan.

    x: (T, B, I), or rows of a table. lengths: (B,) where rows differ, each at least 1; outputs after a row's end are 0,
    and its last state is that of its last step (of its first, in the reverse direction). state: h_0 (L·D, B, H or P)
    and the cell's other states, such as an lstm's c_0; zeros if None. Returns output (T, B, D·H or D·P), and the last
    states, shaped like the initial ones. While a trace records, its own loop stands in for every engine.
    """
    spec = spec_of(core)
    assert spec is not None
    if lengths is not None:
        lengths = lengths.cpu()
        if int(lengths.min()) < 1:
            raise ValueError("a row of a batch has no steps")
        if bool((lengths == (x.numbers if isinstance(x, Rows) else x).shape[0]).all()):
            lengths = None
    dropout = float(core.dropout) if core.training and spec.num_layers > 1 else 0.0
    if engine == "scan" and can_scan(spec) and not is_recording():
        from rnncli.nn.scan import scan

        return scan(core, spec, x, lengths, state, dropout)
    x = x.tensor() if isinstance(x, Rows) else x
    if is_recording():
        return _call(core, spec, x, lengths, state)
    if engine == "cell":
        return run_core(core, x, state, lengths, dropout=dropout)
    if engine == "torch" and isinstance(core, nn.RNNBase):
        if not dropout:
            return _call(core, spec, x, lengths, state)
        return _layer_by_layer(core, spec, x, lengths, state, dropout)
    check_engine(spec, engine)
    raise ValueError(f"no engine {engine!r}")


def _call(core: Core, spec: CoreSpec, x: Tensor, lengths: Tensor | None, state: State | None) -> tuple[Tensor, State]:
    """The core's own forward: the fused torch module, or, inside `trace`, the loop that stands in for it."""
    T = x.shape[0]
    hx = None if state is None else (state if len(state) > 1 else state[0])
    with quiet_projections(spec):
        if lengths is None:
            output, last = core(x, hx)
        else:
            output, last = core(pack_padded_sequence(x, lengths, enforce_sorted=False), hx)
            output, _ = pad_packed_sequence(output, total_length=T)
    return output, (tuple(last) if isinstance(last, (tuple, list)) else (last,))


def _layer_by_layer(
    core: nn.RNNBase, spec: CoreSpec, x: Tensor, lengths: Tensor | None, state: State | None, dropout: float
) -> tuple[Tensor, State]:
    """torch's fused kernels one layer at a time, with dropout between them on padded data."""
    state = initial_state(spec, x.shape[1], x) if state is None else state
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
            x = F.dropout(x, dropout)
    return x, tuple(torch.cat(rows) for rows in zip(*last, strict=True))


def _fused(core: nn.RNNBase, spec: CoreSpec, layer: int, x: Tensor | PackedSequence, hx: State) -> tuple[Tensor, State]:
    """One layer of torch's kernel. x: (T, B, in), or packed, which comes back as packed data."""
    weights = [
        parameter_of(core, name, layer, direction)
        for direction in range(spec.num_directions)
        for name in spec.parameter_shapes(layer)
    ]
    kernel: Callable[..., Any] = getattr(torch, core.mode.lower())  # torch.lstm, gru, rnn_tanh, rnn_relu
    states = hx if len(hx) > 1 else hx[0]
    if isinstance(x, PackedSequence):
        found = kernel(x.data, x.batch_sizes, states, weights, spec.bias, 1, 0.0, True, spec.bidirectional)
    else:
        found = kernel(x, states, weights, spec.bias, 1, 0.0, True, spec.bidirectional, False)
    return found[0], tuple(found[1:])
