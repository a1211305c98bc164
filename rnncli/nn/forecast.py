"""Forecasting: a window of a series -> its next steps, computed relative to the window."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnncli.cells import State
from rnncli.data.batch import Batch
from rnncli.nn.heads import DirectHorizon
from rnncli.nn.model import Outputs
from rnncli.nn.recurrent import Core, run

SMALLEST_SPREAD = 0.1  # of a window, in standard deviations of the training part: a flat window is not blown up


class Relative(nn.Module):
    """The targets of a window relative to it, and forecasts back to where they were.

    to: `none`; `last`, minus the window's last value (NLinear: Zeng et al. 2022, arXiv:2205.13504, section 4.2);
    `window`, minus its mean and by its standard deviation (reversible instance normalisation: Kim et al. 2022, RevIN,
    without its learned scale). A series that drifts away from its training part then still looks like it.
    """

    def __init__(self, to: str, num_targets: int) -> None:
        super().__init__()
        self.to_what = to
        self.num_targets = num_targets

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (T, B, I), targets first -> the same relative to the window, and the targets' level and spread, (B, N)."""
        targets, others = x[..., : self.num_targets], x[..., self.num_targets :]
        level, spread = torch.zeros_like(targets[0]), torch.ones_like(targets[0])
        if self.to_what == "last":
            level = targets[-1]
        elif self.to_what == "window":
            level = targets.mean(0)
            spread = targets.std(0, unbiased=False).clamp(min=SMALLEST_SPREAD)
        return torch.cat([(targets - level) / spread, others], dim=2), level, spread

    def extra_repr(self) -> str:
        return f"{self.to_what}"


class Forecaster(nn.Module):
    """batch.inputs (T, B, I), scaled, targets first; batch.extra["future"] (horizon, B, F), columns known ahead.

    Outputs.scores: (horizon, B, N), in the same scale. The core's weights have nn.LSTM's own names under `rnn.`.
    """

    def __init__(self, relative: Relative, rnn: Core, head: DirectHorizon, engine: str = "auto") -> None:
        super().__init__()
        self.relative = relative
        self.rnn = rnn
        self.head = head
        self.engine = engine

    def forward(self, batch: Batch, state: State | None = None) -> Outputs:
        dtype = self.head.weight.dtype
        x, level, spread = self.relative(batch.inputs.to(dtype))
        output, last = run(self.rnn, x, batch.lengths, state, engine=self.engine)
        future = batch.extra.get("future")
        forecast = self.head(output, last, batch.lengths, None if future is None else future.to(dtype))
        return Outputs(forecast * spread + level, last)
