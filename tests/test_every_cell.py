"""What holds for every cell of the registry, whoever wrote it: gradients, padding, traces, weight files, views."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from functools import wraps
from typing import Any

import pytest
import torch
from torch import Tensor

from rnncli import views
from rnncli.cells import CELLS, REGULARIZERS, CoreSpec, Gates, OptionValue, State, Weights, weights_of
from rnncli.demos.network import build
from rnncli.demos.page import demo_page
from rnncli.demos.script import code
from rnncli.demos.settings import Settings, Shown, spec_for, with_values
from rnncli.demos.written import equations_of
from rnncli.nn.recurrent import keep_state, make_core, run, run_by
from rnncli.replay import Trace, initial_state, run_layer, trace
from rnncli.replay.loop import run_core
from rnncli.tasks import load_recipe
from rnncli.weights import find_cores

D64 = torch.float64
ALL = [(cell, nonlinearity) for cell in CELLS for nonlinearity in CELLS[cell].nonlinearities]
IDS = ["-".join(one) for one in ALL]
OPTIONS: list[tuple[str, dict[str, OptionValue]]] = [
    *((cell, {}) for cell in CELLS),
    ("lstm", {"peephole": True}),
    ("lstm", {"coupled": True, "peephole": True}),
    ("lstm", {"layer_norm": True}),
    ("slstm", {"heads": 2}),
    ("deltanet", {"beta": (0, 2)}),
    ("linear", {"eigenvalues": (-1, 1)}),
    ("gru", {"zoneout": 0.25}),
    ("gru", {"reset_after": False}),
    ("rnn", {"zoneout": 0.3}),
    ("lstm", {"zoneout": 0.3, "zoneout_memory": 0.1, "recurrent_dropout": 0.3, "variational_dropout": 0.2}),
    ("mingru", {"zoneout": 0.3, "recurrent_dropout": 0.3}),
]
NAMED = [" ".join((cell, *options)) for cell, options in OPTIONS]


def settings_of(cell: str, options: dict[str, OptionValue], **more: bool | int | str) -> Settings:
    return with_values(Settings(cell=cell, options=tuple(options.items())), more)


def states_of(spec: CoreSpec, B: int) -> tuple[Tensor, ...]:
    """Random ones, small: (L·D, B, ...)."""
    return tuple(torch.rand_like(zeros) / 2 for zeros in initial_state(spec, B, torch.zeros(1, dtype=D64)))


def initial_step(spec: CoreSpec, B: int) -> tuple[Tensor, ...]:
    """Zeros, of B rows of one layer."""
    return tuple(state[0] for state in initial_state(spec, B, torch.zeros(1, dtype=D64)))


@pytest.mark.parametrize(("cell", "nonlinearity"), ALL, ids=IDS)
def test_what_it_says_of_its_step(cell: str, nonlinearity: str) -> None:
    torch.manual_seed(0)
    spec = CoreSpec(cell, nonlinearity, 3, 4)
    core = make_core(spec).double()
    before = tuple(state[0] for state in states_of(spec, 2))
    after, gates = CELLS[cell].step(torch.randn(2, 3, dtype=D64), before, weights_of(core))
    assert [tuple(state.shape[1:]) for state in after] == list(spec.states.values())
    assert after[0].shape == (2, spec.state_size)
    assert set(gates) == {*CELLS[cell].gates, *CELLS[cell].records}
    for name, where in CELLS[cell].gates.items():
        assert gates[name].shape == (2, 4)
        assert where == "free" or bool((gates[name].abs() <= 1).all())
        assert where != "sigmoid" or bool((gates[name] >= 0).all())
    assert {name: tuple(p.shape) for name, p in weights_of(core).items()} == spec.parameter_shapes(0)
    first = CELLS[cell].step(torch.randn(9, 3, dtype=D64), initial_step(spec, 9), weights_of(core))[1]
    for name in (name for name, where in CELLS[cell].gates.items() if where == "sigmoid"):
        assert bool(((first[name] >= 0) & (first[name] <= 1)).all()), name


@pytest.mark.parametrize(("cell", "nonlinearity"), ALL, ids=IDS)
def test_its_gradients(cell: str, nonlinearity: str) -> None:
    torch.manual_seed(1)
    spec = CoreSpec(cell, nonlinearity, 2, 3)
    core = make_core(spec).double()
    w, sizes = weights_of(core), len(spec.states)

    def steps(*given: Tensor) -> tuple[Tensor, ...]:
        weights = w.replaced(**dict(zip(w, given[1 + sizes :], strict=True)))
        outputs, last = run_layer(CELLS[cell].step, weights, list(given[0]), given[1 : 1 + sizes])
        return (*outputs, *last)

    x = torch.randn(3, 2, 2, dtype=D64)
    start = tuple(state[0] for state in states_of(spec, 2))
    given = [tensor.detach().clone().requires_grad_() for tensor in (x, *start, *w.values())]
    assert torch.autograd.gradcheck(steps, given)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if CELLS[cell].step_from_sums is not None])
def test_the_loop_runs_the_step_that_a_derived_cell_has(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And for the cell itself, the sums of many steps at once give what its step gives."""
    monkeypatch.setattr("rnncli.replay.loop.BLOCK", 2)
    own, spec = CELLS[cell], CoreSpec(cell, "tanh", 3, 4, 1, True)
    core, x = make_core(spec).double(), torch.randn(5, 2, 3, dtype=D64)
    output, (h,) = run_core(core, x)
    for d, half in enumerate(output.chunk(2, dim=2)):
        alone, (last,) = run_layer(own.step, weights_of(core, 0, d), list(x), initial_step(spec, 2), reverse=d == 1)
        torch.testing.assert_close(half, torch.stack(alone))
        torch.testing.assert_close(h[d], last)

    @wraps(own.step)
    def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
        (h,), gates = own.step(x, state, w)
        return (h + 1,), gates

    monkeypatch.setitem(CELLS.loaded, cell, replace(own, step=step))
    assert CELLS[cell].parallel is None
    derived, _ = run_core(core, x)
    torch.testing.assert_close(derived[0, :, :4], output[0, :, :4] + 1)


@pytest.mark.parametrize(("cell", "nonlinearity"), ALL, ids=IDS)
def test_padding_and_replay(cell: str, nonlinearity: str) -> None:
    """Rows of a padded batch are those rows alone; the recording is the core itself; two layers, both directions."""
    torch.manual_seed(2)
    spec = CoreSpec(cell, nonlinearity, 3, 4, 2, True)
    core = make_core(spec).double()
    x, lengths, state = torch.randn(5, 3, 3, dtype=D64), torch.tensor([5, 1, 3]), states_of(spec, 3)
    output, last = run(core, x, lengths, state)
    for b, n in enumerate(lengths.tolist()):
        alone, own = run_by("loop", core, x[:n, b : b + 1], None, tuple(part[:, b : b + 1] for part in state))
        torch.testing.assert_close(output[:n, b : b + 1], alone, rtol=0, atol=1e-12)
        torch.testing.assert_close([part[:, b : b + 1] for part in last], list(own), rtol=0, atol=1e-12)
        assert not output[n:, b].any()
    made = trace(core, call=lambda: run(core, x, lengths, state))
    assert all(check.ok for check in made.checks)
    assert {f"l1.bwd.{name}" for name in spec.states} <= set(made.names())
    assert made.page().tensors


@pytest.mark.parametrize("cell", CELLS)
def test_the_state_before_counts_where_it_says_so(cell: str) -> None:
    torch.manual_seed(3)
    spec = CoreSpec(cell, "tanh", 3, 4)
    core = make_core(spec).double()
    x = torch.randn(4, 1, 3, dtype=D64)
    one, other = (run_by("loop", core, x, None, states_of(spec, 1))[0] for _ in range(2))
    assert bool((one[-1] - other[-1]).abs().max() > 0) == CELLS[cell].stateful
    assert ("weight_hh" in spec.parameter_shapes(0)) == CELLS[cell].recurrent_weight


@pytest.mark.parametrize("cell", CELLS)
def test_its_weights_as_a_file(cell: str) -> None:
    """Every parameter is known again by its name; weights for long memory keep their shapes and are finite."""
    spec = CoreSpec(cell, "tanh", 3, 4, 2, True)
    core = make_core(spec)
    keep_state(core)
    (found,) = find_cores(core.state_dict(), cell=cell)
    assert found.spec == spec
    assert found.state.keys() == core.state_dict().keys()
    assert all(bool(parameter.isfinite().all()) for parameter in core.parameters())


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_every_view_of_hello(cell: str, options: dict[str, OptionValue]) -> None:
    sets = [f"model.{name}={json.dumps(value)}" for name, value in options.items()]
    subject = views.subject_of_recipe(load_recipe("hello", [f"model.cell={cell}", *sets]))
    for view in views.view_names():
        if views.load_view(view).NEEDS:
            continue
        assert all(check.ok for check in views.page(view, subject).checks()), view


def test_every_option_is_tried() -> None:
    tried = {(cell, name) for cell, options in OPTIONS for name in options}
    own = {(cell, name) for cell in CELLS.files for name in CELLS[cell].options if name not in REGULARIZERS}
    assert own <= tried


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_its_demo(cell: str, options: dict[str, OptionValue]) -> None:
    """Equations, sums by hand, proofs: of one cell, and of two layers in both directions."""
    for single in (True, False):
        more: dict[str, bool | int] = {} if single else {"num_layers": 2, "bidirectional": True, "nice": True}
        settings = settings_of(cell, options, **more)
        pages = [demo_page(settings, Shown()), demo_page(settings, Shown(proofs=True))]
        pages.append(demo_page(replace(settings, dtype="float64"), Shown()))
        if equations_of(spec_for(settings)):
            pages.append(demo_page(settings, Shown(explain="all")))
            assert "sums-by-hand" in {check.name for check in pages[-1].checks()}
        for page in pages:
            assert all(check.ok for check in page.checks()), [check for check in page.checks() if not check.ok]
    assert bool(equations_of(spec_for(settings))) == (CELLS[cell].written is not None)


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_its_script(cell: str, options: dict[str, OptionValue], single: bool) -> None:
    """The script that --code prints ends with the states that the demo ends with, without rnncli."""
    more: dict[str, bool | int] = {} if single else {"num_layers": 2, "bidirectional": True}
    settings = settings_of(cell, options, dtype="float64", **more)
    net, printed = build(settings), io.StringIO()
    made: dict[str, Any] = {"__name__": "__main__"}
    script = code(settings)
    assert "rnncli" not in script.replace("as rnncli draws it", "")
    with contextlib.redirect_stdout(printed):
        exec(compile(script, "demo.py", "exec"), made)
    output, _ = run_by("loop", net.core.eval(), net.x)
    last = made["hidden"] if single and "hidden" in made else made["output"][-1]
    torch.testing.assert_close(last, output[-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_its_trace(cell: str, options: dict[str, OptionValue]) -> None:
    """With options as without: padded, two layers, both directions; every gate by name; the weights known again."""
    torch.manual_seed(4)
    spec = CoreSpec(cell, "tanh", 3, 4, 2, True, options=tuple(options.items()))
    core = make_core(spec).double().eval()
    keep_state(core)
    x, lengths = torch.randn(5, 3, 3, dtype=D64), torch.tensor([5, 1, 3])
    made = trace(core, call=lambda: run(core, x, lengths))
    assert all(check.ok for check in made.checks)
    assert {f"l1.bwd.gate.{gate}" for gate in CELLS[cell].gates} <= set(made.names())
    (found,) = find_cores(core.state_dict(), cell=cell)
    told = {
        name: value
        for name, value in options.items()
        if name not in ("beta", "eigenvalues", "reset_after", *REGULARIZERS)  # which change no shape
    }
    assert dict(found.spec.options) == told


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=NAMED)
def test_gradients_in_a_padded_batch_are_those_of_each_row_alone(cell: str, options: dict[str, OptionValue]) -> None:
    """dL/d of every state and gate: zero after the end of a row."""
    spec = CoreSpec(cell, "tanh", 3, 4, 2, True, options=tuple(options.items()))
    core, lengths = make_core(spec).double().eval(), torch.tensor([5, 1, 3])
    x, initial, weights = torch.randn(5, 3, 3, dtype=D64), states_of(spec, 3), torch.randn(5, 3, 8, dtype=D64)

    def traced(rows: slice, T: int, lengths: Tensor | None) -> tuple[Trace, Tensor]:
        state = tuple(part[:, rows] for part in initial)
        made = trace(core, call=lambda: run(core, x[:T, rows], lengths, state), gradients=True)
        output, last = made.result
        return made, (output * weights[:T, rows]).sum() + sum(part.sum() for part in last)

    whole, loss = traced(slice(None), 5, lengths)
    for b, n in enumerate(lengths.tolist()):
        alone, own = traced(slice(b, b + 1), n, None)
        for name in whole.homes:
            found = whole.gradient(loss, name)[:, b : b + 1]
            torch.testing.assert_close(found[:n], alone.gradient(own, name), rtol=0, atol=1e-12, msg=name)
            assert not found[n:].any(), name


@pytest.mark.parametrize("cell", CELLS)
def test_the_automaton_of_every_cell(cell: str) -> None:
    subject = views.subject_of_recipe(load_recipe("parity", [f"model.cell={cell}", "data.test_lengths=[8]"]), rows=9)
    assert all(check.ok for check in views.page("automaton", subject).checks())
