"""The cells: one step of each, written like its equations, and CELLS, the one place where a cell is defined.

A new cell trains, traces and inspects after its step function and its row in CELLS. Shapes: B batch, I input size,
H hidden size, P proj_size (0: none), G gates. A step takes x (B, I), the state before, and the weights of one layer in
one direction; it returns the state after and every gate by name, each (B, H).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncli.locale import tr

State = tuple[Tensor, ...]  # (h,) or, for lstm, (h, c)
Gates = dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """One layer in one direction, by torch's names; nonlinearity: tanh, relu or none (rnn and feedforward)."""

    weight_ih: Tensor  # (G·H, I), rows gate by gate
    weight_hh: Tensor | None  # (G·H, P or H); None: feedforward
    bias_ih: Tensor | None  # (G·H,)
    bias_hh: Tensor | None  # (G·H,)
    weight_hr: Tensor | None = None  # (P, H): lstm with proj_size
    nonlinearity: str = "tanh"


def _none(x: Tensor) -> Tensor:
    return x


NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu, "none": _none}


def rnn_step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu, or no nonlinearity at all.

    x: (B, I); state: (h,), h (B, H). Elman 1990, "Finding structure in time"; the form and names of torch.nn.RNNCell.
    """
    (h,) = state
    assert w.weight_hh is not None
    a = F.linear(x, w.weight_ih, w.bias_ih) + F.linear(h, w.weight_hh, w.bias_hh)  # (B, H)
    return (NONLINEARITIES[w.nonlinearity](a),), {}


def feedforward_step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """h_t = tanh(W_ih x_t + b_ih + b_hh): rnn_step without W_hh, the control that cannot remember.

    x: (B, I); state is not read. At the first step, where h is 0, it equals rnn_step with the same weights.
    """
    a = F.linear(x, w.weight_ih, w.bias_ih)  # (B, H)
    if w.bias_hh is not None:
        a = a + w.bias_hh
    return (NONLINEARITIES[w.nonlinearity](a),), {}


def gru_step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """One GRU step, reset gate after the matmul: n = tanh(W_in x + b_in + r ⊙ q), q = W_hn h + b_hn.

    This is the form torch and cuDNN use; Cho et al. 2014 (arXiv:1406.1078), equation 8, apply r to h before the
    matmul: `gru_step_cho`. x: (B, I); state: (h,), h (B, H). Gates: r reset, z update, n candidate, and q.
    """
    (h,) = state
    assert w.weight_hh is not None
    H = h.shape[1]
    x_rz, x_n = torch.split(F.linear(x, w.weight_ih, w.bias_ih), [2 * H, H], dim=1)  # (B, 2H), (B, H)
    h_rz, q = torch.split(F.linear(h, w.weight_hh, w.bias_hh), [2 * H, H], dim=1)
    r, z = torch.sigmoid(x_rz + h_rz).chunk(2, dim=1)  # each (B, H)
    n = torch.tanh(x_n + r * q)
    # h_t = (1 - z) ⊙ n + z ⊙ h; under autocast gates are bfloat16 and h is not
    return (torch.lerp(n.type_as(h), h, z.type_as(h)),), {"r": r, "z": z, "n": n, "q": q}


def gru_step_cho(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """One GRU step as Cho et al. 2014 (arXiv:1406.1078) wrote it: n = tanh(W_in x + b_in + W_hn (r ⊙ h) + b_hn).

    Same weights and shapes as gru_step, other numbers: for comparison only, no torch class computes it.
    """
    (h,) = state
    assert w.weight_hh is not None
    x_r, x_z, x_n = F.linear(x, w.weight_ih, w.bias_ih).chunk(3, dim=1)  # each (B, H)
    W_hr, W_hz, W_hn = w.weight_hh.chunk(3)  # each (H, H)
    b_r, b_z, b_n = w.bias_hh.chunk(3) if w.bias_hh is not None else (None, None, None)
    r = torch.sigmoid(x_r + F.linear(h, W_hr, b_r))
    z = torch.sigmoid(x_z + F.linear(h, W_hz, b_z))
    n = torch.tanh(x_n + F.linear(r * h, W_hn, b_n))
    return ((1 - z) * n + z * h,), {"r": r, "z": z, "n": n}


def lstm_step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """c_t = f ⊙ c_(t-1) + i ⊙ g; h_t = o ⊙ tanh(c_t), through W_hr where there is a projection.

    x: (B, I); state: (h, c), h (B, P or H), c (B, H). Gates: i input, f forget, g candidate, o output. Hochreiter and
    Schmidhuber 1997 with the forget gate of Gers et al. 2000, no peepholes; the projection is Sak et al. 2014
    (arXiv:1402.1128). The form and order of torch.nn.LSTM.
    """
    h, c = state
    assert w.weight_hh is not None
    a = F.linear(x, w.weight_ih, w.bias_ih) + F.linear(h, w.weight_hh, w.bias_hh)  # (B, 4H)
    a_i, a_f, a_g, a_o = a.chunk(4, dim=1)  # each (B, H)
    i = torch.sigmoid(a_i)
    f = torch.sigmoid(a_f)
    g = torch.tanh(a_g)
    o = torch.sigmoid(a_o)
    c = f * c + i * g
    h = o * torch.tanh(c)
    if w.weight_hr is not None:
        h = F.linear(h, w.weight_hr)  # (B, P)
    return (h, c), {"i": i, "f": f, "g": g, "o": o}


Step = Callable[[Tensor, State, Weights], tuple[State, Gates]]


@dataclass(frozen=True)
class Cell:
    """One row of CELLS. gates: in the order of the rows of weight_ih; records: what else a step names."""

    step: Step
    gates: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    states: tuple[str, ...] = ("h",)
    nonlinearities: tuple[str, ...] = ("tanh",)
    equation: str = ""  # how h follows, a line under the steps that `inspect` shows
    torch_class: type[nn.RNNBase] | None = None  # the module with the same weights, or none
    has_memory: bool = True  # has W_hh


CELLS: dict[str, Cell] = {
    "rnn": Cell(
        rnn_step,
        nonlinearities=("tanh", "relu", "none"),
        equation="h_t = tanh(W_ih·x_t + b_ih + W_hh·h_(t-1) + b_hh)",
        torch_class=nn.RNN,
    ),
    "lstm": Cell(
        lstm_step,
        gates=("i", "f", "g", "o"),
        states=("h", "c"),
        equation="c_t = f⊙c_(t-1) + i⊙g; h_t = o⊙tanh(c_t)",
        torch_class=nn.LSTM,
    ),
    "gru": Cell(
        gru_step,
        gates=("r", "z", "n"),
        records=("q",),
        equation="q = W_hn·h_(t-1) + b_hn; n = tanh(W_in·x_t + b_in + r⊙q); h_t = (1-z)⊙n + z⊙h_(t-1)",
        torch_class=nn.GRU,
    ),
    "feedforward": Cell(
        feedforward_step,
        nonlinearities=("tanh", "relu", "none"),
        equation="h_t = tanh(W_ih·x_t + b_ih + b_hh)",
        has_memory=False,
    ),
}


@dataclass(frozen=True)
class CoreSpec:
    """What a recurrent core is, whoever made it. A core: the layers and directions that run over a sequence."""

    cell: str
    nonlinearity: str
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    proj_size: int = 0
    bias: bool = True

    @property
    def num_gates(self) -> int:
        return max(1, len(CELLS[self.cell].gates))

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def state_size(self) -> int:
        """Size of h: P where there is a projection, else H."""
        return self.proj_size or self.hidden_size

    @property
    def output_size(self) -> int:
        """Size of one step's output, D·H or D·P."""
        return self.num_directions * self.state_size

    def layer_input_size(self, layer: int) -> int:
        return self.input_size if layer == 0 else self.output_size

    @property
    def torch_class(self) -> type[nn.RNNBase] | None:
        """torch's module of the same function, or None: no torch class leaves out the nonlinearity or W_hh."""
        return None if self.nonlinearity == "none" else CELLS[self.cell].torch_class

    def parameter_shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        """Name -> shape for one direction of a layer, in the order in which torch draws them."""
        rows = self.num_gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, self.layer_input_size(layer))}
        if CELLS[self.cell].has_memory:
            shapes["weight_hh"] = (rows, self.state_size)
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        return shapes

    def num_parameters(self) -> int:
        """Sum over layers of D·[G·H·(in + Hout) + 2·G·H + P·H]."""
        return self.num_directions * sum(
            int(torch.Size(shape).numel())
            for layer in range(self.num_layers)
            for shape in self.parameter_shapes(layer).values()
        )

    def __str__(self) -> str:
        """Such as `LSTM(32, 64, 2 layers, bidirectional)`."""
        kind = CELLS[self.cell].torch_class
        name = self.cell.capitalize() if kind is None else kind.__name__
        parts = [str(self.input_size), str(self.hidden_size)]
        if self.num_layers > 1:
            parts.append(tr("{n} layers", n=self.num_layers))
        if self.bidirectional:
            parts.append("bidirectional")
        if self.proj_size:
            parts.append(f"proj_size {self.proj_size}")
        if not self.bias:
            parts.append(tr("no bias"))
        shown = f"{name}({', '.join(parts)})"
        return f"{shown} {self.nonlinearity}" if len(CELLS[self.cell].nonlinearities) > 1 else shown


def parameter_name(name: str, layer: int, direction: int) -> str:
    """torch's name: `weight_ih`, 1, 1 -> `weight_ih_l1_reverse`."""
    return f"{name}_l{layer}{'_reverse' if direction else ''}"


_MODES = {
    "RNN_TANH": ("rnn", "tanh"),
    "RNN_RELU": ("rnn", "relu"),
    "LSTM": ("lstm", "tanh"),
    "GRU": ("gru", "tanh"),
}


def spec_of(module: nn.Module) -> CoreSpec | None:
    """What kind of core `module` is: nn.RNN/LSTM/GRU, their *Cell forms, or ours; None where it is none of them."""
    spec = getattr(module, "spec", None)
    if isinstance(spec, CoreSpec):
        return spec
    if isinstance(module, nn.RNNBase):
        cell, nonlinearity = _MODES[module.mode]
        return CoreSpec(
            cell=cell,
            nonlinearity=nonlinearity,
            input_size=module.input_size,
            hidden_size=module.hidden_size,
            num_layers=module.num_layers,
            bidirectional=module.bidirectional,
            proj_size=module.proj_size,
            bias=module.bias,
        )
    if isinstance(module, nn.RNNCellBase):
        if isinstance(module, nn.RNNCell):
            cell, nonlinearity = "rnn", module.nonlinearity
        else:
            cell, nonlinearity = ("lstm" if isinstance(module, nn.LSTMCell) else "gru"), "tanh"
        return CoreSpec(cell, nonlinearity, module.input_size, module.hidden_size, bias=module.bias)
    return None


def weights_of(module: nn.Module, layer: int = 0, direction: int = 0) -> Weights:
    """The weights of one layer and direction of a core; the tensors are the module's own, not copies."""
    spec = spec_of(module)
    assert spec is not None, f"{type(module).__name__} is not a recurrent core"
    tensors = {
        name: getattr(module, name if isinstance(module, nn.RNNCellBase) else parameter_name(name, layer, direction))
        for name in spec.parameter_shapes(layer)
    }
    return Weights(
        weight_ih=tensors["weight_ih"],
        weight_hh=tensors.get("weight_hh"),
        bias_ih=tensors.get("bias_ih"),
        bias_hh=tensors.get("bias_hh"),
        weight_hr=tensors.get("weight_hr"),
        nonlinearity=spec.nonlinearity,
    )


@contextmanager
def quiet_projections(spec: CoreSpec) -> Iterator[None]:
    """torch warns at each process's first LSTM with projections that oneDNN has none; nobody can act on it."""
    if not spec.proj_size:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LSTM with projections is not supported")
        yield
