"""Prediction intervals: quantile loss, split-conformal margins, and where they are shown; against numpy."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnncli import train
from rnncli.errors import RecipeError
from rnncli.nn.forecast import Forecaster, Relative, margins
from rnncli.records import Series, Table
from rnncli.render import svg
from rnncli.runs.open import open_run
from rnncli.tasks import PredictOptions, Recipe, load_recipe
from rnncli.tasks import forecasting as task
from rnncli.tasks.forecasts import pinball, quantile_loss
from rnncli.tasks.inputs.scaled import Fitted
from rnncli.training.job import Job, prepare
from rnncli.training.loop import fit
from tests.narrowed import as_read, of_kind


def values_of(n: int) -> list[float]:
    """A season of 4 and independent noise, so that old and new errors are exchangeable."""
    noise = np.random.RandomState(3).randn(n)
    return [float(v) for v in np.round(50 + np.tile([0, 5, -4, 2], n)[:n] + noise, 4)]


def write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in [columns, *rows]))
    return str(path)


def days(n: int) -> list[str]:
    start = np.datetime64("2020-01-01")
    return [str(start + k) for k in range(n)]


def recipe(path: str, *, epochs: int = 1, model: dict[str, Any], loss: str = "mae", **data: Any) -> Recipe:
    split = {"validation": 0.3, "test": 0.3}
    return load_recipe(
        {
            "task": "forecasting",
            "data": {"path": path, "window": 4, "horizon": 2, "season": 4, "split": split, **data},
            "model": {"cell": "gru", "hidden_size": 4, "skip": "season", **model},
            "train": {"epochs": epochs, "batch_size": 64, "lr": 0.01, "loss": loss, "threads": 1},
        }
    )


def trained(tmp_path: Path, *, coverage: float = 0.8, loss: str = "mae", epochs: int, n: int) -> Job:
    path = write(tmp_path / "s.csv", ["date", "value"], list(zip(days(n), values_of(n), strict=True)))
    job = prepare(recipe(path, epochs=epochs, model={"interval": coverage}, loss=loss))
    *_, _ = fit(job)
    return job


def own(job: Job) -> task.Config:
    return of_kind(task.Config, job.config)


def forecaster(job: Job) -> Forecaster:
    return of_kind(Forecaster, job.model)


def test_the_pinball_loss_is_that_of_its_definition_and_least_at_the_quantile() -> None:
    y = np.random.RandomState(0).randn(400)
    grid = np.linspace(-3, 3, 601)
    for level in (0.1, 0.5, 0.85):
        by_hand = [np.mean(np.where(y >= q, level * (y - q), (1 - level) * (q - y))) for q in grid]
        found = [float(pinball(torch.tensor(y), torch.tensor(q), level).mean()) for q in grid]
        np.testing.assert_allclose(found, by_hand, rtol=1e-12)
        assert grid[int(np.argmin(found))] == pytest.approx(np.quantile(y, level), abs=0.03)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95, 0.999])
def test_margins_are_order_statistics(coverage: float) -> None:
    scores = np.random.RandomState(1).randn(3, 30, 2)
    scores[0, :7, 1] = np.nan
    scores[2, :, 0] = np.nan
    found = margins(torch.tensor(scores), coverage)
    for k in range(3):
        for i in range(2):
            there = sorted(scores[k, :, i][~np.isnan(scores[k, :, i])])
            place = min(ceil((len(there) + 1) * coverage), len(there))
            assert float(found[k, i]) == (there[place - 1] if there else 0.0)


@pytest.mark.parametrize("loss", ["mae", "mse", "quantile"])
def test_an_interval_covers_what_it_says_and_its_metrics_are_numpy_s(tmp_path: Path, loss: str) -> None:
    job = trained(tmp_path, loss=loss, epochs=1, n=2400)
    config, part = own(job), job.splits.part("test")
    found = task.TASK.metrics(config, job.model, part, job.splits.fitted)
    assert found["coverage"] == pytest.approx(0.8, abs=0.05)
    lower, upper, middle, truth = [], [], [], []
    mean, std = job.splits.fitted.mean[0], job.splits.fitted.std[0]
    y = np.array(values_of(2400))
    job.model.eval()
    with torch.no_grad():
        for batch in task.TASK.batches(config, part, None):
            outputs = job.model(batch)
            bounds = forecaster(job).interval(batch, outputs)[..., 0].double().numpy() * std + mean
            lower += bounds[0].T.tolist()
            upper += bounds[1].T.tolist()
            middle += (outputs.scores[..., 0].double().numpy() * std + mean).T.tolist()
            truth += [[y[o + 1], y[o + 2]] for o in part.origins[list(batch.rows)]]
    low, high, mid, true = map(np.array, (lower, upper, middle, truth))
    assert found["coverage"] == pytest.approx(np.mean((low <= true) & (true <= high)), abs=2e-3)

    def check(q: Any, level: float) -> Any:
        return np.where(true >= q, level * (true - q), (1 - level) * (q - true))

    wanted = np.mean((check(low, 0.1) + check(mid, 0.5) + check(high, 0.9)) / 3)
    assert found["pinball"] == pytest.approx(wanted, rel=1e-4)
    simple = {one.name: one.metrics for one in task.TASK.baselines(config, job.splits, "test")}
    assert not {"coverage", "pinball"} & set(simple["ridge"])


def test_the_quantile_loss_is_what_is_minimized(tmp_path: Path) -> None:
    job = trained(tmp_path, loss="quantile", epochs=1, n=80)
    config = own(job)
    batch = next(task.TASK.batches(config, job.splits.train, None))
    outputs = job.model(batch)
    found = task.TASK.loss(config, job.model, batch, None)
    assert outputs.bounds is not None
    assert batch.targets is not None
    assert bool((outputs.bounds[0] < outputs.scores).all())
    assert bool((outputs.scores < outputs.bounds[1]).all())
    wanted = quantile_loss(batch.targets, outputs.scores, outputs.bounds, 0.8).mean()
    torch.testing.assert_close(found.total / found.count, wanted)
    found.total.backward()
    assert all(parameter.grad is not None for parameter in job.model.parameters())


def test_margins_are_kept_in_the_run_and_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", ["date", "value"], list(zip(days(80), values_of(80), strict=True)))
    run = train(recipe(path, epochs=2, model={"interval": 0.8}), out=str(tmp_path / "run"))
    reopened = open_run(str(tmp_path / "run"))
    margin = of_kind(Forecaster, reopened.model).margin
    assert float(margin.min()) > 0
    assert torch.equal(margin, of_kind(Forecaster, run.model).margin)
    config, fitted = of_kind(task.Config, reopened.config), of_kind(Fitted, reopened.fitted)
    (answer,) = task.TASK.predict(config, reopened.model, fitted, [path], PredictOptions())
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == ["date", "value", "lower", "upper"]
    assert [row[0] for row in rows] == days(82)[80:]
    for k, (_, middle, lower, upper) in enumerate(rows):
        assert float(lower) < float(middle) < float(upper)
        spread = (float(upper) - float(lower)) / 2 / fitted.std[0]
        last = np.array(values_of(80)[-4:]).std() / fitted.std[0]
        assert spread == pytest.approx(float(margin[k, 0]) * max(last, 0.1), rel=1e-4)
    told = as_read(answer.json)
    assert told["lower"]["value"] == pytest.approx([float(row[2]) for row in rows], rel=1e-6)
    table, curve = task.TASK.summarize(config, reopened.model, task.TASK.read(config), "test")
    assert [column.name for column in of_kind(Table, table).columns][3:5] == ["lower", "upper"]
    drawn = of_kind(Series, curve)
    assert drawn.band == ("lower", "upper")
    shapes = svg.series(drawn).shapes
    assert len([shape for shape in shapes if "fill-opacity" in shape.attributes]) == 1


def test_with_several_targets_each_has_its_bounds(tmp_path: Path) -> None:
    rows = [(day, v, 10 * v + k % 3) for k, (day, v) in enumerate(zip(days(80), values_of(80), strict=True))]
    path = write(tmp_path / "s.csv", ["date", "a", "b"], rows)
    job = prepare(recipe(path, model={"interval": 0.5}, loss="quantile", target=["a", "b"]))
    *_, _ = fit(job)
    (answer,) = task.TASK.predict(own(job), job.model, job.splits.fitted, [path], PredictOptions())
    assert answer.text.splitlines()[0] == "date,a,b,a_lower,b_lower,a_upper,b_upper"
    told = as_read(answer.json)
    assert set(told["upper"]) == {"a", "b"}
    assert all(a <= b for a, b in zip(told["lower"]["b"], told["upper"]["b"], strict=True))


@pytest.mark.parametrize(
    ("model", "train_", "data", "key"),
    [
        ({}, {"loss": "quantile"}, {}, "train.loss"),
        ({}, {"best_by": "coverage"}, {}, "train.best_by"),
        ({"interval": 0.8}, {}, {"split": {"validation": 0.0}}, "model.interval"),
        ({"skip": "season"}, {}, {"season": 12}, "model.skip"),
    ],
)
def test_what_does_not_go_together(
    model: dict[str, Any], train_: dict[str, Any], data: dict[str, Any], key: str
) -> None:
    values = {
        "task": "forecasting",
        "data": {"path": "s.csv", "window": 4, "horizon": 2, **data},
        "model": {"hidden_size": 4, **model},
        "train": train_,
    }
    with pytest.raises(RecipeError) as caught:
        load_recipe(values)
    assert key in {fault.key for fault in caught.value.faults}


def test_by_ratio_a_series_of_twice_the_size_is_the_same_one() -> None:
    raw = torch.rand(6, 3, 1, dtype=torch.float64) + 0.5
    relative = Relative("ratio", 1)
    mean, std = raw.mean(), raw.std()
    offset = (mean / std).expand(1, 3, 1)
    x, _, spread = relative((raw - mean) / std, offset)
    doubled, _, twice = relative((2 * raw - mean) / std, offset)
    torch.testing.assert_close(doubled, x)
    torch.testing.assert_close(twice, 2 * spread)
    torch.testing.assert_close(spread, raw.mean(0) / mean)
