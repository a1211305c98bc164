"""minlstm: an LSTM whose gates depend only on x, without an output gate or c. Feng et al. 2024 (arXiv:2410.01201).

Forget and input gate sum to 1, so that h does not grow with the sequence length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import Cell, CoreSpec, Gates, State, Weights, input_alone, keep_biases, positive

if TYPE_CHECKING:
    from torch import Tensor


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """h_t = k ⊙ h_(t-1) + (1 - k) ⊙ n, k = f / (f + i); f, i = σ(W x + b), n = g(W_in x + b_in).

    x: (B, I); state: (h,), h (B, H). Gates: f forget, i input, n candidate (h̃ in the paper); k is its f'. Feng et al.
    2024 (arXiv:2410.01201), section 3.2, with g of appendix B, as in their log-space form.
    """
    from torch.nn.functional import linear

    return step_from_sums(linear(x, w["weight_ih"], w.bias_ih), state, w)


def step_from_sums(a: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """The step from a = W_ih x + b_ih, (B, 3H)."""
    (h,) = state
    a_f, a_i, a_n = a.chunk(3, dim=-1)
    k, n = share(a_f, a_i), positive(a_n)
    return (k * h + (1 - k) * w.dropped(n),), {"f": a_f.sigmoid(), "i": a_i.sigmoid(), "n": n, "k": k}


def parallel(a: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
    """h_t = k ⊙ h_(t-1) + (1 - k) ⊙ n: the factors do not depend on h."""
    a_f, a_i, a_n = a.chunk(3, dim=-1)
    k = share(a_f, a_i)
    return k, (1 - k) * positive(a_n)


def share(a_f: Tensor, a_i: Tensor) -> Tensor:
    """f / (f + i) computed with logarithms, σ(log f - log i), which stays finite if both gates are closed."""
    from torch.nn.functional import logsigmoid

    return (logsigmoid(a_f) - logsigmoid(a_i)).sigmoid()


def formulas(spec: CoreSpec) -> str:
    b, b_in = (" + b", " + b_in") if spec.bias else ("", "")
    return (
        f"f i = sigmoid(W·x_t{b})  n = g(W_in·x_t{b_in})  k = f/(f+i)\n"
        "h_t = k⊙h_(t-1) + (1-k)⊙n  g(a) = max(a + 0.5, sigmoid(a))"
    )


CELL = Cell(
    step,
    equation="k = f/(f+i); n = g(W_in·x_t + b_in); h_t = k⊙h_(t-1) + (1-k)⊙n",
    parameters=input_alone,
    keep=keep_biases(f=1.0, i=-1.0),  # the paper also raises f's
    gates={"f": "sigmoid", "i": "sigmoid", "n": "free"},
    records=("k",),
    about={"h": "hidden state", "f": "forget gate", "i": "input gate", "n": "candidate", "k": "share of h kept"},
    candidate="n",
    recurrent_weight=False,
    drops=True,
    formulas=formulas,
    written=lambda spec: (
        "f = sigmoid(a_f)",
        "i = sigmoid(a_i)",
        "n = max(a_n + 0.5, sigmoid(a_n))",
        "k = f/(f + i)",
        "h = k·h' + (1 - k)·n",
    ),
    summed=lambda spec: ("f", "i", "n"),
    step_from_sums=(step, step_from_sums),
    parallel=parallel,
    title="minLSTM",
)
