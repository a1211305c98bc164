"""The scan engine: gradcheck, odd sizes, lengths, second derivatives refused, 200 training steps beside torch's."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from rnncli.cells import CELLS, CoreSpec
from rnncli.errors import UsageError
from rnncli.nn.recurrent import make_core, run
from rnncli.nn.scan import FUNCTIONS, How, Span

D64 = torch.float64
KINDS = [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lengths", [None, [4, 2, 1]])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_gradcheck(cell: str, nonlinearity: str, reverse: bool, lengths: list[int] | None, bias: bool) -> None:
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=D64).requires_grad_()

    T, B, I, H = 4, 3, 2, 3  # noqa: E741
    rows = {"rnn": 1, "gru": 3, "lstm": 4}[cell] * H
    states = [draw(B, H) for _ in CELLS[cell].states]
    biases = [draw(rows), draw(rows)] if bias else [None, None]
    x = draw(T, B, I)
    span = None if lengths is None else Span.of(torch.tensor(lengths), x)
    arguments = (x, *states, draw(rows, I), draw(rows, H), *biases, How(span, reverse, nonlinearity == "relu"))
    assert torch.autograd.gradcheck(FUNCTIONS[cell].apply, arguments)


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
    for engine in ("scan", "torch"):
        given_x = x.clone().requires_grad_()
        output, last = run(core, given_x, sizes, engine=engine)
        loss = output.square().sum() + sum(state.sum() for state in last)
        found.append([output, *last, *torch.autograd.grad(loss, [given_x, *core.parameters()])])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_a_second_derivative_is_refused(cell: str, nonlinearity: str) -> None:
    """A gradient penalty, with a constant upstream gradient: the case in which a silent wrong number is possible."""
    core = make_core(CoreSpec(cell, nonlinearity, 2, 3)).double()
    x = torch.randn(4, 2, 2, dtype=D64, requires_grad=True)
    output, _ = run(core, x, engine="scan")
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
        output, state = run(core, embedding(ids[:-1]), None, state, engine=engine)
        state = tuple(part.detach() for part in state)
        loss = F.cross_entropy(head(output).flatten(0, 1), ids[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_200_training_steps_have_torchs_losses(cell: str, nonlinearity: str) -> None:
    ours, theirs = train(cell, nonlinearity, "scan", 200), train(cell, nonlinearity, "torch", 200)
    assert ours[-1] < 0.8 * ours[0]
    assert ours == pytest.approx(theirs, rel=2e-3, abs=1e-4)
    assert ours[:20] == pytest.approx(theirs[:20], rel=1e-5)


def test_without_gradients_and_on_bfloat16() -> None:
    core = make_core(CoreSpec("gru", "tanh", 4, 6, 2, True))
    x = torch.randn(5, 3, 4)
    with torch.no_grad():
        torch.testing.assert_close(run(core, x, engine="scan")[0], run(core, x, engine="torch")[0])
        half = run(core.bfloat16(), x.bfloat16(), engine="scan")[0]
        torch.testing.assert_close(half.float(), run(core.float(), x, engine="torch")[0], rtol=0.05, atol=0.05)


def test_what_it_is_not_written_for_is_said() -> None:
    core = make_core(CoreSpec("lstm", "tanh", 4, 6, proj_size=2))
    with pytest.raises(UsageError, match="projections"):
        run(core, torch.zeros(2, 1, 4), engine="scan")
    with pytest.raises(ValueError, match="no steps"):
        run(make_core(CoreSpec("gru", "tanh", 4, 6)), torch.zeros(2, 2, 4), torch.tensor([2, 0]), engine="scan")
