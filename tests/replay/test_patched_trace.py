"""A trace with changes in it: nothing changed is nothing changed, another run's states make that run, and loops written
out by hand agree."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnncli.cells import CoreSpec, OptionValue
from rnncli.data.batch import Batch
from rnncli.errors import UsageError
from rnncli.nn.recurrent import make_core, run
from rnncli.nn.seq2seq import Seq2Seq, SpecialTokens
from rnncli.replay import Trace, trace
from rnncli.replay.changes import Value, resolve
from rnncli.replay.intercept import CannotChange
from tests.test_every_cell import NAMED, OPTIONS

D64 = torch.float64
FOR_SHOW = {("minlstm", "gate.f"), ("minlstm", "gate.i")}  # k is computed from their logarithms


def traced(core: Any, x: Tensor, patch: Mapping[str, Value] | None = None, lengths: Tensor | None = None) -> Trace:
    return trace(core, call=lambda: run(core, x, lengths), check=False, patch=patch)


def same(a: Trace, b: Trace) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a.names())


def values(made: Trace, name: str) -> Tensor:
    """(T, B, ...), as it is after a row's end too."""
    return torch.stack(list(made.step_tensors(name).values()))


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_what_is_replaced_by_itself_changes_nothing(cell: str, options: dict[str, OptionValue]) -> None:
    """Bit for bit, every state and gate on its own, two layers and two directions, rows of different lengths."""
    torch.manual_seed(0)
    core = make_core(CoreSpec(cell, "tanh", 3, 4, 2, True, options=tuple(options.items())))
    x, lengths = torch.randn(2, 2, 3), torch.tensor([2, 1])
    plain = traced(core, x, lengths=lengths)
    assert same(traced(core, x, {}, lengths), plain)
    for name, (_, layer, direction, part) in plain.homes.items():
        if (layer == direction) == (part in ("h", "c")):
            continue  # half of them: the same step runs in all four places
        if (cell, part) in FOR_SHOW:
            with pytest.raises(CannotChange, match="the states do not depend on it"):
                traced(core, x, {name: 0.5}, lengths)
        else:
            assert same(traced(core, x, {name: values(plain, name)}, lengths), plain), name


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_the_states_of_another_run_make_the_rest_of_it(cell: str, options: dict[str, OptionValue]) -> None:
    """Two inputs that differ up to step t: with all states of one put into the other at t, what follows is equal."""
    torch.manual_seed(1)
    spec = CoreSpec(cell, "tanh", 3, 4, 2, options=tuple(options.items()))
    core, x = make_core(spec), torch.randn(5, 2, 3)
    other = torch.cat([torch.randn(3, 2, 3), x[3:]])
    one, two = traced(core, x), traced(core, other)
    patch = {f"l{k}.fwd.{name}@2": two[f"l{k}.fwd.{name}"][2] for k in range(2) for name in spec.states}
    mixed = traced(core, x, patch)
    for name in mixed.homes:
        assert torch.equal(mixed[name][3:], two[name][3:]), name
        assert torch.equal(mixed[name][:2], one[name][:2]), name
    assert torch.equal(mixed["output"][2:], two["output"][2:])
    assert all(torch.equal(a, b) for a, b in zip(mixed.cores[0].calls[-1].last, two.cores[0].calls[-1].last))  # noqa: B905


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_a_changed_gate_is_that_gate_and_counts(cell: str, options: dict[str, OptionValue]) -> None:
    """One unit, one step: nothing before, nothing of another row's, and the state of that step on."""
    torch.manual_seed(2)
    core = make_core(CoreSpec(cell, "tanh", 3, 4, options=tuple(options.items()))).double()
    x = torch.randn(4, 2, 3, dtype=D64)
    plain = traced(core, x)
    for name, (*_, part) in plain.homes.items():
        if (cell, part) in FOR_SHOW:
            continue
        added = torch.zeros(2, 1, *plain[name].shape[3:], dtype=D64)
        added[0] = 0.25
        made = traced(core, x, {f"{name}[0]@1": added.add})
        moved = made[name] - plain[name]
        assert torch.allclose(moved[1, :, 0], added[:, 0])
        assert not moved[0].any()
        assert not moved[1, :, 1:].any() or plain[name].shape[2] == 1
        apart = (made["output"] - plain["output"]).abs()
        assert not apart[0].any()
        assert not apart[:, 1].any()
        assert any(
            bool((made[f"l0.fwd.{state}"] != plain[f"l0.fwd.{state}"]).any()) for state in plain.cores[0].spec.states
        )


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_two_changed_values_of_a_step_each_have_their_value(cell: str, options: dict[str, OptionValue]) -> None:
    """Also where the second is computed from the first, or is the same tensor, as a is f in the linear cell."""
    torch.manual_seed(2)
    core = make_core(CoreSpec(cell, "tanh", 3, 4, options=tuple(options.items())))
    x = torch.randn(2, 1, 3)
    plain = traced(core, x)
    names = [name for name, (*_, part) in plain.homes.items() if (cell, part) not in FOR_SHOW]
    for a, b in combinations(names, 2):
        one, two = 0, min(1, plain[b].shape[2] - 1)
        made = traced(core, x, {f"{a}[{one}]@0": 0.25, f"{b}[{two}]@0": 0.75})
        assert bool((made[a][0, 0, one] == 0.25).all()), (a, b)
        assert bool((made[b][0, 0, two] == 0.75).all()), (a, b)


# loops written out by hand


def lstm(w: nn.LSTM, x: Tensor, changed: Callable[[str, int, Tensor], Tensor]) -> Tensor:
    """All h of one layer; every value goes through `changed` as it is made. x: (T, B, I)."""
    H = w.hidden_size
    W, U, b, d = w.parameters()
    h, c, hs = x.new_zeros(x.shape[1], H), x.new_zeros(x.shape[1], H), []
    for t, x_t in enumerate(x):
        a = x_t @ W.T + b + h @ U.T + d
        i, f, o = (changed(n, t, a[:, k * H : (k + 1) * H].sigmoid()) for n, k in (("i", 0), ("f", 1), ("o", 3)))
        g = changed("g", t, a[:, 2 * H : 3 * H].tanh())
        c = changed("c", t, f * c + i * g)
        h = changed("h", t, o * c.tanh())
        hs.append(h)
    return torch.stack(hs)


def gru(w: nn.GRU, x: Tensor, changed: Callable[[str, int, Tensor], Tensor]) -> Tensor:
    H = w.hidden_size
    W, U, b_ih, b_hh = w.parameters()
    h, hs = x.new_zeros(x.shape[1], H), []
    for t, x_t in enumerate(x):
        a, b = x_t @ W.T + b_ih, h @ U.T + b_hh
        r, z = (changed(n, t, (a + b)[:, k * H : (k + 1) * H].sigmoid()) for n, k in (("r", 0), ("z", 1)))
        q = changed("q", t, b[:, 2 * H :])
        n = changed("n", t, (a[:, 2 * H :] + r * q).tanh())
        h = changed("h", t, (1 - z) * n + z * h)
        hs.append(h)
    return torch.stack(hs)


@pytest.mark.parametrize(("kind", "names"), [("lstm", "ifgoch"), ("gru", "rznqh")], ids=["lstm", "gru"])
def test_a_fixed_value_is_that_of_a_loop_by_hand_and_so_are_its_gradients(kind: str, names: str) -> None:
    """Each gate and state in turn, unit 1 set to 0.3 from step 1 to 2: values, and gradients of weights and input."""
    torch.manual_seed(3)
    core = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](2, 3).double()
    x = torch.randn(5, 2, 2, dtype=D64, requires_grad=True)
    weights = [x, *core.parameters()]
    for name in names:

        def changed(at: str, t: int, now: Tensor, name: str = name) -> Tensor:
            if at != name or t not in (1, 2):
                return now
            return torch.cat([now[:, :1], torch.full_like(now[:, 1:2], 0.3), now[:, 2:]], dim=1)

        wanted = lstm(core, x, changed) if isinstance(core, nn.LSTM) else gru(core, x, changed)
        made = trace(core, x, gradients=True, check=False, patch={f"{name}[1]@1:3": 0.3})
        found, _ = made.result
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-14)
        ours, theirs = (torch.autograd.grad(h.square().sum(), weights, retain_graph=True) for h in (found, wanted))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kind", "names"), [("lstm", "ifgoch"), ("gru", "rznqh")], ids=["lstm", "gru"])
@pytest.mark.parametrize("units", [(0, 2), (1, 1)], ids=["two units", "one unit"])
def test_two_fixed_values_of_a_step_are_those_of_a_loop_by_hand(kind: str, names: str, units: tuple[int, int]) -> None:
    """A gate and a state of one unit, too: the state's change wins."""
    torch.manual_seed(3)
    core = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](2, 3).double()
    x = torch.randn(3, 2, 2, dtype=D64)
    for a, b in combinations(names, 2):
        fixed = {a: (units[0], 0.3), b: (units[1], -0.2)}

        def changed(at: str, t: int, now: Tensor, fixed: dict[str, tuple[int, float]] = fixed) -> Tensor:
            if at not in fixed or t == 0:
                return now
            unit, value = fixed[at]
            return now.index_fill(1, torch.tensor([unit]), value)

        wanted = lstm(core, x, changed) if isinstance(core, nn.LSTM) else gru(core, x, changed)
        found, _ = trace(
            core, x, check=False, patch={f"{name}[{unit}]@1:": value for name, (unit, value) in fixed.items()}
        ).result
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-14, msg=f"{a} and {b}")


def test_gradients_reach_what_a_patch_was_made_of() -> None:
    torch.manual_seed(4)
    core, x = nn.LSTM(2, 3).double(), torch.randn(4, 1, 2, dtype=D64)
    c = torch.tensor([0.1, 0.2, 0.3], dtype=D64, requires_grad=True)
    made = trace(core, x, gradients=True, check=False, patch={"c@1": c})
    (ours,) = torch.autograd.grad(made.result[0][-1].sum(), c)

    def changed(at: str, t: int, now: Tensor) -> Tensor:
        return c.expand_as(now) if (at, t) == ("c", 1) else now

    (theirs,) = torch.autograd.grad(lstm(core, x, changed)[-1].sum(), c)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)
    through = trace(core, x, gradients=True, check=False, patch={"c@1": c.detach(), "h@1": 0.0})
    found = through.gradient(through.result[0][-1].sum(), "l0.fwd.c")
    assert bool(found[1:].all())
    assert not found[0].any()  # nothing of step 0 is left


# models


def seq2seq() -> Seq2Seq:
    torch.manual_seed(5)
    return Seq2Seq(6, 7, 3, CoreSpec("gru", "tanh", 3, 2, 1, True), "dot", SpecialTokens(0, 1, (0,)), 6).eval()


def test_encoder_and_decoder_each_by_its_name() -> None:
    """A decoder that is called step by step counts its steps on."""
    model, batch = seq2seq(), Batch(torch.randint(6, (4, 1)))
    plain = trace(model, batch, check=False)
    T = plain.core("decoder").num_steps
    for name in ("encoder.l0.bwd.h", "decoder.l0.fwd.gate.z"):
        assert same(trace(model, batch, check=False, patch={name: plain[name]}), plain)
    late = trace(model, batch, check=False, patch={"decoder.h@2": 0.0})
    assert not late["decoder.l0.fwd.h"][2].any()
    assert torch.equal(late["decoder.l0.fwd.h"][:2], plain["decoder.l0.fwd.h"][:2])
    assert torch.equal(late["encoder.output"], plain["encoder.output"])
    early = trace(model, batch, check=False, patch={"encoder.bwd.h@-1": 0.0})
    assert not early["encoder.l0.bwd.h"][-1].any()
    assert bool((early["decoder.l0.fwd.h"][0] != plain["decoder.l0.fwd.h"][0]).any())
    with pytest.raises(UsageError, match="not a valid step range"):
        trace(model, batch, patch={f"decoder.h@{T}": 0.0})


def test_cells_called_in_a_loop() -> None:
    torch.manual_seed(6)

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTMCell(2, 3)

        def forward(self, x: Tensor) -> Tensor:
            state = None
            for x_t in x:
                state = self.cell(x_t, state)
            assert state is not None
            h: Tensor = state[0]
            return h

    model, whole, x = Loop(), nn.LSTM(2, 3), torch.randn(4, 2, 2)
    whole.load_state_dict({f"{name}_l0": value for name, value in model.cell.state_dict().items()})
    ours = trace(model, x, check=False, patch={"gate.f[0]@1:3": 1.0})
    theirs = trace(whole, x, check=False, patch={"gate.f[0]@1:3": 1.0})
    for name in theirs.homes:
        assert torch.equal(ours[name], theirs[name])
    assert bool((ours["l0.fwd.gate.f"][1:3, :, 0] == 1).all())


def test_the_checks_are_those_of_the_model_unpatched() -> None:
    made = trace(nn.GRU(2, 3), torch.randn(3, 1, 2), patch={"h@1": 0.0})
    assert made.checks
    assert all(check.ok for check in made.checks)
    with torch.inference_mode():
        assert not trace(nn.GRU(2, 3), torch.randn(3, 1, 2), check=False, patch={"h@1": 0.0})["l0.fwd.h"][1].any()


# what is typed


def test_values_of_every_shape() -> None:
    torch.manual_seed(7)
    core, x = nn.GRU(2, 3), torch.randn(4, 2, 2)
    wanted = trace(core, x, check=False, patch={"h[1,2]@1:3": 0.5})
    for value in (torch.full((2,), 0.5), torch.full((2, 2), 0.5), torch.full((2, 2, 2), 0.5), torch.tensor(0.5)):
        assert same(trace(core, x, check=False, patch={"h[1:]@1:3": value}), wanted)
    assert same(trace(core, x, check=False, patch={"h[-2:]@-3:-1": lambda h: h * 0 + 0.5}), wanted)
    assert same(trace(core, x, check=False, patch={"h[1]@1:3": 0.5, "l0.h[2]@1:3": 0.5}), wanted)


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"gate.v": 0.0}, "did you mean gate.z"),
        ({"weird": 0.0}, "available: h, gate.r, gate.z, gate.n, q"),
        ({"h": 0.0}, "one of l0.fwd.h, l1.fwd.h"),
        ({"l0.h[3]": 0.0}, "units go from 0 to 2"),
        ({"l0.h[x]": 0.0}, "not valid units"),
        ({"l0.h[-]": 0.0}, "not valid units"),
        ({"l0.h[2:1]": 0.0}, "not valid units"),
        ({"l0.h@4": 0.0}, "steps go from 0 to 3"),
        ({"l0.h@3:2": 0.0}, "steps go from 0 to 3"),
        ({"l0.h@now": 0.0}, "for example @5, @5: or @2:7"),
        ({"l0.h@-:2": 0.0}, "for example @5, @5: or @2:7"),
        ({"l0.h[1": 0.0}, "not a change"),
        ({"l0.h": torch.zeros(5)}, r"a tensor of shape \(5,\) does not fit"),
        ({"l0.h@1:3": torch.zeros(4, 2, 3)}, "with T=2, B=2, units=3"),
        ({"l0.h": lambda h: h[:, :1]}, r"must keep the shape \(2, 3\)"),
    ],
)
def test_what_is_not_there_is_answered(patch: dict[str, Value], said: str) -> None:
    with pytest.raises(UsageError) as error:
        trace(nn.GRU(2, 3, num_layers=2), torch.randn(4, 2, 2), check=False, patch=patch)
    assert re.search(said, str(error.value)), error.value


def test_names_by_their_ends() -> None:
    homes = trace(nn.LSTM(2, 3, bidirectional=True), torch.randn(2, 1, 2), check=False).homes
    assert resolve("fwd.h", homes) == "l0.fwd.h"
    assert resolve("bwd.f", homes) == resolve("l0.bwd.gate.f", homes) == "l0.bwd.gate.f"
    lone = nn.ModuleDict({"rnn": nn.RNN(2, 3)})
    named = trace(lone, call=lambda: lone["rnn"](torch.randn(2, 1, 2)), check=False).homes
    assert resolve("rnn.l0.fwd.h", named) == resolve("h", named) == "l0.fwd.h"
    whole = trace(seq2seq(), Batch(torch.zeros(2, 1, dtype=torch.int64)), check=False).homes
    assert resolve("decoder.z", whole) == "decoder.l0.fwd.gate.z"
