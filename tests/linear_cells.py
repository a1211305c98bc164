"""Numbers of published implementations of mingru and minlstm, for tests without these packages.

    pip install --no-deps minGRU-pytorch==0.2.1
    python -m tests.linear_cells

writes tests/data/linear_cells.json: outputs and gradients in float64, of inputs and weights that `given` makes anew.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

FILE = Path(__file__).parent / "data" / "linear_cells.json"
GATES = {"mingru": 2, "minlstm": 3}
T, B, H = 9, 2, 3  # as many inputs as units: these implementations have one width

Theirs = Callable[[Tensor, Tensor], Tensor]  # x (B, T, H) and W (G·H, H), gates in our order -> h (B, T, H)


def given(cell: str) -> tuple[Tensor, Tensor, Tensor]:
    """x (B, T, H), W (G·H, H), and the weights (B, T, H) with which a loss adds up all h; without a random number."""
    G = GATES[cell]
    x, W, loss = (_numbers(n) for n in (B * T * H, G * H * H, B * T * H))
    return 2 * x.view(B, T, H), W.view(G * H, H), loss.view(B, T, H)


def _numbers(n: int) -> Tensor:
    """Exact in float64, spread over (-1, 1)."""
    return torch.tensor([(37 * k % 128 - 63.5) / 64 for k in range(n)], dtype=torch.float64)


def found(cell: str, run: Theirs) -> dict[str, Tensor]:
    """h, and the gradients of its sum with the loss's weights towards x and W."""
    x, W, loss = given(cell)
    h = run(x.requires_grad_(), W.requires_grad_())
    d_x, d_W = torch.autograd.grad((h * loss).sum(), (x, W))
    return {"h": h.detach(), "d_x": d_x, "d_W": d_W}


def their_mingru(x: Tensor, W: Tensor) -> Tensor:
    """minGRU-pytorch: rows of its one matrix are h̃ | z, ours are z | n."""
    module = importlib.import_module("minGRU_pytorch.minGRU").minGRU(H).double()
    z, n = W.chunk(2)
    h: Tensor = torch.func.functional_call(module, {"to_hidden_and_gate.weight": torch.cat((n, z))}, (x,))
    return h


def their_minlstm(x: Tensor, W: Tensor) -> Tensor:
    """minGRU-pytorch: rows of its one matrix are h̃ | f | i, ours are f | i | n."""
    module = importlib.import_module("minGRU_pytorch.minLSTM").minLSTM(H).double()
    f, i, n = W.chunk(3)
    h: Tensor = torch.func.functional_call(module, {"to_hidden_and_f_i_gate.weight": torch.cat((n, f, i))}, (x,))
    return h


THEIRS: dict[str, tuple[str, Theirs]] = {
    "mingru": ("minGRU_pytorch", their_mingru),
    "minlstm": ("minGRU_pytorch", their_minlstm),
}


def main() -> None:
    numbers = {cell: {name: t.tolist() for name, t in found(cell, run).items()} for cell, (_, run) in THEIRS.items()}
    FILE.write_text(json.dumps(numbers) + "\n", "utf-8")


if __name__ == "__main__":
    main()
