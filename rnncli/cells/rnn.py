"""rnn: the simple recurrent network. Elman 1990, "Finding structure in time"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import NONLINEARITIES, Cell, CoreSpec, Gates, State, Weights

if TYPE_CHECKING:
    from torch import Tensor


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or with relu, or without a nonlinearity.

    x: (B, I); state: (h,), h (B, H). The form and names of torch.nn.RNNCell.
    """
    from torch.nn.functional import linear

    (h,) = state
    a = linear(x, w["weight_ih"], w.bias_ih) + linear(w.read(h), w["weight_hh"], w.bias_hh)  # (B, H)
    return (NONLINEARITIES[w.nonlinearity](a),), {}


def keep(name: str, parameter: Tensor, spec: CoreSpec) -> None:
    """Sets W_hh to the identity and biases to 0: Le, Jaitly and Hinton 2015 (arXiv:1504.00941), for relu."""
    if name == "weight_hh":
        parameter.zero_().fill_diagonal_(1.0)
    elif name.startswith("bias"):
        parameter.zero_()


def formulas(spec: CoreSpec) -> str:
    b_ih, b_hh = (" + b_ih", " + b_hh") if spec.bias else ("", "")
    a = f"W_ih·x_t{b_ih} + W_hh·h_(t-1){b_hh}"
    return f"h_t = {a}" if spec.nonlinearity == "none" else f"h_t = {spec.nonlinearity}({a})"


CELL = Cell(
    step,
    equation="h_t = tanh(W_ih·x_t + b_ih + W_hh·h_(t-1) + b_hh)",
    keep=keep,
    about={"h": "hidden state"},
    bounded=True,
    nonlinearities=("tanh", "relu", "none"),
    compared=("tanh", "relu"),
    torch_class="RNN",
    closed_form=("none",),
    formulas=formulas,
    reads=True,
    summed=lambda spec: ("",),
    written=lambda spec: ("h = a",) if spec.nonlinearity == "none" else (f"h = {spec.nonlinearity}(a)",),
)
