"""Cross-entropy with fewer operations than `F.cross_entropy`, for small models on a CPU, where the loss takes as long
as the recurrent layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from rnncli.nn.engines._layers import Context, first_derivative_only


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, scores: Tensor, targets: Tensor) -> Tensor:
        log_probs = F.log_softmax(scores, 1)
        ctx.save_for_backward(log_probs, targets)
        return -log_probs.gather(1, targets.unsqueeze(1)).sum()

    @staticmethod
    def backward(ctx: Context, d_loss: Tensor) -> tuple[Tensor, None]:
        """dL/dscores = softmax(scores) - onehot(targets)."""
        first_derivative_only("compiled")
        log_probs, targets = ctx.saved_tensors
        d_scores = log_probs.exp().mul_(d_loss)
        return d_scores.scatter_add_(1, targets.unsqueeze(1), -d_loss.expand(len(targets), 1)), None


_CROSS_ENTROPY: Callable[[Tensor, Tensor], Tensor] = _CrossEntropy.apply  # torch leaves it without types


def cross_entropy(scores: Tensor, targets: Tensor, *, engine: str) -> Tensor:
    """-log softmax(scores)[target], summed over the rows: (). scores: (N, V); targets: (N,).

    engine: the model's. Only runs of `compiled` take the form with fewer operations, whose results differ from torch's
    in the last bit: runs of other engines resume byte for byte.
    """
    if engine != "compiled":
        return F.cross_entropy(scores, targets, reduction="sum")
    return _CROSS_ENTROPY(scores, targets)
