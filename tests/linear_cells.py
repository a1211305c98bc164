"""Numbers of published implementations of mingru, minlstm and linear, for tests without these packages.

    pip install --no-deps minGRU-pytorch==0.2.1 accelerated-scan==0.3.1
    python -m tests.linear_cells

writes tests/data/linear_cells.json: outputs and gradients in float64, of inputs and weights that `given` makes anew.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rnncli.cells import CoreSpec, OptionValue

FILE = Path(__file__).parent / "data" / "linear_cells.json"
T, B, H = 9, 2, 3  # as many inputs as units: these implementations have one width

Theirs = Callable[[Tensor, Tensor], Tensor]  # x (B, T, H) and W (G·H, H), gates in our order -> h (B, T, H)


@dataclass(frozen=True)
class Case:
    """spec: of ours, with as many inputs as units. package: where theirs is."""

    spec: CoreSpec
    package: str
    theirs: Theirs


def given(G: int) -> tuple[Tensor, Tensor, Tensor]:
    """x (B, T, H), W (G·H, H), and the weights (B, T, H) with which a loss adds up all h; without a random number."""
    x, W, loss = (_numbers(n) for n in (B * T * H, G * H * H, B * T * H))
    return 2 * x.view(B, T, H), W.view(G * H, H), loss.view(B, T, H)


def _numbers(n: int) -> Tensor:
    """Exact in float64, spread over (-1, 1)."""
    return torch.tensor([(37 * k % 128 - 63.5) / 64 for k in range(n)], dtype=torch.float64)


def found(spec: CoreSpec, run: Theirs) -> dict[str, Tensor]:
    """h, and the gradients of its sum with the loss's weights towards x and W."""
    x, W, loss = given(spec.num_gates)
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


def their_linear(least: int) -> Theirs:
    """accelerated-scan's reference: gates and tokens are (B, H, T)."""

    def run(x: Tensor, W: Tensor) -> Tensor:
        s, v = (x @ W.T).transpose(1, 2).chunk(2, dim=1)
        a = least + (1 - least) / (1 + torch.exp(-s))
        h: Tensor = importlib.import_module("accelerated_scan.ref").scan(a.contiguous(), v.contiguous())
        return h.transpose(1, 2)

    return run


def spec_of(cell: str, *options: tuple[str, OptionValue]) -> CoreSpec:
    return CoreSpec(cell, "tanh", H, H, bias=False, options=options)


CASES = {
    "mingru": Case(spec_of("mingru"), "minGRU_pytorch", their_mingru),
    "minlstm": Case(spec_of("minlstm"), "minGRU_pytorch", their_minlstm),
    "linear [0, 1]": Case(spec_of("linear"), "accelerated_scan", their_linear(0)),
    "linear [-1, 1]": Case(spec_of("linear", ("eigenvalues", (-1, 1))), "accelerated_scan", their_linear(-1)),
}


def main() -> None:
    numbers = {
        name: {key: tensor.tolist() for key, tensor in found(case.spec, case.theirs).items()}
        for name, case in CASES.items()
    }
    FILE.write_text(json.dumps(numbers) + "\n", "utf-8")


if __name__ == "__main__":
    main()
