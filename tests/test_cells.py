"""The steps of cells/ against torch's own cells, in float64, and the counts against torch's parameters."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import nn

from rnncli.cells import CELLS, CoreSpec, quiet_projections, spec_of, weights_of
from rnncli.cells.gru import step_cho

TORCH_CELLS: dict[str, Callable[[], nn.RNNCellBase]] = {
    "rnn-tanh": lambda: nn.RNNCell(4, 3, nonlinearity="tanh"),
    "rnn-relu": lambda: nn.RNNCell(4, 3, nonlinearity="relu"),
    "rnn-nobias": lambda: nn.RNNCell(4, 3, bias=False),
    "gru": lambda: nn.GRUCell(4, 3),
    "gru-nobias": lambda: nn.GRUCell(4, 3, bias=False),
    "lstm": lambda: nn.LSTMCell(4, 3),
    "lstm-nobias": lambda: nn.LSTMCell(4, 3, bias=False),
}


@pytest.mark.parametrize("name", TORCH_CELLS)
def test_a_step_is_torchs_step(name: str) -> None:
    torch.manual_seed(0)
    module = TORCH_CELLS[name]().double()
    spec = spec_of(module)
    assert spec is not None
    x = torch.randn(5, 4, dtype=torch.float64)
    state = tuple(torch.randn(5, 3, dtype=torch.float64) for _ in spec.states)
    after, gates = CELLS[spec.cell].step(x, state, weights_of(module))
    wanted = module(x, state if spec.cell == "lstm" else state[0])
    for ours, theirs in zip(after, wanted if spec.cell == "lstm" else (wanted,), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert set(gates) == {*CELLS[spec.cell].gates, *CELLS[spec.cell].records}
    assert all(gate.shape == (5, 3) for gate in gates.values())


def test_gates_are_in_the_order_of_the_weights() -> None:
    """Raise the bias of one gate's rows: that gate, and no other, goes to its limit."""
    for cell in ("lstm", "gru"):
        for index, gate in enumerate(CELLS[cell].gates):
            torch.manual_seed(1)
            module: nn.RNNCellBase = nn.LSTMCell(4, 3) if cell == "lstm" else nn.GRUCell(4, 3)
            with torch.no_grad():
                module.bias_ih[3 * index : 3 * index + 3] = 50.0
            state = tuple(torch.zeros(2, 3) for _ in CoreSpec(cell, "tanh", 4, 3).states)
            _, gates = CELLS[cell].step(torch.randn(2, 4), state, weights_of(module))
            for name in CELLS[cell].gates:
                assert bool((gates[name] > 0.999).all()) == (name == gate), (cell, gate, name)


def test_projection_is_torchs() -> None:
    torch.manual_seed(0)
    module = nn.LSTM(4, 5, proj_size=2).double()
    x = torch.randn(1, 3, 4, dtype=torch.float64)
    h, c = torch.randn(1, 3, 2, dtype=torch.float64), torch.randn(1, 3, 5, dtype=torch.float64)
    (ours_h, ours_c), _ = CELLS["lstm"].step(x[0], (h[0], c[0]), weights_of(module))
    spec = spec_of(module)
    assert spec is not None
    with quiet_projections(spec):
        _, (theirs_h, theirs_c) = module(x, (h, c))
    torch.testing.assert_close(ours_h, theirs_h[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(ours_c, theirs_c[0], rtol=0, atol=1e-12)


def test_feedforward_is_rnn_without_memory() -> None:
    module = nn.RNNCell(4, 3).double()
    w = weights_of(module)
    x = torch.randn(2, 4, dtype=torch.float64)
    zero, other = torch.zeros(2, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    ((first,), _), ((second,), _) = (CELLS["feedforward"].step(x, (h,), w) for h in (zero, other))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, module(x, zero), rtol=0, atol=1e-12)


def test_cho_differs_from_torch_only_where_r_acts() -> None:
    """With the reset gate open (r = 1) both forms are one; with r between they are not."""
    torch.manual_seed(0)
    module = nn.GRUCell(4, 3).double()
    x, h = torch.randn(2, 4, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    ((cho,), _) = step_cho(x, (h,), weights_of(module))
    assert (cho - module(x, h)).abs().max() > 1e-3
    with torch.no_grad():
        module.bias_ih[:3] = 100.0
    ((cho,), _) = step_cho(x, (h,), weights_of(module))
    torch.testing.assert_close(cho, module(x, h), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("layers", "bidirectional", "proj", "bias"), [*itertools.product((1, 3), (False, True), (0, 2), (True, False))]
)
@pytest.mark.parametrize("cls", [nn.RNN, nn.GRU, nn.LSTM])
def test_spec_and_counts_are_torchs(cls: type, layers: int, bidirectional: bool, proj: int, bias: bool) -> None:
    options = {"proj_size": proj} if proj and cls is nn.LSTM else {}
    module = cls(4, 5, layers, bidirectional=bidirectional, bias=bias, **options)
    spec = spec_of(module)
    assert spec is not None
    assert spec.torch_class is cls
    assert spec.num_parameters() == sum(parameter.numel() for parameter in module.parameters())
    output, _ = module(torch.zeros(2, 1, 4)) if not options else (torch.zeros(2, 1, spec.output_size), None)
    assert output.shape[2] == spec.output_size


def test_no_core_has_no_spec() -> None:
    assert spec_of(nn.Linear(2, 3)) is None
    assert CoreSpec("rnn", "none", 4, 3).torch_class is None
    assert str(CoreSpec("lstm", "tanh", 4, 3, 2, True, 2, False)) == (
        "LSTM(4, 3, 2 layers, bidirectional, proj_size 2, no bias)"
    )


def test_a_cell_of_two_states_that_torch_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs and traces from its row alone: here with the LSTM's own step, so that nn.LSTM says what is right."""
    from rnncli.cells import CELLS, Cell
    from rnncli.nn.recurrent import make_core, run
    from rnncli.replay import trace

    lstm = CELLS["lstm"]
    monkeypatch.setitem(CELLS.loaded, "twin", Cell(lstm.step, "", states=lstm.states, gates=lstm.gates))
    torch.manual_seed(0)
    core = make_core(CoreSpec("twin", "tanh", 3, 4, 2, True)).double()
    theirs = torch.nn.LSTM(3, 4, 2, bidirectional=True).double()
    theirs.load_state_dict(core.state_dict())
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    state = (torch.randn(4, 2, 4, dtype=torch.float64), torch.randn(4, 2, 4, dtype=torch.float64))
    expected, (h_n, c_n) = theirs(x, state)
    made = trace(core, call=lambda: run(core, x, None, state))
    for output, (h, c) in (run(core, x, None, state), core(x, state), made.result):
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close((h, c), (h_n, c_n), rtol=0, atol=1e-12)
    assert all(check.ok for check in made.checks)
    assert str(core.spec).startswith("Twin(3, 4")
