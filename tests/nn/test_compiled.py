"""The compiled engine: gradcheck, odd sizes, every source of products, threads, NaN, and what is kept on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from rnncli.cells import CoreSpec, State
from rnncli.data.progress import Reading, listening
from rnncli.errors import Missing, UsageError
from rnncli.nn import recurrent
from rnncli.nn.engines import ENGINES, _products, _threads, compiled
from rnncli.nn.frontends import Rows
from rnncli.nn.recurrent import Core, choose_engine, make_core, run, run_by

pytest.importorskip("numba", reason="needs rnncli[fast]")

KINDS = [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")]
D64 = torch.float64


def gradients(
    engine: str, core: Core, x: Tensor | Rows, lengths: Tensor | None = None, state: State | None = None
) -> list[Tensor]:
    """Outputs, last states, and the gradients of a sum of their sines towards weights, x and h_0."""
    core.zero_grad()
    leaves: list[Tensor] = [
        *core.parameters(),
        *([x] if isinstance(x, Tensor) and x.requires_grad else []),
        *(state or ()),
    ]
    output, last = run_by(engine, core, x, lengths, state)
    total = sum((part.sin().sum() for part in (output, *last)), torch.zeros((), dtype=output.dtype))
    found = torch.autograd.grad(total, leaves, allow_unused=True)
    return [output, *last, *(gradient for gradient in found if gradient is not None)]


@torch.no_grad()
def answers(engine: str, core: Core, x: Tensor | Rows, state: State | None = None) -> list[Tensor]:
    """Outputs and last states, where no gradients are wanted."""
    output, last = run_by(engine, core, x, state=state)
    return [output, *last]


def apart(expected: list[Tensor], found: list[Tensor]) -> float:
    """The largest difference, as a share share of max number of the same tensor."""
    assert [t.shape for t in expected] == [t.shape for t in found]
    pairs = [(a.detach(), b.detach()) for a, b in zip(expected, found, strict=True)]
    return max(float((a - b).abs().max() / a.abs().max().clamp(min=1e-30)) for a, b in pairs)


def made(spec: CoreSpec, T: int, B: int, dtype: torch.dtype, seed: int = 0) -> tuple[Core, Tensor, State]:
    torch.manual_seed(seed)
    core = make_core(spec).to(dtype)
    x = torch.randn(T, B, spec.input_size, dtype=dtype, requires_grad=True)
    rows = spec.num_layers * spec.num_directions
    state = tuple(torch.randn(rows, B, spec.hidden_size, dtype=dtype, requires_grad=True) for _ in spec.states)
    return core, x, state


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_gradcheck(cell: str, nonlinearity: str) -> None:
    core, x, state = made(CoreSpec(cell, nonlinearity, 2, 3, 2, True), 3, 2, D64, seed=2)
    names, weights = zip(*core.named_parameters(), strict=True)

    def outputs(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(names, rest[len(state) :], strict=True))
        with torch.nn.utils.stateless._reparametrize_module(core, given):
            output, last = run_by("compiled", core, x, torch.tensor([3, 2]), rest[: len(state)])
        return (output, *last)

    assert torch.autograd.gradcheck(outputs, (x, *state, *weights))


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.sampled_from([1, 2, 7, 8, 16, 33])),
    layers=st.integers(1, 2),
    flags=st.tuples(st.booleans(), st.booleans()),
    lengths=st.none() | st.lists(st.integers(1, 9), min_size=5, max_size=5),
    seed=st.integers(0, 2**16),
)
def test_equals_torch_at_any_size(
    kind: tuple[str, str],
    sizes: tuple[int, int, int, int],
    layers: int,
    flags: tuple[bool, bool],
    lengths: list[int] | None,
    seed: int,
) -> None:
    (T, B, inputs, H), (bidirectional, bias) = sizes, flags
    core, x, state = made(CoreSpec(*kind, inputs, H, layers, bidirectional, bias=bias), T, B, D64, seed)
    ends = None if lengths is None else torch.tensor([min(T, n) for n in lengths[:B]])
    assert apart(gradients("torch", core, x, ends, state), gradients("compiled", core, x, ends, state)) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, D64])
@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
@pytest.mark.parametrize(
    ("H", "B", "T", "L", "bidirectional", "bias"),
    [(1, 1, 1, 1, False, True), (5, 3, 7, 2, True, True), (33, 4, 9, 1, False, False), (16, 2, 300, 1, False, True)],
)
def test_without_gradients_it_answers_as_torch_does(
    cell: str, nonlinearity: str, dtype: torch.dtype, H: int, B: int, T: int, L: int, bidirectional: bool, bias: bool
) -> None:
    """From zeros and from given states, which stay as they are; x of another width, and as rows of a table."""
    spec = CoreSpec(cell, nonlinearity, H + 3, H, num_layers=L, bidirectional=bidirectional, bias=bias)
    core, x, state = made(spec, T, B, dtype)
    kept = [part.detach().clone() for part in state]
    numbers = torch.randint(0, 6, (T, B))
    table = Rows(torch.randn(6, H + 3, dtype=dtype), numbers, 6, x)
    limit = 1e-5 if dtype == torch.float32 else 1e-12
    for before in (None, state):
        for what in (x, table):
            assert apart(*(answers(engine, core, what, before) for engine in ("torch", "compiled"))) < limit
    assert all(torch.equal(a, b) for a, b in zip(kept, state, strict=True))


@pytest.mark.parametrize("source", [*_products.SOURCES, "none"])
@pytest.mark.parametrize("dtype", [torch.float32, D64])
def test_every_source_of_products(source: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    if source == "scipy":
        pytest.importorskip("scipy")
    monkeypatch.setattr(
        _products, "SOURCES", {name: find for name, find in _products.SOURCES.items() if name == source}
    )
    _products.product_of.cache_clear()
    try:
        product = _products.product_of(dtype)
        if product.source != source:
            pytest.skip(f"this build of torch exports no {_products.GEMM[dtype]}_")
        for cell, nonlinearity in KINDS:
            core, x, state = made(CoreSpec(cell, nonlinearity, 3, 17), 6, 4, dtype)
            difference = apart(gradients("torch", core, x, None, state), gradients("compiled", core, x, None, state))
            assert difference < (1e-12 if dtype == D64 else 1e-5)
            pair = [answers(engine, core, x, state) for engine in ("torch", "compiled")]
            assert apart(*pair) < (1e-12 if dtype == D64 else 1e-5)
    finally:
        _products.product_of.cache_clear()


def test_a_product_that_is_wrong_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    single = _products._gemm_of_torch("sgemm")
    if not single:
        pytest.skip("this build of torch exports no sgemm_")
    monkeypatch.setattr(_products, "_right", lambda address, dtype: False)
    _products.product_of.cache_clear()
    try:
        assert _products.product_of(torch.float32) == _products.Product(0, 0, "none")
    finally:
        _products.product_of.cache_clear()


@pytest.mark.parametrize("pool", ["torch's", "python's"])
@pytest.mark.parametrize("once_from", [1, 1 << 14], ids=["inputs at once", "inputs by share"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_threads_give_torchs_results_and_the_same_bits_twice(
    count: int, once_from: int, pool: str, threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "SHARE", 1)  # as many shares as threads, however small the work
    monkeypatch.setattr(compiled, "ONCE_FROM", once_from)
    if pool == "python's":
        monkeypatch.setattr(_threads, "_openmp", lambda: None)
    elif _threads._openmp() is None:
        pytest.skip("this build of torch has no GOMP_parallel")
    torch.set_num_threads(count)
    for cell, nonlinearity in KINDS:
        core, x, state = made(CoreSpec(cell, nonlinearity, 3, 5, 2, True), 6, 3, D64)
        once, again = (gradients("compiled", core, x, None, state) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
        assert apart(gradients("torch", core, x, None, state), once) < 1e-12
        once, again = (answers("compiled", core, x, state) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
        assert apart(answers("torch", core, x, state), once) < 1e-12


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_packed_weights_give_the_same(
    cell: str, nonlinearity: str, count: int, threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if _products.product_of(torch.float32).packing is None:
        pytest.skip("this build of torch exports no sgemm_pack_")
    monkeypatch.setattr(compiled, "SHARE", 1)
    torch.set_num_threads(count)
    core, x, state = made(CoreSpec(cell, nonlinearity, 3, 37), 18, 7, torch.float32)  # shares of 2, 2 and 3 rows
    plain = gradients("compiled", core, x, None, state), answers("compiled", core, x, state)
    used: list[int] = []
    room = _products.Packing.room

    def counted(packing: _products.Packing, *sizes: int) -> int:
        used.append(1)
        return room(packing, *sizes)

    monkeypatch.setattr(_products.Packing, "room", counted)
    monkeypatch.setattr(compiled, "PACK_FROM", 1)
    packed = gradients("compiled", core, x, None, state), answers("compiled", core, x, state)
    assert len(used) == 3  # forward, backward, and forward without gradients
    assert max(apart(*pair) for pair in zip(plain, packed, strict=True)) < 1e-5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e-42, 3e38])
@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_what_no_number_is_comes_through(cell: str, nonlinearity: str, value: float) -> None:
    core, _, _ = made(CoreSpec(cell, nonlinearity, 20, 20), 4, 2, torch.float32)
    x = torch.randn(4, 2, 20)
    x[1, 0, 0] = value
    expected = run_by("torch", core, x)[0]
    for found in (run_by("compiled", core, x)[0], answers("compiled", core, x)[0]):
        assert torch.equal(expected.isnan(), found.isnan())
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)


def test_tanh_of_small_numbers_keeps_its_digits() -> None:
    core, _, _ = made(CoreSpec("rnn", "tanh", 1, 64, bias=False), 1, 1, torch.float32)
    x = torch.tensor([[[1e-6]]])
    expected, found = (run_by(engine, core, x)[0] for engine in ("torch", "compiled"))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_second_derivative_is_refused(cell: str) -> None:
    core, x, _ = made(CoreSpec(cell, "tanh", 2, 3), 4, 2, D64)
    output, _ = run_by("compiled", core, x)
    with pytest.raises(UsageError, match="engine compiled has no second derivative"):
        torch.autograd.grad(output.sum(), x, create_graph=True)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_two_hundred_updates_are_torchs(cell: str) -> None:
    losses: dict[str, list[float]] = {}
    for engine in ("torch", "compiled"):
        core, x, _ = made(CoreSpec(cell, "tanh", 4, 6), 10, 8, D64)
        wanted = torch.randn(10, 8, 6, dtype=D64, generator=torch.Generator().manual_seed(1))
        optimizer = torch.optim.Adam(core.parameters(), lr=0.01)
        losses[engine] = []
        for _ in range(200):
            loss = F.mse_loss(run(core, x.detach(), engine=engine)[0], wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[engine].append(loss.item())
    assert losses["compiled"] == pytest.approx(losses["torch"], rel=1e-9)
    assert losses["torch"][-1] < losses["torch"][0]


def test_rows_of_a_table_are_looked_up() -> None:
    core, _, _ = made(CoreSpec("gru", "tanh", 4, 5), 6, 3, D64)
    table = torch.randn(7, 4, dtype=D64)
    numbers = torch.randint(7, (6, 3), generator=torch.Generator().manual_seed(0))
    rows = Rows(table, numbers, len(table), table)
    plain, looked_up = gradients("compiled", core, table[numbers]), gradients("compiled", core, rows)
    assert apart(plain[: len(looked_up)], looked_up) < 1e-12


def test_what_auto_takes() -> None:
    def taken(cell: str, H: int, **work: bool) -> str:
        return choose_engine(CoreSpec(cell, "tanh", 2, H), torch.float32, "cpu", T=20, **work)

    assert (taken("gru", 32), taken("rnn", 32)) == ("compiled", "compiled")
    assert (taken("gru", 2), taken("gru", 32, gradients=False)) == ("bptt", "compiled")
    assert taken("gru", 2, gradients=False) == "compiled"  # a forward pass alone, whose loop is one for all cells
    assert (taken("lstm", 32, padded=True), taken("lstm", 2)) == ("compiled", "torch")
    assert choose_engine(CoreSpec("gru", "tanh", 2, 32), torch.float32, "cuda", T=20) == "torch"


def test_refused_or_left_to_torch() -> None:
    engine = ENGINES["compiled"]
    assert "projections" in engine.refuses(CoreSpec("lstm", "tanh", 2, 4, proj_size=2))
    core = make_core(CoreSpec("gru", "tanh", 2, 3)).bfloat16()
    x = torch.zeros(2, 1, 2, dtype=torch.bfloat16)
    with pytest.raises(UsageError, match="bfloat16"):
        run_by("compiled", core, x)
    assert torch.equal(run(core, x, engine="compiled")[0], run_by("torch", core, x)[0])


def test_without_numba_a_model_answers_and_does_not_train(monkeypatch: pytest.MonkeyPatch) -> None:
    core, x, _ = made(CoreSpec("gru", "tanh", 2, 3), 4, 2, torch.float32)
    monkeypatch.setattr("rnncli.nn.engines._base._installed", lambda name: False)
    monkeypatch.setattr(recurrent, "_runs", recurrent._runs.__wrapped__)  # what was chosen before is not remembered
    with torch.no_grad():
        assert torch.equal(run(core, x, engine="compiled")[0], run_by("torch", core, x)[0])
    with pytest.raises(Missing, match="engine compiled needs numba") as refused:
        run(core, x, engine="compiled")
    assert "rnncli[fast]" in str(refused.value.todo)


def test_the_loops_are_kept_on_disk_and_compiling_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnncli.nn.engines import _loops

    monkeypatch.setenv("RNNCLI_CACHE", str(tmp_path))
    monkeypatch.setattr(_loops._Says, "said", False)
    said: list[Reading | None] = []
    with listening(said.append):
        for _ in range(2):  # the second from the disk
            _loops.loop.cache_clear()
            _loops.loop("rnn_backward", True)
    _loops.loop.cache_clear()
    (reading,) = said
    assert reading is not None
    assert "compiled" in reading.said
    assert len(list((tmp_path / "loops").rglob("*.nbc"))) == 1


def test_where_nothing_can_be_written_the_loops_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnncli.nn.engines import _loops

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RNNCLI_CACHE", str(tmp_path / "file"))
    _loops.loop.cache_clear()
    try:
        core, x, _ = made(CoreSpec("rnn", "tanh", 2, 3), 4, 2, D64)
        assert apart([run_by("torch", core, x)[0]], [run_by("compiled", core, x)[0]]) < 1e-12
    finally:
        _loops.loop.cache_clear()
