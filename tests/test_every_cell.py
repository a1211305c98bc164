"""What holds for every cell of the registry, whoever wrote it: gradients, padding, traces, weight files, views."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rnncli import views
from rnncli.cells import CELLS, CoreSpec, weights_of
from rnncli.nn.recurrent import keep_state, make_core, run, run_by
from rnncli.replay import initial_state, run_layer, trace
from rnncli.tasks import load_recipe
from rnncli.weights import find_cores

D64 = torch.float64
ALL = [(cell, nonlinearity) for cell in CELLS for nonlinearity in CELLS[cell].nonlinearities]
IDS = ["-".join(one) for one in ALL]


def states_of(spec: CoreSpec, B: int) -> tuple[Tensor, ...]:
    """Random ones, small: (L·D, B, ...)."""
    return tuple(torch.rand_like(zeros) / 2 for zeros in initial_state(spec, B, torch.zeros(1, dtype=D64)))


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


@pytest.mark.parametrize("cell", CELLS)
def test_every_view_of_hello(cell: str) -> None:
    subject = views.subject_of_recipe(load_recipe("hello", [f"model.cell={cell}"]))
    for view in views.view_names():
        if views.load_view(view).NEEDS:
            continue
        assert all(check.ok for check in views.page(view, subject).checks()), view


@pytest.mark.parametrize("cell", CELLS)
def test_the_automaton_of_every_cell(cell: str) -> None:
    subject = views.subject_of_recipe(load_recipe("parity", [f"model.cell={cell}", "data.test_lengths=[8]"]), rows=9)
    assert all(check.ok for check in views.page("automaton", subject).checks())
