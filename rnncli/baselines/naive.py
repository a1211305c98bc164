"""Naive forecasts: the last value; the last season repeated, unchanged or scaled by its growth; and a straight line
through the first and the last value (drift). Hyndman and Athanasopoulos 2021 (Forecasting: Principles and Practice, 3rd
edition), section 5.2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Rows = Sequence[int] | npt.NDArray[np.int64]

STRETCH = 1 << 12  # origins forecast at a time


def repeated(values: Tensor, origins: Rows, lag: int, horizon: int, first: Rows | int = 0) -> Iterator[Tensor]:
    """The last `lag` values at each origin, repeated: (horizon, origins, N), some origins at a time.

    values: (T, N). origins: the last known row of each forecast. first: the first row of each forecast's series, used
    in place of rows before it.
    """
    import torch

    steps = torch.arange(horizon) % lag + 1 - lag  # (horizon,)
    for now, start in _stretches(origins, first):
        yield values[torch.maximum(now + steps[:, None], start)]  # (horizon, origins, N)


def drift(values: Tensor, origins: Rows, horizon: int, first: Rows | int = 0) -> Iterator[Tensor]:
    """Drift: the last value plus the mean change per step since the start of the series. Arguments as in `repeated`."""
    import torch

    steps = torch.arange(1, horizon + 1)[:, None, None]  # (horizon, 1, 1)
    for now, start in _stretches(origins, first):
        change = (values[now] - values[start]) / (now - start).clamp(min=1)[:, None]  # (origins, N)
        yield values[now] + steps * change


def grown(values: Tensor, origins: Rows, season: int, horizon: int, first: Rows | int = 0) -> Iterator[Tensor]:
    """The last season times its growth over the season before; the growth compounds with each further season. values:
    (T, N), in the data's units; other arguments as in `repeated`.

    The last season is repeated unchanged if either season's mean is not positive or there is no earlier season.
    """
    import torch

    steps = torch.arange(horizon)
    for now, start in _stretches(origins, first):
        past = now + torch.arange(1 - 2 * season, 1)[:, None]  # (2 * season, origins)
        before, last = values[torch.maximum(past, start)].unflatten(0, (2, season)).mean(1)  # (origins, N) each
        sound = (before > 0) & (last > 0) & (now - start + 1 >= 2 * season)[:, None]
        growth = torch.where(sound, last / torch.where(sound, before, 1.0), 1.0)
        rows = now + (steps % season + 1 - season)[:, None]  # (horizon, origins)
        yield values[torch.maximum(rows, start)] * growth ** (steps // season + 1)[:, None, None]


def _stretches(origins: Rows, first: Rows | int) -> Iterator[tuple[Tensor, Tensor]]:
    """(origins, first rows of their series), some at a time, (origins,) each."""
    import torch

    now = torch.as_tensor(origins)
    start = torch.as_tensor(first).expand(len(now))
    yield from zip(now.split(STRETCH), start.split(STRETCH), strict=True)
