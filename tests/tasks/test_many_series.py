"""Several series in one table: windows stay inside, each has its scale, and the column that names them is found."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnncli.data import sniff
from rnncli.data.steps import Step
from rnncli.errors import DataError
from rnncli.locale import speaking
from rnncli.tasks import PredictOptions, load_recipe
from rnncli.tasks import forecasting as task
from rnncli.training.job import Job, prepare
from rnncli.training.loop import fit
from tests.narrowed import as_read, of_kind, some

W, H, M = 5, 2, 3
SIZES = {"north": 40, "south": 50, "tiny": 60}


def months(n: int, start: int = 0) -> list[str]:
    return [f"{2000 + k // 12}-{k % 12 + 1:02d}" for k in range(start, start + n)]


def series() -> dict[str, Any]:
    """Of unlike lengths and sizes."""
    draw = np.random.RandomState(5)
    level = {"north": 10, "south": 1000, "tiny": 0.1}
    return {name: np.round(level[name] * (1 + 0.2 * draw.rand(n)), 6) for name, n in SIZES.items()}


def rows(mixed: bool = False, names: Sequence[str] = tuple(SIZES)) -> list[tuple[str, str, float]]:
    found = [(name, day, v) for name in names for day, v in zip(months(SIZES[name]), series()[name], strict=True)]
    return sorted(found, key=lambda row: row[1]) if mixed else found


def write(path: Path, found: Sequence[Sequence[Any]], head: str = "shop,date,value") -> str:
    path.write_text(head + "\n" + "".join(",".join(map(str, row)) + "\n" for row in found))
    return str(path)


def job_of(path: str, **data: Any) -> Job:
    split = {"validation": 0.2, "test": 0.2}
    return prepare(
        load_recipe(
            {
                "task": "forecasting",
                "data": {"path": path, "id": "shop", "window": W, "horizon": H, "season": M, "split": split, **data},
                "model": {"cell": "gru", "hidden_size": 4},
                "train": {"epochs": 1, "batch_size": 16, "lr": 0.01, "threads": 1},
            }
        )
    )


def own(job: Job) -> task.Config:
    return of_kind(task.Config, job.config)


@pytest.mark.parametrize("mixed", [False, True])
def test_windows_stay_inside_their_series_and_each_has_its_own_scale(tmp_path: Path, mixed: bool) -> None:
    job = job_of(write(tmp_path / "s.csv", rows(mixed)))
    fitted = job.splits.fitted
    for part, after in (("train", 0.0), ("validation", 0.6), ("test", 0.8)):
        wanted = []
        for name in SIZES if not mixed else sorted(SIZES):
            y = series()[name]
            learned = y[: round(len(y) * 0.6)]
            z = (y - learned.mean()) / learned.std()
            begin, end = round(len(y) * after), round(len(y) * {0.0: 0.6, 0.6: 0.8, 0.8: 1.0}[after])
            for origin in range(max(begin, W) - 1, end - H):
                wanted.append([*z[origin - W + 1 : origin + 1], *z[origin + 1 : origin + 1 + H]])
        found = []
        for batch in task.TASK.batches(own(job), job.splits.part(part), None):
            both = np.concatenate([batch.inputs[..., 0].numpy(), some(batch.targets)[..., 0].numpy()])
            found += both.T.tolist()
        np.testing.assert_allclose(found, wanted, atol=2e-5)
        assert job.splits.counts[part]["series"] == 3
        assert job.splits.counts[part]["windows"] == len(wanted)
    scales = {tuple(scale.id): scale for scale in some(fitted.series)}
    assert scales["south",].mean[0] == pytest.approx(series()["south"][:30].mean())
    assert type(fitted).from_json(fitted.to_json()) == fitted


def test_metrics_over_series_are_those_of_a_loop(tmp_path: Path) -> None:
    job = job_of(write(tmp_path / "s.csv", rows()))
    found = {one.name: one.metrics for one in task.TASK.baselines(own(job), job.splits, "test")}
    missed: dict[str, list[float]] = {}
    for name, y in series().items():
        for origin in range(round(len(y) * 0.8) - 1, len(y) - H):
            for k in (1, 2):
                missed.setdefault(name, []).append(abs(y[origin + k] - y[origin + k - M]))
    every = [error for errors in missed.values() for error in errors]
    learned = {name: y[: round(len(y) * 0.6)] for name, y in series().items()}
    mase = [np.mean(missed[name]) / np.abs(y[M:] - y[:-M]).mean() for name, y in learned.items()]
    assert found["seasonal naive"]["mae"] == pytest.approx(np.mean(every), rel=1e-4)
    assert found["seasonal naive"]["mase"] == pytest.approx(np.mean(mase), rel=1e-4)
    start = {name: abs(y[-1] - y[0]) for name, y in series().items()}
    assert all(start.values())  # drift begins where each series does: it would be far off across them
    assert found["drift"]["mae"] < 2 * found["last value"]["mae"]


def test_predict_continues_every_series_as_it_would_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "s.csv", rows(mixed=True))
    job = job_of(path)
    *_, _ = fit(job)
    options, fitted = PredictOptions(), job.splits.fitted
    (answer,) = task.TASK.predict(own(job), job.model, fitted, [path], options)
    head, *found = csv.reader(io.StringIO(answer.text))
    assert head == ["shop", "date", "value"]
    for name, n in SIZES.items():
        alone = write(tmp_path / "one.csv", rows(names=[name]))
        (single,) = task.TASK.predict(own(job), job.model, fitted, [alone], options)
        mine = [row for row in found if row[0] == name]
        assert [row[1] for row in mine] == months(H, n)
        wanted = [float(row[2]) for row in list(csv.reader(io.StringIO(single.text)))[1:]]
        assert [float(row[2]) for row in mine] == pytest.approx(wanted, rel=1e-5)
        assert np.mean(wanted) == pytest.approx(series()[name].mean(), rel=0.3)
    told = as_read(answer.json)["series"]
    assert sorted(one["id"] for one in told) == [["north"], ["south"], ["tiny"]]
    assert task.TASK.encode(own(job), fitted, [path, path]).inputs.shape == (W, 2, 1)


def test_the_step_of_dates_in_chinese() -> None:
    names = {"every 2 months": (2, ""), "6 days a week": (0, "1111110"), "every 15 min": (0, ""), "daily": (0, "")}
    steps = [Step(name, 6, months=months, weekmask=mask) for name, (months, mask) in names.items()]
    assert [step.shown() for step in steps] == list(names)
    with speaking("zh"):
        assert [step.shown() for step in steps] == ["每 2 个月", "每周 6 天", "每 15 min", "每天"]


def test_gaps_are_told_of_every_series(tmp_path: Path) -> None:
    """Their number in each, largest first; the dates of the first series."""
    found = rows()
    holes = {"south": 3, "tiny": 1}
    for name, n in holes.items():
        at = [i for i, row in enumerate(found) if row[0] == name][10 : 10 + n]
        found = [row for i, row in enumerate(found) if i not in at]
    notes = job_of(write(tmp_path / "s.csv", found), missing="interpolate").splits.notes
    assert "4 missing values filled in total: south 3, tiny 1" in notes
    with speaking("zh"):
        assert (
            "共填补 4 个缺失值：south 3, tiny 1" in job_of(str(tmp_path / "s.csv"), missing="interpolate").splits.notes
        )
    assert not any("in total" in note for note in job_of(write(tmp_path / "whole.csv", rows())).splits.notes)


def test_a_series_that_training_did_not_see_is_scaled_by_its_past(tmp_path: Path) -> None:
    job = job_of(write(tmp_path / "s.csv", rows()))
    new = [("west", day, 7 * v) for day, v in zip(months(40), series()["north"], strict=True)]
    part, notes = task.TASK.read_part(own(job), job.splits.fitted, write(tmp_path / "new.csv", [*new, *rows()[:40]]))
    assert any("1 series not seen in training is scaled" in note and "west" in note for note in notes)
    window = 7 * series()["north"][:W]
    assert part.table.mean[0, 0] == pytest.approx(window.mean())
    assert part.table.std[0, 0] == pytest.approx(window.std())
    assert part.table.mean[1, 0] == pytest.approx(series()["north"][:24].mean())
    metrics = task.TASK.metrics(own(job), job.model, part, job.splits.fitted)
    assert metrics["mae"] > 0


def test_series_too_short_are_left_out_and_said(tmp_path: Path) -> None:
    short = [("stub", day, 1.5) for day in months(7)]
    job = job_of(write(tmp_path / "s.csv", [*rows(), *short]))
    assert job.splits.counts["train"]["series"] == 3
    assert any("skipping 1 series that is too short" in note and "stub" in note for note in job.splits.notes)
    with pytest.raises(DataError, match="need"):
        job_of(write(tmp_path / "t.csv", short))
    (answer,) = task.TASK.predict(
        own(job), job.model, job.splits.fitted, [write(tmp_path / "u.csv", [*short[:3], *rows()])], PredictOptions()
    )
    assert "stub" not in answer.text
    assert any("stub" in note for note in answer.notes)


def pair_rows(n: int) -> list[tuple[str, str, str, float]]:
    return [(shop, item, day, k % 7 + 0.5) for shop in "ab" for item in "xy" for k, day in enumerate(months(n))]


@pytest.mark.parametrize(
    ("head", "found", "column"),
    [
        ("shop,date,value", rows(), "shop"),
        ("shop,date,value", rows(mixed=True), "shop"),
        # one series is longer than what is looked at when columns are guessed
        ("key,date,value", [(name, day, k % 9) for name in "uv" for k, day in enumerate(months(90))], "key"),
        ("shop,item,date,value", pair_rows(40), "[shop, item]"),
        ("shop,item,date,value", pair_rows(90), "[shop, item]"),
    ],
)
def test_where_dates_begin_anew_the_column_that_names_series_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str, found: Sequence[Sequence[Any]], column: str
) -> None:
    monkeypatch.setattr(sniff, "ROWS", 80)
    path = write(tmp_path / "s.csv", found, head)
    with pytest.raises(DataError, match="looks like a series id") as caught:
        job_of(path, id=None)
    assert caught.value.todo.replace("'", "") == f"--set data.id={column}"
    names = column.strip("[]").split(", ")
    job = job_of(path, id=names if len(names) > 1 else names[0])
    assert len(some(job.splits.fitted.series)) == len({tuple(row[: len(names)]) for row in found})


def test_dates_that_are_merely_out_of_order_have_no_such_column(tmp_path: Path) -> None:
    days = months(40)
    days[20], days[21] = days[21], days[20]
    path = write(tmp_path / "s.csv", [("a", day, k % 7) for k, day in enumerate(days)])
    with pytest.raises(DataError, match="does not come after") as caught:
        job_of(path, id=None)
    assert "data.id" in caught.value.todo
    assert "looks like" not in caught.value.what


def test_a_recipe_for_such_a_file_names_the_column(tmp_path: Path) -> None:
    found = task.TASK.suggest_settings(write(tmp_path / "a.csv", rows(mixed=True)))
    assert (found["data.id"], found["data.target"], found["data.season"]) == ("shop", "value", 12)
    found = task.TASK.suggest_settings(write(tmp_path / "b.csv", pair_rows(40), "shop,item,date,value"))
    assert (found["data.id"], found["data.past"]) == (["shop", "item"], [])
    low = [(day, k % 7 - 3) for k, day in enumerate(months(60))]
    assert task.TASK.suggest_settings(write(tmp_path / "c.csv", low, "date,y"))["model.relative"] == "window"
