"""Variational dropout, recurrent dropout and zoneout: on average what evaluation computes, and masks as they say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rnncli.cells import CELLS, REGULARIZERS, CoreSpec, Gates, State, Weights, weights_of
from rnncli.errors import RecipeError, UsageError
from rnncli.nn.recurrent import Core, choose_engine, make_core, run_by
from rnncli.replay import run_core, trace
from rnncli.replay.regularized import in_training
from rnncli.tasks import load_recipe

ALL = [(cell, name) for cell in CELLS for name in REGULARIZERS if name in CELLS[cell].options]
D64 = torch.float64


def core_of(cell: str, **rates: float) -> tuple[CoreSpec, Core, Tensor]:
    torch.manual_seed(0)
    spec = CoreSpec(cell, "tanh", 3, 4, options=tuple(rates.items()))
    return spec, make_core(spec).double(), torch.randn(5, 2, 3, dtype=D64)


def test_who_has_which() -> None:
    """All cells but feedforward can keep h; only those with new content of its own can drop it."""
    assert {cell for cell, name in ALL if name == "zoneout"} >= {"rnn", "gru", "lstm", "slstm", "mgu", "indrnn"}
    assert {cell for cell, name in ALL if name == "recurrent_dropout"} >= {"gru", "lstm", "mgu", "slstm", "deltanet"}
    with pytest.raises(RecipeError) as caught:
        load_recipe("hello", ["model.recurrent_dropout=0.1"])
    assert "it is an option of" in caught.value.faults[0].todo
    assert "zoneout" not in CELLS["feedforward"].options


@pytest.mark.parametrize(("cell", "name"), ALL)
def test_in_training_and_in_evaluation(cell: str, name: str) -> None:
    """Training draws anew, the same for the same seed; evaluation is one function, the loop of its recording too."""
    spec, core, x = core_of(cell, **{name: 0.5})
    assert choose_engine(spec, D64, "cpu", T=50) == "loop"
    for engine in ("torch", "bptt", "compiled"):
        with pytest.raises(UsageError, match=name):
            run_by(engine, core, x)
    torch.manual_seed(1)
    one, other = run_by("loop", core, x)[0], run_by("loop", core, x)[0]
    torch.manual_seed(1)
    assert torch.equal(run_by("loop", core, x)[0], one)
    assert not torch.equal(one, other)
    core.eval()
    assert torch.equal(run_by("loop", core, x)[0], run_by("loop", core, x)[0])
    assert all(check.ok for check in trace(core, x).checks)
    plain = core_of(cell)[1]
    assert plain.state_dict().keys() == core.state_dict().keys()
    same = torch.equal(run_core(core, x)[0], run_core(plain, x)[0])
    assert same == (name in ("variational_dropout", "recurrent_dropout"))
    assert (spec.in_evaluation.options == ()) == same


@pytest.mark.parametrize(("cell", "name"), [(cell, name) for cell, name in ALL if name.startswith("zoneout")])
def test_zoneout_keeps_a_unit_or_does_not(cell: str, name: str) -> None:
    """Each number of a state is the old or the new one; evaluation is the mean of many draws."""
    spec, core, x = core_of(cell, **{name: 0.25})
    w = weights_of(core)
    before = tuple(torch.rand(4000, *shape, dtype=D64) for shape in spec.states.values())
    before = tuple(state[:1].expand_as(state) for state in before)
    row = x[0, :1].expand(4000, 3)
    new, _ = CELLS[cell].step(row, before, w)
    step, weights = in_training(spec, w, row, before)
    drawn, _ = step(row, before, weights)
    mean, _ = spec.step(row, before, w)
    for k, state in enumerate(spec.states):
        changed = drawn[k] != new[k]
        assert torch.equal(drawn[k][changed], before[k][changed])
        zoned = state in CELLS[cell].zoned and (state == "h") == (name == "zoneout")
        assert abs(float(changed.double().mean()) - (0.25 if zoned else 0)) < 0.03
        torch.testing.assert_close(drawn[k].mean(0), mean[k][0], rtol=0, atol=0.05)


def test_variational_masks_are_the_same_at_every_step() -> None:
    """One mask of x and one of h for a whole sequence, of which evaluation is the mean (divided by 1 - p)."""
    seen: list[tuple[Tensor, Tensor]] = []

    def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
        seen.append((x, w.read(torch.ones_like(state[0]))))
        return state, {}

    spec, core, _ = core_of("gru", variational_dropout=0.5)
    ones = torch.ones(64, 3, dtype=D64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnncli.replay.regularized.CELLS", {"gru": type(CELLS["gru"])(step, "")})
        run, w = in_training(spec, weights_of(core), ones, (torch.zeros(64, 4, dtype=D64),))
        for _ in range(3):
            run(ones, (torch.zeros(64, 4, dtype=D64),), w)
    for x, h in seen:
        assert torch.equal(x, seen[0][0])
        assert torch.equal(h, seen[0][1])
        assert set(x.unique().tolist()) == set(h.unique().tolist()) == {0.0, 2.0}


def test_recurrent_dropout_never_drops_what_is_remembered() -> None:
    """An lstm whose candidate is dropped at every step keeps f ⊙ c: Semeniuta et al. 2016."""
    spec, core, x = core_of("lstm", recurrent_dropout=0.5)
    before = (torch.rand(2, 4, dtype=D64), torch.rand(2, 4, dtype=D64))
    step, w = in_training(spec, weights_of(core), x[0], before)
    with torch.no_grad():
        (_, c), gates = step(x[0], before, w)
    added = (c - gates["f"] * before[1]) / (gates["i"] * gates["g"])
    assert set(added.round(decimals=6).abs().flatten().tolist()) <= {0.0, 2.0}
    assert float(added.abs().sum()) > 0
