"""Heads: from the core's output and last state to scores."""

from __future__ import annotations

from torch import Tensor, nn

from rnncli.cells import State


class PerStep(nn.Linear):
    """Scores at every step: output (T, B, D·H) -> (T, B, C)."""

    def forward(self, output: Tensor, state: State, lengths: Tensor | None) -> Tensor:  # type: ignore[override]
        return super().forward(output)


class NoHead(nn.Module):
    """h_t itself as the scores: output (T, B, D·H) as it is. Bounded by the nonlinearity, so the loss is too."""

    def forward(self, output: Tensor, state: State, lengths: Tensor | None) -> Tensor:
        return output
