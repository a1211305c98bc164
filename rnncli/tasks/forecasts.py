"""Forecast metrics, forecasting baselines, and writing forecasts to files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rnncli.baselines.linear import Ridge
from rnncli.baselines.naive import STRETCH, drift, grown, repeated
from rnncli.data.table import date_keys, open_table
from rnncli.data.written import as_cell
from rnncli.locale import tr
from rnncli.tasks.base import Loss, Metrics, Splits
from rnncli.tasks.inputs.scaled import Fitted, Part
from rnncli.tasks.inputs.series import windows
from rnncli.tasks.inputs.series_columns import Data

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Answer:
    """Scaled forecasts of some origins. scores: (horizon, B, N). bounds: the network's quantiles; interval: the
    calibrated bounds; both (2, horizon, B, N), lower first, or None."""

    scores: Tensor
    bounds: Tensor | None = None
    interval: Tensor | None = None

    def curves(self) -> dict[str, Tensor]:
        """forecast, and lower and upper if there is an interval: (horizon, B, N) each."""
        bounds = () if self.interval is None else self.interval
        return {"forecast": self.scores, **dict(zip(("lower", "upper"), bounds, strict=False))}


Losses = Callable[[Answer, "Tensor | None"], Loss]


def pinball(truth: Tensor, quantile: Tensor, level: float) -> Tensor:
    """The loss minimized by the `level` quantile: level·(y - q) if y is above q, else (1 - level)·(q - y).

    Koenker and Bassett 1978 (Regression Quantiles), equation 3.2, Econometrica 46 (1). Shapes as given.
    """
    import torch

    missed = truth - quantile
    return torch.maximum(level * missed, (level - 1) * missed)


def quantile_loss(truth: Tensor, scores: Tensor, bounds: Tensor | None, coverage: float) -> Tensor:
    """The mean of the pinball losses of the lower bound, the median and the upper bound of an interval; without bounds
    the scores are used instead. truth, scores: any shape; bounds: (2, that shape)."""
    lower, upper = (scores, scores) if bounds is None else bounds
    low = (1 - coverage) / 2
    return (pinball(truth, lower, low) + pinball(truth, scores, 0.5) + pinball(truth, upper, 1 - low)) / 3


class Tally:
    """Sums over forecasts per series and target, (S, N) float64, ignoring NaN (no truth)."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.sums: dict[str, Tensor] = {}

    def add(self, name: str, values: Tensor, of: Tensor) -> None:
        """values: (horizon, B, N). of: the series of each, (B,)."""
        import torch

        zero = torch.zeros(self.part.table.mean.shape, dtype=torch.float64)
        found = zero.index_add(0, of, values.double().nansum(0))
        self.sums[name] = self.sums[name] + found if name in self.sums else found

    def mean(self, name: str, by: str = "known") -> float:
        """Pooled over all series, then averaged over the targets that have any truth."""
        return float((self.sums[name].sum(0) / self.sums[by].sum(0)).nanmean())


def score(answers: Iterable[Answer], part: Part, horizon: int, loss: Losses, coverage: float) -> Metrics:
    """Metrics of the forecasts from all origins of a split, in order, in the data's units; averaged over targets.

    mae, rmse. mase: MAE divided by that of seasonal naive within the series' training split, averaged over series
    (Hyndman and Koehler 2006, equation 5, with the season as lag); undefined if the training split is exactly periodic.
    smape: the mean of 2|y - f| / (|y| + |f|), from 0 to 2, and 0 where both are 0 (Makridakis et al. 2020, The M4
    Competition, equation 1). wape: the sum of |y - f| divided by that of |y| (MAD/Mean: Kolassa and Schütz 2007,
    Foresight 6). With an interval of that coverage: pinball, see `quantile_loss`; coverage, the share of values inside,
    bounds included. loss: the training loss, on scaled values.
    """
    import torch

    table, tally = part.table, Tally(part)
    mean, std = torch.from_numpy(table.mean), torch.from_numpy(table.std)  # (S, N)
    raw = _raw(part)
    ahead = torch.arange(1, horizon + 1)[:, None]
    total, count, at = 0.0, 0.0, 0
    for answer in answers:
        origins = torch.as_tensor(part.origins[at : at + answer.scores.shape[1]])
        of = torch.as_tensor(part.of[at : at + len(origins)])
        at += len(origins)
        truth = table.truth[origins + ahead]  # (horizon, B, N), NaN where the file has none
        found = loss(answer, truth)
        total, count = total + float(found.total), count + found.count
        missed = (answer.scores.double() - truth.double()) * std[of]
        tally.add("known", ~truth.isnan(), of)
        tally.add("absolute", missed.abs(), of)
        tally.add("squares", missed.square(), of)
        _relative(tally, raw[origins + ahead], answer.scores.double() * std[of] + mean[of], missed, of)
        if answer.interval is not None:
            lower, upper = answer.interval
            tally.add("inside", ((lower <= truth) & (truth <= upper)) & ~truth.isnan(), of)
            tally.add("pinball", quantile_loss(truth, answer.scores, answer.interval, coverage) * std[of], of)
    naive = torch.from_numpy(table.naive)
    mase = tally.sums["absolute"] / tally.sums["known"] / torch.where(naive > 0, naive, torch.nan)
    interval = {}
    if "inside" in tally.sums:
        interval = {"coverage": tally.mean("inside"), "pinball": tally.mean("pinball")}
    return {
        "mae": tally.mean("absolute"),
        **interval,
        "rmse": float((tally.sums["squares"].sum(0) / tally.sums["known"].sum(0)).sqrt().nanmean()),
        "mase": float(mase.mean(1).nanmean()),
        "smape": tally.mean("smape"),
        "wape": tally.mean("absolute", by="size"),
        "loss": total / count,
    }


def _raw(part: Part) -> Tensor:
    """The targets in the data's units, (T, N) float64."""
    import torch

    N = part.table.truth.shape[1]
    found = [torch.from_numpy(one.values[:, :N]) for one in part.table.series]
    return found[0] if len(found) == 1 else torch.cat(found)


def _relative(tally: Tally, truth: Tensor, forecast: Tensor, missed: Tensor, of: Tensor) -> None:
    """Sums for smape and wape. truth, forecast: (horizon, B, N), in the data's units; missed: NaN without truth."""
    import torch

    known = ~missed.isnan()
    size = (truth.abs() + forecast.abs()).double()
    share = torch.where(size > 0, 2 * (forecast - truth).abs() / size.where(size > 0, 1.0), 0.0)
    tally.add("smape", share * known, of)
    tally.add("size", truth.abs() * known, of)


# ----------------------------------------------------------------------------------------------------------- baselines


def simple_forecasts(
    data: Data, splits: Splits[Fitted, Part], tested: Part
) -> Iterator[tuple[str, str, Iterator[Tensor]]]:
    """(name, what it does, its forecasts, scaled, (horizon, origins, N), some origins at a time) of each baseline."""
    season = data.season
    yield tr("last value"), tr("the last value, repeated"), naive(data, tested, 1)
    about = tr("the mean step so far, extrapolated")
    first = tested.table.first[tested.of]
    yield tr("drift"), about, drift(_targets(tested), tested.origins, data.horizon, first)
    if season > 1:
        about = tr("the value one season ({n} steps) before", n=season)
        yield tr("seasonal naive"), about, naive(data, tested, season)
        about = tr("the season before, scaled by its growth")
        yield tr("seasonal naive with growth"), about, _grown(data, tested)
    ridge = [Ridge(partial(_pairs, data, splits.train, target)) for target in range(splits.fitted.targets)]
    for target, fitted in enumerate(ridge):
        fitted.choose(partial(_pairs, data, splits.part(splits.held_out), target))
    strengths = ", ".join(f"{fitted.strength:.3g}" for fitted in ridge[:4])
    yield tr("ridge"), tr("linear in the window, penalty {value}", value=strengths), _linear(data, tested, ridge)


def naive(data: Data, part: Part, lag: int) -> Iterator[Tensor]:
    """(horizon, origins, N), scaled, some origins at a time."""
    return repeated(_targets(part), part.origins, lag, data.horizon, part.table.first[part.of])


def _targets(part: Part) -> Tensor:
    return part.table.values[:, : part.table.truth.shape[1]]


def _grown(data: Data, part: Part) -> Iterator[Tensor]:
    import torch

    table, at = part.table, 0
    mean, std = torch.from_numpy(table.mean), torch.from_numpy(table.std)
    for forecast in grown(_raw(part), part.origins, data.season, data.horizon, table.first[part.of]):
        of = part.of[at : at + forecast.shape[1]]
        at += len(of)
        yield ((forecast - mean[of]) / std[of]).float()


def _pairs(data: Data, part: Part, target: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows of one target with the columns known ahead, (n, window + horizon·F), and its next steps, (n, horizon);
    windows with incomplete truth are omitted."""
    for rows in _stretches(part):
        X, Y = _pair(data, part, rows, target)
        whole = ~Y.isnan().any(1)
        yield X[whole], Y[whole]


def _stretches(part: Part) -> Iterator[range]:
    n = len(part.origins)
    return (range(start, min(start + STRETCH, n)) for start in range(0, n, STRETCH))


def _pair(data: Data, part: Part, rows: Sequence[int], target: int) -> tuple[Tensor, Tensor]:
    import torch

    batch = windows(data, part, rows)
    assert batch.targets is not None
    X = batch.inputs[..., target].T
    if data.future:
        X = torch.cat([X, batch.extra["future"].transpose(0, 1).flatten(1)], dim=1)
    return X, batch.targets[..., target].T


def _linear(data: Data, part: Part, ridge: Sequence[Ridge]) -> Iterator[Tensor]:
    import torch

    for rows in _stretches(part):
        found = [fitted(_pair(data, part, rows, target)[0]).T for target, fitted in enumerate(ridge)]
        yield torch.stack(found, dim=2).float()  # (horizon, origins, N)


# ------------------------------------------------------------------------------------------------------------- writing


def written_like(
    data: Data, path: str, names: Sequence[str], rows: Sequence[tuple[Sequence[str], str, Sequence[tuple[float, int]]]]
) -> tuple[str, str]:
    """Format rows to continue the file: its delimiter, decimal separator and header, or JSON Lines; and as CSV, which
    differs only for JSON Lines. names: of the numeric columns. rows: series id, date, (number, decimals as from
    `decimals_of`)."""
    table = open_table(path, header=data.header, delimiter=data.delimiter)
    keys = date_keys(data.date)
    heading = [table.columns[table.index(key)] for key in data.ids()]
    heading += [table.columns[table.index(key)] for key in keys] or [tr("step")]
    cells = [[*id, *(date.split(" ", len(keys) - 1) if len(keys) > 1 else [date])] for id, date, _ in rows]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=table.delimiter, lineterminator="\n")
    if data.header:
        writer.writerow([*heading, *names])
    for texts, (_, _, values) in zip(cells, rows, strict=True):
        writer.writerow([*texts, *(as_cell(*value).replace(".", data.decimal) for value in values)])
    made = text.getvalue().removesuffix("\n")
    if table.kind == "json":
        pairs = [
            dict(zip([*heading, *names], [*texts, *(value for value, _ in values)], strict=True))
            for texts, (_, _, values) in zip(cells, rows, strict=True)
        ]
        return "\n".join(json.dumps(row, ensure_ascii=False) for row in pairs), made
    return made, made
