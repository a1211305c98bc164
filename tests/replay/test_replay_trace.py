"""The trace against torch's fused modules and autograd: values, names, gradients through time, what is left behind."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import rnncli
from rnncli.cells import quiet_projections, spec_of
from rnncli.errors import UsageError
from rnncli.replay import trace
from rnncli.replay.compare import compare
from tests.narrowed import of_kind, some

D64 = torch.float64
OPTIONS: list[tuple[Any, dict[str, Any]]] = [
    (nn.RNN, {}),
    (nn.RNN, {"nonlinearity": "relu"}),
    (nn.GRU, {}),
    (nn.LSTM, {}),
    (nn.LSTM, {"proj_size": 2}),
]
CASES = [
    (cls, layers, bidirectional, bias, options)
    for cls, options in OPTIONS
    for layers, bidirectional, bias in itertools.product((1, 2), (False, True), (True, False))
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("cls", "layers", "bidirectional", "bias", "options"), CASES)
def test_trace_equals_the_fused_module(
    cls: Any, layers: int, bidirectional: bool, bias: bool, options: dict[str, Any], packed: bool
) -> None:
    torch.manual_seed(0)
    module = cls(4, 3, layers, bidirectional=bidirectional, bias=bias, **options).double()
    x = torch.randn(6, 3, 4, dtype=D64)
    given: Any = pack_padded_sequence(x, torch.tensor([2, 6, 1]), enforce_sorted=False) if packed else x
    with quiet_projections(some(spec_of(module))):
        wanted, last = module(given)
    made = trace(module, given)
    got, after = made.result
    if packed:
        wanted, got = pad_packed_sequence(wanted)[0], pad_packed_sequence(got)[0]
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)
    for ours, theirs in zip(after if cls is nn.LSTM else (after,), last if cls is nn.LSTM else (last,), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    top = [made[f"l{layers - 1}.{name}.h"] for name in ("fwd", "bwd")[: 1 + bidirectional]]
    torch.testing.assert_close(torch.cat(top, 2), wanted, rtol=0, atol=1e-12)
    assert all(check.ok for check in made.checks)
    names = ["replay-outputs", "replay-states", "replay-steps", "replay-gradients"]
    assert [check.name for check in made.checks] == names


def test_gradient_through_time_is_the_true_one() -> None:
    """dL/dh_t for a loss on the last step, against finite differences of the rest of the sequence; and the trap: the
    direct gradient is 0 at all earlier steps."""
    torch.manual_seed(0)
    module = nn.RNN(2, 3).double()
    x = torch.randn(5, 1, 2, dtype=D64)
    made = trace(module, x, gradients=True)
    loss = made.result[0][-1].square().sum()
    found = made.gradient(loss, "l0.fwd.h")  # (T, B, H)
    for t, unit in itertools.product(range(4), range(3)):
        h = made["l0.fwd.h"][t].clone()
        values = []
        for step in (1e-6, -1e-6):
            moved = h.clone()
            moved[0, unit] += step
            output, _ = module(x[t + 1 :], moved.unsqueeze(0))
            values.append(output[-1].square().sum().item())
        assert float(found[t, 0, unit]) == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-6, abs=1e-9)
    direct = made.direct_gradient(loss, made.core())
    assert torch.equal(direct[:-1], torch.zeros_like(direct[:-1]))
    assert direct[-1].abs().min() > 0
    assert found[:-1].abs().max() > 1e-3


@pytest.mark.parametrize("cls", [nn.RNN, nn.GRU, nn.LSTM])
def test_gradient_towards_x_is_autograds(cls: Any) -> None:
    torch.manual_seed(0)
    module = cls(2, 3, 2, bidirectional=True).double()
    x = torch.randn(5, 2, 2, dtype=D64, requires_grad=True)
    lengths = torch.tensor([5, 3])
    packed = pack_padded_sequence(x, lengths)
    (wanted,) = torch.autograd.grad(pad_packed_sequence(module(packed)[0])[0].pow(3).sum(), x)
    made = trace(module, pack_padded_sequence(x, lengths), gradients=True)
    loss = pad_packed_sequence(made.result[0])[0].pow(3).sum()
    (found,) = torch.autograd.grad(loss, x, retain_graph=True)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(made.gradient(loss, "x"), wanted, rtol=0, atol=1e-12)


class Decoder(nn.Module):
    """Two cores in one graph: an encoder, and a cell that goes on from its last state, fed by what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(4, 2)
        self.encoder = nn.GRU(2, 3)
        self.decoder = nn.GRUCell(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        _, h = self.encoder(self.embedding(x))
        h, y, outputs = h[0], torch.zeros_like(h[0]), []
        for _ in range(4):
            h = self.decoder(y, h)
            y = h.tanh()
            outputs.append(y)
        return torch.stack(outputs)


def test_gradients_through_a_decoder_are_the_models_own() -> None:
    torch.manual_seed(0)
    model = Decoder().double()
    x = torch.randn(5, 2, 4, dtype=D64)
    weights = list(model.parameters())
    wanted = torch.autograd.grad(model(x).square().sum(), weights)
    made = trace(model, x, gradients=True)
    assert made["encoder.l0.fwd.h"].shape == (5, 2, 3)
    assert made["decoder.l0.fwd.gate.z"].shape == (4, 2, 3)
    found = torch.autograd.grad(made.result.square().sum(), weights, retain_graph=True)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    reached = made.gradient(made.result[-1].sum(), "encoder.l0.fwd.h")
    assert bool((reached.abs().amax((1, 2)) > 0).all())


def test_an_unrolled_cell_is_one_sequence_and_a_second_one_another() -> None:
    torch.manual_seed(0)
    cell = nn.LSTMCell(2, 3)
    model = nn.ModuleDict({"cell": cell})
    x = torch.randn(4, 1, 2)

    def run(first: Tensor, second: Tensor) -> Tensor:
        total = torch.zeros(1, 3)
        for xs in (first, second):
            h, c = torch.zeros(1, 3), torch.zeros(1, 3)
            for x_t in xs:
                h, c = cell(x_t, (h, c))
            total = total + h
        return total

    model.forward = run
    made = trace(model, x, x[:2])
    assert made["cell.l0.fwd.h"].shape == (4, 1, 3)
    assert made["cell#2.l0.fwd.h"].shape == (2, 1, 3)
    torch.testing.assert_close(made["cell#2.l0.fwd.h"], made["cell.l0.fwd.h"][:2])


def test_batch_first_and_unbatched_as_torch_takes_them() -> None:
    torch.manual_seed(0)
    module = nn.LSTM(4, 3, batch_first=True)
    x = torch.randn(2, 5, 4)
    made = trace(module, x)
    torch.testing.assert_close(made.result[0], module(x)[0])
    assert made["l0.fwd.h"].shape == (5, 2, 3)  # always (T, B, H)
    single = trace(module, x[0])
    torch.testing.assert_close(single.result[0], module(x[0])[0])
    assert single.result[1][0].shape == module(x[0])[1][0].shape
    cell = nn.GRUCell(4, 3)
    torch.testing.assert_close(trace(cell, x[0, 0]).result, cell(x[0, 0]))


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.LSTM(4, 3, 2, dropout=0.5), nn.Identity()).train()
    model[1].eval()
    forward = model[0].forward
    trace(model[0], torch.randn(3, 1, 4))
    assert model[0].forward == forward
    assert "forward" not in model[0].__dict__
    assert model[0].training
    assert not model[1].training
    assert model[0].dropout == 0.5
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(UsageError, match="reads I=4 numbers"):
        trace(model[0], torch.randn(3, 1, 7))
    assert "forward" not in model[0].__dict__
    assert model[0].training


def test_keep_steps_and_units() -> None:
    torch.manual_seed(0)
    module = nn.GRU(4, 6)
    x = torch.randn(10, 2, 4)
    whole = trace(module, x)
    for gradients in (False, True):
        part = trace(module, x, steps=range(2, 5), units=[0, 5], gradients=gradients)
        assert torch.equal(part["l0.fwd.gate.z"], whole["l0.fwd.gate.z"][2:5][:, :, [0, 5]])
        torch.testing.assert_close(part.result[0], whole.result[0])
    loss = part.result[0].sum()
    every = trace(module, x, gradients=True)
    torch.testing.assert_close(
        part.gradient(loss, "l0.fwd.h"), every.gradient(every.result[0].sum(), "l0.fwd.h")[2:5][:, :, [0, 5]]
    )


def test_the_check_on_itself_can_fail() -> None:
    torch.manual_seed(0)
    made = trace(nn.GRU(4, 3), torch.randn(5, 2, 4))
    core = made.core()
    with torch.no_grad():
        core.calls[0].output += 1e-3
    assert [check.ok for check in compare(core)] == [False, True, False, True]
    with torch.no_grad():
        core.module.get_parameter("weight_hh_l0").add_(0.1)
    assert not compare(core)[1].ok


@pytest.mark.parametrize(("cell", "nonlinearity"), [("feedforward", "tanh"), ("feedforward", "relu"), ("rnn", "none")])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_cores_without_a_torch_class_are_held_against_a_closed_form(
    cell: str, nonlinearity: str, bidirectional: bool
) -> None:
    from rnncli.cells import CoreSpec
    from rnncli.nn.recurrent import make_core

    torch.manual_seed(0)
    core = make_core(CoreSpec(cell, nonlinearity, 4, 3, 2, bidirectional)).double()
    made = trace(core, torch.randn(5, 2, 4, dtype=D64))
    assert all(check.ok for check in made.checks)
    assert "closed form" in made.checks[0].text


def test_linear_rnn_against_relu_far_from_zero() -> None:
    """An rnn without nonlinearity equals torch's relu module where no sum is ever negative."""
    from rnncli.cells import CoreSpec
    from rnncli.nn.recurrent import make_core

    core = make_core(CoreSpec("rnn", "none", 4, 3)).double()
    relu = nn.RNN(4, 3, nonlinearity="relu").double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.abs_()
    relu.load_state_dict(core.state_dict())
    x = torch.rand(6, 2, 4, dtype=D64)
    torch.testing.assert_close(core(x)[0], relu(x)[0], rtol=0, atol=1e-12)


def test_no_core_is_said() -> None:
    with pytest.raises(UsageError, match="no recurrent core"):
        trace(nn.Linear(2, 2), torch.zeros(1, 2))

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(UsageError, match="called"):
        trace(Idle(), torch.zeros(1, 2))


def test_public_name_page_and_notebook() -> None:
    made = rnncli.trace(nn.RNN(4, 2), torch.randn(3, 1, 4))
    page = made.page()
    assert page.schema == "rnncli/trace/1"
    assert next(t for t in page.tensors if t.name == "l0.fwd.h").shape == (3, 1, 2)
    assert "l0.fwd.weight_hh" in made._repr_html_()
    with pytest.raises(KeyError, match="no tensor"):
        made["l9.fwd.h"]


def test_nan_is_recorded_not_hidden() -> None:
    x = torch.randn(4, 1, 3)
    x[2] = torch.nan
    made = trace(nn.LSTM(3, 2), x)
    assert bool(made["l0.fwd.h"][2:].isnan().all())
    assert bool(made["l0.fwd.h"][:2].isfinite().all())


def _hooked(cls: Any, kind: str, key: str) -> nn.Module:
    from torch.nn.utils import parametrizations, parametrize, prune

    class Doubled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    module: nn.Module = cls(4, 6)
    if kind == "old weight_norm":
        with pytest.warns(FutureWarning):
            nn.utils.weight_norm(module, key)
    elif kind == "old spectral_norm":
        nn.utils.spectral_norm(module, key)
    elif kind == "pruned":
        prune.l1_unstructured(module, key, amount=0.5)
    elif kind == "custom":
        parametrize.register_parametrization(module, key, Doubled())
    else:
        getattr(parametrizations, kind)(module, key)
    return module


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize(
    "kind",
    ["old weight_norm", "old spectral_norm", "pruned", "weight_norm", "spectral_norm", "orthogonal", "custom"],
)
@pytest.mark.parametrize("cls", [nn.RNN, nn.LSTM, nn.GRU, nn.GRUCell])
def test_weights_that_a_hook_or_a_parametrization_makes(cls: Any, kind: str, gradients: bool) -> None:
    torch.manual_seed(0)
    module = _hooked(cls, kind, "weight_hh" if cls is nn.GRUCell else "weight_hh_l0")
    x = torch.randn(3, 4) if cls is nn.GRUCell else torch.randn(5, 3, 4)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    made = trace(module, x, gradients=gradients)  # in training mode: a spectral norm counts each look at its weight
    assert [check for check in made.checks if not check.ok] == []
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    wanted = module.eval()(x)
    ours, theirs = (r[0] if isinstance(r, tuple) else r for r in (made.result, wanted))
    torch.testing.assert_close(ours, theirs)


def test_hooks_of_the_users_own_run_once() -> None:
    module = nn.LSTM(4, 3)
    seen: list[int] = []
    module.register_forward_pre_hook(lambda module, args: (args[0] * 3,))

    def doubled(_module: nn.Module, _args: Any, result: Any) -> Any:
        seen.append(1)
        return result[0] * 2, result[1]

    module.register_forward_hook(doubled)
    x = torch.randn(5, 2, 4)
    made = trace(module, x)
    assert [check for check in made.checks if not check.ok] == []
    assert seen == [1]
    torch.testing.assert_close(made.result[0], module(x)[0])


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("cls", [nn.RNN, nn.LSTM, nn.GRU])
def test_without_gradients_and_in_inference_mode(cls: Any, context: Any) -> None:
    torch.manual_seed(0)
    module = cls(4, 3)
    with context():
        x = torch.randn(5, 2, 4)
        made = trace(module, x)
        assert all(check.ok for check in made.checks)
        graph = trace(module, x, gradients=True)
    assert all(check.ok for check in trace(module, x, gradients=True).checks)
    (wanted,) = torch.autograd.grad(module(x.clone())[0].sum(), module.weight_hh_l0)
    (found,) = torch.autograd.grad(graph.result[0].sum(), module.weight_hh_l0)
    torch.testing.assert_close(found, wanted)


def test_a_model_without_numbers_or_gradients_is_said() -> None:
    with pytest.raises(UsageError, match="meta device"):
        trace(nn.LSTM(4, 3, device="meta"), torch.randn(5, 2, 4))
    with torch.inference_mode():
        module = nn.LSTM(4, 3)
        assert all(check.ok for check in trace(module, torch.randn(5, 2, 4)).checks)
    with pytest.raises(UsageError, match="inference mode"):
        trace(module, torch.randn(5, 2, 4), gradients=True)


@pytest.mark.parametrize("gradients", [False, True])
def test_frozen_and_shared_weights(gradients: bool) -> None:
    torch.manual_seed(0)
    module, x = nn.LSTM(4, 4, 2), torch.randn(5, 2, 4)
    module.weight_hh_l0.requires_grad_(False)
    assert all(check.ok for check in trace(module, x, gradients=gradients).checks)
    module.weight_hh_l1 = module.weight_hh_l0
    assert all(check.ok for check in trace(module, x, gradients=gradients).checks)
    module.requires_grad_(False)
    assert all(check.ok for check in trace(module, x, gradients=gradients).checks)


def test_a_module_that_computes_something_else_is_found() -> None:
    """What is allowed is measured on plain copies: a module of the user's own cannot widen it."""

    class Doubled(nn.LSTM):
        def forward(self, x: Tensor, hx: Any = None) -> Any:  # type: ignore[override]
            output, last = super().forward(x, hx)
            return 2 * output, last

    made = trace(Doubled(4, 3), torch.randn(5, 2, 4))
    assert [check.ok for check in made.checks] == [False, True, True, True]


@pytest.mark.parametrize("steps", [20, 60, 400])
def test_numbers_that_explode_until_they_overflow(steps: int) -> None:
    torch.manual_seed(0)
    module = nn.RNN(4, 6, nonlinearity="relu")
    with torch.no_grad():
        of_kind(Tensor, module.weight_hh_l0).mul_(8)
    made = trace(module, torch.randn(steps, 3, 4))
    assert [check for check in made.checks if not check.ok] == []
    assert bool(made["output"].isfinite().all()) == (steps < 100)


def test_under_autocast_the_tolerance_is_that_of_its_dtype() -> None:
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        made = trace(nn.RNN(4, 6), torch.randn(5, 3, 4))
    assert [check for check in made.checks if not check.ok] == []
