"""The parallel engine and its scan: equal to the loop at any size, derivatives of any order, NaN, infinity, long T."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnncli.cells import CELLS, CoreSpec
from rnncli.errors import UsageError
from rnncli.nn.frontends import Rows
from rnncli.nn.recurrent import choose_engine, make_core, run, run_by
from rnncli.replay import initial_state, scan, trace

D64 = torch.float64
LINEAR = [cell for cell in CELLS if CELLS[cell].parallel is not None]


def one_by_one(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    found = []
    for a_t, b_t in zip(a, b, strict=True):
        h = a_t * h + b_t
        found.append(h)
    return torch.stack(found)


def drawn(T: int, seed: int, dtype: torch.dtype = D64) -> tuple[Tensor, Tensor, Tensor]:
    """a of both signs, b, h_0; four sums of rows and units."""
    torch.manual_seed(seed)
    a = torch.rand(T, 2, 2, dtype=dtype) * 2 - 1
    return a, torch.randn(T, 2, 2, dtype=dtype), torch.randn(2, 2, dtype=dtype)


@pytest.mark.parametrize("T", [1, 2, 15, 16, 17, 18, 31, 50, 128, 1001])
def test_the_scan_is_the_recurrence(T: int) -> None:
    """With T a multiple of the chunks and not; gradients, and gradients of gradients."""
    given = [tensor.requires_grad_() for tensor in drawn(T, T)]
    found = []
    for function in (scan, one_by_one):
        h = function(*given)
        loss = (h * torch.linspace(-1, 1, h.numel(), dtype=D64).view_as(h)).sum()
        first = torch.autograd.grad(loss, given, create_graph=True)
        penalty = torch.stack([gradient.square().sum() for gradient in first]).sum()
        found.append([h, *first, *torch.autograd.grad(penalty, given, materialize_grads=True)])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("T", [3, 20])
def test_gradcheck(T: int) -> None:
    given = [tensor.requires_grad_() for tensor in drawn(T, 0)]
    assert torch.autograd.gradcheck(scan, given, fast_mode=True)
    assert torch.autograd.gradgradcheck(scan, given, fast_mode=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("which", ["a", "b", "h_0"])
def test_nan_and_infinity_spread_as_in_a_loop(which: str, value: float) -> None:
    """Also where a product of many a is 0, which times infinity would be NaN."""
    given = drawn(200, 5, torch.float32)
    given[0].mul_(0.1)
    given[("a", "b", "h_0").index(which)].view(-1)[1] = value
    torch.testing.assert_close(scan(*given), one_by_one(*given), equal_nan=True)


def test_factors_above_1_may_overflow_together() -> None:
    """2^1000 is too large for float32, and times an h of 0 it is not needed."""
    a, b, h = torch.full((1000, 1, 1), 2.0), torch.zeros(1000, 1, 1), torch.zeros(1, 1)
    b[-1] = 3.0
    assert torch.equal(scan(a, b, h), one_by_one(a, b, h))


def test_a_million_steps_lose_no_digits() -> None:
    """Where log h is a sum of a million terms, float32 has two digits left of it."""
    a, b = torch.full((1_000_000, 1, 1), 0.5), torch.full((1_000_000, 1, 1), 0.25)
    h = scan(a, b, torch.ones(1, 1))
    torch.testing.assert_close(h[30:], torch.full_like(h[30:], 0.5), rtol=1e-6, atol=0)


@settings(max_examples=30)
@given(
    cell=st.sampled_from(LINEAR),
    T=st.integers(1, 40),
    B=st.integers(1, 3),
    H=st.integers(1, 4),
    layers=st.integers(1, 2),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    lengths=st.none() | st.lists(st.integers(1, 40), min_size=3, max_size=3),
    dtype=st.sampled_from([torch.float32, D64]),
    seed=st.integers(0, 2**16),
)
def test_equals_the_loop_at_any_size(
    cell: str,
    T: int,
    B: int,
    H: int,
    layers: int,
    bidirectional: bool,
    bias: bool,
    lengths: list[int] | None,
    dtype: torch.dtype,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    spec = CoreSpec(cell, "tanh", 2, H, layers, bidirectional, bias=bias)
    core = make_core(spec).to(dtype)
    x = torch.randn(T, B, 2, dtype=dtype)
    state = [torch.randn_like(zeros) for zeros in initial_state(spec, B, x)]
    sizes = None if lengths is None else torch.tensor(lengths[:B]).clamp(max=T)
    found = []
    for engine in ("parallel", "loop"):
        given = [tensor.clone().requires_grad_() for tensor in (x, *state)]
        output, last = run_by(engine, core, given[0], sizes, tuple(given[1:]))
        loss = output.square().sum() + torch.stack([one.sum() for one in last]).sum()
        found.append([output, *last, *torch.autograd.grad(loss, [*given, *core.parameters()])])
    close = 1e-12 if dtype == D64 else 2e-4  # of a hundred squares, added up in float32
    torch.testing.assert_close(*found, rtol=close, atol=close)


@pytest.mark.parametrize("cell", LINEAR)
def test_it_reads_rows_of_a_table(cell: str) -> None:
    torch.manual_seed(0)
    core, table = make_core(CoreSpec(cell, "tanh", 3, 4)).double(), torch.randn(5, 3, dtype=D64)
    rows = Rows(table, torch.tensor([[0, 3], [4, 4], [1, 0]]), 5, table)
    output, _ = run_by("parallel", core, rows)
    torch.testing.assert_close(output, run_by("loop", core, rows.tensor())[0], rtol=0, atol=1e-12)


def test_where_it_is_taken() -> None:
    spec = CoreSpec("mingru", "tanh", 4, 6)
    assert choose_engine(spec, D64, "cpu", T=100) == "parallel"
    assert choose_engine(spec, D64, "cpu", T=1) == "loop"
    assert choose_engine(CoreSpec("gru", "tanh", 4, 6), D64, "cpu", T=100) != "parallel"
    core = make_core(CoreSpec("rnn", "none", 4, 6))
    with pytest.raises(UsageError, match="linear in itself"):
        run_by("parallel", core, torch.zeros(2, 1, 4))
    for name in ("zoneout", "recurrent_dropout", "variational_dropout"):
        regular = CoreSpec("mingru", "tanh", 4, 6, options=((name, 0.5),))
        assert choose_engine(regular, D64, "cpu", T=100) == "loop"
        with pytest.raises(UsageError, match=name):
            run_by("parallel", make_core(regular), torch.zeros(2, 1, 4))
    with torch.no_grad():
        output, _ = run(make_core(spec), torch.zeros(20, 1, 4))
    assert output.shape == (20, 1, 6)


@pytest.mark.parametrize("cell", LINEAR)
def test_with_zoneout_a_replay_is_no_prefix_scan(cell: str) -> None:
    """On average it mixes h with the one before, which the parallel form does not know of."""
    torch.manual_seed(0)
    core = make_core(CoreSpec(cell, "tanh", 3, 4, options=(("zoneout", 0.5),))).eval()
    made = trace(core, torch.randn(6, 2, 3))
    assert all(check.ok for check in made.checks)
    assert "prefix scan" not in made.checks[0].text
    plain = trace(make_core(CoreSpec(cell, "tanh", 3, 4)), torch.randn(6, 2, 3))
    assert "prefix scan" in plain.checks[0].text
