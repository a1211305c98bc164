"""forecasting: the next steps of a series, from a CSV with a date column."""

from __future__ import annotations

import csv
import io
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import nan
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch, Order, index_batches
from rnncli.data.series import RegularSeries, read_regular
from rnncli.data.skipped import Skipped
from rnncli.data.sniff import sniff_table
from rnncli.data.source import fingerprint_of, name_of
from rnncli.data.splits import split_in_order
from rnncli.data.table import NoColumn, open_table
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.names import CELLS
from rnncli.recipe import Clash, CoreSection, DataSection, RecipeConfig, TrainSection
from rnncli.recipe.parse import flow_text
from rnncli.records import Column, Json, Record, Series, Table
from rnncli.tasks import Asked, Baseline, Loss, Metrics, Names, Prediction, Splits, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State

METRICS: Mapping[str, Literal["lower", "higher"]] = {"mae": "lower", "rmse": "lower", "mase": "lower", "loss": "lower"}
INPUT: Literal["text", "path"] = "path"
STRETCH = 1 << 12  # origins whose baseline is made at a time
SHOWN_STEPS = 12  # of the forecast that closes a run


class Data(DataSection):
    date: str | int | None = Field(
        "date", description="column of dates, by name, or by number from 0; null: the file has none"
    )
    target: str | int | list[str | int] = Field("value", description="what is forecast: a column, or a list of them")
    past: list[str | int] = Field([], description="further columns, known up to now")
    future: list[str | int] = Field([], description="further columns, known ahead as well: holidays, prices")
    header: bool = Field(True, description="the first row names the columns")
    decimal: Literal[".", ","] = Field(".", description="the mark in numbers")
    missing: Literal["stop", "interpolate", "previous"] = Field(
        "stop",
        description="a value or a date left out: stop, a straight line between its neighbours, or the one before",
    )
    window: Annotated[int, Field(ge=1)] = Field(48, description="steps looked at")
    horizon: Annotated[int, Field(ge=1)] = Field(12, description="steps forecast")
    season: Annotated[int, Field(ge=1)] = Field(
        1, description="steps after which the series repeats, for seasonal naive and MASE; 1: it does not"
    )
    stride: Annotated[int, Field(ge=1)] = Field(
        1, description="steps between the origins that are judged: 24 is one a day of hourly data; training uses all"
    )

    def targets(self) -> list[str | int]:
        return self.target if isinstance(self.target, list) else [self.target]

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if isinstance(self.path, list):
            yield Clash(("path",), tr("a series is one file"), tr("several series: one file with a column for each"))
        if not self.targets():
            yield Clash(("target",), tr("the list of targets is empty"))
        columns = [str(key) for key in (*self.targets(), *self.past, *self.future)]
        for name in dict.fromkeys(name for name in columns if columns.count(name) > 1):
            yield Clash(("target", "past", "future"), tr("column {name} is named twice", name=repr(name)))
        if self.date is not None and str(self.date) in columns:
            yield Clash(("date",), tr("the column of dates is also a column of numbers"))


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


class Part(NamedTuple):
    """Windows of one series. values: (T, I) float32, scaled, targets first, then past and future columns. truth: (T, N)
    float32, scaled, NaN where the file has no value. origins: of each window, the last row looked at, (windows,)."""

    series: RegularSeries
    values: Tensor
    truth: Tensor
    origins: Any


def read(config: Config) -> Splits:
    data = config.data
    notes: list[str] = []
    if data.path is not None:
        assert isinstance(data.path, str)
        sources = [data.path]
        whole = _first_series(config, data.path, notes)
        split = split_in_order(len(whole), data.split.fractions())
        ranges = {name: (whole, range(rows[0], rows[-1] + 1)) for name, rows in split.parts.items()}
        how = split.how
    else:
        given = {name: getattr(data, name) for name in ("train", "validation", "test")}
        sources = [source for source in given.values() if source is not None]
        ranges = {}
        for name, source in given.items():
            if source is not None:
                series = _first_series(config, source, notes)
                ranges[name] = (series, range(len(series)))
        how = tr("separate files")
    vocab = _scales(config, *ranges["train"])
    scaled = {id(series): _scaled(series, vocab) for series, _ in ranges.values()}
    found = {
        name: _part(config, series, scaled[id(series)], rows, name, every=1 if name == "train" else data.stride)
        for name, (series, rows) in ranges.items()
    }
    return Splits(
        train=found["train"],
        validation=found.get("validation"),
        test=found.get("test"),
        vocab=vocab,
        counts={name: {"windows": len(found[name].origins), "steps": len(rows)} for name, (_, rows) in ranges.items()},
        fingerprint=fingerprint_of(sources),
        how=how,
        notes=notes,
    )


def _first_series(config: Config, source: str, notes: list[str]) -> RegularSeries:
    """A series that a recipe names. Where its columns are called otherwise, the error says what would fit."""
    try:
        return _series(config, source, notes)
    except NoColumn as error:
        columns = open_table(source, header=config.data.header, decimal=config.data.decimal).columns
        try:
            found = fill(source)
        except DataError:
            raise error from None
        missing: dict[str, list[Any]] = {"data.date": [config.data.date], "data.target": config.data.targets()}
        sets = [
            shlex.join(["--set", f"{key}={flow_text(found[key])}"])
            for key, named in missing.items()
            if not all(name in (None, *columns) for name in named)
        ]
        if not sets or not config.data.header:
            raise
        copying = shlex.join(["rnncli", "recipes", "copy", "forecasting", "my.yaml", "--data", _short(source)])
        todo = tr("{sets}, or {command}", sets=" ".join(sets), command=copying)
        raise DataError(error.what, where=error.where, todo=todo) from error


def _short(path: str) -> str:
    """As one would type it here."""
    beside = os.path.relpath(path)
    return path if beside.startswith(os.pardir) else beside


def _series(config: Config, source: str, notes: list[str]) -> RegularSeries:
    data = config.data
    skipped = Skipped(data.on_bad, tr("rows"))
    series = read_regular(
        source,
        data.date,
        data.targets(),
        [*data.past, *data.future],
        skipped,
        missing=data.missing,
        header=data.header,
        decimal=data.decimal,
    )
    notes += [*series.notes, *skipped.notes]
    if skipped.count:
        notes.append(skipped.sentence())
    return series


def _scales(config: Config, series: RegularSeries, rows: range) -> Vocabulary:
    """Mean and standard deviation of every column, and what seasonal naive misses by (the unit of MASE), all of the
    training part's known values only."""
    import numpy as np

    season, N = config.data.season, len(config.data.targets())
    inside = slice(rows.start, rows.stop)
    values = np.where(series.known[inside], series.values[inside], np.nan)  # (T, I)
    if len(values) <= season:
        raise DataError(
            trn(
                "the training part has {n} step, not more than a season, {season}",
                "the training part has {n} steps, not more than a season, {season}",
                n=len(values),
                season=season,
            ),
            where=series.name,
            todo=tr("lower data.season, or give a longer file"),
        )
    empty = np.isnan(values).all(axis=0)
    if empty.any():
        raise DataError(
            tr("column {name} has no value in the training part", name=repr(series.columns[int(empty.argmax())])),
            where=series.name,
        )
    spread = np.nanstd(values, axis=0)
    repeats = np.abs(values[season:, :N] - values[:-season, :N])  # (T - season, N)
    misses = [float(np.nanmean(column)) if not np.isnan(column).all() else 0.0 for column in repeats.T]
    return {
        "columns": list(series.columns),
        "targets": N,
        "mean": np.nanmean(values, axis=0).tolist(),
        "std": np.where(spread > 0, spread, 1.0).tolist(),
        "naive": misses,
    }


def _scaled(series: RegularSeries, vocab: Vocabulary) -> tuple[Tensor, Tensor]:
    """values and truth of a Part, which parts of one series share. A column at a time, so that little is held twice."""
    import numpy as np
    import torch

    N = vocab["targets"]
    values = np.empty(series.values.shape, np.float32)
    for i, (mean, std) in enumerate(zip(vocab["mean"], vocab["std"], strict=True)):
        values[:, i] = (series.values[:, i] - mean) / std
    truth = values[:, :N].copy()
    truth[~series.known[:, :N]] = np.nan
    return torch.from_numpy(values), torch.from_numpy(truth)


def _part(
    config: Config, series: RegularSeries, scaled: tuple[Tensor, Tensor], rows: range, name: str, every: int
) -> Part:
    """The windows whose forecast lies inside `rows`; what they look at may lie before. every: steps between origins."""
    import numpy as np

    data, N = config.data, scaled[1].shape[1]
    first = max(rows.start, data.window) - 1
    known = np.concatenate(([0], np.cumsum(series.known[:, :N].any(axis=1))))  # rows before each that have a truth
    origins = np.arange(first, max(first, rows.stop - data.horizon), every)
    origins = origins[known[origins + 1 + data.horizon] > known[origins + 1]]
    if not len(origins):
        needed = data.horizon + (data.window if rows.start == 0 else max(0, data.window - rows.start))
        raise DataError(
            trn(
                "{part} has {n} step; a window and its forecast need {needed}",
                "{part} has {n} steps; a window and its forecast need {needed}",
                part=name,
                n=len(rows),
                needed=needed,
            ),
            where=series.name,
            todo=tr("lower data.window or data.horizon, or give {part} a larger share", part=name),
        )
    return Part(series, *scaled, origins)


def build(config: Config, vocab: Vocabulary) -> nn.Module:
    from rnncli.nn.forecast import Forecaster, Relative
    from rnncli.nn.heads import DirectHorizon
    from rnncli.nn.recurrent import core_of_section

    N = vocab["targets"]
    rnn, spec = core_of_section(config.model, len(vocab["columns"]))
    head = DirectHorizon(spec.output_size, config.data.horizon, N, len(config.data.future))
    return Forecaster(Relative(config.model.relative, N), rnn, head, config.model.engine)


def names(config: Config, vocab: Vocabulary) -> Names:
    return Names()


def batches(config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
    where = order or Order(0, 0)
    for rows in index_batches(len(part.origins), config.train.batch_size, where, shuffle=order is not None):
        yield _batch(config, part, part.origins[rows], rows)


def _batch(config: Config, part: Part, origins: Any, rows: Sequence[int]) -> Batch:
    """inputs (window, B, I); targets (horizon, B, N), NaN where there is no truth; extra future (horizon, B, F)."""
    import torch

    data = config.data
    now = torch.as_tensor(origins, dtype=torch.int64)  # (B,)
    seen = now + torch.arange(1 - data.window, 1)[:, None]  # (window, B)
    ahead = now + torch.arange(1, data.horizon + 1)[:, None]  # (horizon, B)
    F = len(data.future)
    extra = {"future": part.values[ahead][..., -F:]} if F else {}
    return Batch(part.values[seen], None, part.truth[ahead], extra, rows)


def encode(config: Config, vocab: Vocabulary, inputs: Sequence[str]) -> Batch:
    """The last window of each file."""
    import torch

    found = [_last_window(config, vocab, _series(config, path, [])) for path in inputs]
    extra = {"future": torch.cat([one.extra["future"] for one in found], dim=1)} if config.data.future else {}
    return Batch(torch.cat([one.inputs for one in found], dim=1), extra=extra)


def _last_window(config: Config, vocab: Vocabulary, series: RegularSeries) -> Batch:
    """The window before the file's end, (window, 1, I), and what the rows after it say of the horizon."""
    import numpy as np
    import torch

    data, F = config.data, len(config.data.future)
    if len(series) < data.window:
        raise DataError(
            trn(
                "has {n} step; the model looks at {window}",
                "has {n} steps; the model looks at {window}",
                n=len(series),
                window=data.window,
            ),
            where=series.name,
        )
    mean, std = np.array(vocab["mean"]), np.array(vocab["std"])
    inputs = ((series.values[-data.window :] - mean) / std).astype(np.float32)
    extra = {}
    if F:
        ahead = ((series.ahead[: data.horizon] - mean) / std)[:, -F:].astype(np.float32)
        if len(ahead) < data.horizon or np.isnan(ahead).any():
            raise DataError(
                trn(
                    "the next {n} step of {columns} is not in the file",
                    "the next {n} steps of {columns} are not in the file",
                    n=data.horizon,
                    columns=", ".join(map(str, data.future)),
                ),
                where=series.name,
                todo=tr("add rows after the last one, with these columns filled in and the target empty"),
            )
        extra = {"future": torch.from_numpy(ahead)[:, None]}  # (horizon, 1, F)
    return Batch(torch.from_numpy(inputs)[:, None], extra=extra)


def loss(config: Config, model: Any, batch: Batch, carry: State | None) -> Loss:
    return _loss(config, model(batch).scores, batch.targets)


def _loss(config: Config, forecast: Tensor, targets: Tensor | None) -> Loss:
    """Summed over the scaled values that are known. forecast, targets: (horizon, B, N)."""
    assert targets is not None
    known = ~targets.isnan()
    missed = forecast[known] - targets[known]
    error = missed.abs() if config.train.loss == "mae" else missed.square()
    return Loss(error.sum(), int(known.sum()))


def metrics(config: Config, model: Any, part: Part, vocab: Vocabulary) -> Metrics:
    """mae, rmse and mase over all origins of the part, in the data's units; loss of a scaled value.

    With several targets, the mean of their metrics. mase: MAE by that of seasonal naive inside the training part
    (Hyndman and Koehler 2006, equation 5, with the season as lag); no number where the training part just repeats.
    """
    return _as_metrics(config, _forecasts(config, model, part), part, vocab)


def _forecasts(config: Config, model: Any, part: Part) -> Iterator[Tensor]:
    """Scaled, (horizon, origins, N), some origins at a time, on the CPU."""
    from rnncli.nn.evaluate import outputs_of

    for _, outputs in outputs_of(model, batches(config, part, None)):
        yield outputs.scores.float().cpu()


def _as_metrics(config: Config, forecasts: Iterable[Tensor], part: Part, vocab: Vocabulary) -> Metrics:
    """forecasts: of all origins, in order, some at a time: (horizon, origins, N), scaled."""
    import torch

    std = torch.tensor(vocab["std"][: vocab["targets"]], dtype=torch.float64)
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
    mase = [float(error) / unit if unit > 0 else nan for error, unit in zip(mae, vocab["naive"], strict=True)]
    return {
        "mae": float(mae.nanmean()),
        "rmse": float((squares / known).sqrt().nanmean()),
        "mase": sum(mase) / len(mase),
        "loss": loss / count,
    }


def baselines(config: Config, splits: Splits, part: str) -> list[Baseline]:
    """Last value, and the value one season before, at the same origins."""
    tested: Part = splits.part(part)
    found = [(tr("last value"), 1, tr("the value at the origin, repeated"))]
    if config.data.season > 1:
        about = tr("the value one season of {n} steps before", n=config.data.season)
        found.append((tr("seasonal naive"), config.data.season, about))
    return [
        Baseline(name, _as_metrics(config, _repeated(config, tested, lag), tested, splits.vocab), about)
        for name, lag, about in found
    ]


def _repeated(config: Config, part: Part, lag: int) -> Iterator[Tensor]:
    """The last `lag` values at each origin, over and over: (horizon, origins, N), scaled, some origins at a time."""
    import torch

    N = part.truth.shape[1]
    steps = torch.arange(config.data.horizon) % lag + 1 - lag  # (horizon,)
    for start in range(0, len(part.origins), STRETCH):
        rows = torch.as_tensor(part.origins[start : start + STRETCH]) + steps[:, None]  # (horizon, origins)
        yield part.values[:, :N][rows.clamp(min=0)]


def watch(config: Config, model: Any, splits: Splits) -> str:
    return ""


def show(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    """The forecast from the last origin of the part, as a table and as a curve, of the first target."""
    tested: Part = splits.part(part)
    one = tested._replace(origins=tested.origins[-1:])
    data, origin, series = config.data, int(tested.origins[-1]), tested.series
    vocab = splits.vocab
    forecast = (next(_forecasts(config, model, one))[:, 0, 0].double() * vocab["std"][0] + vocab["mean"][0]).tolist()
    ahead = range(origin + 1, origin + 1 + data.horizon)
    truth = [float(series.values[row, 0]) if series.known[row, 0] else None for row in ahead]
    season = [float(series.values[origin + 1 - data.season + k % data.season, 0]) for k in range(data.horizon)]
    name = series.columns[0]
    rows: list[list[Any]] = [
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


def pictures(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    """The curve of the forecast with the baselines'."""
    tested: Part = splits.part(part)
    one = tested._replace(origins=tested.origins[-1:])
    curve = next(record for record in show(config, model, splits, part) if isinstance(record, Series))
    blank = [nan] * (len(curve.x) - config.data.horizon)
    lags = {tr("last value"): 1} | ({tr("seasonal naive"): config.data.season} if config.data.season > 1 else {})
    naive = {
        name: (next(_repeated(config, one, lag))[:, 0, 0].double() * splits.vocab["std"][0] + splits.vocab["mean"][0])
        for name, lag in lags.items()
    }
    return [replace(curve, lines={**curve.lines, **{name: blank + line.tolist() for name, line in naive.items()}})]


def predict(config: Config, model: Any, vocab: Vocabulary, inputs: Iterable[str], asked: Asked) -> Iterator[Prediction]:
    """For each file, the rows that come next: the dates and the targets, separated and written as in the file."""
    from rnncli.nn.evaluate import outputs_of

    asked.only()
    data, N = config.data, vocab["targets"]
    mean, std = vocab["mean"][:N], vocab["std"][:N]
    for path in inputs:
        notes: list[str] = []
        series = _series(config, path, notes)
        _, outputs = next(outputs_of(model, [_last_window(config, vocab, series)]))
        scaled = outputs.scores[:, 0].double().cpu().tolist()  # horizon lists of N
        values = [[x * s + m for x, s, m in zip(row, std, mean, strict=True)] for row in scaled]
        dates = [series.date(len(series) + k) for k in range(data.horizon)]
        table = open_table(path, header=data.header, decimal=data.decimal)
        text = io.StringIO()
        writer = csv.writer(text, delimiter=table.delimiter, lineterminator="\n")
        heading = tr("step") if data.date is None else table.columns[table.index(data.date)]
        if data.header:
            writer.writerow([heading, *vocab["columns"][:N]])
        for date, row in zip(dates, values, strict=True):
            writer.writerow([date, *(f"{value:.6g}".replace(".", data.decimal) for value in row)])
        forecast = {name: [row[i] for row in values] for i, name in enumerate(vocab["columns"][:N])}
        yield Prediction(
            text.getvalue().removesuffix("\n"), {"input": path, "dates": dates, "forecast": forecast}, notes
        )


def read_part(config: Config, vocab: Vocabulary, path: str) -> tuple[Part, list[str]]:
    """A new file as one part, scaled as the run's training part was; and notes on it. Raises DataError."""
    notes: list[str] = []
    series = _series(config, path, notes)
    scaled = _scaled(series, vocab)
    return _part(config, series, scaled, range(len(series)), series.name, config.data.stride), notes


def fill(path: str) -> dict[str, Json]:
    """What a recipe should say of the data at `path`, dotted key -> value, as far as its first rows show it.

    The target is the first column of numbers, or the one called like a target; the others become columns known up to
    now, which is true of any: whoever reads the recipe moves those known ahead. Raises DataError: not to be read, or a
    column that might have been the target but for a cell.
    """
    found = sniff_table(path)
    numbers = found.numbers()
    before = [column.name for column in found.columns]
    for column in found.columns:
        if column.odd is not None and (not numbers or before.index(column.name) < before.index(numbers[0])):
            line, cell = column.odd
            raise DataError(
                tr("{cell} in column {name} is no number", cell=repr(cell[:40]), name=repr(column.name)),
                where=f"{name_of(path)}:{line}",
                todo=tr("mend it, or empty it: a missing value can be filled in (data.missing)"),
            )
    if not numbers:
        raise DataError(tr("there is no column of numbers in it"), where=path)
    target = next((name for name in numbers if name.lower() in ("target", "value", "y", "ot")), numbers[0])
    filled: dict[str, Json] = {
        "data.date": found.date,
        "data.target": target,
        "data.past": [name for name in numbers if name != target],
        "data.future": [],
        "data.header": found.header,
        "data.decimal": found.decimal,
        "data.season": found.season,
    }
    if any(column.missing for column in found.columns if column.name in numbers):
        filled["data.missing"] = "interpolate"
    if found.season > 1 and found.rows >= 10 * found.season:
        filled |= {"data.window": 2 * found.season, "data.horizon": found.season}
    return filled
