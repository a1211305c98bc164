"""linear: a diagonal linear recurrence whose factors depend only on x, h_t = a_t ⊙ h_(t-1) + v_t.

The equation behind LRU (Orvieto et al. 2023, arXiv:2303.06349), S5 (Smith et al. 2022, arXiv:2208.04933), RG-LRU (De et
al. 2024, arXiv:2402.19427) and HGRN (Qin et al. 2023, arXiv:2311.04823), which differ in how they compute a and v.
Whether a may be negative decides whether it can count modulo 2: Grazzi et al. 2024 (arXiv:2411.12537).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import Cell, CoreSpec, Gates, Option, State, Weights, input_alone, keep_biases

if TYPE_CHECKING:
    from torch import Tensor


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """h_t = a ⊙ h_(t-1) + v, f = σ(W_if x + b_if), v = W_iv x + b_iv; a = f, or 2f - 1 with eigenvalues [-1, 1].

    x: (B, I); state: (h,), h (B, H). Gates: f forget, v the new content; a is the diagonal of the state transition
    matrix, its eigenvalues. Grazzi et al. 2024 (arXiv:2411.12537), with a diagonal A and their extended range.
    """
    from torch.nn.functional import linear

    return step_from_sums(linear(x, w["weight_ih"], w.bias_ih), state, w)


def step_from_sums(s: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """The step from s = W_ih x + b_ih, (B, 2H)."""
    (h,) = state
    s_f, v = s.chunk(2, dim=-1)
    f = s_f.sigmoid()
    a = eigenvalues(f, w)
    return (a * h + w.dropped(v),), {"f": f, "v": v, "a": a}


def parallel(s: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
    """a and v, (T, B, H) each: independent of h."""
    s_f, v = s.chunk(2, dim=-1)
    return eigenvalues(s_f.sigmoid(), w), v


def eigenvalues(f: Tensor, w: Weights) -> Tensor:
    return 2 * f - 1 if w.options["eigenvalues"] == (-1, 1) else f


def equation(spec: CoreSpec) -> str:
    b_if, b_iv = (" + b_if", " + b_iv") if spec.bias else ("", "")
    a = "2f-1" if spec.option("eigenvalues") == (-1, 1) else "f"
    return f"f = sigmoid(W_if·x_t{b_if}); v = W_iv·x_t{b_iv}; a = {a}; h_t = a⊙h_(t-1) + v"


def written(spec: CoreSpec) -> tuple[str, ...]:
    a = "a = 2·f - 1" if spec.option("eigenvalues") == (-1, 1) else "a = f"
    return "f = sigmoid(a_f)", "v = a_v", a, "h = a·h' + v"


CELL = Cell(
    step,
    equation=equation,
    parameters=input_alone,
    keep=keep_biases(f=4.0),  # f is initially 0.98
    gates={"f": "sigmoid", "v": "free"},
    records=("a",),
    about={"h": "hidden state", "f": "forget gate", "v": "candidate", "a": "eigenvalues"},
    candidate="v",
    recurrent_weight=False,
    drops=True,
    options={
        "eigenvalues": Option((0, 1), "their range: a = f, or a = 2f - 1, which can be negative", ((0, 1), (-1, 1)))
    },
    written=written,
    summed=lambda spec: ("f", "v"),
    step_from_sums=(step, step_from_sums),
    parallel=parallel,
    title="LinearRNN",
)
