"""The naive forecasts: the last value, or the values of the last season, over and over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

STRETCH = 1 << 12  # origins that are answered at a time


def repeated(
    values: Tensor, origins: Sequence[int] | npt.NDArray[np.int64], lag: int, horizon: int
) -> Iterator[Tensor]:
    """The last `lag` values at each origin, over and over: (horizon, origins, N), some origins at a time.

    values: (T, N). origins: the last known row of each forecast.
    """
    import torch

    steps = torch.arange(horizon) % lag + 1 - lag  # (horizon,)
    for start in range(0, len(origins), STRETCH):
        rows = torch.as_tensor(origins[start : start + STRETCH]) + steps[:, None]  # (horizon, origins)
        yield values[rows.clamp(min=0)]
