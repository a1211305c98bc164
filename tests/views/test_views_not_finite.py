"""Views of NaN and infinity: they say where the first one is, and no check fails for that alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnncli.nn.recurrent import run_by
from rnncli.records import Checks, Message, Page
from rnncli.replay import trace
from rnncli.views import page, subject_of_model

VIEWS = ("engines", "influence")
CELLS: dict[str, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def _page(name: str, module: nn.Module, x: Tensor) -> Page:
    return page(name, subject_of_model(module, x))


def _failed(shown: Page) -> list[str]:
    checks = [check for record in shown.records if isinstance(record, Checks) for check in record.checks]
    return [check.name for check in checks if not check.ok]


def _said(shown: Page) -> str:
    return "\n".join(record.text for record in shown.records if isinstance(record, Message))


def _growing() -> tuple[Any, Tensor]:
    """h is about 3 times as large at each step: too large for float32 before step 100."""
    module: Any = nn.RNN(3, 4, nonlinearity="relu")
    with torch.no_grad():
        module.weight_hh_l0.copy_(3 * torch.eye(4))
    return module, torch.randn(100, 1, 3) * 1e3


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("t", [0, 2])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("name", VIEWS)
def test_an_input_that_is_not_finite(name: str, cell: str, t: int, value: float, bidirectional: bool) -> None:
    x = torch.randn(5, 1, 3)
    x[t, 0, 1] = value
    shown = _page(name, CELLS[cell](3, 4, bidirectional=bidirectional), x)
    assert _failed(shown) == []
    assert f"x is NaN or infinite, first at t={t}" in _said(shown)
    assert ("Unknown: no step has only finite values." in _said(shown)) == (name == "engines" and t == 0)


@pytest.mark.parametrize("name", [*VIEWS, "padding", "steps", "states"])
def test_states_that_overflow(name: str) -> None:
    module, x = _growing()
    output = module(x)[0].detach()
    first = int((~output.isfinite()).flatten(1).any(1).nonzero()[0])
    shown = _page(name, module, x)
    assert _failed(shown) == []
    if name in VIEWS:
        assert f"h is NaN or infinite, first at t={first}" in _said(shown)


def test_overflow_in_float64_has_a_bound() -> None:
    module, x = _growing()
    with torch.no_grad():
        module.weight_hh_l0 *= 100
    assert all(check.ok for check in trace(module.double(), x.double()).checks)


def test_finite_values_are_not_remarked() -> None:
    for name in VIEWS:
        assert "NaN" not in _said(_page(name, nn.GRU(3, 4), torch.randn(5, 2, 3)))


class Leaking(nn.Module):
    """Adds the mean of all rows: a change of one changes the others."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.rnn(x + x.mean(1, keepdim=True))[0]
        return output


def test_a_leak_is_found_before_and_as_nan() -> None:
    x = torch.randn(5, 2, 3)
    x[4, 0, 0] = math.nan
    assert _failed(_page("influence", Leaking(), x)) == ["model.rnn-rows"]

    class Infinite(Leaking):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(torch.where(x.amax() > 100, math.nan, x))

    x = torch.full((5, 2, 3), 99.5)  # changed by 1, it makes NaN of all
    shown = _page("influence", Infinite(), x)
    assert "The axes are wrong" in _said(shown)
    assert "model.rnn-rows" in _failed(shown)


def test_an_engine_that_gives_nan_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(engine: str, *given: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        output, last = run_by(engine, *given)
        return output * (math.nan if engine == "bptt" else 1.0), last

    monkeypatch.setattr("rnncli.views.engines.run_by", broken)
    assert _failed(_page("engines", nn.GRU(3, 4), torch.randn(5, 2, 3))) == ["model-bptt"]
