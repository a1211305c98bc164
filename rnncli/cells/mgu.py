"""mgu: the minimal gated unit, one gate. Zhou et al. 2016 (arXiv:1603.09420)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import Cell, CoreSpec, Gates, State, Weights, keep_biases

if TYPE_CHECKING:
    from torch import Tensor


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """h_t = (1 - f) ⊙ h_(t-1) + f ⊙ n, n = tanh(W_in x + b_in + W_hn (f ⊙ h_(t-1)) + b_hn).

    x: (B, I); state: (h,), h (B, H). Gates: f forget, n candidate. Zhou et al. 2016 (arXiv:1603.09420), with
    torch's two biases.
    """
    import torch
    from torch.nn.functional import linear

    (h,) = state
    x_f, x_n = linear(x, w["weight_ih"], w.bias_ih).chunk(2, dim=1)  # each (B, H)
    W_hf, W_hn = w["weight_hh"].chunk(2)  # each (H, H)
    b_f, b_n = w.bias_hh.chunk(2) if w.bias_hh is not None else (None, None)
    read = w.read(h)
    f = torch.sigmoid(x_f + linear(read, W_hf, b_f))
    n = torch.tanh(x_n + linear(f * read, W_hn, b_n))
    return ((1 - f) * h + f * w.dropped(n),), {"f": f, "n": n}


def formulas(spec: CoreSpec) -> str:
    b_ih, b_hh, b_in, b_hn = (" + b_ih", " + b_hh", " + b_in", " + b_hn") if spec.bias else ("", "", "", "")
    return (
        f"f = sigmoid(W_ih·x_t{b_ih} + W_hh·h_(t-1){b_hh})\n"
        f"n = tanh(W_in·x_t{b_in} + W_hn·(f⊙h_(t-1)){b_hn})  h_t = (1-f)⊙h_(t-1) + f⊙n"
    )


def written(spec: CoreSpec) -> tuple[str, ...]:
    gates = ("f = sigmoid(a_f)", "v = f·h'", "a_n = wx_n + wh_n(v)", "n = tanh(a_n)")
    return (*gates, "h = (1 - f)·h' + f·n")


CELL = Cell(
    step,
    equation="n = tanh(W_in·x_t + b_in + W_hn·(f⊙h_(t-1)) + b_hn); h_t = (1-f)⊙h_(t-1) + f⊙n",
    keep=keep_biases(f=-1.0),  # f near 0 keeps h
    gates={"f": "sigmoid", "n": "tanh"},
    about={"h": "hidden state", "f": "forget gate", "n": "candidate"},
    candidate="n",
    bounded=True,
    formulas=formulas,
    title="MGU",
    reads=True,
    drops=True,
    summed=lambda spec: ("f",),
    written=written,
)
