"""mingru: a GRU whose gate and candidate depend only on x. Feng et al. 2024, "Were RNNs all we needed?"
(arXiv:2410.01201).

This allows a prefix scan over time, unlike gru and lstm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import Cell, CoreSpec, Gates, State, Weights, input_alone, keep_biases, positive

if TYPE_CHECKING:
    from torch import Tensor


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """h_t = (1 - z) ⊙ h_(t-1) + z ⊙ n, z = σ(W_iz x + b_iz), n = g(W_in x + b_in).

    x: (B, I); state: (h,), h (B, H). Gates: z update, n candidate (h̃ in the paper). Feng et al. 2024
    (arXiv:2410.01201), section 3.1, with g of appendix B, as in their log-space form.
    """
    from torch.nn.functional import linear

    return step_from_sums(linear(x, w["weight_ih"], w.bias_ih), state, w)


def step_from_sums(a: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """The step from a = W_ih x + b_ih, (B, 2H)."""
    (h,) = state
    z, n = gates_of(a)
    return ((1 - z) * h + z * w.dropped(n),), {"z": z, "n": n}


def parallel(a: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
    """h_t = (1 - z) ⊙ h_(t-1) + z ⊙ n: the factors do not depend on h."""
    z, n = gates_of(a)
    return 1 - z, z * n


def gates_of(a: Tensor) -> tuple[Tensor, Tensor]:
    """z and n, (..., H) each, from their sums, (..., 2H)."""
    a_z, a_n = a.chunk(2, dim=-1)
    return a_z.sigmoid(), positive(a_n)


def formulas(spec: CoreSpec) -> str:
    b_iz, b_in = (" + b_iz", " + b_in") if spec.bias else ("", "")
    return (
        f"z = sigmoid(W_iz·x_t{b_iz})  n = g(W_in·x_t{b_in})  h_t = (1-z)⊙h_(t-1) + z⊙n\n"
        "g(a) = max(a + 0.5, sigmoid(a))"
    )


CELL = Cell(
    step,
    equation="z = sigmoid(W_iz·x_t + b_iz); n = g(W_in·x_t + b_in); h_t = (1-z)⊙h_(t-1) + z⊙n",
    parameters=input_alone,
    keep=keep_biases(z=-1.0),  # h is kept where z is near 0
    gates={"z": "sigmoid", "n": "free"},
    about={"h": "hidden state", "z": "update gate", "n": "candidate"},
    candidate="n",
    recurrent_weight=False,
    drops=True,
    formulas=formulas,
    written=lambda spec: ("z = sigmoid(a_z)", "n = max(a_n + 0.5, sigmoid(a_n))", "h = (1 - z)·h' + z·n"),
    summed=lambda spec: ("z", "n"),
    step_from_sums=(step, step_from_sums),
    parallel=parallel,
    title="minGRU",
)
