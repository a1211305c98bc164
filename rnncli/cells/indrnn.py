"""indrnn: the independently recurrent network: each unit is connected only to itself. Li et al. 2018
(arXiv:1803.04831)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import Cell, CoreSpec, Gates, Shape, State, Weights, uniform

if TYPE_CHECKING:
    from torch import Tensor


def parameters(spec: CoreSpec, inputs: int) -> dict[str, Shape]:
    """weight_hh: u, one weight per unit; one bias, as in the paper."""
    shapes: dict[str, Shape] = {"weight_ih": (spec.hidden_size, inputs), "weight_hh": (spec.hidden_size,)}
    return shapes | {"bias_ih": (spec.hidden_size,)} if spec.bias else shapes


def draw(name: str, parameter: Tensor, spec: CoreSpec) -> None:
    """u from uniform(0, 1), so that nothing grows with the sequence length; the rest like torch."""
    if name == "weight_hh":
        parameter.uniform_(0.0, 1.0)
    else:
        uniform(name, parameter, spec)


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """h_t = tanh(W x_t + u ⊙ h_(t-1) + b), or relu, as in the paper.

    x: (B, I); state: (h,), h (B, H).
    """
    import torch
    from torch.nn.functional import linear

    (h,) = state
    a = linear(x, w["weight_ih"], w.bias_ih) + w["weight_hh"] * w.read(h)  # (B, H)
    return (torch.relu(a) if w.nonlinearity == "relu" else torch.tanh(a),), {}


def keep(name: str, parameter: Tensor, spec: CoreSpec) -> None:
    """Sets u to 1 and the bias to 0: with relu, positive values are kept."""
    if name != "weight_ih":
        parameter.fill_(float(name == "weight_hh"))


def formulas(spec: CoreSpec) -> str:
    return f"h_t = {spec.nonlinearity}(W_ih·x_t{' + b_ih' if spec.bias else ''} + u⊙h_(t-1))     u: weight_hh"


CELL = Cell(
    step,
    equation="h_t = tanh(W_ih·x_t + b_ih + u⊙h_(t-1))",
    parameters=parameters,
    draw=draw,
    keep=keep,
    about={"h": "hidden state"},
    bounded=True,
    nonlinearities=("tanh", "relu"),
    compared=("tanh", "relu"),
    formulas=formulas,
    title="IndRNN",
    reads=True,
    summed=lambda spec: ("",),
    written=lambda spec: ("a = wx + weight_hh·h'", f"h = {spec.nonlinearity}(a)"),
)
