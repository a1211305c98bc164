"""lstm: long short-term memory. Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import Cell, CoreSpec, Gates, Shape, State, Weights
from rnncli.locale import tr

if TYPE_CHECKING:
    from torch import Tensor


def states(spec: CoreSpec) -> dict[str, Shape]:
    return {"h": (spec.state_size,), "c": (spec.hidden_size,)}


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """c_t = f ⊙ c_(t-1) + i ⊙ g; h_t = o ⊙ tanh(c_t), through W_hr where there is a projection.

    x: (B, I); state: (h, c), h (B, P or H), c (B, H). Gates: i input, f forget, g candidate, o output. No peepholes;
    the projection is Sak et al. 2014 (arXiv:1402.1128). The form and order of torch.nn.LSTM.
    """
    import torch
    from torch.nn.functional import linear

    h, c = state
    a = linear(x, w["weight_ih"], w.bias_ih) + linear(h, w["weight_hh"], w.bias_hh)  # (B, 4H)
    a_i, a_f, a_g, a_o = a.chunk(4, dim=1)  # each (B, H)
    i = torch.sigmoid(a_i)
    f = torch.sigmoid(a_f)
    g = torch.tanh(a_g)
    o = torch.sigmoid(a_o)
    c = f * c + i * g
    h = o * torch.tanh(c)
    if w.weight_hr is not None:
        h = linear(h, w.weight_hr)  # (B, P)
    return (h, c), {"i": i, "f": f, "g": g, "o": o}


def keep(name: str, parameter: Tensor, spec: CoreSpec) -> None:
    """The forget gate's bias 1 (Gers et al. 2000; Jozefowicz et al. 2015)."""
    if name == "bias_ih":
        parameter[spec.hidden_size : 2 * spec.hidden_size] = 1.0


def formulas(bias: bool, nonlinearity: str) -> str:
    b_ih, b_hh = (" + b_ih", " + b_hh") if bias else ("", "")
    gates = f"i f o = sigmoid(W_ih·x_t{b_ih} + W_hh·h_(t-1){b_hh}), g = tanh(" + tr("the same") + ")"
    return gates + "\nc_t = f⊙c_(t-1) + i⊙g     h_t = o⊙tanh(c_t)     " + tr("c: the memory")


CELL = Cell(
    step,
    equation="c_t = f⊙c_(t-1) + i⊙g; h_t = o⊙tanh(c_t)",
    states=states,
    keep=keep,
    gates={"i": "sigmoid", "f": "sigmoid", "g": "tanh", "o": "sigmoid"},
    about={
        "h": "hidden state",
        "c": "cell state",
        "i": "input gate",
        "f": "forget gate",
        "g": "candidate",
        "o": "output gate",
    },
    candidate="g",
    bounded=True,
    torch_class="LSTM",
    projected="c_t = f⊙c_(t-1) + i⊙g; h_t = W_hr·(o⊙tanh(c_t))",
    formulas=formulas,
)
