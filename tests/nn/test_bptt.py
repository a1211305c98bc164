"""The bptt engine: gradcheck, odd sizes, lengths, second derivatives refused, 200 training steps beside torch's."""

from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from rnncli.cells import CoreSpec, State
from rnncli.errors import Missing, UsageError
from rnncli.nn.engines import ENGINES, Sequence
from rnncli.nn.frontends import Rows
from rnncli.nn.recurrent import choose_engine, make_core, run, run_by
from tests.narrowed import some

D64 = torch.float64
KINDS = [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")]


@pytest.mark.parametrize("fast_mode", [True, pytest.param(False, marks=pytest.mark.evidence)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lengths", [None, [4, 2, 1]])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_gradcheck(
    cell: str, nonlinearity: str, bidirectional: bool, lengths: list[int] | None, bias: bool, fast_mode: bool
) -> None:
    """fast_mode: the Jacobian along random directions; as evidence, entry by entry."""
    torch.manual_seed(2)
    T, B, I, H = 4, 3, 2, 3  # noqa: E741
    spec = CoreSpec(cell, nonlinearity, I, H, 2, bidirectional, bias=bias)
    core = make_core(spec).double()
    rows = spec.num_layers * spec.num_directions
    state = [torch.randn(rows, B, H, dtype=D64, requires_grad=True) for _ in spec.states]
    x = torch.randn(T, B, I, dtype=D64, requires_grad=True)
    names, weights = zip(*core.named_parameters(), strict=True)
    sizes = None if lengths is None else torch.tensor(lengths)

    def outputs(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        states, given = rest[: len(state)], dict(zip(names, rest[len(state) :], strict=True))
        with torch.nn.utils.stateless._reparametrize_module(core, given):
            output, last = run_by("bptt", core, x, sizes, states)
        return (output, *last)

    assert torch.autograd.gradcheck(outputs, (x, *state, *weights), fast_mode=fast_mode)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    T=st.integers(1, 9),
    B=st.integers(1, 4),
    I=st.integers(1, 5),
    H=st.integers(1, 6),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    lengths=st.none() | st.lists(st.integers(1, 9), min_size=4, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_equals_torch_at_any_size(
    kind: tuple[str, str],
    T: int,
    B: int,
    I: int,  # noqa: E741
    H: int,
    layers: int,
    bidirectional: bool,
    lengths: list[int] | None,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    core = make_core(CoreSpec(kind[0], kind[1], I, H, layers, bidirectional)).double()
    x = torch.randn(T, B, I, dtype=D64)
    sizes = None if lengths is None else torch.tensor(lengths[:B]).clamp(max=T)
    found = []
    for engine in ("bptt", "torch"):
        given_x = x.clone().requires_grad_()
        output, last = run_by(engine, core, given_x, sizes)
        loss = output.square().sum() + sum(state.sum() for state in last)
        found.append([output, *last, *torch.autograd.grad(loss, [given_x, *core.parameters()])])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_a_second_derivative_is_refused(cell: str, nonlinearity: str) -> None:
    """A gradient penalty, with a constant upstream gradient: the case in which a silent wrong number is possible."""
    core = make_core(CoreSpec(cell, nonlinearity, 2, 3)).double()
    x = torch.randn(4, 2, 2, dtype=D64, requires_grad=True)
    output, _ = run_by("bptt", core, x)
    with pytest.raises(UsageError, match="second derivative"):
        torch.autograd.grad(output.sum(), x, create_graph=True)


def train(cell: str, nonlinearity: str, engine: str, steps: int) -> list[float]:
    torch.manual_seed(0)
    embedding = torch.nn.Embedding(11, 8)
    core: Any = make_core(CoreSpec(cell, nonlinearity, 8, 16, 2))
    head = torch.nn.Linear(16, 11)
    optimizer = torch.optim.Adam([*embedding.parameters(), *core.parameters(), *head.parameters()], lr=0.001)
    ids = torch.randint(11, (12, 5), generator=torch.Generator().manual_seed(1))
    losses, state = [], None
    for _ in range(steps):
        output, state = run_by(engine, core, embedding(ids[:-1]), None, state)
        state = tuple(part.detach() for part in state)
        loss = F.cross_entropy(head(output).flatten(0, 1), ids[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_200_training_steps_have_torchs_losses(cell: str, nonlinearity: str) -> None:
    ours, theirs = train(cell, nonlinearity, "bptt", 200), train(cell, nonlinearity, "torch", 200)
    assert ours[-1] < 0.8 * ours[0]
    assert ours == pytest.approx(theirs, rel=2e-3, abs=1e-4)
    assert ours[:20] == pytest.approx(theirs[:20], rel=1e-5)


def test_without_gradients_and_on_bfloat16() -> None:
    core = make_core(CoreSpec("gru", "tanh", 4, 6, 2, True))
    x = torch.randn(5, 3, 4)
    with torch.no_grad():
        torch.testing.assert_close(run_by("bptt", core, x)[0], run_by("torch", core, x)[0])
        half = run_by("bptt", core.bfloat16(), x.bfloat16())[0]
        torch.testing.assert_close(half.float(), run_by("torch", core.float(), x)[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [6, 2, 1]])
@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_rows_of_a_table(
    cell: str, nonlinearity: str, one_hot: bool, lengths: list[int] | None, bidirectional: bool
) -> None:
    """x given as token numbers and a table gives what x itself gives, its gradients too."""
    torch.manual_seed(1)
    V, T, B = 5, 6, 3
    core = make_core(CoreSpec(cell, nonlinearity, V if one_hot else 4, 6, 2, bidirectional)).double()
    table = None if one_hot else torch.randn(V, 4, dtype=D64, requires_grad=True)
    rows = Rows(table, torch.randint(V, (T, B)), V, torch.zeros((), dtype=D64))
    sizes = None if lengths is None else torch.tensor(lengths)
    found = []
    for x in (rows, rows.tensor()):
        output, last = run_by("bptt", core, x, sizes)
        loss = output.square().sum() + sum(state.sum() for state in last)
        asked = [*core.parameters(), *([] if table is None else [table])]
        found.append([output, *last, *torch.autograd.grad(loss, asked)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_large_layers_by_onednn(cell: str, nonlinearity: str, half: bool) -> None:
    """Sizes at which the steps' products are oneDNN's, in float32 and, under autocast, in bfloat16."""
    torch.manual_seed(0)
    core = make_core(CoreSpec(cell, nonlinearity, 24, 512))
    x, d_output = torch.randn(5, 9, 24), torch.randn(5, 9, 512)
    found = []
    for engine in ("bptt", "torch"):
        core.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half and engine == "bptt"):
            output, _ = run_by(engine, core, x)
        output.backward(d_output)
        found.append([output.detach(), *(some(weight.grad) for weight in core.parameters())])
    assert found[0][0].dtype == torch.float32
    for ours, theirs in zip(*found, strict=True):
        apart = (ours - theirs).norm() / theirs.norm()
        assert apart < (0.05 if half else 1e-5)
        assert not half or apart > 1e-5  # bfloat16 did something


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "gru"])
def test_rows_of_weights_with_large_sums(cell: str, half: bool) -> None:
    """Near float64, also where the rows of W_hh do not sum to about 0, which a shifted state would feel."""
    torch.manual_seed(0)
    H = 512
    core = make_core(CoreSpec(cell, "tanh", 8, H))
    with torch.no_grad():
        weight_hh = core.get_parameter("weight_hh_l0")
        weight_hh.add_(10 / H * torch.randn(len(weight_hh), 1).sign())
    x = torch.randn(12, 16, 8)
    double = make_core(CoreSpec(cell, "tanh", 8, H)).double()
    double.load_state_dict(core.state_dict())
    exact = run_by("torch", double, x.double())[0]
    apart = {}
    for engine in ("bptt", "torch"):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            apart[engine] = float(
                (run_by(engine, core, x)[0].detach().double() - exact.detach()).square().mean().sqrt()
            )
    # a sigmoid is right to 6e-8 near 1/2, where torch's tanh near 0 is right in every digit
    assert apart["bptt"] < (3 * apart["torch"] if half else 1.5e-7)


def test_a_model_takes_it_where_it_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not without gradients, not over a few steps: there torch's module is faster."""
    seen: list[int] = []
    real = ENGINES["bptt"]

    def counting(core: torch.nn.Module, spec: CoreSpec, over: Sequence) -> tuple[Tensor, State]:
        seen.append(len(over.tensor))
        return real.run(core, spec, over)

    monkeypatch.setitem(ENGINES.loaded, "bptt", replace(real, run=counting))
    core = make_core(CoreSpec("gru", "tanh", 2, 3))
    for engine in ("bptt", "scan", "auto"):
        run(core, torch.zeros(12, 1, 2), engine=engine)
        run(core, torch.zeros(9, 1, 2), engine=engine)
        with torch.no_grad():
            run(core, torch.zeros(12, 1, 2), engine=engine)
    assert seen == [12, 12, 12]


def test_an_engine_that_needs_what_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And auto does not take it, however fast it may be."""
    lacking = replace(ENGINES["loop"], faster=lambda spec, work: 99.0, needs=("no_such_module",))
    monkeypatch.setitem(ENGINES.loaded, "loop", lacking)
    spec = CoreSpec("gru", "tanh", 2, 3)
    assert choose_engine(spec, torch.float32, "cpu", T=20) == "bptt"
    with pytest.raises(Missing, match="no_such_module"):
        run_by("loop", make_core(spec), torch.zeros(2, 1, 2))


def test_what_auto_means() -> None:
    def chosen(cell: str, dtype: torch.dtype = torch.float32, device: str = "cpu", T: int = 10, **rest: bool) -> str:
        return choose_engine(CoreSpec(cell, "tanh", 4, 6), dtype, device, T=T, **rest)

    assert [chosen("rnn"), chosen("gru"), chosen("lstm")] == ["bptt", "bptt", "torch"]
    assert [chosen("rnn", T=9), chosen("gru", T=9)] == ["torch", "torch"]
    assert chosen("gru", T=99, gradients=False) == ("torch" if find_spec("numba") is None else "compiled")
    assert [chosen("lstm", D64), chosen("lstm", padded=True)] == ["bptt", "bptt"]
    assert [chosen(cell, device="cuda") for cell in ("rnn", "gru", "lstm")] == ["torch"] * 3
    assert choose_engine(CoreSpec("lstm", "tanh", 4, 6, proj_size=2), D64, "cpu", T=99) == "torch"
    assert choose_engine(CoreSpec("feedforward", "tanh", 4, 6), D64, "cpu", T=99) == "loop"


def test_what_it_is_not_written_for_is_said() -> None:
    core = make_core(CoreSpec("lstm", "tanh", 4, 6, proj_size=2))
    with pytest.raises(UsageError, match="projections"):
        run_by("bptt", core, torch.zeros(2, 1, 4))
    with pytest.raises(UsageError, match="projections"):
        run(core, torch.zeros(2, 1, 4), engine="bptt")
    with pytest.raises(ValueError, match="no steps"):
        run_by("bptt", make_core(CoreSpec("gru", "tanh", 4, 6)), torch.zeros(2, 2, 4), torch.tensor([2, 0]))
