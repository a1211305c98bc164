from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnncli.baselines.naive import grown
from rnncli.data.batch import Batch, Order
from rnncli.data.written import ALL, decimals_of
from rnncli.errors import DataError, RecipeError
from rnncli.recipe import RecipeConfig
from rnncli.records import Series, Table
from rnncli.tasks import PredictOptions, Recipe, load_recipe
from rnncli.tasks import forecasting as task
from rnncli.tasks.base import Prediction, Suggested
from rnncli.training.job import prepare
from rnncli.training.loop import fit
from tests.narrowed import as_read, of_kind, some

W, H, M = 6, 3, 4  # window, horizon, season
Values = np.ndarray[tuple[int], np.dtype[np.float64]]


def recipe(data: dict[str, Any], model: dict[str, Any] | None = None, train: dict[str, Any] | None = None) -> Recipe:
    return load_recipe(
        {
            "task": "forecasting",
            "data": {"window": W, "horizon": H, "season": M, "split": {"validation": 0.2, "test": 0.2}, **data},
            "model": {"cell": "gru", "hidden_size": 8, **(model or {})},
            "train": {"epochs": 1, "batch_size": 8, **(train or {})},
        }
    )


def own(config: RecipeConfig) -> task.Config:
    return of_kind(task.Config, config)


def months(n: int) -> list[str]:
    return [f"{2000 + i // 12}-{i % 12 + 1:02d}" for i in range(n)]


def write(path: Path, columns: dict[str, list[Any]], mark: str = ",", header: bool = True) -> str:
    lines = [list(columns)] if header else []
    lines += [[str(cell) for cell in row] for row in zip(*columns.values(), strict=True)]
    path.write_text("".join(mark.join(line) + "\n" for line in lines), "utf-8")
    return str(path)


def bumpy(n: int) -> Values:
    values: Values = np.round(
        10 + 0.3 * np.arange(n) + np.tile([0, 3, -2, 1], n)[:n] + np.random.RandomState(0).randn(n), 3
    )
    return values


def by_hand(y: Values, origins: list[int], forecast: Callable[[int, int], float], train: int) -> dict[str, float]:
    """mae, rmse, mase, smape and wape of forecast(origin, k), the slow way."""
    pairs = [(y[o + k], forecast(o, k)) for o in origins for k in range(1, H + 1) if not math.isnan(y[o + k])]
    missed = [true - guess for true, guess in pairs]
    naive = np.nanmean([abs(y[t] - y[t - M]) for t in range(M, train)])
    mae = float(np.mean(np.abs(missed)))
    return {
        "mae": mae,
        "rmse": float(np.sqrt(np.mean(np.square(missed)))),
        "mase": mae / float(naive),
        "smape": float(np.mean([2 * abs(t - g) / (abs(t) + abs(g)) if t or g else 0.0 for t, g in pairs])),
        "wape": sum(map(abs, missed)) / sum(abs(true) for true, _ in pairs),
    }


def test_windows_and_origins_are_those_of_a_loop(tmp_path: Path) -> None:
    y = bumpy(50)  # 30 train, 10 validation, 10 test
    path = write(tmp_path / "s.csv", {"date": months(50), "value": y.tolist()})
    config = own(recipe({"path": path, "stride": 2}).config)
    splits = task.TASK.read(config)
    mean, std = y[:30].mean(), y[:30].std()
    expected = {
        "train": [o for o in range(50) if o >= W - 1 and o + H < 30],
        "validation": [o for o in range(50) if o + 1 >= 30 and o + H < 40][::2],
        "test": [o for o in range(50) if o + 1 >= 40 and o + H < 50][::2],
    }
    for name, origins in expected.items():
        seen = []
        for batch in task.TASK.batches(config, splits.part(name), None):
            for b, row in enumerate(batch.rows):
                o = origins[row]
                np.testing.assert_allclose(batch.inputs[:, b, 0], (y[o - W + 1 : o + 1] - mean) / std, atol=1e-5)
                np.testing.assert_allclose(some(batch.targets)[:, b, 0], (y[o + 1 : o + 1 + H] - mean) / std, atol=1e-5)
                seen.append(row)
        assert seen == list(range(len(origins)))
        assert splits.counts[name]["windows"] == len(origins)
    shuffled = [row for batch in task.TASK.batches(config, splits.train, Order(0, 1)) for row in batch.rows]
    assert sorted(shuffled) == list(range(len(expected["train"])))
    assert shuffled != sorted(shuffled)


def test_what_comes_after_the_training_part_teaches_nothing(tmp_path: Path) -> None:
    y = bumpy(50)
    first = task.TASK.read(
        own(recipe({"path": write(tmp_path / "a.csv", {"date": months(50), "value": y.tolist()})}).config)
    )
    y[30:] *= 100
    second = task.TASK.read(
        own(recipe({"path": write(tmp_path / "b.csv", {"date": months(50), "value": y.tolist()})}).config)
    )
    assert first.fitted == second.fitted
    assert torch.equal(
        torch.cat(
            [some(b.targets) for b in task.TASK.batches(own(recipe({"path": "a"}).config), first.train, None)], 1
        ),
        torch.cat(
            [some(b.targets) for b in task.TASK.batches(own(recipe({"path": "a"}).config), second.train, None)], 1
        ),
    )


@pytest.mark.parametrize("holes", [[], [32, 33, 45]])
def test_baselines_are_those_of_a_loop_and_missing_truth_is_not_judged(tmp_path: Path, holes: list[int]) -> None:
    y = bumpy(50)
    filled = y.copy()
    cells: list[Any] = y.tolist()
    for i in holes:
        cells[i] = ""
        filled[i] = filled[i - 1]
        y[i] = math.nan
    path = write(tmp_path / "s.csv", {"date": months(50), "value": cells})
    config = own(recipe({"path": path, "missing": "previous"}).config)
    splits = task.TASK.read(config)
    for part, origins in (("validation", range(29, 37)), ("test", range(39, 47))):
        found = {one.name: one.metrics for one in task.TASK.baselines(config, splits, part)}
        assert list(found) == [*SIMPLE, "ridge"]
        for name, forecast in SIMPLE.items():
            wanted = by_hand(y, list(origins), partial(forecast, filled), 30)
            assert {key: found[name][key] for key in wanted} == pytest.approx(wanted, rel=1e-5), name


SIMPLE: dict[str, Callable[[Values, int, int], float]] = {
    "last value": lambda y, o, k: y[o],
    "drift": lambda y, o, k: y[o] + k * (y[o] - y[0]) / o,
    "seasonal naive": lambda y, o, k: y[o + k - M * (1 + (k - 1) // M)],
    "seasonal naive with growth": lambda y, o, k: (
        y[o + k - M] * y[o - M + 1 : o + 1].sum() / y[o - 7 : o - M + 1].sum()
    ),
}


def test_ridge_is_numpy_s_and_its_strength_that_of_the_validation_part(tmp_path: Path) -> None:
    y = bumpy(60)
    path = write(tmp_path / "s.csv", {"date": months(60), "value": y.tolist()})
    config = own(recipe({"path": path}).config)
    splits = task.TASK.read(config)  # 36, 12, 12
    z = (y - y[:36].mean()) / y[:36].std()

    def pairs(origins: range) -> tuple[Any, Any]:
        return np.array([z[o - W + 1 : o + 1] for o in origins]), np.array([z[o + 1 : o + 1 + H] for o in origins])

    X, Y = pairs(range(W - 1, 33))
    answers = {}
    for strength in 10.0 ** (np.arange(-8, 11) / 2):
        # as least squares of more rows: sqrt(strength) on each weight, none on the intercept
        rows = np.vstack(
            [np.hstack([X, np.ones((len(X), 1))]), np.hstack([np.sqrt(strength) * np.eye(W), np.zeros((W, 1))])]
        )
        weights = np.linalg.lstsq(rows, np.vstack([Y, np.zeros((W, H))]), rcond=None)[0]
        missed = [np.abs(np.hstack([A, np.ones((len(A), 1))]) @ weights - B).mean() for A, B in map(pairs, PARTS)]
        answers[strength] = missed
    validation, test = answers[min(answers, key=lambda strength: answers[strength][0])]
    for part, wanted in (("validation", validation), ("test", test)):
        ridge = task.TASK.baselines(config, splits, part)[-1]
        assert ridge.metrics["mae"] == pytest.approx(wanted * y[:36].std(), rel=1e-4)


PARTS = (range(35, 45), range(47, 57))  # origins of validation and test


def test_growth_needs_two_seasons_above_zero() -> None:
    values = torch.tensor([[1.0], [3.0], [2.0], [6.0], [-4.0], [2.0]])
    forecast = torch.cat(list(grown(values, [1, 3, 5], 2, 3)), dim=1)[..., 0].T  # (origins, horizon)
    assert forecast.tolist() == [[1, 3, 1], [4, 12, 8], [-4, 2, -4]]


def test_metrics_of_a_model_in_the_data_s_units(tmp_path: Path) -> None:
    y = bumpy(50)
    job = prepare(recipe({"path": write(tmp_path / "s.csv", {"date": months(50), "value": y.tolist()})}))
    found = task.TASK.metrics(own(job.config), job.model, job.splits.part("test"), job.splits.fitted)
    mean, std = job.splits.fitted.mean[0], job.splits.fitted.std[0]
    answers = {}
    for o in range(39, 47):
        window = torch.tensor((y[o - W + 1 : o + 1] - mean) / std, dtype=torch.float32)[:, None, None]
        with torch.no_grad():
            answers[o] = job.model(Batch(window)).scores[:, 0, 0].numpy() * std + mean
    wanted = by_hand(y, list(range(39, 47)), lambda o, k: answers[o][k - 1], 30)
    assert {key: found[key] for key in wanted} == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(("relative", "stretch"), [("last", 1.0), ("window", 1.0), ("window", 3.0)])
def test_a_forecast_moves_with_its_window(tmp_path: Path, relative: str, stretch: float) -> None:
    path = write(tmp_path / "s.csv", {"date": months(50), "value": bumpy(50).tolist()})
    job = prepare(recipe({"path": path}, {"relative": relative}))
    x = torch.randn(W, 2, 1)
    here = job.model(Batch(x)).scores
    there = job.model(Batch(x * stretch + 5)).scores
    torch.testing.assert_close(there, here * stretch + 5, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "feedforward"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_past_and_future_columns_and_several_targets(tmp_path: Path, cell: str, dtype: str) -> None:
    n = 50
    columns: dict[str, list[Any]] = {"date": months(n), "a": bumpy(n).tolist(), "b": (bumpy(n) * 100).tolist()}
    columns |= {"warm": np.arange(n).tolist(), "sale": (np.arange(n) % 3).tolist()}
    data = {"path": write(tmp_path / "s.csv", columns), "target": ["a", "b"], "past": ["warm"], "future": ["sale"]}
    job = prepare(recipe(data, {"cell": cell}, {"dtype": dtype, "loss": "mse"}))
    batch = next(task.TASK.batches(own(job.config), job.splits.train, None))
    fitted = job.splits.fitted
    assert fitted.columns == ["a", "b", "warm", "sale"]
    assert batch.inputs.shape[2] == 4
    sale = batch.extra["future"][:, 0, 0].double() * fitted.std[3] + fitted.mean[3]
    np.testing.assert_allclose(sale, [(W + k) % 3 for k in range(H)], atol=1e-5)
    loss = task.TASK.loss(own(job.config), job.model, batch, None)
    scores = job.model(batch).scores
    torch.testing.assert_close(loss.total / loss.count, ((scores - batch.targets) ** 2).mean())
    loss.total.backward()
    last, *_ = task.TASK.baselines(own(job.config), job.splits, "test")
    single = []
    for name in "ab":
        config = own(recipe({**data, "target": name, "past": [], "future": []}).config)
        single.append(task.TASK.baselines(config, task.TASK.read(config), "test")[0].metrics["mase"])
    assert last.metrics["mase"] == pytest.approx(np.mean(single), rel=1e-5)


def test_it_learns_a_season_with_a_trend(tmp_path: Path) -> None:
    t = np.arange(120)
    y = 0.5 * t + np.tile([0, 6, -4, 2], 30)
    path = write(tmp_path / "s.csv", {"date": months(120), "value": y.tolist()})
    job = prepare(recipe({"path": path}, {"relative": "last"}, {"epochs": 60, "lr": 0.02}))
    *_, last = fit(job)
    found = {one.name: one.metrics for one in task.TASK.baselines(own(job.config), job.splits, "validation")}
    for name in ("last value", "drift", "seasonal naive"):
        assert last.metrics["mae"] < 0.5 * found[name]["mae"]
    table, curve = task.TASK.summarize(own(job.config), job.model, job.splits, "validation")
    assert isinstance(table, Table)
    assert isinstance(curve, Series)
    assert [row[0] for row in table.rows] == months(120)[93:96]
    assert [row[1] for row in table.rows] == y[93:96].tolist()
    assert all(len(line) == len(curve.x) for line in curve.lines.values())


@pytest.mark.parametrize(
    ("dates", "following"),
    [
        (months(50), ["2004-03", "2004-04", "2004-05"]),
        ([str(1950 + i) for i in range(50)], ["2000", "2001", "2002"]),
        (
            [f"2020-02-{27 + i // 24:02d} {i % 24:02d}:00:00" for i in range(48 + 22)],
            ["2020-02-29 00:00:00"],
        ),
    ],
)
def test_predict_gives_the_next_dates_in_the_file_s_own_form(
    tmp_path: Path, dates: list[str], following: list[str]
) -> None:
    if "02-27" in dates[0]:
        dates = dates[:48]  # until 2020-02-28 23:00, in a leap year
    n = len(dates)
    path = write(tmp_path / "s.csv", {"day": dates, "value": bumpy(n).tolist()})
    job = prepare(recipe({"path": path, "date": "day"}))
    (answer,) = task.TASK.predict(own(job.config), job.model, job.splits.fitted, [path], PredictOptions())
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["day", "value"]
    assert [row[0] for row in rows[1:]][: len(following)] == following
    assert len(rows) == H + 1
    assert [float(row[1]) for row in rows[1:]] == pytest.approx(as_read(answer.json)["forecast"]["value"], rel=1e-4)
    assert as_read(answer.json)["dates"] == [row[0] for row in rows[1:]]


def test_predict_follows_separator_decimal_mark_and_missing_header(tmp_path: Path) -> None:
    values = [str(v).replace(".", ",") for v in bumpy(50)]
    path = write(tmp_path / "s.csv", {"date": months(50), "value": values}, mark=";", header=False)
    job = prepare(recipe({"path": path, "header": False, "date": 0, "target": 1, "decimal": ","}))
    (answer,) = task.TASK.predict(own(job.config), job.model, job.splits.fitted, [path], PredictOptions())
    first = answer.text.splitlines()[0].split(";")
    assert first[0] == "2004-03"
    assert float(first[1].replace(",", ".")) == pytest.approx(as_read(answer.json)["forecast"]["1"][0], rel=1e-4)


def test_columns_known_ahead_must_be_known_ahead(tmp_path: Path) -> None:
    n = 50
    columns: dict[str, list[Any]] = {"date": months(n), "value": bumpy(n).tolist(), "sale": [i % 2 for i in range(n)]}
    path = write(tmp_path / "s.csv", columns)
    job = prepare(recipe({"path": path, "future": ["sale"]}))
    with pytest.raises(DataError, match="the file lacks the next 3 steps of sale"):
        next(task.TASK.predict(own(job.config), job.model, job.splits.fitted, [path], PredictOptions()))
    columns = {"date": months(n + H), "value": [*bumpy(n).tolist(), *[""] * H], "sale": [i % 2 for i in range(n + H)]}
    path = write(tmp_path / "more.csv", columns)
    (answer,) = task.TASK.predict(own(job.config), job.model, job.splits.fitted, [path], PredictOptions())
    assert as_read(answer.json)["dates"] == months(n + H)[n:]
    assert task.TASK.encode(own(job.config), job.splits.fitted, [path, path]).extra["future"].shape == (H, 2, 1)


def test_separate_files(tmp_path: Path) -> None:
    paths = {}
    for name, n in (("train", 40), ("validation", 20), ("test", 15)):
        paths[name] = write(tmp_path / f"{name}.csv", {"date": months(n), "value": bumpy(n).tolist()})
    splits = task.TASK.read(own(recipe({**paths, "split": {}}).config))
    assert {name: found["windows"] for name, found in splits.counts.items()} == {
        name: n - W - H + 1 for name, n in (("train", 40), ("validation", 20), ("test", 15))
    }
    part, notes = task.TASK.read_part(own(recipe({"path": "x"}).config), splits.fitted, paths["test"])
    assert len(part.origins) == 15 - W - H + 1
    assert any("monthly" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("date,value\n", "contains no usable rows"),
        ("date,value\n2020-01,x\n", "is not a number"),
        ("date,value\n2020-01,1\n2020-02,2\n", "too few"),
        ("date,value\n" + "".join(f"{m},\n" for m in months(20)), "the target has no values"),
        ("date,value\n" + "".join(f"{m},1\n" for m in months(12)), "need"),
        ("date,price\n2020-01,1\n", "no column 'value'"),
        ("date,value\n" + "".join(f"{m},inf\n" for m in months(20)), "is not a number"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=said):
        task.TASK.read(own(recipe({"path": str(path)}).config))


def test_a_series_that_never_changes_trains_and_has_no_mase(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", {"date": months(50), "value": [7] * 50})
    job = prepare(recipe({"path": path}, {"relative": "window"}))
    *_, last = fit(job)
    assert math.isfinite(last.metrics["mae"])
    assert math.isnan(last.metrics["mase"])


def test_clashes_are_told_before_any_data() -> None:
    with pytest.raises(RecipeError) as caught:
        recipe({"path": ["a.csv", "b.csv"], "target": ["x", "x"], "date": "x"})
    assert {fault.key for fault in caught.value.faults} == {"data.path", "data.target", "data.date"}


def test_fill_reads_the_columns_off_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", {"date": months(150), "warm": bumpy(150).tolist(), "OT": [*bumpy(149), ""]})
    assert task.TASK.suggest_settings(path) == {
        "data.date": "date",
        "data.target": "OT",
        "data.past": ["warm"],
        "data.future": [],
        "data.header": True,
        "data.decimal": ".",
        "data.season": 12,
        "data.missing": "interpolate",
        "data.window": 24,
        "data.horizon": 12,
    }
    with pytest.raises(DataError, match="contains no numeric column"):
        task.TASK.suggest_settings(write(tmp_path / "t.csv", {"a": ["x", "y"], "b": ["z", "w"]}))


def forecast_of(answer: Prediction) -> Any:
    return as_read(answer.json)["forecast"]["value"]


def answer_for(path: str, **data: Any) -> Prediction:
    job = prepare(recipe({"path": path, **data}))
    (answer,) = task.TASK.predict(own(job.config), job.model, job.splits.fitted, [path], PredictOptions())
    return answer


@pytest.mark.parametrize(("scale", "shift"), [(1e6, 5e6), (1e-5, 0.0), (1.0, 0.0), (1e13, 0.0)])
def test_a_forecast_of_computed_numbers_has_all_its_digits(tmp_path: Path, scale: float, shift: float) -> None:
    path = write(tmp_path / "s.csv", {"date": months(50), "value": [v * scale / 3 + shift for v in bumpy(50)]})
    answer = answer_for(path)
    rows = list(csv.reader(io.StringIO(answer.text)))[1:]
    assert [float(row[1]) for row in rows] == pytest.approx(forecast_of(answer), rel=1e-8)
    assert not any("e" in row[1] for row in rows)


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([100.0, 340.0], 1),  # four digits of the largest
        ([12345.0, 7.0], 0),
        ([12345.5, 7.25], 2),
        ([0.0012, 0.0034], 6),
        ([1e6, 2e6], 0),
        ([0.0, 0.0], 0),
        ([1 / 3, 0.5], ALL),
        ([1e-7, 3.0], ALL),
        ([], ALL),
        ([1 / 3] + [5.5] * 200, 3),  # the newest decide
    ],
)
def test_decimals_continue_a_column(values: list[float], decimals: int) -> None:
    assert decimals_of(values) == decimals


def test_a_forecast_has_the_files_decimals_and_json_all(tmp_path: Path) -> None:
    """Each target its own; the bounds of a forecast as the forecast."""
    y = bumpy(50)
    columns = {"date": months(50), "a": [f"{v * 90:.2f}" for v in y], "b": [f"{v * 1e4:.0f}" for v in y]}
    path = write(tmp_path / "s.csv", columns)
    job = prepare(recipe({"path": path, "target": ["a", "b"]}))
    (answer,) = task.TASK.predict(own(job.config), job.model, job.splits.fitted, [path], PredictOptions())
    rows = list(csv.reader(io.StringIO(answer.text)))[1:]
    assert {tuple(len(cell.partition(".")[2]) for cell in row[1:3]) for row in rows} == {(2, 0)}
    exact = as_read(answer.json)["forecast"]
    assert [float(row[1]) for row in rows] == pytest.approx(exact["a"], abs=0.0051)
    assert any(value != round(value, 2) for value in exact["a"])


def test_a_file_from_new_to_old_is_continued_after_its_newest_row(tmp_path: Path) -> None:
    old = write(tmp_path / "old.csv", {"date": months(50), "value": bumpy(50).tolist()})
    new = write(tmp_path / "new.csv", {"date": months(50)[::-1], "value": bumpy(50).tolist()[::-1]})
    assert answer_for(new).text == answer_for(old).text
    assert any("the rows run from newest to oldest" in note for note in prepare(recipe({"path": new})).splits.notes)


def test_a_date_in_two_columns_is_written_in_two(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "year": [2000 + i // 12 for i in range(50)],
        "month": [i % 12 + 1 for i in range(50)],
        "value": bumpy(50).tolist(),
    }
    answer = answer_for(write(tmp_path / "s.csv", columns), date=["year", "month"])
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert [row[:2] for row in rows] == [["year", "month"], ["2004", "3"], ["2004", "4"], ["2004", "5"]]


def test_json_lines_come_back_as_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    given = [{"date": date, "value": value} for date, value in zip(months(50), bumpy(50).tolist(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    rows = [json.loads(line) for line in answer_for(str(path)).text.splitlines()]
    assert [row["date"] for row in rows] == ["2004-03", "2004-04", "2004-05"]
    assert all(isinstance(row["value"], float) for row in rows)


def test_declared_missing_values_are_missing(tmp_path: Path) -> None:
    values = ["-999.0" if i == 20 else str(v) for i, v in enumerate(bumpy(50).tolist())]
    path = write(tmp_path / "s.csv", {"date": months(50), "value": values})
    with pytest.raises(DataError, match="column 'value' has no value here") as caught:
        prepare(recipe({"path": path, "na_values": [-999]}))
    assert caught.value.where.endswith("s.csv:22")
    series = prepare(recipe({"path": path, "na_values": [-999], "missing": "interpolate"})).splits.train.table.series[0]
    assert series.values.min() > -10
    assert not series.known[20, 0]


@pytest.mark.parametrize(
    ("header", "row", "found"),
    [
        ("station_id,date,y", lambda i: f"{1048},{months(50)[i]},{i * i % 17}.5", "y"),
        ("flag,date,temp", lambda i: f"7,{months(50)[i]},{i * i % 17}.5", "temp"),
        ("No,date,a,load", lambda i: f"{i},{months(50)[i]},{i % 7}.5,{i * i % 17}.5", "a"),
        ("a,date,load", lambda i: f"{i % 7}.5,{months(50)[i]},{i * i % 17}.5", "load"),
    ],
)
def test_the_target_that_is_suggested(tmp_path: Path, header: str, row: Callable[[int], str], found: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(header + "\n" + "".join(row(i) + "\n" for i in range(50)))
    config = own(recipe({"path": str(path), "target": "load"} if "a,date" in header else {"path": str(path)}).config)
    assert task.TASK.suggest_settings(str(path), config)["data.target"] == found


def test_what_is_passed_over_is_said(tmp_path: Path) -> None:
    path = write(
        tmp_path / "s.csv", {"date": months(50)[::-1], "id": [3] * 50, "y": bumpy(50).tolist(), "vol": ["3.9M"] * 50}
    )
    found = task.TASK.suggest_settings(path)
    assert isinstance(found, Suggested)
    assert [note.rpartition(": ")[2] for note in found.notes] == [found.notes[0], "'vol'", "'id'"]
    assert "the rows run from newest to oldest" in found.notes[0]
    shops = write(
        tmp_path / "t.csv", {"shop": ["a"] * 25 + ["b"] * 25, "date": months(25) * 2, "y": bumpy(50).tolist()}
    )
    assert task.TASK.suggest_settings(shops)["data.id"] == "shop"
