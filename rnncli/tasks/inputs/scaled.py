"""Series scaled by what the training part of each taught: one table for all series of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rnncli.data.series import RegularSeries
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.tasks.base import FittedState

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stretch:
    """Some rows of a series, one after the other."""

    series: RegularSeries
    rows: range

    def __len__(self) -> int:
        return len(self.rows)

    def chosen(self, rows: Sequence[int]) -> Stretch:
        return Stretch(self.series, range(self.rows[rows[0]], self.rows[rows[-1]] + 1))


@dataclass(frozen=True)
class Scale:
    """Of the targets of one series: mean, standard deviation, and what seasonal naive misses by, the unit of MASE (0
    where that is not known). id: the cells that name the series."""

    id: list[str]
    mean: list[float]
    std: list[float]
    naive: list[float]


@dataclass(frozen=True)
class Fitted(FittedState):
    """Of every column, targets first: its name, mean and standard deviation. targets: how many of the columns are.
    naive: of each target, what seasonal naive misses by on the training part, the unit of MASE.

    series: of several series in one table, the scale of each; mean and std are then of all of them, and scale the other
    columns, in which the series stay comparable.
    """

    columns: list[str]
    targets: int
    mean: list[float]
    std: list[float]
    naive: list[float]
    series: list[Scale] | None = None

    def scales(self) -> Mapping[tuple[str, ...], Scale]:
        """Id -> scale, of the series that training saw."""
        N = self.targets
        only = Scale([], self.mean[:N], self.std[:N], self.naive)
        return {tuple(scale.id): scale for scale in (self.series if self.series is not None else [only])}


@dataclass(frozen=True)
class Scaled:
    """The series of a file, one below the other. first: row of `values` at which each begins, (S,). values: (T, I)
    float32, scaled, targets first, then past and future columns. truth: (T, N) float32, scaled, NaN where the file has
    no value. mean, std, naive: as in Scale, (S, N)."""

    series: tuple[RegularSeries, ...]
    first: Ints
    values: Tensor
    truth: Tensor
    mean: Floats
    std: Floats
    naive: Floats


class Part(NamedTuple):
    """Windows of series. origins: of each window, the last row of `table.values` looked at, (windows,). of: its series,
    by number, (windows,)."""

    table: Scaled
    origins: Ints
    of: Ints

    def only(self, window: int) -> Part:
        """A part of one of its windows."""
        return self._replace(origins=self.origins[[window]], of=self.of[[window]])


def fit(train: Sequence[Stretch], targets: int, season: int) -> Fitted:
    """Mean and standard deviation of every column, and what seasonal naive misses by (the unit of MASE), all of the
    training parts' known values only. Raises DataError: a column without any, a lone part no longer than a season."""
    import numpy as np

    several = bool(train[0].series.id)
    if not several:
        _longer_than_a_season(train[0], season)
    known = [_known(one) for one in train]
    scales = [_scale(one.series, values[:, :targets], season) for one, values in zip(train, known, strict=True)]
    values = np.concatenate(known)  # (T, I)
    empty = np.isnan(values).all(axis=0)
    columns = train[0].series.columns
    if empty.any():
        raise DataError(
            tr("column {name} has no value in the training part", name=repr(columns[int(empty.argmax())])),
            where=train[0].series.name,
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


def _longer_than_a_season(train: Stretch, season: int) -> None:
    if len(train) <= season:
        raise DataError(
            trn(
                "the training part has {n} step, not more than a season, {season}",
                "the training part has {n} steps, not more than a season, {season}",
                n=len(train),
                season=season,
            ),
            where=train.series.name,
            todo=tr("lower data.season, or give a longer file"),
        )


def _known(one: Stretch) -> Floats:
    """Its values, NaN where the file has none, (T, I)."""
    import numpy as np

    inside = slice(one.rows.start, one.rows.stop)
    found: Floats = np.where(one.series.known[inside], one.series.values[inside], np.nan)
    return found


def _scale(series: RegularSeries, values: Floats, season: int) -> Scale:
    """values: of the targets, (T, N), NaN where not known. A target without any stays as it is: mean 0, deviation 1."""
    import numpy as np

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
    """Each series by its own scale; one that training did not see by that of its first window, so that no forecast
    looks ahead. A column at a time, so that little is held twice."""
    import numpy as np
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
