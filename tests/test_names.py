"""Every name and argument we list, held against the installed torch."""

from __future__ import annotations

import inspect

import pytest
import torch

from rnncli import names
from rnncli.cells import CELLS

ELSEWHERE = {"self", "params", "lr", "weight_decay"}  # keys of their own in a recipe
IMPLEMENTATION = {"foreach", "fused", "maximize", "capturable", "differentiable"}  # not the arithmetic of training
PLAIN = {"LBFGS", "SparseAdam", "Muon", "Optimizer"}  # left out, for the reasons names.py gives


def test_no_optimizer_of_torch_is_forgotten() -> None:
    here = {name for name, kind in vars(torch.optim).items() if inspect.isclass(kind) and name[0].isupper()}
    assert {kind for kind, _ in names.OPTIMIZERS.values()} == here - PLAIN


@pytest.mark.parametrize("name", names.OPTIMIZERS)
def test_optimizer_arguments(name: str) -> None:
    kind, types = names.OPTIMIZERS[name]
    theirs = inspect.signature(getattr(torch.optim, kind).__init__).parameters
    assert set(types) == set(theirs) - ELSEWHERE - IMPLEMENTATION
    assert (name in names.NO_WEIGHT_DECAY) == ("weight_decay" not in theirs)
    kinds: dict[type, type | tuple[type, ...]] = {float: (int, float), list: tuple, bool: bool, int: int}
    for argument, expected in types.items():
        default = theirs[argument].default
        assert isinstance(default, kinds[expected]), argument


@pytest.mark.parametrize("name", names.SCHEDULES)
def test_schedule_arguments(name: str) -> None:
    kind, types = names.SCHEDULES[name]
    theirs = inspect.signature(getattr(torch.optim.lr_scheduler, kind).__init__).parameters
    assert set(types) <= set(theirs)
    required = {key for key, value in theirs.items() if value.default is inspect.Parameter.empty}
    follows_from_the_run = {"cosine": {"T_max"}, "one-cycle": {"max_lr"}}.get(name, set())
    assert set(names.SCHEDULE_NEEDS.get(name, ())) == required - {"self", "optimizer"} - follows_from_the_run


def test_gates_are_torch_s() -> None:
    assert names.torch_cells() == ["gru", "lstm", "rnn"]
    for cell, module in (("rnn", torch.nn.RNN), ("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU)):
        assert names.CELLS[cell].torch_class == module.__name__
        assert module(3, 5).get_parameter("weight_ih_l0").shape[0] == CELLS[cell].num_gates * 5


def test_what_compare_takes() -> None:
    assert {"feedforward", "gru", "lstm", "rnn", "rnn-tanh", "rnn-relu"} <= set(names.compared_cells())
    assert {cell for cell, _, _ in names.compared_cells().values()} == set(names.CELLS)


def test_dtypes_are_torch_s() -> None:
    assert all(isinstance(getattr(torch, name), torch.dtype) for name in names.DTYPES)


def test_nearest() -> None:
    assert names.nearest("Hiden_Size", ["hidden_size", "num_layers"]) == "hidden_size"
    assert names.nearest("zzz", ["hidden_size"]) == ""
