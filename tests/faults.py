"""Faults to plant: what a replay that is wrong would look like. Each is one mistake in the recording loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnncli.cells import CELLS, Gates, State, Weights, weights_of

SMALL = 0.01  # one bias is off by so much


def _gates_swapped(monkeypatch: pytest.MonkeyPatch, model: nn.Module) -> None:
    """The first two blocks of rows of both weight matrices are taken for each other: i for f, r for z."""
    for name, cell in CELLS.items():
        if not cell.gates:
            continue

        def step(x: Tensor, state: State, w: Weights, own: Any = cell, G: int = len(cell.gates)) -> tuple[State, Gates]:
            def swapped(tensor: Tensor) -> Tensor:
                first, second, *rest = tensor.chunk(G)
                return torch.cat([second, first, *rest])

            w = w.replaced(**{key: swapped(tensor) for key, tensor in w.items() if key != "weight_hr"})
            return own.step(x, state, w)  # type: ignore[no-any-return]

        monkeypatch.setitem(CELLS.loaded, name, replace(cell, step=step))


def _one_bias(monkeypatch: pytest.MonkeyPatch, model: nn.Module) -> None:
    """One entry of one bias is off."""

    def wrong(module: nn.Module, layer: int = 0, direction: int = 0) -> Weights:
        w = weights_of(module, layer, direction)
        name = "bias_ih" if w.bias_ih is not None else "weight_ih"
        off = torch.zeros_like(w[name])
        off.view(-1)[-1] = SMALL
        return w.replaced(**{name: w[name] + off})

    monkeypatch.setattr("rnncli.replay.loop.weights_of", wrong)


def _stale_weight(monkeypatch: pytest.MonkeyPatch, model: nn.Module) -> None:
    """The loop goes on with the weights as they were before one more update."""
    kept: dict[tuple[int, str], Tensor] = {}
    for core in model.modules():
        for name, tensor in core.named_parameters(recurse=False):
            kept[id(core), name] = tensor.detach().clone()

    def stale(module: nn.Module, layer: int = 0, direction: int = 0) -> Weights:
        w = weights_of(module, layer, direction)
        own = {name: id(tensor) for name, tensor in w.items()}
        old = {}
        for key, tensor in module.named_parameters(recurse=False):
            for name, number in own.items():
                if number == id(tensor) and (id(module), key) in kept:
                    old[name] = kept[id(module), key]
        return w.replaced(**old)

    with torch.no_grad():
        for core in model.modules():
            for name, tensor in core.named_parameters(recurse=False):
                if name.startswith("weight_ih"):
                    tensor.add_(SMALL * torch.sign(tensor))
    monkeypatch.setattr("rnncli.replay.loop.weights_of", stale)


def _not_held(monkeypatch: pytest.MonkeyPatch, model: nn.Module) -> None:
    """After a row's end the state goes on: the last state has read the padding."""
    monkeypatch.setattr("rnncli.replay.loop.length_mask", lambda lengths, T, like: None)


PLANT: dict[str, Callable[[pytest.MonkeyPatch, nn.Module], None]] = {
    "gates swapped": _gates_swapped,
    "one wrong bias": _one_bias,
    "a stale weight": _stale_weight,
    "state not held after the end": _not_held,
}


@contextmanager
def planted(name: str, model: nn.Module) -> Iterator[None]:
    """The recording loop with that fault; the model's weights and the loop are put back afterwards."""
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.MonkeyPatch.context() as monkeypatch:
        PLANT[name](monkeypatch, model)
        yield
    model.load_state_dict(before)
