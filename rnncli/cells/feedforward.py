"""feedforward: the rnn without W_hh, a control without memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import NONLINEARITIES, Cell, CoreSpec, Gates, State, Weights

if TYPE_CHECKING:
    from torch import Tensor


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """h_t = tanh(W_ih x_t + b_ih + b_hh): the step of rnn without W_hh.

    x: (B, I); state is ignored. At the first step, where h is 0, it equals rnn with the same weights.
    """
    from torch.nn.functional import linear

    a = linear(x, w["weight_ih"], w.bias_ih)  # (B, H)
    if w.bias_hh is not None:
        a = a + w.bias_hh
    return (NONLINEARITIES[w.nonlinearity](a),), {}


def formulas(spec: CoreSpec) -> str:
    a = "W_ih·x_t + b_ih + b_hh" if spec.bias else "W_ih·x_t"
    return f"h_t = {a}" if spec.nonlinearity == "none" else f"h_t = {spec.nonlinearity}({a})"


CELL = Cell(
    step,
    equation="h_t = tanh(W_ih·x_t + b_ih + b_hh)",
    about={"h": "hidden state"},
    bounded=True,
    stateful=False,
    recurrent_weight=False,
    nonlinearities=("tanh", "relu", "none"),
    closed_form=("tanh", "relu", "none"),
    formulas=formulas,
    summed=lambda spec: ("",),
    written=lambda spec: ("h = a",) if spec.nonlinearity == "none" else (f"h = {spec.nonlinearity}(a)",),
)
