"""slstm: exponential input gates, a normalizer n and a stabilizer m; h is mixed only within each head.

Beck et al. 2024, xLSTM (arXiv:2405.04517), section 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rnncli.cells import Cell, CoreSpec, Gates, Option, OptionValue, Shape, State, Weights, keep_biases
from rnncli.locale import tr

if TYPE_CHECKING:
    from torch import Tensor


def states(spec: CoreSpec) -> dict[str, Shape]:
    return dict.fromkeys(("h", "c", "n", "m"), (spec.hidden_size,))


def parameters(spec: CoreSpec, inputs: int) -> dict[str, Shape]:
    """weight_hh: R, whose rows read only units of their own head; one bias, as in the paper."""
    H = spec.hidden_size
    shapes: dict[str, Shape] = {"weight_ih": (4 * H, inputs), "weight_hh": (4 * H, H // int(str(spec.option("heads"))))}
    return shapes | {"bias_ih": (4 * H,)} if spec.bias else shapes


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """c_t = f c_(t-1) + i z; n_t = f n_(t-1) + i; h_t = o c_t / n_t, elementwise: the paper's equations 8 to 10.

    i = exp(a_i) and f = sigmoid(a_f) are divided by exp(m_t), m_t = max(log f + m_(t-1), a_i), which does not change h:
    equations 15 to 17. Without any memory yet (n = 0), m_t = a_i. x: (B, I); state: (h, c, n, m), (B, H) each. Gates:
    i, f after this scaling; z candidate; o output.
    """
    import torch
    from torch.nn.functional import linear, logsigmoid

    h, c, n, m = state
    B, H = h.shape
    W, size = w["weight_hh"], w["weight_hh"].shape[1]
    heads = w.read(h).view(B, H // size, size)
    mixed = torch.einsum("bkj,gkij->bgki", heads, W.view(4, H // size, size, size)).reshape(B, 4 * H)
    a_i, a_f, a_z, a_o = (linear(x, w["weight_ih"], w.bias_ih) + mixed).chunk(4, dim=1)  # each (B, H)
    kept = logsigmoid(a_f) + m
    m = torch.where(n == 0, a_i, torch.maximum(kept, a_i))
    i, f, z, o = torch.exp(a_i - m), torch.exp(kept - m).clamp(max=1.0), torch.tanh(a_z), torch.sigmoid(a_o)
    c, n = f * c + i * w.dropped(z), f * n + i
    return (o * c / n, c, n, m), {"i": i, "f": f, "z": z, "o": o}


def fits(options: Mapping[str, OptionValue], hidden_size: int) -> dict[str, str]:
    if hidden_size % int(str(options["heads"])):
        return {"heads": tr("heads must divide hidden_size, {n}", n=hidden_size)}
    return {}


def formulas(spec: CoreSpec) -> str:
    a = "W_ih·x_t + b_ih + W_hh·h_(t-1)" if spec.bias else "W_ih·x_t + W_hh·h_(t-1)"
    return (
        f"a = {a}   z = tanh(a_z)   o = sigmoid(a_o)\n"
        "m_t = max(log(sigmoid(a_f)) + m_(t-1), a_i), a_i where n_(t-1) = 0\n"
        "i = exp(a_i - m_t)   f = sigmoid(a_f)·exp(m_(t-1) - m_t), at most 1\n"
        "c_t = f⊙c_(t-1) + i⊙z   n_t = f⊙n_(t-1) + i   h_t = o⊙c_t/n_t"
    )


CELL = Cell(
    step,
    equation="c_t = f⊙c_(t-1) + i⊙z; n_t = f⊙n_(t-1) + i; h_t = o⊙c_t/n_t",
    states=states,
    parameters=parameters,
    keep=keep_biases(f=3.0),  # where sigmoid is 0.95
    gates={"i": "sigmoid", "f": "sigmoid", "z": "tanh", "o": "sigmoid"},
    about={
        "h": "hidden state",
        "c": "cell state",
        "n": "normalizer",
        "m": "stabilizer",
        "i": "input gate",
        "f": "forget gate",
        "z": "candidate",
        "o": "output gate",
    },
    candidate="z",
    formulas=formulas,
    title="sLSTM",
    options={"heads": Option(1, "number of heads: h is split into this many parts, each recurrent only within itself")},
    fits=fits,
    reads=True,
    drops=True,
    summed=lambda spec: ("i", "f", "z", "o"),
    written=lambda spec: (
        "kept = log(sigmoid(a_f)) + m'",
        "m = first(n', a_i, max(kept, a_i))",
        "i = exp(a_i - m)",
        "f = min(exp(kept - m), 1)",
        "z = tanh(a_z)",
        "o = sigmoid(a_o)",
        "c = f·c' + i·z",
        "n = f·n' + i",
        "h = o·c/n",
    ),
)
