"""Cells whose state is linear in itself equal published implementations, in outputs and gradients, in float64."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

from rnncli.cells import CELLS, CoreSpec, weights_of
from rnncli.nn.recurrent import make_core, run_by
from tests.linear_cells import CASES, FILE, H, found

ENGINES = ("loop", "parallel")


class Ours(nn.Module):
    """A core of ours by one engine, batch first."""

    def __init__(self, spec: CoreSpec, engine: str) -> None:
        super().__init__()
        self.core, self.engine = make_core(spec).double(), engine

    def forward(self, x: Tensor) -> Tensor:
        return run_by(self.engine, self.core, x.transpose(0, 1))[0].transpose(0, 1)


def ours(spec: CoreSpec, engine: str) -> dict[str, Tensor]:
    module = Ours(spec, engine)

    def run(x: Tensor, W: Tensor) -> Tensor:
        h: Tensor = torch.func.functional_call(module, {"core.weight_ih_l0": W}, (x,))
        return h

    return found(spec, run)


@pytest.mark.parametrize("name", CASES)
def test_a_published_implementation_where_it_is_installed(name: str) -> None:
    case = CASES[name]
    pytest.importorskip(case.package)
    theirs = found(case.spec, case.theirs)
    for engine in ENGINES:
        torch.testing.assert_close(ours(case.spec, engine), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_its_numbers(name: str) -> None:
    """The same without it: what it gave, from a file."""
    numbers = json.loads(FILE.read_text("utf-8"))[name]
    theirs = {key: torch.tensor(values, dtype=torch.float64) for key, values in numbers.items()}
    for engine in ENGINES:
        torch.testing.assert_close(ours(CASES[name].spec, engine), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_its_parallel_form_is_its_step(name: str) -> None:
    """h = a ⊙ h_before + b, to the last bit."""
    torch.manual_seed(0)
    spec = CASES[name].spec
    cell, w = CELLS[spec.cell], weights_of(make_core(spec))
    x, h = torch.randn(2, 5, H)
    (after,), _ = cell.step(x, (h,), w)
    assert cell.parallel is not None
    a, b = cell.parallel(nn.functional.linear(x, w.weight_ih, w.bias_ih), w)
    assert torch.equal(a * h + b, after)


def test_minlstm_with_both_gates_shut() -> None:
    """f / (f + i) where both underflow: 0/0 as it is written, and one half by logarithms."""
    w = weights_of(make_core(CoreSpec("minlstm", "tanh", 1, 1, bias=False)))
    with torch.no_grad():
        w.weight_ih.fill_(-200.0)
        (h,), gates = CELLS["minlstm"].step(torch.ones(1, 1), (torch.ones(1, 1),), w)
    assert float(gates["f"]) == 0 == float(gates["i"])
    assert float(gates["k"]) == 0.5
    assert bool(h.isfinite())
