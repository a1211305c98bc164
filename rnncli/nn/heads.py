"""Heads: from the core's output and last state to scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncli.cells import State
from rnncli.data.batch import mask


class PerStep(nn.Linear):
    """Scores at every step: output (T, B, D·H) -> (T, B, C)."""

    def forward(self, output: Tensor, state: State, lengths: Tensor | None) -> Tensor:  # type: ignore[override]
        return super().forward(output)


class Tied(nn.Module):
    """Scores at every step with tied weights: the input embedding, plus a bias: output (T, B, embedding_size) -> (T, B,
    V). Press, Wolf 2017 (arXiv:1608.05859).

    The table belongs to the front end: it is not a parameter here, so a weight file contains it once.
    """

    def __init__(self, front: nn.Embedding) -> None:
        super().__init__()
        self.out_features, self.in_features = front.weight.shape
        self.bias = nn.Parameter(torch.zeros(self.out_features))
        self.shared = (front,)  # in a tuple, so that torch does not register it twice

    def forward(self, output: Tensor, state: State, lengths: Tensor | None) -> Tensor:
        return F.linear(output, self.shared[0].weight, self.bias)


class NoHead(nn.Module):
    """h_t as the scores: output (T, B, D·H) unchanged. Bounded by the nonlinearity, so the loss is, too."""

    def forward(self, output: Tensor, state: State, lengths: Tensor | None) -> Tensor:
        return output


class LastState(nn.Linear):
    """Scores from the top layer's last state, directions concatenated: h_n (L·D, B, H) -> (B, C).

    The last state of a packed sequence is that of its own last step (its first, in the reverse direction), so padding
    does not affect it; it would affect output[-1].
    """

    def forward(self, output: Tensor, state: State, lengths: Tensor | None) -> Tensor:  # type: ignore[override]
        return super().forward(joined(state, self.in_features))


def joined(state: State, size: int) -> Tensor:
    """The top layer's h, directions concatenated, (B, size); size: D·H."""
    h = state[0]  # (L·D, B, H)
    top = h[-(size // h.shape[2]) :]  # (D, B, H)
    return top.transpose(0, 1).flatten(1)


class MeanPool(nn.Linear):
    """Scores from the mean of the outputs over a sequence's own steps: output (T, B, D·H) -> (B, C)."""

    def forward(self, output: Tensor, state: State, lengths: Tensor | None) -> Tensor:  # type: ignore[override]
        if lengths is None:
            return super().forward(output.mean(0))
        lengths = lengths.to(output.device)
        inside = mask(lengths, output.shape[0]).unsqueeze(2)  # (T, B, 1)
        total = output.masked_fill(~inside, 0.0).sum(0)  # (B, D·H)
        return super().forward(total / lengths.unsqueeze(1))


class MaxPool(nn.Linear):
    """Scores from each unit's maximum over a sequence's own steps: output (T, B, D·H) -> (B, C)."""

    def forward(self, output: Tensor, state: State, lengths: Tensor | None) -> Tensor:  # type: ignore[override]
        if lengths is not None:
            inside = mask(lengths.to(output.device), output.shape[0]).unsqueeze(2)  # (T, B, 1)
            output = output.masked_fill(~inside, -torch.inf)
        return super().forward(output.amax(0))


class DirectHorizon(nn.Linear):
    """All steps of a forecast at once, from the top layer's last state: h_n (L·D, B, H) -> (horizon, B, N).

    N: number of target series. With `known_ahead` columns, their values over the horizon, (horizon, B, F), are inputs,
    too.
    """

    def __init__(self, size: int, horizon: int, num_targets: int, known_ahead: int = 0) -> None:
        super().__init__(size + horizon * known_ahead, horizon * num_targets)
        self.size = size
        self.horizon = horizon
        self.num_targets = num_targets

    def forward(  # type: ignore[override]
        self, output: Tensor, state: State, lengths: Tensor | None, future: Tensor | None = None
    ) -> Tensor:
        given = joined(state, self.size)  # (B, D·H)
        if future is not None:
            given = torch.cat([given, future.transpose(0, 1).flatten(1)], dim=1)  # (B, D·H + horizon·F)
        flat = super().forward(given)  # (B, horizon·N)
        return flat.view(-1, self.horizon, self.num_targets).transpose(0, 1)
