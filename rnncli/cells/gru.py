"""gru: the gated recurrent unit. Cho et al. 2014 (arXiv:1406.1078), in the form that torch and cuDNN use.

Option: reset_after=false applies r before the product with W_hn, as in the paper (the name is Keras's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import Cell, CoreSpec, Gates, Option, State, Weights, keep_biases

if TYPE_CHECKING:
    from torch import Tensor


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """One GRU step, in torch's form or, with reset_after=false, in the paper's.

    x: (B, I); state: (h,), h (B, H). Gates: r reset, z update, n candidate, and q, the term of n in h.
    """
    return step_from_sums(_sums(x, w), state, w)


def step_from_sums(a: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """The step from a = W_ih x + b_ih, (B, 3H)."""
    return _torch(a, state, w) if w.options.get("reset_after", True) else _cho(a, state, w)


def step_torch(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """Reset gate after the matmul: n = tanh(W_in x + b_in + r ⊙ q), q = W_hn h + b_hn. The form of torch and cuDNN;
    arguments and results: `step`."""
    return _torch(_sums(x, w), state, w)


def step_cho(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """Reset gate before the matmul: n = tanh(W_in x + b_in + q), q = W_hn (r ⊙ h) + b_hn. Cho et al. 2014
    (arXiv:1406.1078), section 2.3. Same weights and shapes as `step_torch`, but a different function."""
    return _cho(_sums(x, w), state, w)


def _sums(x: Tensor, w: Weights) -> Tensor:
    from torch.nn.functional import linear

    return linear(x, w["weight_ih"], w.bias_ih)


def _torch(a: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    import torch

    (h,) = state
    H = h.shape[1]
    # split_with_sizes is what torch.split and chunk call, without their overhead, which is as large as a gate's
    x_rz, x_n = a.split_with_sizes([2 * H, H], dim=1)  # (B, 2H), (B, H)
    sums = torch.nn.functional.linear(w.read(h), w["weight_hh"], w.bias_hh)
    h_rz, q = sums.split_with_sizes([2 * H, H], dim=1)
    r, z = torch.sigmoid(x_rz + h_rz).split_with_sizes([H, H], dim=1)  # each (B, H)
    n = torch.tanh(x_n + r * q)
    # h_t = (1 - z) ⊙ n + z ⊙ h; under autocast gates are bfloat16, but h is not
    return (torch.lerp(w.dropped(n).type_as(h), h, z.type_as(h)),), {"r": r, "z": z, "n": n, "q": q}


def _cho(a: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    import torch
    from torch.nn.functional import linear

    (h,) = state
    x_r, x_z, x_n = a.chunk(3, dim=1)  # each (B, H)
    W_hr, W_hz, W_hn = w["weight_hh"].chunk(3)  # each (H, H)
    b_r, b_z, b_n = w.bias_hh.chunk(3) if w.bias_hh is not None else (None, None, None)
    read = w.read(h)
    r = torch.sigmoid(x_r + linear(read, W_hr, b_r))
    z = torch.sigmoid(x_z + linear(read, W_hz, b_z))
    q = linear(r * read, W_hn, b_n)
    n = torch.tanh(x_n + q)
    return ((1 - z) * w.dropped(n) + z * h,), {"r": r, "z": z, "n": n, "q": q}


def equation(spec: CoreSpec) -> str:
    if spec.option("reset_after"):
        return "q = W_hn·h_(t-1) + b_hn; n = tanh(W_in·x_t + b_in + r⊙q); h_t = (1-z)⊙n + z⊙h_(t-1)"
    return "q = W_hn·(r⊙h_(t-1)) + b_hn; n = tanh(W_in·x_t + b_in + q); h_t = (1-z)⊙n + z⊙h_(t-1)"


def formulas(spec: CoreSpec) -> str:
    b_ih, b_hh, b_in, b_hn = (" + b_ih", " + b_hh", " + b_in", " + b_hn") if spec.bias else ("", "", "", "")
    q = f"r⊙(W_hn·h_(t-1){b_hn})" if spec.option("reset_after") else f"W_hn·(r⊙h_(t-1)){b_hn}"
    return (
        f"r z = sigmoid(W_ih·x_t{b_ih} + W_hh·h_(t-1){b_hh})\nn = tanh(W_in·x_t{b_in} + {q})  h_t = (1-z)⊙n + z⊙h_(t-1)"
    )


def written(spec: CoreSpec) -> tuple[str, ...]:
    gates = ("r = sigmoid(a_r)", "z = sigmoid(a_z)", "wx_n")
    after = ("q = wh_n", "a_n = wx_n + r·q")
    q = after if spec.option("reset_after") else ("v = r·h'", "q = wh_n(v)", "a_n = wx_n + q")
    return (*gates, *q, "n = tanh(a_n)", "h = (1 - z)·n + z·h'")


def two_biases(spec: CoreSpec) -> tuple[str, ...]:
    """In torch's form, r multiplies b_hn in n but not b_in."""
    return ("n",) if spec.option("reset_after") else ()


CELL = Cell(
    step,
    equation=equation,
    keep=keep_biases(z=1.0),  # the update gate keeps h where z is near 1
    gates={"r": "sigmoid", "z": "sigmoid", "n": "tanh"},
    records=("q",),
    about={"h": "hidden state", "r": "reset gate", "z": "update gate", "n": "candidate"},
    candidate="n",
    two_biases=two_biases,
    bounded=True,
    torch_class="GRU",
    formulas=formulas,
    options={
        "reset_after": Option(
            True, "whether r multiplies W_hn·h + b_hn, as in torch; false: r multiplies h before W_hn (the paper)"
        )
    },
    reads=True,
    drops=True,
    summed=lambda spec: ("r", "z"),
    written=written,
    two_forms=(step_torch, step_cho),
    step_from_sums=(step, step_from_sums),
)
