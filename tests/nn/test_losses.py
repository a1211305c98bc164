"""Cross-entropy written out equals torch's: values, gradients, and what is not finite."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from rnncli.errors import UsageError
from rnncli.nn.losses import cross_entropy


@pytest.mark.parametrize(("rows", "classes"), [(1, 1), (1, 7), (50, 65), (3, 200)])
def test_equals_torch(rows: int, classes: int) -> None:
    scores = (5 * torch.randn(rows, classes, dtype=torch.float64)).requires_grad_()
    targets = torch.randint(classes, (rows,))
    loss, expected = (
        cross_entropy(scores, targets, engine="compiled"),
        F.cross_entropy(scores, targets, reduction="sum"),
    )
    torch.testing.assert_close(loss, expected, rtol=1e-13, atol=1e-13)
    found, wanted = (torch.autograd.grad(0.3 * value, scores)[0] for value in (loss, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=1e-15)


def test_gradcheck() -> None:
    scores = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 2, 2, 1])
    assert torch.autograd.gradcheck(lambda s: cross_entropy(s, targets, engine="compiled"), scores)


def test_a_second_derivative_is_refused() -> None:
    scores = torch.randn(2, 3, requires_grad=True)
    loss = cross_entropy(scores, torch.tensor([0, 1]), engine="compiled")
    with pytest.raises(UsageError, match="no second derivative"):
        torch.autograd.grad(loss, scores, create_graph=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e38])
def test_what_is_not_finite_comes_through(value: float) -> None:
    scores = torch.randn(3, 4)
    scores[1, 2] = value
    for wrong in (False, True):
        targets = torch.tensor([0, 2 if wrong else 1, 3])
        pair = [cross_entropy(scores, targets, engine=engine) for engine in ("torch", "compiled")]
        torch.testing.assert_close(*pair, equal_nan=True)


def test_other_engines_have_torchs_own_bits() -> None:
    scores, targets = torch.randn(100, 65), torch.randint(65, (100,))
    expected = F.cross_entropy(scores, targets, reduction="sum")
    assert torch.equal(cross_entropy(scores, targets, engine="bptt"), expected)
