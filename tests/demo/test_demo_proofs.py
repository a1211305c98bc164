"""The proofs hold, their numbers are what they say, and each fails when what it states is not so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rnncli.cells import CELLS, Gates, State, Step, Weights
from rnncli.demos import proofs
from rnncli.demos.network import Network, build
from rnncli.demos.settings import Settings
from rnncli.replay import Trace, loop, trace
from tests.fixture_types import Demo
from tests.narrowed import some

SETTINGS = [
    Settings(),
    Settings(cell="lstm"),
    Settings(cell="gru", batch_size=3),
    Settings(cell="feedforward"),
    Settings(nonlinearity="none"),
    Settings(nonlinearity="relu", bias=False),
    Settings(seq_len=1),
    Settings(cell="lstm", num_layers=2, bidirectional=True),
    Settings(cell="gru", num_layers=3),
    Settings(cell="feedforward", bidirectional=True),
]


def made(settings: Settings) -> tuple[Network, Trace]:
    net = build(settings)
    return net, trace(net.core, net.x, net.state if len(net.state) == 2 else net.state[0])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_proof_holds(settings: Settings) -> None:
    net, t = made(settings)
    checks = proofs.all_checks(net, t, proofs.gradient_shares(net), proofs.no_memory(net))
    assert [check.name for check in checks] == [
        "one-linear",
        "cell-equals-module",
        "gradients-equal-module",
        "last-states",
        "same-weights",
        "gradients-add-up",
        "no-memory-without-W_hh",
    ]
    assert [check.name for check in checks if not check.ok] == []


def test_sixteen_against_fourteen() -> None:
    assert build(Settings()).spec.num_parameters() == 16
    assert (
        proofs.linear_parameters(build(Settings())) == 14 == sum(p.numel() for p in torch.nn.Linear(6, 2).parameters())
    )
    lstm = proofs.linear_parameters(build(Settings(cell="lstm")))
    assert lstm == 4 * 14
    # r and z have one bias each, n both of its own: 2 linear layers, and one without bias plus 2·H
    assert proofs.linear_parameters(build(Settings(cell="gru"))) == 2 * 14 + 12 + 4
    assert proofs.linear_parameters(build(Settings(bias=False))) == 12


def test_the_shares_are_the_chain_rule_by_hand() -> None:
    """dL/dW_hh from step t is the outer product of dL/da_t and h_(t-1); dL/da_t from a loop written here."""
    net, t = made(Settings(dtype="float64", seq_len=4))
    W = net.core.get_parameter("weight_hh_l0").detach()
    h = torch.cat([torch.zeros(1, 2, dtype=torch.float64), t["l0.fwd.h"][:, 0]])  # h_(-1) .. h_3
    shares = proofs.gradient_shares(net)
    dh = torch.ones(2, dtype=torch.float64)
    for step in range(3, -1, -1):
        da = dh * (1 - h[step + 1] ** 2)
        torch.testing.assert_close(shares.by_step[step], torch.outer(da, h[step]), rtol=0, atol=1e-14)
        dh = W.T @ da
    assert sum(shares.share(step) for step in range(4)) == pytest.approx(1)
    assert shares.share(0) == 0  # h starts at zeros


def test_feedforward_learns_from_the_last_step_only() -> None:
    shares = proofs.gradient_shares(build(Settings(cell="feedforward")))
    assert shares.name == "W_ih"
    assert [shares.share(t) for t in range(3)] == pytest.approx([0, 0, 1])


def test_a_network_with_memory_moves_and_one_without_does_not() -> None:
    assert some(proofs.no_memory(build(Settings()))).moved > 0.01
    assert some(proofs.no_memory(build(Settings(cell="feedforward")))).moved == 0


def failed(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("FAILED")]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_corrupted_weight_in_the_loop_fails_and_exits_1(
    cell: str, demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = CELLS[cell].step

    def wrong(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
        weight = some(w.weight_hh).clone()
        weight[0, 0] += 0.01
        return right(x, state, w.replaced(weight_hh=weight))

    monkeypatch.setitem(CELLS.loaded, cell, replace(CELLS[cell], step=wrong))
    code, out, err = demo("--cell", cell)
    assert (code, err) == (1, "")
    starts = [
        "one Linear" if cell == "rnn" else f"{len(CELLS[cell].gates)} stacked",
        f"nn.{cell.upper()}",
        "the same gradients",
    ]
    lines = failed(out)
    assert len(lines) == 3
    assert all(line.startswith(f"FAILED  {start}") for line, start in zip(lines, starts, strict=True))
    code, out, _ = demo("--cell", cell, "--proofs")
    assert code == 1
    assert any("cloned" in line for line in failed(out))
    assert any("h_n[0]" in line for line in failed(out))
    code, out, _ = demo("--cell", cell, "--explain", "2")
    assert code == 1
    assert any("sums" in line for line in failed(out))
    code, out, _ = demo("--cell", cell, "--json")
    assert code == 1
    assert '"ok": false' in out


def test_weights_that_change_between_steps_fail(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    right = loop.run_layer

    def wrong(
        step: Step, weights: Weights, xs: Sequence[Tensor], state: State, **more: Any
    ) -> tuple[list[Tensor], State]:
        def cloning(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
            return step(x, state, w.replaced(weight_hh=some(w.weight_hh).clone()))

        return right(cloning, weights, xs, state, **more)

    monkeypatch.setattr(loop, "run_layer", wrong)
    code, out, _ = demo()
    assert code == 1
    assert failed(out) == ["FAILED  the steps use 24, 132, 1212 parameters at T = 3, 30 and 300"]


def test_a_control_that_remembers_fails(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
        (after,), gates = CELLS["rnn"].step(x, state, w.replaced(weight_hh=torch.eye(2) / 10))
        return (after,), gates

    monkeypatch.setitem(CELLS.loaded, "feedforward", replace(CELLS["feedforward"], step=wrong))
    code, out, _ = demo("--proofs")
    assert code == 1
    assert ["without W_hh" in line for line in failed(out)] == [True]


def test_last_states_that_are_not_the_modules_fail(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    right = proofs.fused
    monkeypatch.setattr(proofs, "fused", lambda net: (right(net)[0], (right(net)[1][0] + 0.001,)))
    code, out, _ = demo("--proofs")
    assert code == 1
    assert ["output[-1] = h_n[0] = h_2" in line for line in failed(out)] == [True]
