"""How layouts are found: by few and short runs, without the module's hooks, that leave the module as it is."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import rnncli
from rnncli.errors import UsageError
from rnncli.views import page, subject_of_model
from rnncli.views._layout import Layout


def _shapes(model: nn.Module, x: Tensor) -> list[str]:
    rows: Any = rnncli.inspect(model, "shapes", inputs=x).tables["stages"].rows
    return [row[2] for row in rows]


class Held(nn.Module):
    """Holds what cannot be copied, a counter, a buffer and its last state. last: read only the last steps."""

    total: Tensor

    def __init__(self, last: int = 0, lock: bool = False, **core: Any) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, **core)
        self.fixed = last
        self.lock = threading.Lock() if lock else None
        self.calls = 0
        self.seen: list[int] = []
        self.h: Tensor | None = None
        self.register_buffer("total", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        output, self.h = self.rnn(x[-self.fixed :], self.h)
        self.calls += 1
        self.total += 1
        if self.lock is None:
            self.seen.append(self.calls)
        return output  # type: ignore[no-any-return]


@pytest.mark.parametrize("lock", [False, True])
def test_finding_layouts_leaves_a_module_as_it_is_even_if_it_cannot_be_copied(lock: bool) -> None:
    model = Held(lock=lock, batch_first=True)
    assert subject_of_model(model, torch.randn(4, 9, 3)).layout == Layout(1, 0)
    assert (model.calls, model.seen, model.h, float(model.total)) == (0, [], None, 0)
    assert model.training


def test_a_weight_that_a_module_computes_at_every_call() -> None:
    model = weight_norm(nn.GRU(3, 4, batch_first=True), "weight_hh_l0")
    assert subject_of_model(model, torch.randn(4, 9, 3)).layout == Layout(1, 0)


def test_hooks_do_not_see_the_runs_that_find_layouts() -> None:
    model, seen = nn.GRU(3, 4), list[object]()
    model.register_forward_hook(lambda module, x, result: seen.append(module))
    subject = subject_of_model(model, torch.randn(9, 4, 3))
    assert (subject.layout, seen) == (Layout(0, 1), [])
    model(torch.randn(9, 4, 3))
    assert seen == [model]


def test_a_module_that_needs_its_hook_is_run_with_it() -> None:
    model = nn.Sequential(nn.GRU(3, 4), nn.Linear(4, 2))
    model[0].register_forward_hook(lambda module, x, result: result[0])
    subject = subject_of_model(model, torch.randn(9, 4, 3))
    assert (subject.layout, subject.outputs.scores.shape) == (Layout(0, 1), (9, 4, 2))


class Sized(nn.Module):
    """Remembers the sizes that it was run with."""

    sizes: list[tuple[int, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        Sized.sizes.append(tuple(x.shape))
        return self.rnn(x)[0]  # type: ignore[no-any-return]


def test_layouts_take_three_short_runs_and_params_none() -> None:
    Sized.sizes = []
    subject = subject_of_model(Sized(), torch.randn(300, 16, 3))
    page("params", subject)
    assert Sized.sizes == []
    assert subject.layout == Layout(0, 1)
    assert Sized.sizes == [(3, 2, 3), (6, 2, 3), (3, 4, 3)]
    assert subject.batch.inputs.shape == (300, 16, 3)
    assert len(Sized.sizes) == 3


class Cells(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        h, found = x.new_zeros(len(x), 4), []
        for step in x.unbind(1):
            h = self.cell(step, h)
            found.append(h)
        return torch.stack(found, 1)


class Packed(nn.Module):
    """Packed rows, of which all but the last are whole."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        lengths = torch.tensor([x.shape[1]] * (len(x) - 1) + [1])
        packed = pack_padded_sequence(x, lengths, batch_first=True)
        return pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0]


class Convolved(nn.Module):
    """Cannot be cut to three steps."""

    def __init__(self) -> None:
        super().__init__()
        self.front, self.rnn = nn.Conv1d(3, 3, 7), nn.GRU(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(self.front(x.transpose(1, 2)).transpose(1, 2))[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", [Cells, Packed, Convolved])
def test_short_runs_find_the_layout_of(kind: Any) -> None:
    assert subject_of_model(kind(), torch.randn(4, 9, 3)).layout == Layout(1, 0)


@pytest.mark.parametrize(("batch_first", "axes"), [(False, "T=9, B=4"), (True, "B=9, T=4")])
def test_shapes_of_a_module_on_the_meta_device(batch_first: bool, axes: str) -> None:
    with torch.device("meta"):
        model, x = nn.LSTM(3, 5, batch_first=batch_first), torch.empty(9, 4, 3)
    assert _shapes(model, x)[:2] == [f"({axes}, I=3)", f"({axes}, H=5)"]


@pytest.mark.parametrize("last", [1, 2, 4])
def test_a_module_that_reads_a_fixed_number_of_steps_keeps_its_time_axis(last: int) -> None:
    subject = subject_of_model(Held(last), torch.randn(9, 4, 3))
    assert subject.layout == Layout(0, 1)
    assert subject.outputs.scores.shape == (last, 4, 4)
    assert _shapes(Held(last), torch.randn(9, 4, 3))[0] == "(T=9, B=4, I=3)"


def test_an_input_of_another_size_is_named_by_the_first_view_that_runs_the_module() -> None:
    with pytest.raises(UsageError, match=r"reads I=3 numbers at every step") as raised:
        rnncli.inspect(nn.GRU(3, 4), "shapes", inputs=torch.randn(9, 4, 5))
    assert raised.value.todo == "expected (T, B, I), or (B, T, I) with batch_first=True, or (T, I) without a batch axis"
