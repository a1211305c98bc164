"""gru: the gated recurrent unit. Cho et al. 2014 (arXiv:1406.1078), in the form that torch and cuDNN use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import Cell, CoreSpec, Gates, State, Weights

if TYPE_CHECKING:
    from torch import Tensor


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """One GRU step, reset gate after the matmul: n = tanh(W_in x + b_in + r ⊙ q), q = W_hn h + b_hn.

    This is the form torch and cuDNN use; Cho et al. 2014 (arXiv:1406.1078), section 2.3, apply r to h before the
    matmul: `step_cho`. x: (B, I); state: (h,), h (B, H). Gates: r reset, z update, n candidate, and q.
    """
    import torch

    linear = torch.nn.functional.linear
    (h,) = state
    H = h.shape[1]
    # split_with_sizes is what torch.split and chunk call, without their overhead, which is as much as a gate's
    x_rz, x_n = linear(x, w["weight_ih"], w.bias_ih).split_with_sizes([2 * H, H], dim=1)  # (B, 2H), (B, H)
    h_rz, q = linear(w.read(h), w["weight_hh"], w.bias_hh).split_with_sizes([2 * H, H], dim=1)
    r, z = torch.sigmoid(x_rz + h_rz).split_with_sizes([H, H], dim=1)  # each (B, H)
    n = torch.tanh(x_n + r * q)
    # h_t = (1 - z) ⊙ n + z ⊙ h; under autocast gates are bfloat16 and h is not
    return (torch.lerp(w.dropped(n).type_as(h), h, z.type_as(h)),), {"r": r, "z": z, "n": n, "q": q}


def step_cho(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """One GRU step as Cho et al. 2014 (arXiv:1406.1078) wrote it: n = tanh(W_in x + b_in + W_hn (r ⊙ h) + b_hn).

    Same weights and shapes as `step`, other numbers: for comparison only, no torch class computes it.
    """
    import torch
    from torch.nn.functional import linear

    (h,) = state
    x_r, x_z, x_n = linear(x, w["weight_ih"], w.bias_ih).chunk(3, dim=1)  # each (B, H)
    W_hr, W_hz, W_hn = w["weight_hh"].chunk(3)  # each (H, H)
    b_r, b_z, b_n = w.bias_hh.chunk(3) if w.bias_hh is not None else (None, None, None)
    r = torch.sigmoid(x_r + linear(h, W_hr, b_r))
    z = torch.sigmoid(x_z + linear(h, W_hz, b_z))
    n = torch.tanh(x_n + linear(r * h, W_hn, b_n))
    return ((1 - z) * n + z * h,), {"r": r, "z": z, "n": n}


def keep(name: str, parameter: Tensor, spec: CoreSpec) -> None:
    """The update gate's bias 1, which keeps h where z is near 1."""
    if name == "bias_ih":
        parameter[spec.hidden_size : 2 * spec.hidden_size] = 1.0


def formulas(spec: CoreSpec) -> str:
    b_ih, b_hh, b_in, b_hn = (" + b_ih", " + b_hh", " + b_in", " + b_hn") if spec.bias else ("", "", "", "")
    return (
        f"r z = sigmoid(W_ih·x_t{b_ih} + W_hh·h_(t-1){b_hh})\n"
        f"n = tanh(W_in·x_t{b_in} + r⊙(W_hn·h_(t-1){b_hn}))  h_t = (1-z)⊙n + z⊙h_(t-1)"
    )


def written(spec: CoreSpec) -> tuple[str, ...]:
    gates = ("r = sigmoid(a_r)", "z = sigmoid(a_z)", "wx_n", "q = wh_n", "a_n = wx_n + r·q", "n = tanh(a_n)")
    return (*gates, "h = (1 - z)·n + z·h'")


CELL = Cell(
    step,
    equation="q = W_hn·h_(t-1) + b_hn; n = tanh(W_in·x_t + b_in + r⊙q); h_t = (1-z)⊙n + z⊙h_(t-1)",
    keep=keep,
    gates={"r": "sigmoid", "z": "sigmoid", "n": "tanh"},
    records=("q",),
    about={"h": "hidden state", "r": "reset gate", "z": "update gate", "n": "candidate"},
    candidate="n",
    two_biases=("n",),  # r multiplies b_hn and not b_in
    bounded=True,
    torch_class="GRU",
    formulas=formulas,
    reads=True,
    drops=True,
    summed=lambda spec: ("r", "z"),
    written=written,
    paper_step=step_cho,
)
