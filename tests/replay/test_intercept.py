"""Steps of cells from elsewhere: a value is replaced wherever it is read; what cannot be changed soundly is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rnncli.cells import Gates, State, Weights
from rnncli.replay.intercept import CannotChange, edited_step


def shared(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """Two gates as halves of one tensor, each read through views of its own."""
    (h,) = state
    H = h.shape[1]
    both = torch.sigmoid(x + h.repeat(1, 2))
    return (both[:, :H] * h + both.T[H:].T,), {"f": both[:, :H], "i": both[:, H:]}


def in_place(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    (h,) = state
    f = x[:, : h.shape[1]] + h
    f.sigmoid_()
    return (f * h,), {"f": f}


def for_show(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    (h,) = state
    f = torch.sigmoid(x[:, : h.shape[1]])
    return (f * h + 1,), {"f": f.clone()}


def half_for_show(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    (h,) = state
    f, i = torch.sigmoid(x).chunk(2, dim=1)
    return (f * h + 1,), {"f": f, "i": i}


def other_way(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    (h,) = state
    f = torch.sigmoid(x[:, : h.shape[1]])
    g = h.tanh() if bool(f.mean() < 0.9) else h.sin()
    return (f * g,), {"f": f, "g": g}


def expanded(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    (h,) = state
    f = torch.sigmoid(x[:, :1]).expand(-1, h.shape[1])
    return (f * h + 1,), {"f": f}


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        return a * 2

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:
        return d * 2


def unseen(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    """Made as a compiled function makes it: no torch function is called from Python."""
    (h,) = state
    with torch._C.DisableTorchFunction():
        whole = x * 2
    f, i = whole[:, : h.shape[1]], whole[:, h.shape[1] :]
    return (f * h + i + whole.sum(),), {"f": f}


def own_backward(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    (h,) = state
    f: Tensor = _Doubled.apply(x[:, : h.shape[1]])  # type: ignore[no-untyped-call]
    return (f * h + 1,), {"f": f}


def run_edited(step: Any, **edits: Callable[[Tensor], Tensor]) -> tuple[State, Gates]:
    torch.manual_seed(8)
    x, h = torch.randn(2, 6), torch.randn(2, 3)
    return edited_step(step, x, (h,), Weights({}), edits, ["h"])


def test_halves_of_one_tensor_are_replaced_wherever_they_are_read() -> None:
    (h,), gates = run_edited(shared, i=torch.zeros_like)
    (plain,), before = run_edited(shared)
    assert not gates["i"].any()
    assert torch.equal(gates["f"], before["f"])
    torch.testing.assert_close(h, plain - before["i"])
    (h,), gates = run_edited(shared, f=torch.ones_like, i=lambda i: i + 1)
    torch.manual_seed(8)
    _, start = torch.randn(2, 6), torch.randn(2, 3)
    torch.testing.assert_close(h, start + before["i"] + 1)


@pytest.mark.parametrize(
    ("step", "name", "why"),
    [
        (in_place, "f", "in place"),
        (for_show, "f", "the states do not depend on it"),
        (half_for_show, "i", "the states do not depend on it"),
        (other_way, "g", "the step takes a different path when a value changes"),
        (expanded, "f", "several of its elements share memory"),
        (unseen, "f", "it is not computed by a traceable torch function"),
    ],
)
def test_what_cannot_be_done_soundly_is_refused(step: Any, name: str, why: str) -> None:
    edits = {name: torch.ones_like} if step is not other_way else {"f": torch.ones_like, "g": torch.ones_like}
    with pytest.raises(CannotChange, match=why):
        run_edited(step, **edits)


def test_a_function_with_a_backward_of_its_own_is_changed_without_a_graph_alone() -> None:
    with torch.no_grad():
        (h,), _ = run_edited(own_backward, f=torch.zeros_like)
    assert bool((h == 1).all())
    with pytest.raises(CannotChange, match="it is computed in a function with its own backward"):
        run_edited(own_backward, f=torch.zeros_like)
