"""Forecasting: a window of a series -> its next steps, computed relative to the window, optionally with bounds."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncli.cells import State
from rnncli.data.batch import Batch
from rnncli.nn.heads import DirectHorizon
from rnncli.nn.model import Outputs
from rnncli.nn.recurrent import Core, run

SMALLEST_SPREAD = 0.1  # of a window, in standard deviations of the training split: avoids amplifying a flat window
SMALLEST_RATIO = 0.01  # of a window's mean and its series': avoids amplifying a window of zeros


class Relative(nn.Module):
    """Normalizes a window's targets relative to the window, and denormalizes forecasts.

    to: `none`; `last`, minus the window's last value (NLinear: Zeng et al. 2022, arXiv:2205.13504, section 4.2);
    `window`, minus its mean and by its standard deviation (reversible instance normalisation: Kim et al. 2022, RevIN,
    without its learned scale); `ratio`, minus its mean and by that mean's ratio to the training split's, so that scaled
    series look the same (DeepAR's scaling: Salinas et al. 2020, arXiv:1704.04110, section 3.3). A series that drifts
    away from its training split then still looks like it.
    """

    def __init__(self, to: str, num_targets: int) -> None:
        super().__init__()
        self.to_what = to
        self.num_targets = num_targets

    def forward(self, x: Tensor, offset: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """x (T, B, I), targets first; offset (1, B, N), the data's zero in units of x, for `ratio` -> x relative to the
        window, and the targets' level and spread, (B, N)."""
        targets, others = x[..., : self.num_targets], x[..., self.num_targets :]
        level, spread = torch.zeros_like(targets[0]), torch.ones_like(targets[0])
        if self.to_what == "last":
            level = targets[-1]
        elif self.to_what != "none":
            level = targets.mean(0)
        if self.to_what == "window":
            spread = targets.std(0, unbiased=False).clamp(min=SMALLEST_SPREAD)
        elif self.to_what == "ratio":
            assert offset is not None
            usual = offset[0].to(x).clamp(min=SMALLEST_RATIO)
            spread = ((level + usual) / usual).clamp(min=SMALLEST_RATIO)
        return torch.cat([(targets - level) / spread, others], dim=2), level, spread

    def extra_repr(self) -> str:
        return f"{self.to_what}"


class LastSeason(nn.Module):
    """A window's last season repeated, (T, B, N) -> (horizon, B, N), added to the network's output, so that it learns
    the difference to the previous season (seasonal differencing)."""

    def __init__(self, season: int, horizon: int) -> None:
        super().__init__()
        self.season = season
        self.horizon = horizon

    def forward(self, targets: Tensor) -> Tensor:
        found: Tensor = targets[torch.arange(self.horizon) % self.season - self.season]
        return found

    def extra_repr(self) -> str:
        return f"season={self.season}, horizon={self.horizon}"


class LinearPath(nn.Linear):
    """A linear map of each target's window, in parallel to the network, (T, B, N) -> (horizon, B, N); initialized to
    zero."""

    def __init__(self, window: int, horizon: int) -> None:
        super().__init__(window, horizon)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, targets: Tensor) -> Tensor:
        found: Tensor = super().forward(targets.permute(1, 2, 0))  # (B, N, horizon)
        return found.permute(2, 0, 1)


class Forecaster(nn.Module):
    """batch.inputs (T, B, I), scaled, targets first; batch.extra["future"] (horizon, B, F), columns known in advance,
    and ["offset"] (1, B, N), see Relative.

    Outputs.scores: (horizon, B, N), in the same scale. The core's weights have nn.LSTM's own names under `rnn.`. skip:
    added to the network's output. bounds: whether the head also predicts a lower and an upper quantile, as distances
    from the middle one, so that they never cross. calibrated: whether there are margins, see `calibrate`.
    """

    margin: Tensor

    def __init__(
        self,
        relative: Relative,
        rnn: Core,
        head: DirectHorizon,
        engine: str = "auto",
        *,
        skip: nn.Module | None = None,
        bounds: bool = False,
        calibrated: bool = False,
    ) -> None:
        super().__init__()
        self.relative = relative
        self.rnn = rnn
        self.head = head
        self.skip = skip
        self.engine = engine
        self.has_bounds = bounds
        if calibrated:  # (horizon, N), in spreads of the window
            self.register_buffer("margin", torch.zeros(head.horizon, relative.num_targets))

    def forward(self, batch: Batch, state: State | None = None) -> Outputs:
        dtype, N = self.head.weight.dtype, self.relative.num_targets
        x, level, spread = self.relative(batch.inputs.to(dtype), batch.extra.get("offset"))
        output, last = run(self.rnn, x, batch.lengths, state, engine=self.engine)
        future = batch.extra.get("future")
        found = self.head(output, last, batch.lengths, None if future is None else future.to(dtype))
        middle = found[..., :N]  # (horizon, B, N)
        if self.skip is not None:
            middle = middle + self.skip(x[..., :N])
        bounds = None
        if self.has_bounds:
            below, above = F.softplus(found[..., N:]).split(N, dim=-1)
            bounds = torch.stack([middle - below, middle + above]) * spread + level
        return Outputs(middle * spread + level, last, bounds=bounds)

    def interval(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Lower and upper bounds with the margins of `calibrate`, (2, horizon, B, N)."""
        _, _, spread = self.relative(batch.inputs.to(self.margin.dtype), batch.extra.get("offset"))
        margin = self.margin[:, None] * spread  # (horizon, B, N)
        lower, upper = outputs.bounds if outputs.bounds is not None else (outputs.scores, outputs.scores)
        middle = (lower + upper) / 2  # margins may be negative: then bounds may meet, but not cross
        return torch.stack([torch.minimum(lower - margin, middle), torch.maximum(upper + margin, middle)])

    def conformity(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Conformity scores: distance of the target outside the bounds, in spreads of the window, (horizon, B, N),
        negative inside, NaN for missing targets. Without bounds |y - forecast|, whose quantiles are the margins; with
        quantiles as bounds the scores of Romano et al. 2019 (arXiv:1905.03222), equation 6."""
        assert batch.targets is not None
        _, _, spread = self.relative(batch.inputs.to(self.margin.dtype), batch.extra.get("offset"))
        lower, upper = outputs.bounds if outputs.bounds is not None else (outputs.scores, outputs.scores)
        outside = torch.maximum(lower - batch.targets, batch.targets - upper)
        found: Tensor = outside / spread
        return found


def margins(conformity: Tensor, coverage: float) -> Tensor:
    """Split conformal prediction: of n scores, the ⌈(n+1)·coverage⌉-th smallest, the largest if that exceeds n (Lei et
    al. 2018, arXiv:1604.04173, algorithm 2). Covers that share of new data if exchangeable with the old, which holds
    only approximately for time series.

    conformity: (horizon, n, N), NaN where missing -> (horizon, N), 0 for a target without any.
    """
    ordered = conformity.sort(dim=1).values  # NaN last
    n = (~conformity.isnan()).sum(dim=1)  # (horizon, N)
    place = torch.tensor([ceil(round((int(k) + 1) * coverage, 9)) for k in n.flatten()]).view_as(n)
    place = torch.minimum(place.to(n), n).clamp(min=1) - 1
    return ordered.gather(1, place[:, None]).squeeze(1).nan_to_num(0.0)
