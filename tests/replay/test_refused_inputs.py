"""What a trace refuses: inputs and initial states that its cores cannot read, invalid patches, unknown cores."""

from __future__ import annotations

import reprlib
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

import rnncli
from rnncli.errors import UsageError
from rnncli.replay import trace


@pytest.mark.parametrize(
    ("module", "x", "what"),
    [
        (nn.LSTM(3, 4), torch.zeros(4, 0, 3), "the input of LSTM is empty: T=4, B=0"),
        (nn.GRU(3, 4, batch_first=True), torch.zeros(0, 4, 3), "the input of GRU is empty: T=4, B=0"),
        (nn.RNN(3, 4), torch.zeros(0, 2, 3), "the input of RNN is empty: T=0, B=2"),
        (nn.LSTMCell(3, 4), torch.zeros(0, 3), "the input of LSTMCell is empty: T=1, B=0"),
        (nn.LSTM(3, 4), torch.zeros(4, 1, 5), r"LSTM reads I=3 numbers at every step, but its input is \(4, 1, 5\)"),
        (nn.LSTM(3, 4), torch.zeros(5), r"LSTM reads I=3 numbers at every step, but its input is \(5,\)"),
        (nn.LSTM(3, 4), torch.zeros(2, 1, 1, 3), r"LSTM reads I=3 .* its input is \(2, 1, 1, 3\)"),
        (nn.GRUCell(3, 4), torch.zeros(2, 5), "GRUCell reads I=3"),
        (nn.LSTM(3, 4), pack_sequence([torch.zeros(2, 5)]), "LSTM reads I=3"),
        (nn.LSTM(3, 4), torch.zeros(4, 1, 3, dtype=torch.int64), "is torch.int64, its weights are torch.float32"),
        (nn.LSTM(3, 4), torch.zeros(4, 1, 3).double(), "is torch.float64, its weights are torch.float32"),
        (nn.Sequential(nn.Linear(2, 5), nn.LSTM(3, 4)), torch.zeros(4, 1, 2), "1 reads I=3"),
    ],
)
def test_inputs_that_a_core_cannot_read(module: nn.Module, x: Tensor, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        trace(module, x)


def test_inputs_that_a_core_can_read() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert trace(nn.LSTM(3, 4), torch.zeros(4, 1, 3).bfloat16(), check=False).cores
    assert trace(nn.LSTM(3, 4), torch.zeros(4, 3)).cores  # one row, without its axis


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (torch.zeros(1, 1, 4), r"\(1, 1, 4\), expected \(1, 1, 4\), \(1, 1, 4\)"),
        ((torch.zeros(1, 1, 5), torch.zeros(1, 1, 5)), r"\(1, 1, 5\), \(1, 1, 5\), expected"),
        ((torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)), r"\(1, 2, 4\), \(1, 2, 4\), expected"),
    ],
)
def test_initial_states_of_other_shapes(state: object, found: str) -> None:
    with pytest.raises(UsageError, match=f"the initial states of LSTM are {found}"):
        trace(nn.LSTM(3, 4), torch.zeros(4, 1, 3), state)


def test_inspect_refuses_the_same() -> None:
    module = nn.LSTM(3, 4)
    for view in ("", "memory", "steps", "influence"):
        with pytest.raises(UsageError, match="reads I=3 numbers at every step"):
            rnncli.inspect(module, view, inputs=torch.zeros(4, 1, 5))
        with pytest.raises(UsageError, match=r"the input is empty: \(4, 0, 3\)"):
            rnncli.inspect(module, view, inputs=torch.zeros(4, 0, 3))


@pytest.mark.parametrize(
    "value",
    ["x", None, 1j, {}, ["x"], [[1.0], [1.0, 2.0]], [None], np.array(["x"]), torch.tensor(1j), np.array([1j] * 4)],
)
def test_values_that_are_no_patch(value: object) -> None:
    with pytest.raises(UsageError, match="a number, a tensor, numbers in an array or a list, or a function") as error:
        rnncli.trace(nn.LSTM(3, 4), torch.zeros(4, 1, 3), patch={"c": cast(Any, value)})
    assert error.value.where == "c"
    assert error.value.what.endswith(f"not {reprlib.repr(value)}")


@pytest.mark.parametrize(
    "value",
    [[0, 1, 2, 3], (0.0, 1.0, 2.0, 3.0), [np.float32(k) for k in range(4)], [torch.tensor(float(k)) for k in range(4)],
     np.arange(4), np.arange(3.0, -1, -1)[::-1], np.broadcast_to(np.arange(4.0), (4, 1, 4)), [[0, 1, 2, 3]]],
)  # fmt: skip
def test_arrays_and_lists_of_numbers_are_values_of_a_patch(value: Any) -> None:
    made = rnncli.trace(nn.LSTM(3, 4), torch.zeros(4, 1, 3), patch={"c": value})
    assert torch.equal(made["l0.fwd.c"], torch.arange(4.0).expand(4, 1, 4))


def test_a_list_of_another_length_is_no_value_of_a_patch() -> None:
    with pytest.raises(UsageError, match=r"a tensor of shape \(3,\) does not fit"):
        rnncli.trace(nn.LSTM(3, 4), torch.zeros(4, 1, 3), patch={"c": [1, 2, 3]})


def test_other_things_that_are_no_patch() -> None:
    def given(patch: object) -> None:
        rnncli.trace(nn.LSTM(3, 4), torch.zeros(4, 1, 3), patch=cast(Any, patch))

    for patch in (["c"], "c=0"):
        with pytest.raises(UsageError, match="a patch is a dict of names and values"):
            given(patch)
    with pytest.raises(UsageError, match="no state or gate '3'"):
        given({3: 0.0})
    for function in (lambda c: None, lambda c: 0.0):
        with pytest.raises(UsageError, match="a function in a patch must keep the shape"):
            given({"c": function})


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.GRU(3, 4), nn.GRU(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.b(self.a(x)[0])[0]
        return output


def test_a_core_by_the_name_that_trace_gives_it() -> None:
    module, x = Two(), torch.randn(5, 2, 3)
    assert [core.path for core in trace(module, x).cores] == ["a", "b"]
    for view in ("steps", "params", "states"):
        short, long = (rnncli.inspect(module, view, inputs=x, core=core) for core in ("a", "model.a"))
        assert short.to_json() | {"config": {}} == long.to_json() | {"config": {}}
        assert "GRU(3, 4)" in repr(short)
        assert "GRU(4, 2)" not in repr(short)
    with pytest.raises(UsageError, match=r"no core 'odel\.a'"):
        rnncli.inspect(module, "steps", inputs=x, core="odel.a")
    with pytest.raises(UsageError, match=r"no core 'odel\.a'"):
        rnncli.inspect(module, "params", inputs=x, core="odel.a")
    with pytest.raises(UsageError, match="shapes does not support --core"):
        rnncli.inspect(module, "shapes", inputs=x, core="a")


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.rnn(x)[0]
        return output


class Nested(nn.Module):
    """Cores `rnn`, `enc.rnn`, `low.cell` and `high.cell`."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.enc = nn.GRU(3, 4), Encoder()
        self.low, self.high = nn.ModuleDict({"cell": nn.RNN(2, 5)}), nn.ModuleDict({"cell": nn.RNN(5, 6)})

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.high["cell"](self.low["cell"](self.enc(self.rnn(x)[0]))[0])[0]
        return output


@pytest.mark.parametrize(
    ("name", "core"),
    [("rnn", "GRU(3, 4)"), ("model.rnn", "GRU(3, 4)"), ("enc.rnn", "GRU(4, 2)"), ("low.cell", "RNN(2, 5")],
)
def test_a_name_of_a_core_that_others_end_in(name: str, core: str) -> None:
    module, x = Nested(), torch.randn(5, 2, 3)
    for view in ("steps", "params"):
        shown = repr(rnncli.inspect(module, view, inputs=x, core=name))
        every = ("GRU(3, 4)", "GRU(4, 2)", "RNN(2, 5", "RNN(5, 6")
        assert [one for one in every if one in shown] == [core]
    assert str(trace(module, x).core(name.removeprefix("model.")).spec).startswith(core)


def test_an_ambiguous_name_of_a_core() -> None:
    module, x = Nested(), torch.randn(5, 2, 3)
    for view in ("steps", "params"):
        with pytest.raises(UsageError, match="'cell' is ambiguous") as error:
            rnncli.inspect(module, view, inputs=x, core="cell")
        assert error.value.todo == "use one of model.low.cell, model.high.cell"
    with pytest.raises(UsageError, match=r"use one of low\.cell, high\.cell"):
        trace(module, x).core("cell")
