"""Series scaled by the statistics of their training splits: one table for all series of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncli.data.series import RegularSeries
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.tasks.base import FittedState
from rnncli.tasks.inputs.sources import Stretch

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scale:
    """For the targets of one series: mean, standard deviation, and MAE of seasonal naive, the denominator of MASE (0 if
    unknown). id: the cells that identify the series."""

    id: list[str]
    mean: list[float]
    std: list[float]
    naive: list[float]


@dataclass(frozen=True)
class Fitted(FittedState):
    """For every column, targets first: its name, mean and standard deviation. targets: number of target columns. naive:
    for each target, MAE of seasonal naive on the training split, the denominator of MASE.

    series: the scale of each series, if the table has several; mean and std are then global and scale the other
    columns, so that series stay comparable there.
    """

    columns: list[str]
    targets: int
    mean: list[float]
    std: list[float]
    naive: list[float]
    series: list[Scale] | None = None

    def scales(self) -> Mapping[tuple[str, ...], Scale]:
        """Id -> scale, for the series seen in training."""
        N = self.targets
        only = Scale([], self.mean[:N], self.std[:N], self.naive)
        return {tuple(scale.id): scale for scale in (self.series if self.series is not None else [only])}


@dataclass(frozen=True)
class Scaled:
    """The series of a file, stacked. first: row of `values` at which each starts, (S,). values: (T, I) float32, scaled,
    targets first, then past and future columns. truth: (T, N) float32, scaled, NaN where the file has no value. mean,
    std, naive: as in Scale, (S, N)."""

    series: tuple[RegularSeries, ...]
    first: Ints
    values: Tensor
    truth: Tensor
    mean: Floats
    std: Floats
    naive: Floats


class Part(NamedTuple):
    """Windows of series. origins: the last input row in `table.values` of each window, (windows,). of: index of its
    series, (windows,)."""

    table: Scaled
    origins: Ints
    of: Ints

    def only(self, window: int) -> Part:
        """A split of a file, made of its windows."""
        return self._replace(origins=self.origins[[window]], of=self.of[[window]])


def fit(train: Sequence[Stretch[RegularSeries]], targets: int, season: int) -> Fitted:
    """Mean and standard deviation of every column, and MAE of seasonal naive (the denominator of MASE), from the known
    values of the training splits only. Raises DataError: a column without any, a single series no longer than one
    season."""
    several = bool(train[0].whole.id)
    if not several:
        _longer_than_a_season(train[0], season)
    known = [_known(one) for one in train]
    scales = [_scale(one.whole, values[:, :targets], season) for one, values in zip(train, known, strict=True)]
    values = np.concatenate(known)  # (T, I)
    empty = np.isnan(values).all(axis=0)
    columns = train[0].whole.columns
    if empty.any():
        raise DataError(
            tr("column {name} has no values in the training split", name=repr(columns[int(empty.argmax())])),
            where=train[0].whole.name,
        )
    spread = np.nanstd(values, axis=0)
    return Fitted(
        columns=list(columns),
        targets=targets,
        mean=np.nanmean(values, axis=0).tolist(),
        std=np.where(spread > 0, spread, 1.0).tolist(),
        naive=np.mean([scale.naive for scale in scales], axis=0).tolist(),
        series=scales if several else None,
    )


def _longer_than_a_season(train: Stretch[RegularSeries], season: int) -> None:
    if len(train) <= season:
        raise DataError(
            trn(
                "the training split has {n} step, not more than one season ({season})",
                "the training split has {n} steps, not more than one season ({season})",
                n=len(train),
                season=season,
            ),
            where=train.whole.name,
            todo=tr("lower data.season, or provide a longer file"),
        )


def _known(one: Stretch[RegularSeries]) -> Floats:
    """Values, NaN where the file has none, (T, I)."""
    inside = slice(one.rows.start, one.rows.stop)
    found: Floats = np.where(one.whole.known[inside], one.whole.values[inside], np.nan)
    return found


def _scale(series: RegularSeries, values: Floats, season: int) -> Scale:
    """values: of the targets, (T, N), NaN if unknown. A target without any value is not scaled: mean 0, deviation 1."""
    mean, std, naive = [], [], []
    for column in values.T:
        there = column[~np.isnan(column)]
        misses = np.abs(column[season:] - column[:-season])
        misses = misses[~np.isnan(misses)]
        mean.append(float(there.mean()) if len(there) else 0.0)
        std.append(float(there.std()) or 1.0 if len(there) else 1.0)
        naive.append(float(misses.mean()) if len(misses) else 0.0)
    return Scale(list(series.id), mean, std, naive)


def scaled(series: Sequence[RegularSeries], fitted: Fitted, window: int, season: int) -> Scaled:
    """Scale each series by its own statistics, one not seen in training by those of its first window, so that no
    forecast looks ahead. One column at a time, to save memory."""
    import torch

    N, known = fitted.targets, fitted.scales()
    own = [known.get(one.id) or _scale(one, _known(Stretch(one, range(window)))[:, :N], season) for one in series]
    first = np.concatenate(([0], np.cumsum([len(one) for one in series])[:-1])).astype(np.int64)
    values = np.empty((sum(map(len, series)), len(fitted.columns)), np.float32)
    truth = np.empty((len(values), N), np.float32)
    for one, scale, start in zip(series, own, first, strict=True):
        rows = slice(start, start + len(one))
        for i in range(len(fitted.columns)):
            mean, std = (scale.mean[i], scale.std[i]) if i < N else (fitted.mean[i], fitted.std[i])
            values[rows, i] = (one.values[:, i] - mean) / std
        truth[rows] = np.where(one.known[:, :N], values[rows, :N], np.nan)
    of = [np.array(found) for found in zip(*((scale.mean, scale.std, scale.naive) for scale in own), strict=True)]
    return Scaled(tuple(series), first, torch.from_numpy(values), torch.from_numpy(truth), *of)
