"""deltanet: a matrix S of fast weights, updated with the delta rule at every step.

Schlag et al. 2021 (arXiv:2102.11174); with the normalized keys and queries of Yang et al. 2024
(arXiv:2406.06484), and the negative eigenvalues of Grazzi et al. 2025 (arXiv:2411.12537).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.cells import Cell, CoreSpec, Gates, Option, Shape, State, Weights

if TYPE_CHECKING:
    from torch import Tensor


def states(spec: CoreSpec) -> dict[str, Shape]:
    return {"h": (spec.hidden_size,), "S": (spec.hidden_size, spec.hidden_size)}


def parameters(spec: CoreSpec, inputs: int) -> dict[str, Shape]:
    """weight_ih: for query, key and value; weight_b: for the step size b."""
    H = spec.hidden_size
    shapes: dict[str, Shape] = {"weight_ih": (3 * H, inputs), "weight_b": (1, inputs)}
    return shapes | {"bias_ih": (3 * H,), "bias_b": (1,)} if spec.bias else shapes


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """S_t = S_(t-1) (I - b k kᵀ) + b v kᵀ; h_t = S_t q.

    q and k are silu(W x), L2-normalized; v = W x; b = sigmoid(W x), in (0, 1), or twice that, in (0, 2): the matrix
    that S is multiplied by has eigenvalues 1 and 1 - b. x: (B, I); state: (h, S), h (B, H), not read by the next step,
    S (B, H, H).
    """
    import torch
    from torch.nn.functional import linear, normalize, silu

    _, S = state
    a_q, a_k, v = linear(x, w["weight_ih"], w.bias_ih).chunk(3, dim=1)  # each (B, H)
    q, k = normalize(silu(a_q), dim=1), normalize(silu(a_k), dim=1)
    b = torch.sigmoid(linear(x, w["weight_b"], w.get("bias_b")))  # (B, 1)
    if w.options["beta"] == (0, 2):
        b = 2 * b
    u = (S @ k.unsqueeze(2)).squeeze(2)  # (B, H), the value that S stores for k
    S = S + (b * w.dropped(v - u)).unsqueeze(2) * k.unsqueeze(1)
    return ((S @ q.unsqueeze(2)).squeeze(2), S), {"q": q, "k": k, "v": v, "u": u, "b": b}


def keep(name: str, parameter: Tensor, spec: CoreSpec) -> None:
    """Sets the bias of b to -2, where sigmoid is 0.12: little is overwritten."""
    if name == "bias_b":
        parameter.fill_(-2.0)


def formulas(spec: CoreSpec) -> str:
    b_ih, b_b = (" + b_ih", " + bias_b") if spec.bias else ("", "")
    twice = "2·" if spec.option("beta") == (0, 2) else ""
    return (
        f"q k = silu(W_ih·x_t{b_ih})/length   v = W_ih·x_t{b_ih}\n"
        f"b = {twice}sigmoid(weight_b·x_t{b_b})   u = S_(t-1)·k\n"
        "S_t = S_(t-1) + b·(v-u)·kᵀ   h_t = S_t·q"
    )


def written(spec: CoreSpec) -> tuple[str, ...]:
    b = "weight_b @ x + bias_b" if spec.bias else "weight_b @ x"
    return (
        "s_q = silu(wx_q)",
        "q = s_q/max(length(s_q), 1e-12)",
        "s_k = silu(wx_k)",
        "k = s_k/max(length(s_k), 1e-12)",
        "v = wx_v",
        f"b = sigmoid({b})" if spec.option("beta") == (0, 1) else f"b = 2·sigmoid({b})",
        "u = S' @ k",
        "e = b·(v - u)",
        "kq = k @ q",
        "h = S' @ q + e·kq",
    )


CELL = Cell(
    step,
    equation="u = S_(t-1)·k; S_t = S_(t-1) + b·(v-u)·kᵀ; h_t = S_t·q",
    states=states,
    parameters=parameters,
    keep=keep,
    gates={"q": "tanh", "k": "tanh", "v": "free"},
    records=("u", "b"),
    about={"h": "output", "S": "memory: value for key", "q": "query", "k": "key", "v": "value", "b": "step size"},
    candidate="v",
    recurrent_weight=False,
    formulas=formulas,
    title="DeltaNet",
    options={
        "beta": Option((0, 1), "range of the step size b; [0, 2] allows negative eigenvalues 1 - b", ((0, 1), (0, 2))),
    },
    drops=True,
    written=written,
    zoned=("h", "S"),
)
