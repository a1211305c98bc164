"""forecasting: the next steps of one series or many, from a CSV with a date column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from rnncli.data.batch import Batch, Order, index_batches
from rnncli.data.series import RegularSeries
from rnncli.data.written import decimals_of
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.names import CELLS
from rnncli.nn.evaluate import outputs_of
from rnncli.recipe import Clash, CoreSection, RecipeConfig, TrainSection
from rnncli.records import Json, Record, Series
from rnncli.standalone import Code, copied
from rnncli.tasks.base import (
    Baseline,
    Better,
    InputKind,
    Loss,
    Metrics,
    Prediction,
    PredictOptions,
    Script,
    Splits,
    Suited,
    Task,
)
from rnncli.tasks.forecast_tables import forecast_curve, sample_table
from rnncli.tasks.forecasts import Answer, naive, quantile_loss, score, simple_forecasts, written_like
from rnncli.tasks.inputs.scaled import Fitted, Part
from rnncli.tasks.inputs.series import last_windows, read_new_series, read_series, series_of, windows
from rnncli.tasks.inputs.series_columns import Data, suggest_columns
from rnncli.tasks.inputs.series_script import script_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State
    from rnncli.data.look import Look
    from rnncli.nn.model import Outputs


class Model(CoreSection):
    relative: Literal["none", "last", "window", "ratio"] = Field(
        "window",
        description="normalization of a window: none, minus its last value, minus its mean and divided by its "
        "spread, or minus its mean and divided by the ratio of that mean to the series' (for swings that grow with the "
        "level; no negative values)",
    )
    skip: Literal["none", "season", "linear"] = Field(
        "none",
        description="what the network's output is added to: nothing, the last season, or a linear map of the window",
    )
    head: Literal["direct"] = Field("direct", description="all horizon steps at once, from the last state")
    interval: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="nominal coverage of the interval from lower to upper, such as 0.8; 0: no interval."
        " Calibrated on the validation split",
    )

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.bidirectional and not CELLS[self.cell].stateful:
            yield Clash(("bidirectional", "cell"), tr("a cell without memory has no directions"))


class Train(TrainSection):
    loss: Literal["mae", "mse", "quantile"] = Field(
        "mae",
        description="loss on scaled values: absolute error, squared error, or the pinball loss of model.interval's "
        "bounds and the median",
    )
    best_by: Literal["mae", "rmse", "mase", "smape", "wape", "pinball", "coverage", "loss"] = Field(
        "loss", description="metric that selects the epoch to keep"
    )


class Config(RecipeConfig):
    task: Literal["forecasting"]
    data: Data
    model: Model
    train: Train

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        data, model, train = self.data, self.model, self.train
        asked = tr("e.g. model.interval: 0.8")
        if not model.interval and train.loss == "quantile":
            yield Clash(("train.loss", "model.interval"), tr("quantile loss needs an interval"), asked)
        if not model.interval and train.best_by in ("pinball", "coverage"):
            yield Clash(("train.best_by", "model.interval"), tr("this metric needs an interval"), asked)
        if model.interval and not (data.split.validation if data.path is not None else data.validation):
            what = tr("intervals are calibrated on a validation split, but there is none")
            yield Clash(("model.interval", "data.split.validation"), what)
        if model.skip == "season" and data.season > data.window:
            what = tr("a window of {n} steps is shorter than one season", n=data.window)
            yield Clash(("model.skip", "data.window", "data.season"), what, tr("data.window: {n}", n=data.season))


class Forecasting(Task[Config, Fitted, Part]):
    METRICS: Mapping[str, Better] = {
        "mae": "lower",
        "rmse": "lower",
        "mase": "lower",
        "smape": "lower",
        "wape": "lower",
        "pinball": "lower",
        "coverage": "higher",
        "loss": "lower",
    }
    config_class = Config
    fitted_class = Fitted

    def input_kind(self, config: Config) -> InputKind:
        return "path"

    def read(self, config: Config) -> Splits[Fitted, Part]:
        found = read_series(config.data)
        for part in found.parts.values():
            _require_no_minus(config, part.table.series)
        return found

    def read_part(self, config: Config, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
        part, notes = read_new_series(config.data, fitted, path)
        _require_no_minus(config, part.table.series)
        return part, notes

    def suits(self, look: Look, config: Config) -> Suited | None:
        from rnncli.tasks.inputs import suits

        return suits.series(look)

    def suggest_settings(self, path: str, config: Config | None = None) -> dict[str, Json]:
        return suggest_columns(path, config.data if config is not None else None)

    def build(self, config: Config, fitted: Fitted) -> nn.Module:
        from rnncli.nn.forecast import Forecaster, LastSeason, LinearPath, Relative
        from rnncli.nn.heads import DirectHorizon
        from rnncli.nn.recurrent import core_of_section

        N, data, model = fitted.targets, config.data, config.model
        bounds = config.train.loss == "quantile"
        rnn, spec = core_of_section(model, len(fitted.columns))
        head = DirectHorizon(spec.output_size, data.horizon, 3 * N if bounds else N, len(data.future))
        skip: nn.Module | None = None
        if model.skip != "none":
            season = model.skip == "season"
            skip = LastSeason(data.season, data.horizon) if season else LinearPath(data.window, data.horizon)
        return Forecaster(
            Relative(model.relative, N),
            rnn,
            head,
            model.engine,
            skip=skip,
            bounds=bounds,
            calibrated=model.interval > 0,
        )

    def batches(self, config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
        for rows in index_batches(len(part.origins), config.train.batch_size, order):
            yield windows(config.data, part, rows)

    def encode(self, config: Config, fitted: Fitted, inputs: Sequence[str]) -> Batch:
        """The last window of each file, of its first series."""
        import torch

        found = [last_windows(config.data, fitted, series_of(config.data, path, [])[:1], [])[1] for path in inputs]
        extra = {name: torch.cat([one.extra[name] for one in found], dim=1) for name in found[0].extra}
        return Batch(torch.cat([one.inputs for one in found], dim=1), extra=extra)

    def loss(self, config: Config, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        outputs = model(batch)
        return _loss(config, Answer(outputs.scores, outputs.bounds), batch.targets)

    def calibrate(self, config: Config, model: nn.Module, part: Part) -> None:
        """Fit the interval's margins by split-conformal prediction on a split not used in training."""
        import torch

        from rnncli.nn.forecast import Forecaster, margins

        if not config.model.interval:
            return
        assert isinstance(model, Forecaster)
        found = [
            model.conformity(batch, outputs) for batch, outputs in outputs_of(model, self.batches(config, part, None))
        ]
        model.margin.copy_(margins(torch.cat(found, dim=1), config.model.interval))

    def metrics(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Metrics:
        """See `score`."""
        return self._score(config, self._answers(config, model, part), part)

    def _score(self, config: Config, answers: Iterable[Answer], part: Part) -> Metrics:
        def loss(answer: Answer, truth: Tensor | None) -> Loss:
            return _loss(config, answer, truth)

        return score(answers, part, config.data.horizon, loss, config.model.interval)

    def _answers(self, config: Config, model: nn.Module, part: Part) -> Iterator[Answer]:
        """Predictions for some origins at a time, on the CPU."""
        for batch, outputs in outputs_of(model, self.batches(config, part, None)):
            yield _answer(config, model, batch, outputs)

    def baselines(self, config: Config, splits: Splits[Fitted, Part], part: str) -> list[Baseline]:
        """Naive forecasts and ridge regression, from the same origins."""
        tested: Part = splits.part(part)
        return [
            Baseline(name, self._score(config, map(Answer, forecasts), tested), about)
            for name, about, forecasts in simple_forecasts(config.data, splits, tested)
        ]

    def summarize(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """The forecast from the split's last origin, as a table and as a curve, for the first target of the first
        series."""
        tested: Part = splits.part(part)
        one, number, in_units = _last_origin(tested)
        data, series = config.data, one.table.series[number]
        origin = int(one.origins[0] - one.table.first[number])  # row of the series
        answer = next(self._answers(config, model, one))
        found = {name: in_units(values) for name, values in answer.curves().items()}
        ahead = range(origin + 1, origin + 1 + data.horizon)
        truth = [float(series.values[row, 0]) if series.known[row, 0] else None for row in ahead]
        season = [float(series.values[origin + 1 - data.season + k % data.season, 0]) for k in range(data.horizon)]
        name, date = series.columns[0], series.date(origin)
        named = f"{name} ({' / '.join(series.id)})" if series.id else name
        title = tr("{column}, forecast from {date}", column=named, date=date)
        before = range(max(0, origin + 1 - min(data.window, 4 * data.horizon)), origin + 1)
        history = [float(series.values[row, 0]) for row in before]
        dates = [series.date(row) for row in (*before, *ahead)]
        return [
            sample_table(data, title, dates[len(before) :], truth, found, season),
            forecast_curve(name, history, truth, found, dates if series.dates else ()),
        ]

    def pictures(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """The curve of the forecast with the baselines'."""
        one, _, in_units = _last_origin(splits.part(part))
        curve = next(record for record in self.summarize(config, model, splits, part) if isinstance(record, Series))
        blank = [nan] * (len(curve.x) - config.data.horizon)
        lags = {tr("last value"): 1} | ({tr("seasonal naive"): config.data.season} if config.data.season > 1 else {})
        lines = {name: in_units(next(naive(config.data, one, lag))) for name, lag in lags.items()}
        return [replace(curve, lines={**curve.lines, **{name: blank + line for name, line in lines.items()}})]

    def in_units(self, config: Config, fitted: Fitted, batch: Batch, scores: Tensor) -> Tensor:
        """scores: (horizon, B, N). Of several series, each row's own is known by its mean over its deviation."""
        import torch

        scales = list(fitted.scales().values())
        mean, std = (torch.tensor(rows).double() for rows in ([s.mean for s in scales], [s.std for s in scales]))
        offset = batch.extra["offset"][0].double()  # (B, N)
        of = (offset[:, None] - (mean / std)[None]).abs().sum(2).argmin(1)
        return scores.double() * std[of] + mean[of]

    def hub_task(self, config: Config) -> str:
        return "time-series-forecasting"

    def script(self, config: Config, fitted: Fitted) -> Script:
        """Of the run's own file, which must be there: how it is cut, and how its dates are written."""
        bounds, targets = config.model.interval > 0, fitted.columns[: fitted.targets]
        names = _heading(targets, ["forecast", *(["lower", "upper"] if bounds else [])])
        table = script_of(config.data, names)
        imports, code = copied("rnncli.data.written", ["decimals_of", "as_cell"])
        values = {
            **table.values,
            "relative": config.model.relative,
            "bounds": bounds,
            "targets": fitted.targets,
            "rounding": Code(code.strip()),
        }
        return replace(table, values=values, imports={*table.imports, *imports})

    def predict(
        self, config: Config, model: nn.Module, fitted: Fitted, inputs: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """For each file, the next rows: dates and targets in the file's own format; with several series, for each of
        them."""
        options.only()
        for path in inputs:
            notes: list[str] = []
            found = series_of(config.data, path, notes)
            _require_no_minus(config, found)
            table, batch, series = last_windows(config.data, fitted, found, notes)
            batch, outputs = next(outputs_of(model, [batch]))
            units = {
                kind: (values.double().numpy() * table.std + table.mean).transpose(1, 0, 2).tolist()
                for kind, values in _answer(config, model, batch, outputs).curves().items()
            }  # kind -> S lists of horizon lists of N
            yield _prediction(config.data, path, fitted.columns[: fitted.targets], series, units, notes)


def _last_origin(tested: Part) -> tuple[Part, int, Callable[[Tensor], list[float]]]:
    """The last window of the part's first series alone, the number of that series, and its first target, of answers
    (horizon, B, N), in the units of the file."""
    number = int(tested.of[0])
    one = tested.only(int((tested.of == number).nonzero()[0][-1]))
    mean, std = float(one.table.mean[number, 0]), float(one.table.std[number, 0])

    def in_units(scaled: Tensor) -> list[float]:
        found: list[float] = (scaled[:, 0, 0].double() * std + mean).tolist()
        return found

    return one, number, in_units


def _require_no_minus(config: Config, found: Sequence[RegularSeries]) -> None:
    """Raise DataError if a target has negative values and model.relative is ratio."""
    N = len(config.data.targets())
    for series in found if config.model.relative == "ratio" else ():
        low = series.values[:, :N].min(axis=0)
        if (low < 0).any():
            column = series.columns[int(low.argmin())]
            raise DataError(
                tr("column {name} has negative values, but model.relative is ratio", name=repr(column)),
                where=series.title,
                todo="--set model.relative=window",
            )


def _answer(config: Config, model: nn.Module, batch: Batch, outputs: Outputs) -> Answer:
    """On the CPU, in float32."""
    from rnncli.nn.forecast import Forecaster

    interval = None
    if config.model.interval:
        assert isinstance(model, Forecaster)
        interval = model.interval(batch, outputs).float().cpu()
    bounds = None if outputs.bounds is None else outputs.bounds.float().cpu()
    return Answer(outputs.scores.float().cpu(), bounds, interval)


def _loss(config: Config, answer: Answer, targets: Tensor | None) -> Loss:
    """Loss summed over the known scaled values. answer, targets: (horizon, B, N)."""
    assert targets is not None
    known = ~targets.isnan()
    if config.train.loss == "quantile":
        bounds = None if answer.bounds is None else answer.bounds[:, known]
        found = quantile_loss(targets[known], answer.scores[known], bounds, config.model.interval)
        return Loss(found.sum(), int(known.sum()))
    missed = answer.scores[known] - targets[known]
    error = missed.abs() if config.train.loss == "mae" else missed.square()
    return Loss(error.sum(), int(known.sum()))


def _heading(names: Sequence[str], kinds: Iterable[str]) -> list[str]:
    """The columns of a forecast. kinds: forecast, lower, upper."""
    return [
        name if kind == "forecast" else kind if len(names) == 1 else f"{name}_{kind}"
        for kind in kinds
        for name in names
    ]


def _prediction(
    data: Data,
    path: str,
    names: Sequence[str],
    series: Sequence[RegularSeries],
    units: Mapping[str, Sequence[Sequence[Sequence[float]]]],
    notes: list[str],
) -> Prediction:
    """units: forecast, lower, upper -> for each series, horizon lists of N numbers."""
    heading = _heading(names, units)
    dates = [[one.date(len(one) + k) for k in range(data.horizon)] for one in series]
    # of each target, by its newest values
    places = [[decimals_of(one.values[one.known[:, i], i].tolist()) for i in range(len(names))] for one in series]
    rows = [
        (one.id, date, [x for kind in units for x in zip(units[kind][s][k], places[s], strict=True)])
        for s, one in enumerate(series)
        for k, date in enumerate(dates[s])
    ]
    told: list[dict[str, Json]] = [
        {
            "dates": dates[s],
            **{
                kind: {name: [row[i] for row in found[s]] for i, name in enumerate(names)}
                for kind, found in units.items()
            },
        }
        for s in range(len(series))
    ]
    document: dict[str, Json] = {"input": path}
    if data.ids():
        document["series"] = [{"id": list(one.id), **said} for one, said in zip(series, told, strict=True)]
    else:
        document |= told[0]
    text, table = written_like(data, path, heading, rows)
    return Prediction(text, document, notes, csv=table)


TASK = Forecasting()
