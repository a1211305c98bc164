"""The numbers of the views against something else: torch's own modules, brute force, finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnncli import trace, views
from rnncli.cells import CoreSpec
from rnncli.data.batch import Batch
from rnncli.data.progress import Reading, listening
from rnncli.errors import UsageError
from rnncli.nn import recurrent
from rnncli.nn.model import Outputs
from rnncli.records import Checks, ColouredText, HeatMap, Message, Series, Table
from rnncli.tasks import load_recipe
from rnncli.views import Options, Subject, embeddings, gradients, memory, neurons, params, saturation, shapes, states
from rnncli.views import attention as attention_view
from rnncli.views import engines as engines_view
from rnncli.views import influence as influence_view
from rnncli.views import padding as padding_view
from rnncli.views import steps as steps_view
from rnncli.views._losses import ask
from rnncli.views._show import formula
from rnncli.views._subject import subject_of_model
from tests.narrowed import as_read, some

Make = Callable[..., Subject]
CELLS = ["rnn", "gru", "lstm"]
FORMS = [(1, False), (2, False), (1, True), (2, True)]


def _tables(records: list[Any]) -> list[Table]:
    return [record for record in records if isinstance(record, Table)]


def _column(table: Table, name: str) -> list[Any]:
    k = [column.name for column in table.columns].index(name)
    return [row[k] for row in table.rows]


def _run(core: nn.RNNBase, x: Tensor) -> tuple[Tensor, Tensor]:
    output, last = core(x)
    return output, last[0] if isinstance(last, tuple) else last


def _states(core: nn.RNNBase, x: Tensor) -> tuple[Tensor, ...]:
    last = core(x)[1]
    return last if isinstance(last, tuple) else (last,)


# gradients


@pytest.mark.parametrize(("layers", "both"), FORMS)
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_x_equal_finite_differences(cell: str, layers: int, both: bool, make: Make) -> None:
    subject = make(cell, layers=layers, both=both, T=4, B=1, I=2, H=3)
    core: Any = subject.model.rnn
    x, eps = subject.batch.inputs, 1e-6
    found = torch.zeros_like(x)
    for index in range(x.numel()):
        sums = []
        for sign in (1, -1):
            moved = x.clone().flatten()
            moved[index] += sign * eps
            with torch.no_grad():
                h_n = _run(core, moved.view_as(x))[1]
            sums.append(float(h_n[-2 if both else -1 :].sum()))
        found.view(-1)[index] = (sums[0] - sums[1]) / (2 * eps)
    (table,) = _tables(gradients.compute(subject, Options(direction="fwd", loss="last")))
    assert _column(table, "x") == pytest.approx(found.flatten(1).norm(dim=1).tolist(), rel=1e-6)


def test_gradients_of_h_equal_an_unrolled_cell_and_direct_equals_output_grad(make: Make) -> None:
    subject = make("lstm", T=5)
    core: Any = subject.model.rnn
    cell = nn.LSTMCell(3, 4).double()
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in core.state_dict().items()})
    h = c = torch.zeros(2, 4, dtype=torch.double)
    hs, cs = [], []
    for x in subject.batch.inputs:
        h, c = cell(x, (h, c))
        h.retain_grad()
        c.retain_grad()
        hs.append(h)
        cs.append(c)
    h.sum().backward()
    (table,) = _tables(gradients.compute(subject, Options(loss="last")))
    assert _column(table, "h") == pytest.approx([float(h.grad.norm()) for h in hs])
    assert _column(table, "c") == pytest.approx([float(c.grad.norm()) for c in cs])
    # the trap: what a fused module's output.grad holds
    output, _ = core(subject.batch.inputs)
    output.retain_grad()
    output[-1].sum().backward()
    assert [float(g.norm()) for g in output.grad] == [0, 0, 0, 0, pytest.approx(math.sqrt(8))]
    assert _column(table, "h")[0] > 0


@pytest.mark.parametrize(("scale", "word"), [(0.5, "vanish"), (1.0, "are stable"), (2.0, "explode")])
def test_verdict_of_a_linear_network_is_its_factor(scale: float, word: str, make: Make) -> None:
    subject = make("rnn", nonlinearity="none", T=9, H=4)
    with torch.no_grad():
        subject.model.rnn.weight_hh_l0.copy_(scale * torch.eye(4))  # type: ignore[union-attr,operator]
    asked = ask(subject, "last")
    values = gradients.norms(asked.trace.gradient(asked.loss, "l0.fwd.h"), 9)
    assert gradients.growth(values, backward=False) == pytest.approx(scale)
    records = gradients.compute(subject)
    assert isinstance(records[0], Message)
    assert f"they {word}:" in records[0].text


def test_task_loss_is_the_one_that_training_takes() -> None:
    subject = views.subject_of_recipe(load_recipe("hello"))
    total = subject.task.loss(subject.config, subject.model, subject.batch, None)  # type: ignore[union-attr]
    asked = ask(subject, "all")
    assert float(asked.loss.detach()) == pytest.approx(float(total.total.detach()) / total.count)
    wanted = torch.autograd.grad(total.total / total.count, list(subject.model.parameters()))
    ours = torch.autograd.grad(asked.loss, list(subject.model.parameters()))
    for a, b in zip(ours, wanted, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_last_step_loss_is_the_cross_entropy_of_the_last_target() -> None:
    subject = views.subject_of_recipe(load_recipe("hello"))
    scores = subject.model(subject.batch).scores
    wanted = nn.functional.cross_entropy(scores[-1], subject.batch.targets[-1])  # type: ignore[index]
    assert float(ask(subject, "last").loss.detach()) == pytest.approx(float(wanted.detach()))


# memory


@pytest.mark.parametrize("lengths", [None, [5, 3]])
@pytest.mark.parametrize(("layers", "both"), FORMS)
@pytest.mark.parametrize("cell", CELLS)
def test_memory_equals_the_jacobian_of_torchs_module(
    cell: str, layers: int, both: bool, lengths: list[int] | None, make: Make
) -> None:
    T, B = 5, 2
    subject = make(cell, layers=layers, both=both, T=T, B=B, lengths=lengths)
    core: Any = subject.model.rnn
    for direction in range(1 + both):
        by_lag: list[list[float]] = [[] for _ in range(T)]
        for b in range(B):
            n = T if lengths is None else lengths[b]
            x = subject.batch.inputs[:n, b : b + 1]
            row = (layers - 1) * (1 + both) + direction
            full: Any = torch.autograd.functional.jacobian(lambda x, row=row: _run(core, x)[1][row, 0], x)
            for t in range(n):
                by_lag[t if direction else n - 1 - t].append(float(full[:, t].norm()))
        found = memory.jacobian_curve(subject.trace().cores[0], layers - 1, direction)
        assert found.norms == pytest.approx([sum(v) / len(v) for v in by_lag], rel=1e-9)
        assert found.errors is None


@pytest.mark.parametrize("lengths", [None, [9, 3, 6]])
@pytest.mark.parametrize("cell", CELLS)
def test_memory_of_the_last_steps_alone_is_that_of_all(cell: str, lengths: list[int] | None, make: Make) -> None:
    core = make(cell, layers=2, T=9, B=3, lengths=lengths).trace().cores[0]
    whole, some = memory.jacobian_curve(core, 1, 0), memory.jacobian_curve(core, 1, 0, 4)
    assert some.norms == pytest.approx(whole.norms[:4], rel=1e-12)
    assert some.first == pytest.approx(whole.first[:4], rel=1e-12)
    assert memory.jacobian_curve(core, 1, 0, 99).norms == whole.norms


def test_memory_of_some_lags_says_so(make: Make) -> None:
    page = views.page("memory", make("rnn", T=12), Options(lags=3))
    said = [record.text for record in page.records if isinstance(record, Message)]
    assert any(("lag" in text and "computed" in text) or "Among the lags up to 2" in text for text in said)
    table = next(record for record in page.records if isinstance(record, Table))
    assert len(table.rows) == 3


def test_memory_of_the_last_steps_alone_is_refused_where_all_count(make: Make) -> None:
    with pytest.raises(UsageError, match="one direction"):
        memory.jacobian_curve(make("gru", both=True).trace().cores[0], 0, 0, 2)


def test_memory_says_before_what_it_takes(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reading a pass, the first with a sentence; a short sequence says nothing."""
    core = make("gru", T=6, B=2).trace().cores[0]
    told: list[Reading | None] = []
    with listening(told.append):
        memory.jacobian_curve(core, 0, 0)
    assert told == [None]
    monkeypatch.setattr(memory, "LONG", 1)
    monkeypatch.setattr(memory, "CHUNK", 1)
    with listening(told.append):
        memory.jacobian_curve(core, 0, 0)
    readings = [reading for reading in told if reading is not None]
    assert [reading.done for reading in readings] == [i * readings[0].total // 4 for i in range(4)]
    assert [bool(reading.said) for reading in readings] == [True, False, False, False]
    assert "4 forward and backward passes" in readings[0].said
    assert "--lags" in readings[0].said


def test_memory_of_a_long_curve_looks_at_each_lag_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def looked(value: float) -> bool:
        nonlocal looks
        looks += 1
        return value - value == 0

    monkeypatch.setattr("rnncli.views.memory.math.isfinite", looked)
    curve = memory.Curve([1 / (k + 1) for k in range(300)], None, [])
    assert [curve.memory for _ in range(300)] == [99] * 300
    assert looks <= 3 * 300


def test_memory_by_probes_is_within_its_error(make: Make) -> None:
    subject = make("gru", H=80, T=6, B=1)
    core: Any = subject.model.rnn
    full: Any = torch.autograd.functional.jacobian(lambda x: _run(core, x)[1][0, 0], subject.batch.inputs)
    exact = [float(full[:, t].norm()) for t in range(5, -1, -1)]
    found = memory.jacobian_curve(subject.trace().cores[0], 0, 0)
    assert found.errors is not None
    for estimate, error, true in zip(found.norms, found.errors, exact, strict=True):
        assert 0 < error < 0.2 * true
        assert abs(estimate - true) < 4 * error


def test_memory_of_a_linear_network_is_a_power(make: Make) -> None:
    subject = make("rnn", nonlinearity="none", T=20)
    core: Any = subject.model.rnn
    with torch.no_grad():
        core.weight_hh_l0.copy_(0.5 * torch.eye(4))
    found = memory.jacobian_curve(subject.trace().cores[0], 0, 0)
    norm = float(core.weight_ih_l0.detach().norm())
    assert found.norms == pytest.approx([norm * 0.5**k for k in range(20)])
    assert found.memory == 6  # 0.5^6 = 1.6%, 0.5^7 = 0.8%


def test_memory_of_a_core_in_a_loop_goes_through_the_graph() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(2, 3).double()

        def forward(self, x: Tensor) -> Tensor:
            h = x.new_zeros(x.shape[1], 3)
            for step in x:
                h = self.cell(step, h)
            return h

    torch.manual_seed(0)
    x = torch.randn(4, 1, 2).double()
    model = Loop()
    subject = subject_of_model(model, x)
    full: Any = torch.autograd.functional.jacobian(lambda x: model(x)[0], x)
    (table,) = _tables(memory.compute(subject))
    assert _column(table, "norm") == pytest.approx([float(full[:, t].norm()) for t in range(3, -1, -1)])


def test_memory_of_no_memory_is_nothing(make: Make) -> None:
    found = memory.jacobian_curve(make("feedforward").trace().cores[0], 0, 0)
    assert found.norms[0] > 0
    assert found.norms[1:] == [0] * 5
    assert found.memory == 0


# padding, influence, states, engines


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_padding_equals_torchs_own_packing(cell: str, both: bool, make: Make) -> None:
    subject = make(cell, both=both, lengths=[6, 3])
    core: Any = subject.model.rnn
    (table,) = _tables(padding_view.compute(subject))
    x = subject.batch.inputs.clone()
    x[3:, 1] = 0
    alone, padded = core(x[:3, 1:2])[0], core(x)[0]
    row = dict(zip([column.name for column in table.columns], as_read(table.rows)[1], strict=True))
    assert (row["row"], row["steps"], row["padding"]) == (1, 3, 3)
    assert row["packed_output"] == pytest.approx(0, abs=1e-12)
    apart = float((padded[:3, 1] - alone[:, 0]).abs().max().detach())
    assert row["padded_output"] == pytest.approx(apart, abs=1e-12)
    names = ["h_n", "c_n"] if cell == "lstm" else ["h_n"]
    assert [name for name in row if name.startswith("padded_")] == ["padded_output", *(f"padded_{n}" for n in names)]
    for name, all_rows, one in zip(names, _states(core, x), _states(core, x[:3, 1:2]), strict=True):
        assert row[f"padded_{name}"] == pytest.approx(float((all_rows[:, 1] - one[:, 0]).abs().max().detach()))
        assert row[f"padded_{name}"] > 1e-3


class Swapped(nn.Module):
    """The mistake of yunjey's tutorial: (B, T, I) data in a module that reads (T, B, I)."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=batch_first)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.rnn(x.transpose(0, 1))[0].transpose(0, 1)
        return output


def test_influence_finds_swapped_axes_that_shapes_do_not_show() -> None:
    """Both are right in what they read; x (T, B, I) in the one that reads (B, T, I) is the mistake, which it says."""
    x = torch.randn(5, 4, 3)
    right = influence_view.compute(subject_of_model(Swapped(True), x))
    wrong = influence_view.compute(subject_of_model(Swapped(False), x))
    assert all(check.ok for record in (*right, *wrong) if isinstance(record, Checks) for check in record.checks)
    mistake = "If x is (T, B, .), the axes are wrong: a change of row b=1 at t=2 also changes b=2."
    said = [[mistake in str(record) for record in records] for records in (right, wrong)]
    assert [any(found) for found in said] == [False, True]


@pytest.mark.parametrize("both", [False, True])
def test_influence_by_brute_force(both: bool, make: Make) -> None:
    subject = make("gru", both=both, T=5, B=3)
    core: Any = subject.model.rnn
    heat = next(record for record in influence_view.compute(subject) if isinstance(record, HeatMap))
    x = subject.batch.inputs.clone()
    before = core(x)[0]
    x[2, 1] += 1  # the row and step that the view says it changed
    after = core(x)[0]
    wanted = (after - before).abs().amax(2).T.tolist()
    for ours, theirs in zip(heat.values, wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("proj", [0, 2])
def test_states_are_rows_of_torchs_h_n(proj: int, make: Make) -> None:
    subject = make("lstm", layers=2, both=True, proj_size=proj)
    with torch.no_grad():
        _, h_n = _run(subject.model.rnn, subject.batch.inputs)  # type: ignore[arg-type]
    (table,) = _tables(states.compute(subject))
    for ours, theirs in zip(_column(table, "h_n"), h_n[:, 0].tolist(), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-12)


def test_states_say_that_output_is_not_the_joined_last_states(make: Make) -> None:
    checks = {check.name: check for check in views.page("states", make("gru", both=True)).checks()}
    assert checks["rnn-not-cat"].ok
    assert (checks["rnn-not-cat"].diff or 0) > 0.01
    assert checks["rnn-backward"].diff == 0


def test_engines_show_a_broken_engine(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    real = recurrent.run_by

    def broken(engine: str, core: Any, x: Tensor, *rest: Any) -> Any:
        output, last = real(engine, core, x, *rest)
        return (output + 1e-4, last) if engine == "torch" else (output, last)

    monkeypatch.setattr(engines_view, "run_by", broken)
    checks = {check.name: check.ok for check in views.page("engines", make("lstm")).checks()}
    assert checks["rnn-torch"] is False
    assert checks["rnn-loop"] is True


# shapes, params


@pytest.mark.parametrize("proj", [0, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("layers", "both"), FORMS)
def test_formula_counts_torchs_parameters(layers: int, both: bool, bias: bool, proj: int) -> None:
    spec = CoreSpec("lstm", "tanh", 3, 5, layers, both, proj, bias)
    module = nn.LSTM(3, 5, layers, bias=bias, bidirectional=both, proj_size=proj)
    assert eval(formula(spec).replace("·", "*")) == sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("cell", CELLS)
def test_shapes_are_those_of_the_tensors_and_columns_add_up(cell: str, make: Make) -> None:
    subject = make(cell, layers=2, both=True, T=6, B=5)
    found = shapes.stages(subject.model, subject.batch)
    gives = {what: size for stage in found for what, size, _ in stage.gives}
    assert gives["output"] == "(T=6, B=5, D·H=8)"
    assert gives["h_n"] == "(L·D=4, B=5, H=4)"
    assert ("c_n" in gives) == (cell == "lstm")
    table = shapes.table(found)
    assert table.total is not None
    for k in range(3, 7):
        assert table.total[k] == sum(row[k] or 0 for row in as_read(table.rows))
    assert table.total[3] == sum(p.numel() for p in subject.model.parameters())


def test_shapes_of_packed_rows(make: Make) -> None:
    found = shapes.stages((subject := make("gru", lengths=[6, 2])).model, subject.batch)
    gives = {what: size for stage in found for what, size, _ in stage.gives}
    assert gives["packed x"] == "(steps=8, I=3)"
    assert gives["batch_sizes"] == "(T=6)"
    core = next(stage for stage in found if stage.name == "rnn")
    assert core.flops == 2 * 8 * (12 * 3 + 12 * 4)  # the padding is not computed


@pytest.mark.parametrize("recipe", ["hello", "language-model", "hello-embedding"])
def test_shapes_on_the_meta_device_are_the_same(recipe: str) -> None:
    subject = views.subject_of_recipe(load_recipe(recipe))
    real = shapes.stages(subject.model, subject.batch)
    with torch.device("meta"):
        ghost = subject.task.build(subject.config, subject.fitted)  # type: ignore[union-attr]
    found = shapes.stages(ghost, subject.batch.to("meta"))
    assert [(s.name, s.parameters, s.flops, s.gives) for s in found] == [
        (s.name, s.parameters, s.flops, s.gives) for s in real
    ]


def test_flops_of_products() -> None:
    x, w = torch.zeros(2, 3, 4), torch.zeros(5, 4)
    conv = torch.zeros(1, 6, 9)
    with shapes.Products() as counter:
        nn.functional.linear(x, w)
        counted = [counter.flops]
        x @ w.T
        counted.append(counter.flops)
        torch.bmm(x, x.transpose(1, 2))
        counted.append(counter.flops)
        nn.functional.conv1d(conv, torch.zeros(7, 6, 3))
        counted.append(counter.flops)
        torch.einsum("btf,of->bto", x, w)
        counted.append(counter.flops)
    parts = [2 * 6 * 4 * 5, 2 * 6 * 4 * 5, 2 * 2 * 3 * 3 * 4, 2 * 7 * 7 * 6 * 3, 2 * 6 * 4 * 5]
    assert counted == [sum(parts[: k + 1]) for k in range(5)]


def test_params_figures_and_recurrence(make: Make) -> None:
    subject = make("lstm", H=6)
    core: Any = subject.model.rnn
    before = {k: v.clone() for k, v in core.state_dict().items()}
    tables = _tables(params.compute(subject))
    assert all(torch.equal(v, before[k]) for k, v in core.state_dict().items())  # left as it was
    forget = before["weight_hh_l0"][6:12]
    row = next(row for row in tables[0].rows if row[0] == "weight_hh" and row[2] == "f")
    std = float(((forget - forget.mean()) ** 2).mean().sqrt())
    assert row[3:8] == pytest.approx(
        [float(forget.mean()), std, float(forget.norm()), float(forget.min()), float(forget.max())]
    )
    assert sum(as_read(row[8])) == 36  # every number is in one bar
    radius, norm = next(row[2:] for row in tables[1].rows if row[1] == "f")
    power = torch.linalg.matrix_power(forget, 200)
    assert radius == pytest.approx(float(power.norm()) ** (1 / 200), rel=0.05)
    assert norm == pytest.approx(float(torch.linalg.svdvals(forget)[0]))


def test_params_of_a_projection_use_the_way_through_it(make: Make) -> None:
    subject = make("lstm", H=6, proj_size=2)
    core: Any = subject.model.rnn
    tables = _tables(params.compute(subject))
    product = (core.weight_hr_l0 @ core.weight_hh_l0[:6]).detach()
    assert next(iter(tables[1].rows))[2] == pytest.approx(float(torch.linalg.eigvals(product).abs().max()))


# steps, neurons, saturation, embeddings, attention


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_steps_are_those_of_torchs_cell(cell: str, make: Make) -> None:
    subject = make(cell)
    core: Any = subject.model.rnn
    one = {"gru": nn.GRUCell, "lstm": nn.LSTMCell}[cell](3, 4).double()
    one.load_state_dict({k.removesuffix("_l0"): v for k, v in core.state_dict().items()})
    (table,) = _tables(steps_view.compute(subject))
    state: Any = None
    for t, x in enumerate(subject.batch.inputs):
        state = one(x, state)
        h = state[0] if cell == "lstm" else state
        assert _column(table, "h")[t] == pytest.approx(h[0].tolist(), abs=1e-12)
    if cell == "lstm":
        o, c = torch.tensor(_column(table, "gate.o")), torch.tensor(_column(table, "c"))
        assert torch.allclose(o * c.tanh(), torch.tensor(_column(table, "h")))


def test_steps_and_units_choose(make: Make) -> None:
    (table,) = _tables(steps_view.compute(make(), Options(steps=slice(1, 3), units=(2, 0))))
    assert _column(table, "t") == [1, 2]
    (whole,) = _tables(steps_view.compute(make()))
    assert _column(table, "h") == [[h[2], h[0]] for h in _column(whole, "h")[1:3]]
    with pytest.raises(UsageError, match="--units 9 is out of range"):
        steps_view.compute(make(), Options(units=(9,)))
    with pytest.raises(UsageError, match="no step of 0 to 5"):
        steps_view.compute(make(), Options(steps=slice(9, 12)))


def test_both_forms_of_the_gru(make: Make) -> None:
    """The paper's form by hand: n = tanh(W_in x + b_in + W_hn (r * h) + b_hn)."""
    subject = make("gru", B=1)
    core: Any = subject.model.rnn
    table = _tables(steps_view.compute(subject, Options(variant="both")))[0]
    w_ih, w_hh, b_ih, b_hh = (p.detach() for p in core.parameters())
    h = torch.zeros(4, dtype=torch.double)
    for t, x in enumerate(subject.batch.inputs[:, 0]):
        a, b = w_ih @ x + b_ih, w_hh @ h + b_hh
        r, z = torch.sigmoid(a[:4] + b[:4]), torch.sigmoid(a[4:8] + b[4:8])
        n = torch.tanh(a[8:] + w_hh[8:] @ (r * h) + b_hh[8:])
        h = (1 - z) * n + z * h
        assert _column(table, "paper")[t] == pytest.approx(h.tolist(), abs=1e-12)
    assert max(_column(table, "diff")) > 1e-3
    with pytest.raises(UsageError, match="variant is only for gru, not"):
        steps_view.compute(make("lstm"), Options(variant="both"))


def test_neurons_are_h(make: Make) -> None:
    subject = make()
    texts = [record for record in neurons.compute(subject, Options(units=(3,))) if isinstance(record, ColouredText)]
    assert texts[0].values == trace(subject.model, subject.batch)["l0.fwd.h"][:, 0, 3].tolist()


def test_saturation_finds_dead_double_and_shut(make: Make) -> None:
    subject = make("lstm", H=5, T=8, B=3)
    core: Any = subject.model.rnn
    with torch.no_grad():
        for name in ("weight_ih_l0", "weight_hh_l0"):
            getattr(core, name).view(4, 5, -1)[:, 1] = 0  # unit 1 reads nothing
            getattr(core, name).view(4, 5, -1)[:, 4] = getattr(core, name).view(4, 5, -1)[:, 2]
        for name in ("bias_ih_l0", "bias_hh_l0"):
            getattr(core, name).view(4, 5)[:, 1] = 0
            getattr(core, name).view(4, 5)[:, 4] = getattr(core, name).view(4, 5)[:, 2]
            getattr(core, name).view(4, 5)[1] = 5  # every forget gate is open
    table, units = _tables(saturation.compute(subject))
    rows = {row[0]: row for row in as_read(table.rows)}
    assert rows["f"][3] > 0.9
    assert rows["i"][4] == 1  # unit 1's input gate never moves
    assert rows["h"][4] == 1  # g = 0, so its h stays 0
    assert rows["h"][5] == 1
    assert [row[-1] for row in units.rows] == ["", "dead", "", "", "= unit 2"]


def test_saturation_says_nan(make: Make) -> None:
    subject = make()
    with torch.no_grad():
        some(subject.model).get_parameter("rnn.weight_ih_l0")[0, 0] = float("nan")
    found = views.page("saturation", subject)
    assert not next(check for check in found.checks() if check.name.endswith("finite")).ok


def test_embeddings_neighbours_by_brute_force() -> None:
    subject = views.subject_of_recipe(load_recipe("language-model"))
    table = next(iter(_tables(embeddings.compute(subject, Options(units=(5,))))))
    weight = subject.model.front.weight.detach().double()  # type: ignore[union-attr,operator]
    cosines = [float(nn.functional.cosine_similarity(weight[5], row, dim=0)) for row in weight]
    best = sorted((c, k) for k, c in enumerate(cosines) if k != 5)[::-1][:3]
    row = next(iter(table.rows))
    tokens = subject.names.inputs or []
    assert list(row[2::2]) == [tokens[k] for _, k in best]
    assert list(row[3::2]) == pytest.approx([c for c, _ in best])


def test_plane_keeps_the_most_of_the_distances() -> None:
    torch.manual_seed(0)
    flat = torch.randn(30, 2).double() @ torch.randn(2, 8).double()  # a plane in eight dimensions
    places, share = embeddings.plane(flat)
    assert share == pytest.approx(1)
    assert torch.allclose(torch.cdist(places, places), torch.cdist(flat, flat), atol=1e-6)


class Attending(nn.Module):
    """A model that attends with given weights."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.rnn = nn.RNN(2, 2)
        self.weights = weights

    def forward(self, batch: Batch) -> Outputs:
        output, h = self.rnn(batch.inputs)
        return Outputs(output, (h,), None, self.weights)


def test_attention_is_shown_as_it_is_and_must_add_up() -> None:
    torch.manual_seed(0)
    weights = torch.rand(3, 1, 4).softmax(2)  # (S, B, T)
    subject = Subject("a", "b", Attending(weights), Batch(torch.randn(4, 1, 2)))
    found = views.page("attention", subject)
    heat = next(record for record in found.records if isinstance(record, HeatMap))
    assert heat.values == weights[:, 0].double().tolist()
    assert found.ok()
    wrong = Subject("a", "b", Attending(weights * 1.1), Batch(torch.randn(4, 1, 2)))
    assert not attention_view.compute(wrong)[-1].checks[0].ok  # type: ignore[union-attr]


def test_curves_share_a_chart_side_by_side(make: Make) -> None:
    first, second = views.page("memory", make("rnn", T=9)), views.page("memory", make("lstm", T=12))
    both = views.side_by_side(first, second, ("rnn", "lstm"))
    (chart,) = [record for record in both.records if isinstance(record, Series)]
    assert [label.partition(":")[0] for label in chart.lines] == ["rnn", "lstm"]
    assert len(chart.x) == 12
    short = next(iter(chart.lines.values()))
    assert all(math.isnan(value) for value in short[9:])


def test_gradients_through_a_decoder_are_the_true_ones() -> None:
    """A decoder of cells fed by attention: dL/dh of the encoder, through everything, by finite differences."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.GRU(2, 3)
            self.decoder = nn.GRUCell(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            output, h = self.encoder(x)
            h, out = h[-1], []
            for _ in range(3):
                weights = (output * h).sum(2, keepdim=True).softmax(0)
                h = self.decoder((weights * output).sum(0), h)
                out.append(h)
            return torch.stack(out)

    torch.manual_seed(0)
    model, x = Model().double(), torch.randn(4, 1, 2).double()
    made = trace(model, x, gradients=True)
    found = made.gradient(made.result.sum(), "encoder.x")
    eps, wanted = 1e-6, torch.zeros_like(x)
    for index in range(x.numel()):
        up, down = x.clone(), x.clone()
        up.view(-1)[index] += eps
        down.view(-1)[index] -= eps
        with torch.no_grad():
            wanted.view(-1)[index] = (model(up).sum() - model(down).sum()) / (2 * eps)
    assert torch.allclose(found, wanted, atol=1e-8)


def test_a_padded_row_is_asked_at_its_own_last_step() -> None:
    """Rows of 1 to 20 steps, whose padding has targets too."""
    subject = views.subject_of_recipe(load_recipe("parity", ["model.cell=gru"]))
    lengths, targets = some(subject.batch.lengths), some(subject.batch.targets)
    scores = subject.outputs.scores
    last = [(int(n) - 1, b) for b, n in enumerate(lengths)]
    wanted = sum(nn.functional.cross_entropy(scores[t, b], targets[t, b]) for t, b in last)
    assert float(ask(subject, "last").loss.detach()) == pytest.approx(float(wanted), rel=1e-5)
    page = views.page("gradients", subject)
    messages = " ".join(one.text for one in page.records if isinstance(one, Message))
    assert f"(sum over {len(last)} examples)" in messages
    assert "direct only is 0" not in messages
