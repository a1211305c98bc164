"""A module's own layout: batch_first, a single sequence, or any other. Views work on (T, B, .), so a module and its
twin of another layout, with the same weights and input, have the same answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import rnncli
from rnncli.errors import UsageError
from rnncli.records import Message
from rnncli.views import Options, load_view, page, subject_of_model, subject_of_recipe, view_names
from rnncli.views._layout import Layout

T, B = 5, 2
ALL = ["", *(name for name in view_names() if not load_view(name).NEEDS)]


class Net(nn.Module):
    """A core and a linear layer. read: of x and output, what the core reads and what is returned."""

    def __init__(
        self,
        into: Callable[[Tensor], Tensor] = lambda x: x,
        out: Callable[[Tensor], Tensor] = lambda y: y,
        **core: Any,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rnn = nn.GRU(3, 4, **core)
        self.fc = nn.Linear(4, T)  # as many scores as steps, so that sizes do not tell them apart
        self.into, self.out = into, out
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.fc(self.rnn(self.into(x))[0]))


def swap(x: Tensor) -> Tensor:
    return x.transpose(0, 1)


def _x(t: int = T, b: int = B) -> Tensor:
    return torch.randn(t, b, 3, generator=torch.Generator().manual_seed(1)).double()


def _answer(view: str, model: nn.Module, x: Tensor) -> tuple[list[str], list[str]]:
    """Its answers, and the checks that fail."""
    found = rnncli.inspect(model, view, inputs=x, change="h[0]@1:=0" if view == "what-if" else ())
    said = [one.text for one in found.records if isinstance(one, Message) and one.name == "answer"]
    return said, [check.name for check in found.checks() if not check.ok]


@pytest.mark.parametrize("view", ALL)
def test_every_view_says_the_same_of_a_batch_first_module(view: str) -> None:
    said, failed = _answer(view, Net(batch_first=True), swap(_x()))
    assert failed == []
    if view != "engines":  # its rounding errors depend on memory layout
        assert said == _answer(view, Net(), _x())[0]


@pytest.mark.parametrize("view", ALL)
def test_every_view_says_the_same_of_a_sequence_without_batch(view: str) -> None:
    said, failed = _answer(view, Net(), _x(b=1)[:, 0])
    assert failed == []
    if view == "influence":
        assert said == ["There is one row, without a batch axis: a change at t=2 can change no other row."]
    elif view == "shapes":
        assert said == ["x has no batch axis, so h_0 and h_n have none either: they are (L·D=1, H=4)."]
    elif view != "engines":
        assert said == _answer(view, Net(), _x(b=1))[0]


def test_what_if_of_a_batch_first_module_equals_a_patched_trace() -> None:
    """The reproduced fault: "The prediction does not change", and two steps, which were the two rows."""
    model, x = Net(batch_first=True), swap(_x())
    with torch.no_grad():
        apart = (rnncli.trace(model, x, patch={"h[0]@1:": 0.0}).result - model(x))[0].abs().amax(1)
    table = rnncli.inspect(model, "what-if", inputs=x, change="h[0]@1:=0").tables["answers"]
    rows: Any = table.rows
    assert [row[3] for row in rows] == pytest.approx(apart.tolist(), abs=1e-12)
    assert float(apart.max()) > 0.01


LAYOUTS: dict[str, tuple[nn.Module, Tensor, Layout]] = {
    "as many rows as steps": (Net(batch_first=True), swap(_x(3, 3)), Layout(1, 0)),
    "one step of one row": (Net(batch_first=True), swap(_x(1, 1)), Layout(1, 0)),
    "swapped inside": (Net(swap, swap), swap(_x(3, 3)), Layout(1, 0)),
    "swapped inside, not back": (Net(swap), swap(_x()), Layout(1, 0)),
    "time last": (Net(lambda x: x.permute(2, 0, 1)), _x().permute(1, 2, 0), Layout(2, 0)),
    "the rows of a matrix": (Net(out=lambda y: y.reshape(-1, T)), _x(), Layout(0, 1)),
    "the rows of a matrix, batch first": (
        Net(out=lambda y: y.reshape(-1, T), batch_first=True),
        swap(_x()),
        Layout(1, 0),
    ),
    "a row made of its steps": (Net(lambda x: x.unsqueeze(1), lambda y: y.squeeze(1)), _x(b=1)[:, 0], Layout(0, None)),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_layouts_are_found_by_running_the_module(kind: str) -> None:
    model, x, layout = LAYOUTS[kind]
    subject = subject_of_model(model, x)
    plain = layout.inside(x)
    assert subject.layout == layout
    assert torch.equal(subject.batch.inputs, plain)
    assert torch.equal(layout.outside(plain), x)
    assert torch.allclose(subject.outputs.scores, Net()(plain))


LAST = {
    "batch first": (Net(out=lambda y: y[:, -1], batch_first=True), swap(_x())),
    "time first": (Net(out=lambda y: y[-1]), _x()),
    "no batch": (Net(out=lambda y: y[-1]), _x(b=1)[:, 0]),
}


@pytest.mark.parametrize("kind", LAST)
def test_a_prediction_of_the_whole_sequence_has_no_step(kind: str) -> None:
    model, x = LAST[kind]
    with torch.no_grad():
        after: Any = rnncli.trace(model, x, patch={"h[0]@1:": 0.0}).result
        apart = (after - model(x)).view(-1, T)[0].abs().max()
    found = rnncli.inspect(model, "what-if", inputs=x, change="h[0]@1:=0")
    rows: Any = found.tables["answers"].rows
    assert [column.name for column in found.tables["answers"].columns] == ["before", "after", "apart"]
    assert [row[2] for row in rows] == [pytest.approx(float(apart))]
    assert "step" not in str(found).splitlines()[0]


class Stateful(nn.Module):
    """Continues from its last state, so a call with other rows is impossible."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4)
        self.h: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        output, h = self.rnn(x, self.h)
        self.h = h.detach()
        return output  # type: ignore[no-any-return]


class FixedRows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4)
        self.register_buffer("h_0", torch.ones(1, B, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x, self.h_0)[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", [Stateful, FixedRows])
def test_layouts_are_found_without_changing_the_module(kind: Any) -> None:
    model = kind()
    subject = subject_of_model(model, _x().float())
    assert subject.layout == Layout(0, 1)
    assert getattr(model, "h", None) is None
    assert subject.outputs.scores.shape == (T, B, 4)


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        state, found = None, []
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
            found.append(state[0])
        return torch.stack(found, 1)


def test_a_loop_over_cells_and_a_single_cell_have_layouts() -> None:
    loop = subject_of_model(Cells(), swap(_x().float()))
    assert (loop.layout, loop.outputs.scores.shape) == (Layout(1, 0), (T, B, 4))
    for name in ("shapes", "influence", "gradients", "states"):
        assert _answer(name, Cells(), swap(_x().float()))[1] == []
    cell = subject_of_model(nn.LSTMCell(3, 4), _x()[0].float())
    assert (cell.layout, cell.outputs.scores.shape) == (Layout(None, 0), (B, 4))
    assert _answer("shapes", nn.LSTMCell(3, 4), _x()[0].float())[1] == []


def test_a_core_is_labelled_in_its_own_layout() -> None:
    def shapes(model: nn.Module, x: Tensor) -> list[str]:
        rows: Any = rnncli.inspect(model, "shapes", inputs=x).tables["stages"].rows
        return [row[2] for row in rows]

    own, last = ["(B=2, T=5, I=3)", "(B=2, T=5, H=4)", "(L·D=1, B=2, H=4)"], ["(B=2, T=5, F=5)"]
    assert shapes(Net(batch_first=True), swap(_x())) == own + last
    inner = ["(T=5, B=2, I=3)", "(B=2, T=5, H=4)", "(L·D=1, B=2, H=4)"]
    assert shapes(Net(swap, swap, batch_first=True), _x())[:3] == inner
    alone = ["(T=5, I=3)", "(T=5, H=4)", "(L·D=1, H=4)", "(T=5, F=5)"]
    assert shapes(Net(), _x(b=1)[:, 0]) == alone
    lstm = nn.LSTM(3, 4, 2, bidirectional=True)
    assert shapes(lstm, _x(b=1)[:, 0].float()) == ["(T=5, I=3)", "(T=5, D·H=8)", "(L·D=4, H=4)", "(L·D=4, H=4)"]


def test_the_last_output_of_a_batch_first_module_is_named_as_its_user_writes_it() -> None:
    model, x = nn.GRU(3, 4, batch_first=True), swap(_x().float())
    output, h_n = model(x)
    assert torch.equal(h_n[0], output[:, -1])
    assert "h_n[0] = output[:, -1]" in str(rnncli.inspect(model, inputs=x))
    assert "h_n[0] = output[-1]" in str(rnncli.inspect(nn.GRU(3, 4), inputs=_x().float()))
    note = "with batch_first=True, output[-1] is output[:, -1]"
    assert note in " ".join(str(rnncli.inspect(model, "states", inputs=x)).split())
    assert note not in " ".join(str(rnncli.inspect(nn.GRU(3, 4), "states", inputs=_x().float())).split())


# a module in training mode, and its losses


@pytest.mark.parametrize("view", ALL)
def test_every_view_runs_a_module_without_its_dropout(view: str) -> None:
    model = nn.LSTM(3, 4, 3, dropout=0.5)
    model.train()
    assert rnncli.inspect(model, view, inputs=_x().float()).ok()
    assert model.training
    assert model.dropout == 0.5


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.GRU(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        packed = pack_padded_sequence(x, torch.tensor([5, 3]), enforce_sorted=False)
        return self.fc(pad_packed_sequence(self.rnn(packed)[0])[0])  # type: ignore[no-any-return]


def _gradient(model: nn.Module, x: Tensor, scores: Callable[[Tensor], Tensor]) -> list[float]:
    x = x.clone().requires_grad_()
    scores(model(x)).sum().backward()
    assert x.grad is not None
    return [float(one.norm()) for one in x.grad]


@pytest.mark.parametrize(
    ("model", "loss", "scores", "text"),
    [
        (Net().float(), None, lambda y: y[-1], "sum of the outputs at the last step"),
        (Net().float(), "all", lambda y: y, "sum of all outputs of all steps"),
        (Net(out=lambda y: y[-1]).float(), None, lambda y: y, "sum of the outputs ="),
        (Net(out=lambda y: y[-1]).float(), "all", lambda y: y, "sum of the outputs ="),
        (Packed(), None, lambda y: torch.stack([y[4, 0], y[2, 1]]), "sum of the outputs at the last step"),
        (nn.GRU(3, 4, 2), None, lambda y: y[1][-1], "sum of the top layer's last h"),
    ],
)
def test_gradients_of_a_module_that_returns_a_tensor(
    model: nn.Module, loss: str | None, scores: Callable[[Any], Tensor], text: str
) -> None:
    x = _x().float()
    found = rnncli.inspect(model, "gradients", inputs=x, loss=loss)
    table = next(iter(found.tables.values()))
    k = [column.name for column in table.columns].index("x")
    rows: Any = table.rows
    assert [row[k] for row in rows] == pytest.approx(_gradient(model, x, scores), rel=1e-4)
    assert text in str(found)


def test_a_model_without_gradient_says_what_to_return() -> None:
    model = Net(out=lambda y: y.argmax(-1))
    with pytest.raises(UsageError, match="no gradient\nreturn its scores"):
        rnncli.inspect(model, "gradients", inputs=_x())


def test_influence_names_both_readings_of_a_module_that_swaps_axes_itself() -> None:
    (said,), failed = _answer("influence", Net(swap, swap), torch.randn(5, 4, 3).double())
    assert said.startswith("If x is (T, B, .), the axes are wrong: a change of row b=1 at t=2 also changes b=2.")
    assert said.endswith("If it is (B, T, .), they are right.")
    assert failed == []  # as (B, T, .), which it reads, it is right


BROKEN: dict[str, tuple[Callable[[Tensor], Tensor], int, int]] = {
    "reads the mean of all rows": (lambda x: swap(x - x.mean(0, keepdim=True)), 4, 9),
    "reshapes instead of transposing": (lambda x: x.reshape(x.shape[1], x.shape[0], -1), 4, 9),
    "reshapes, one place in its row by chance": (lambda x: x.reshape(x.shape[1], x.shape[0], -1), 2, 4),
    "reverses the rows": (lambda x: swap(x).flip(1), 3, 4),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_influence_of_a_module_that_swaps_its_axes_and_mixes_its_rows(kind: str) -> None:
    into, rows, steps = BROKEN[kind]
    (said,), failed = _answer("influence", Net(into, swap), _x(rows, steps))
    assert said.startswith("The axes are wrong: a change of row b=")
    assert failed == ["model.rnn-rows"]


def test_influence_compares_a_core_that_reads_other_rows_than_the_batchs() -> None:
    model = Net(lambda x: x.reshape(x.shape[0] // 2, 2 * x.shape[1], 3))
    (said,), failed = _answer("influence", model, _x(6, 3))
    assert said.startswith("The axes are wrong: a change of row b=1 at t=3 also changes b=4.")
    assert failed == ["model.rnn-rows"]


def test_influence_says_which_core_of_a_task_reads_other_rows() -> None:
    subject = subject_of_recipe(rnncli.load_recipe("pos-tagging"))
    found = page("influence", subject, Options(core="characters"))
    (said,) = [one.text for one in found.records if isinstance(one, Message) and one.name == "characters.rows"]
    assert re.fullmatch(r"characters: reads \d+ rows, not the batch's 4; not compared", said)


# weights that a module computes, and token ids


def test_a_module_with_parametrized_weights_fails_no_check() -> None:
    """shapes read FAILED, since g is a parameter more than the formula has; engines ended in a KeyError."""
    model = weight_norm(nn.LSTM(3, 4, batch_first=True), "weight_hh_l0")
    for name in ("shapes", "engines", "params", "gradients"):
        assert _answer(name, model, swap(_x().float()))[1] == []
    found: Any = rnncli.inspect(model, "shapes", inputs=swap(_x().float())).tables["stages"]
    held = sum(parameter.numel() for parameter in model.parameters())
    assert [column.name for column in found.columns][3] == "parameters"
    assert found.rows[1][3] == held > 16 * 3 + 16 * 4 + 2 * 16


class OneMore(nn.GRU):
    def __init__(self) -> None:
        super().__init__(3, 4)
        self.more = nn.Parameter(torch.zeros(7))


def test_a_parameter_that_the_formula_does_not_count_fails_its_check() -> None:
    found = rnncli.inspect(OneMore(), "shapes", inputs=_x().float())
    assert [check.name for check in found.checks() if not check.ok] == ["formula"]


class Generated(nn.Module):
    """A core whose weights are plain tensors, as a hypernetwork sets them."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.GRU(3, 4), nn.Linear(4, 2)
        for name, tensor in list(self.rnn.named_parameters()):
            delattr(self.rnn, name)
            setattr(self.rnn, name, tensor.detach())

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.rnn(x)[0])  # type: ignore[no-any-return]


@pytest.mark.parametrize("view", ALL)
def test_every_view_of_a_core_without_parameters(view: str) -> None:
    assert rnncli.inspect(Generated(), view, inputs=_x().float()).ok()
    assert rnncli.inspect(Generated().rnn, view, inputs=_x().float()).ok(), "by itself"


def test_numbers_are_no_input_of_a_module_that_reads_ids() -> None:
    model = nn.Sequential(nn.Embedding(7, 3), nn.GRU(3, 4))
    with pytest.raises(UsageError, match="reads token ids, not numbers"):
        rnncli.inspect(model, "what-if", inputs=torch.tensor([[1], [2]]), change="h=other", from_input="random:2")
