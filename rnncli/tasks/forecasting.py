"""forecasting: the next steps of a series, from a CSV with a date column."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import floor, log10, nan
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from rnncli.baselines.naive import repeated
from rnncli.data.batch import Batch, Order, index_batches
from rnncli.data.table import date_keys, open_table
from rnncli.locale import tr
from rnncli.names import CELLS
from rnncli.recipe import Clash, CoreSection, RecipeConfig, TrainSection
from rnncli.records import Column, Entry, Json, Record, Series, Table
from rnncli.tasks.base import (
    Baseline,
    Better,
    InputKind,
    Loss,
    Metrics,
    Prediction,
    PredictOptions,
    Splits,
    Suited,
    Task,
)
from rnncli.tasks.inputs import suits
from rnncli.tasks.inputs.series import (
    Data,
    Fitted,
    Part,
    last_window,
    read_new_series,
    read_series,
    series_of,
    suggest_columns,
    windows,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State
    from rnncli.data.look import Look

SHOWN_STEPS = 12  # of the forecast that closes a run


class Model(CoreSection):
    relative: Literal["none", "last", "window"] = Field(
        "window",
        description="how the net sees a window: as it is, minus its last value, or minus its mean and by its spread",
    )
    head: Literal["direct"] = Field("direct", description="all horizon steps at once, from the last state")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.bidirectional and not CELLS[self.cell].stateful:
            yield Clash(("bidirectional", "cell"), tr("without memory a window has no two directions"))


class Train(TrainSection):
    loss: Literal["mae", "mse"] = Field("mae", description="of a scaled value: the absolute error, or its square")
    best_by: Literal["mae", "rmse", "mase", "loss"] = Field(
        "loss", description="the metric that decides which epoch is kept"
    )


class Config(RecipeConfig):
    task: Literal["forecasting"]
    data: Data
    model: Model
    train: Train


class Forecasting(Task[Config, Fitted, Part]):
    METRICS: Mapping[str, Better] = {"mae": "lower", "rmse": "lower", "mase": "lower", "loss": "lower"}
    config_class = Config
    fitted_class = Fitted

    def input_kind(self, config: Config) -> InputKind:
        return "path"

    def read(self, config: Config) -> Splits[Fitted, Part]:
        return read_series(config.data)

    def read_part(self, config: Config, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
        return read_new_series(config.data, fitted, path)

    def suits(self, look: Look, config: Config) -> Suited | None:
        return suits.series(look)

    def suggest_settings(self, path: str, config: Config | None = None) -> dict[str, Json]:
        return suggest_columns(path, config.data if config is not None else None)

    def build(self, config: Config, fitted: Fitted) -> nn.Module:
        from rnncli.nn.forecast import Forecaster, Relative
        from rnncli.nn.heads import DirectHorizon
        from rnncli.nn.recurrent import core_of_section

        N = fitted.targets
        rnn, spec = core_of_section(config.model, len(fitted.columns))
        head = DirectHorizon(spec.output_size, config.data.horizon, N, len(config.data.future))
        return Forecaster(Relative(config.model.relative, N), rnn, head, config.model.engine)

    def batches(self, config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
        where = order or Order(0, 0)
        for rows in index_batches(len(part.origins), config.train.batch_size, where, shuffle=order is not None):
            yield windows(config.data, part, part.origins[rows], rows)

    def encode(self, config: Config, fitted: Fitted, inputs: Sequence[str]) -> Batch:
        """The last window of each file."""
        import torch

        found = [last_window(config.data, fitted, series_of(config.data, path, [])) for path in inputs]
        extra = {"future": torch.cat([one.extra["future"] for one in found], dim=1)} if config.data.future else {}
        return Batch(torch.cat([one.inputs for one in found], dim=1), extra=extra)

    def loss(self, config: Config, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        return _loss(config, model(batch).scores, batch.targets)

    def metrics(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Metrics:
        """mae, rmse and mase over all origins of the part, in the data's units; loss of a scaled value.

        With several targets, the mean of their metrics. mase: MAE by that of seasonal naive inside the training part
        (Hyndman and Koehler 2006, equation 5, with the season as lag); no number where the training part just repeats.
        """
        return _as_metrics(config, self._forecasts(config, model, part), part, fitted)

    def _forecasts(self, config: Config, model: nn.Module, part: Part) -> Iterator[Tensor]:
        """Scaled, (horizon, origins, N), some origins at a time, on the CPU."""
        from rnncli.nn.evaluate import outputs_of

        for _, outputs in outputs_of(model, self.batches(config, part, None)):
            yield outputs.scores.float().cpu()

    def baselines(self, config: Config, splits: Splits[Fitted, Part], part: str) -> list[Baseline]:
        """Last value, and the value one season before, at the same origins."""
        tested: Part = splits.part(part)
        found = [(tr("last value"), 1, tr("the value at the origin, repeated"))]
        if config.data.season > 1:
            about = tr("the value one season of {n} steps before", n=config.data.season)
            found.append((tr("seasonal naive"), config.data.season, about))
        return [
            Baseline(name, _as_metrics(config, _naive(config, tested, lag), tested, splits.fitted), about)
            for name, lag, about in found
        ]

    def summarize(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """The forecast from the last origin of the part, as a table and as a curve, of the first target."""
        tested: Part = splits.part(part)
        one = tested._replace(origins=tested.origins[-1:])
        data, origin, series = config.data, int(tested.origins[-1]), tested.series
        fitted = splits.fitted
        forecast = (
            next(self._forecasts(config, model, one))[:, 0, 0].double() * fitted.std[0] + fitted.mean[0]
        ).tolist()
        ahead = range(origin + 1, origin + 1 + data.horizon)
        truth = [float(series.values[row, 0]) if series.known[row, 0] else None for row in ahead]
        season = [float(series.values[origin + 1 - data.season + k % data.season, 0]) for k in range(data.horizon)]
        name = series.columns[0]
        rows: list[list[Entry]] = [
            [series.date(row), true, guess, None if true is None else guess - true, before]
            for row, true, guess, before in zip(ahead, truth, forecast, season, strict=True)
        ]
        columns = [
            Column("date", tr("date"), "text"),
            Column("truth", tr("truth")),
            Column("forecast", tr("forecast")),
            Column("error", tr("error")),
            Column("naive", tr("last value") if data.season == 1 else tr("a season ago"), optional=True),
        ]
        title = tr("{column}, forecast from {date}", column=name, date=series.date(origin))
        looked_at = range(max(0, origin + 1 - min(data.window, 4 * data.horizon)), origin + 1)
        history = [float(series.values[row, 0]) for row in looked_at]
        blank_past, blank_ahead = [nan] * (len(history) - 1), [nan] * data.horizon
        curve = Series(
            "forecast",
            [float(row - origin) for row in (*looked_at, *ahead)],
            {
                tr("history"): history + blank_ahead,
                tr("forecast"): [*blank_past, history[-1], *forecast],
                tr("truth"): [*blank_past, history[-1], *(nan if true is None else true for true in truth)],
            },
            x_label=tr("steps from the origin"),
            y_label=name,
        )
        return [Table("sample", columns, rows, title=title, cut_rows=SHOWN_STEPS), curve]

    def pictures(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """The curve of the forecast with the baselines'."""
        tested: Part = splits.part(part)
        one = tested._replace(origins=tested.origins[-1:])
        curve = next(record for record in self.summarize(config, model, splits, part) if isinstance(record, Series))
        blank = [nan] * (len(curve.x) - config.data.horizon)
        lags = {tr("last value"): 1} | ({tr("seasonal naive"): config.data.season} if config.data.season > 1 else {})
        naive = {
            name: (next(_naive(config, one, lag))[:, 0, 0].double() * splits.fitted.std[0] + splits.fitted.mean[0])
            for name, lag in lags.items()
        }
        return [replace(curve, lines={**curve.lines, **{name: blank + line.tolist() for name, line in naive.items()}})]

    def predict(
        self, config: Config, model: nn.Module, fitted: Fitted, inputs: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """For each file, the rows that come next: the dates and the targets, separated and written as in the file."""
        from rnncli.nn.evaluate import outputs_of

        options.only()
        data, N = config.data, fitted.targets
        mean, std = fitted.mean[:N], fitted.std[:N]
        for path in inputs:
            notes: list[str] = []
            series = series_of(config.data, path, notes)
            _, outputs = next(outputs_of(model, [last_window(config.data, fitted, series)]))
            scaled = outputs.scores[:, 0].double().cpu().tolist()  # horizon lists of N
            values = [[x * s + m for x, s, m in zip(row, std, mean, strict=True)] for row in scaled]
            dates = [series.date(len(series) + k) for k in range(data.horizon)]
            names = fitted.columns[:N]
            forecast = {name: [row[i] for row in values] for i, name in enumerate(names)}
            text = _like_file(data, path, dates, names, values)
            yield Prediction(text, {"input": path, "dates": dates, "forecast": forecast}, notes)


def _like_file(data: Data, path: str, dates: Sequence[str], names: Sequence[str], values: Sequence[list[float]]) -> str:
    """The rows that come next, in the form of the file: its delimiter, decimal mark and header, or JSON Lines."""
    table = open_table(path, header=data.header, delimiter=data.delimiter)
    keys = date_keys(data.date)
    heading = [table.columns[table.index(key)] for key in keys] or [tr("step")]
    cells = [date.split(" ", len(keys) - 1) if len(keys) > 1 else [date] for date in dates]
    if table.kind == "json":
        pairs = [
            dict(zip([*heading, *names], [*date, *row], strict=True)) for date, row in zip(cells, values, strict=True)
        ]
        return "\n".join(json.dumps(row, ensure_ascii=False) for row in pairs)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=table.delimiter, lineterminator="\n")
    if data.header:
        writer.writerow([*heading, *names])
    for date, row in zip(cells, values, strict=True):
        writer.writerow([*date, *(_written(value).replace(".", data.decimal) for value in row)])
    return text.getvalue().removesuffix("\n")


def _written(value: float) -> str:
    """Nine significant digits, what float32 holds, two decimals at least, and no power of ten where none is needed."""
    if value and not 1e-12 < abs(value) < 1e15:
        return f"{value:.9g}"
    decimals = max(2, 8 - floor(log10(abs(value)))) if value else 0
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text


def _loss(config: Config, forecast: Tensor, targets: Tensor | None) -> Loss:
    """Summed over the scaled values that are known. forecast, targets: (horizon, B, N)."""
    assert targets is not None
    known = ~targets.isnan()
    missed = forecast[known] - targets[known]
    error = missed.abs() if config.train.loss == "mae" else missed.square()
    return Loss(error.sum(), int(known.sum()))


def _as_metrics(config: Config, forecasts: Iterable[Tensor], part: Part, fitted: Fitted) -> Metrics:
    """forecasts: of all origins, in order, some at a time: (horizon, origins, N), scaled."""
    import torch

    std = torch.tensor(fitted.std[: fitted.targets], dtype=torch.float64)
    ahead = torch.arange(1, config.data.horizon + 1)[:, None]
    absolute, squares, known = (torch.zeros(len(std), dtype=torch.float64) for _ in range(3))  # (N,) each
    loss, count, at = 0.0, 0.0, 0
    for forecast in forecasts:
        origins = torch.as_tensor(part.origins[at : at + forecast.shape[1]])
        at += len(origins)
        truth = part.truth[origins + ahead]  # (horizon, origins, N), NaN where the file has none
        found = _loss(config, forecast, truth)
        loss, count = loss + float(found.total), count + found.count
        missed = (forecast.double() - truth.double()).flatten(0, 1) * std  # (horizon·origins, N)
        absolute += missed.abs().nansum(0)
        squares += missed.square().nansum(0)
        known += (~missed.isnan()).sum(0)
    mae = absolute / known  # NaN for a target without any truth
    mase = [float(error) / unit if unit > 0 else nan for error, unit in zip(mae, fitted.naive, strict=True)]
    return {
        "mae": float(mae.nanmean()),
        "rmse": float((squares / known).sqrt().nanmean()),
        "mase": sum(mase) / len(mase),
        "loss": loss / count,
    }


def _naive(config: Config, part: Part, lag: int) -> Iterator[Tensor]:
    """(horizon, origins, N), scaled, some origins at a time."""
    return repeated(part.values[:, : part.truth.shape[1]], part.origins, lag, config.data.horizon)


TASK = Forecasting()
