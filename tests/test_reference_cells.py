"""Cells that torch has no module for, in float64 against a published implementation, or their paper's own words."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from rnncli.cells import CoreSpec, OptionValue
from rnncli.nn.recurrent import make_core
from rnncli.replay import run_core
from tests.references import CASES, D64, FILE, INPUTS, Case, H, Numbers, results

TOLERANCE = 1e-12


def ours(spec: CoreSpec, n: Numbers) -> Numbers:
    core = make_core(spec).double()
    weights = {f"{name}_l0": value for name, value in n.items() if name != "x"}
    assert weights.keys() == dict(core.named_parameters()).keys()
    for name, value in weights.items():  # as they are, in the graph
        del core._parameters[name]
        setattr(core, name, value)
    return results(run_core(core, n["x"])[0], n)


def apart(found: Numbers, wanted: Numbers) -> float:
    assert found.keys() == wanted.keys()
    return max(float((found[name] - wanted[name]).abs().max()) for name in wanted)


@pytest.mark.parametrize("name", CASES)
def test_fixed_numbers_of_the_packages(name: str) -> None:
    case = CASES[name]
    wanted = json.loads(FILE.read_text("utf-8"))[name]
    found = ours(case.spec, case.numbers())
    assert apart(found, {key: torch.tensor(value, dtype=D64) for key, value in wanted.items()}) < TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_the_package_itself(name: str) -> None:
    case: Case = CASES[name]
    if find_spec(case.package) is None:
        pytest.skip(f"{case.package} is not installed")
    torch.manual_seed(0)
    numbers = {key: torch.randn_like(value).requires_grad_() for key, value in case.numbers().items()}
    wanted = results(case.run(numbers), numbers)
    assert apart(ours(case.spec, numbers), wanted) < TOLERANCE


def deltanet(n: Numbers, factor: float) -> Tensor:
    """Equation by equation for each row alone: S_t = S_(t-1) - b (S_(t-1) k - v) kᵀ, o_t = S_t q."""
    rows = []
    for b in range(n["x"].shape[1]):
        S, outputs = torch.zeros(H, H, dtype=D64), []
        for x in n["x"][:, b]:
            q, k, v = (n["weight_ih"] @ x + n["bias_ih"]).split(H)
            q, k = (a * a.sigmoid() / (a * a.sigmoid()).square().sum().sqrt() for a in (q, k))
            beta = factor / (1 + (-(n["weight_b"] @ x + n["bias_b"])).exp())
            S = S @ (torch.eye(H, dtype=D64) - beta * torch.outer(k, k)) + beta * torch.outer(v, k)
            outputs.append(S @ q)
        rows.append(torch.stack(outputs))
    return torch.stack(rows, dim=1)


def normed(a: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Ba et al. 2016, equation 4, with torch's eps."""
    off = a - a.mean(1, keepdim=True)
    return gain * off / (off.square().mean(1, keepdim=True) + 1e-5).sqrt() + bias


def lstm(n: Numbers, *, coupled: bool, peephole: bool, norm: bool) -> Tensor:
    """All options, from their papers; gates as torch orders them."""
    h = c = torch.zeros(n["x"].shape[1], H, dtype=D64)
    outputs = []
    for x in n["x"]:
        a, b = x @ n["weight_ih"].T, h @ n["weight_hh"].T
        if norm:
            a, b = normed(a, n["norm_ih"], n["bias_ih"]), normed(b, n["norm_hh"], n["bias_hh"])
        else:
            a, b = a + n["bias_ih"], b + n["bias_hh"]
        parts = dict(zip("igo" if coupled else "ifgo", (a + b).split(H, dim=1), strict=True))
        seen = dict(zip("io" if coupled else "ifo", n["weight_ch"].split(H), strict=True)) if peephole else {}
        zero = torch.zeros(H, dtype=D64)
        i = (parts["i"] + seen.get("i", zero) * c).sigmoid()
        f = 1 - i if coupled else (parts["f"] + seen.get("f", zero) * c).sigmoid()
        c = f * c + i * parts["g"].tanh()
        o = (parts["o"] + seen.get("o", zero) * c).sigmoid()
        h = o * (normed(c, n["norm_c"], n["bias_c"]) if norm else c).tanh()
        outputs.append(h)
    return torch.stack(outputs)


PAPERS: list[tuple[str, dict[str, OptionValue], Callable[[Numbers], Tensor]]] = [
    ("deltanet", {}, lambda n: deltanet(n, 1.0)),
    ("deltanet", {"beta": (0, 2)}, lambda n: deltanet(n, 2.0)),
    ("lstm", {"coupled": True}, lambda n: lstm(n, coupled=True, peephole=False, norm=False)),
    ("lstm", {"layer_norm": True}, lambda n: lstm(n, coupled=False, peephole=False, norm=True)),
    (
        "lstm",
        {"coupled": True, "peephole": True, "layer_norm": True},
        lambda n: lstm(n, coupled=True, peephole=True, norm=True),
    ),
]


@pytest.mark.parametrize(("cell", "options", "paper"), PAPERS)
def test_the_paper(cell: str, options: dict[str, OptionValue], paper: Callable[[Numbers], Tensor]) -> None:
    torch.manual_seed(1)
    spec = CoreSpec(cell, "tanh", INPUTS, H, options=tuple(options.items()))
    shapes = {"x": (5, 2, INPUTS), **spec.parameter_shapes(0)}
    numbers = {name: torch.randn(shape, dtype=D64).requires_grad_() for name, shape in shapes.items()}
    assert apart(ours(spec, numbers), results(paper(numbers), numbers)) < TOLERANCE
