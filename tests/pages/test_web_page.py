"""What a web page gathers, for every task, of runs whole and broken, and how much of it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rnncli import pages, views
from rnncli.data.builtin import builtin_text
from rnncli.errors import DataError, UsageError
from rnncli.pages import Target, recordings, web_page
from rnncli.pages.learning import results
from rnncli.recipe import packaged_recipes
from rnncli.records import HeatMap, Series, Table, Unrolled, WebPage
from rnncli.render import html
from rnncli.runs.manifest import Manifest
from rnncli.targets import find_target
from rnncli.tasks import load_recipe, task_names
from rnncli.tasks.forecast_tables import forecast_curve
from rnncli.tasks.forecasting import Config
from tests.narrowed import as_read, of_kind, some

RECIPE_OF = {load_recipe(name).config.task: name for name in reversed(packaged_recipes())}
SMALL = (
    "model.hidden_size=6",
    "train.epochs=2",
    "train.overfit_batches=1",
    "train.control=false",
    "train.compare=[]",
    "train.schedule=none",
)
PICTURES = {
    "algorithms": {"lengths"},
    "classification": {"confusion"},
    "forecasting": {"forecast"},
    "image-sequences": {"frames", "confusion"},
    "language-model": {"text"},
    "tagging": {"confusion"},
    "transcription": {"spectrogram", "heard"},
    "translation": {"attention"},
}


def names(page: WebPage, section: str) -> set[str]:
    return {record.name for one in page.sections if one.name == section for record in one.records}


def record(page: WebPage, name: str) -> Any:
    (found,) = [one for section in page.sections for one in section.records if one.name == name]
    return found


@pytest.mark.parametrize("task", task_names())
def test_every_task(
    task: str,
    tmp_path: Path,
    thinned: None,
    train_run: Callable[..., Target],
    read_page: Callable[[str], dict[str, Any]],
    unpacked: Callable[[dict[str, Any]], list[list[float]]],
) -> None:
    target = train_run(tmp_path / "run", RECIPE_OF[task], *SMALL, baselines=False)
    page = web_page([target], samples=2)
    assert names(page, "answers") >= PICTURES[task]
    assert {"curve-loss"} <= names(page, "learning")
    assert 1 <= len(page.recordings) <= 2  # hello has but one
    assert page.viewer_after == "answers"
    document = read_page(html.render(page))
    for k, recording in enumerate(document["recordings"]):
        made = target.subject(sample=k).trace()
        for core, traced in zip(recording["cores"], made.cores, strict=True):
            for name, packed in core["values"].items():
                whole = made[made.prefix(traced) + name][:, 0].float()
                shown = torch.tensor(unpacked(packed))
                assert torch.equal(shown, whole[: shown.shape[0], : shown.shape[1]])
                assert shown.shape == (min(core["num_steps"], recordings.STEPS), whole.shape[1])


def test_the_numbers_are_those_of_a_plain_torch_module(hostile: list[Target]) -> None:
    """Forward and reverse, two layers: the top layer's h beside nn.LSTM's output with the run's own weights."""
    target = hostile[0]
    weights = load_file(target.run.folder / "model.safetensors")
    core = {name.removeprefix("rnn."): tensor for name, tensor in weights.items() if name.startswith("rnn.")}
    tokens = some(target.task.label_names(target.config, target.fitted).inputs)
    plain = torch.nn.LSTM(len(tokens), 3, num_layers=2, bidirectional=True)
    plain.load_state_dict(core)
    for recording in web_page([target]).recordings:
        (steps,) = recording.cores
        assert steps.tokens is not None
        x = torch.nn.functional.one_hot(torch.tensor([tokens.index(token) for token in steps.tokens]), len(tokens))
        output = plain(x.float().unsqueeze(1))[0][:, 0].detach()  # (T, 2 H)
        both = [
            [*values[0], *values[1]] for values in zip(steps.values["l1.fwd.h"], steps.values["l1.bwd.h"], strict=True)
        ]
        torch.testing.assert_close(torch.tensor(both), output, atol=1e-6, rtol=0)
        assert steps.answers is not None
        assert [asked for _, _, asked in steps.answers] == recording_targets(target, recording.sample)


def recording_targets(target: Target, sample: str) -> list[str]:
    return list(target.splits.train.rows[int(sample.partition(":")[0])].labels)


def test_confusion_agrees_with_the_metric(hostile: list[Target]) -> None:
    page = web_page(hostile[:1])
    matrix = record(page, "confusion")
    assert isinstance(matrix, HeatMap)
    counts = [int(label.rpartition("(")[2].rstrip(")")) for label in matrix.row_labels]
    assert [sum(row) for row in matrix.values] == counts
    right = sum(row[k] for k, row in enumerate(matrix.values))
    assert right / sum(counts) == pytest.approx(as_read(hostile[0].result())["metrics"]["accuracy"])
    assert sum(counts) == 11


def test_a_forecast_stands_beside_its_baselines(
    tmp_path: Path, train_run: Callable[..., Target], read_page: Callable[[str], dict[str, Any]]
) -> None:
    target = train_run(tmp_path / "run", "forecasting", *SMALL, baselines=False)
    page = web_page([target])
    curve, table = record(page, "forecast"), record(page, "sample")
    assert isinstance(curve, Series)
    assert set(curve.lines) == {"history", "forecast", "truth", "lower", "upper", "last value", "seasonal naive"}
    assert curve.band == ("lower", "upper")
    config = of_kind(Config, target.config)
    horizon = config.data.horizon
    history = [value for value in curve.lines["history"] if value == value]
    assert curve.lines["last value"][-horizon:] == pytest.approx([history[-1]] * horizon)
    season = history[-config.data.season :]
    assert curve.lines["seasonal naive"][-horizon:] == pytest.approx((season * horizon)[:horizon], rel=1e-6)
    assert [row[0] for row in table.rows] == list(curve.ticks[-horizon:])
    of_file = dict(line.split(",") for line in builtin_text("monthly").split())
    assert [float(of_file[date]) for date in curve.ticks[: len(history)]] == pytest.approx(history, rel=1e-6)
    (figure,) = [one for one in read_page(html.render(page))["figures"] if one["ticks"]]
    assert figure["ticks"] == list(curve.ticks)
    assert figure["band"] == ["lower", "upper"]


def test_a_forecast_without_dates_counts_steps() -> None:
    curve = forecast_curve("value", [1.0, 2.0], [3.0, None], {"forecast": [3.5, 4.5]}, ())
    assert (curve.ticks, list(curve.x), curve.x_label) == ((), [-1, 0, 1, 2], "steps from the origin")


def test_curves_are_those_of_the_log(hostile: list[Target]) -> None:
    loss = record(web_page(hostile), "curve-loss")
    for target in hostile:
        assert loss.lines[f"{target.name}: train"] == [line["loss"] for line in target.log()]
    assert loss.x == [1, 2, 3]


def test_a_comparison_shows_what_differs(hostile: list[Target]) -> None:
    page = web_page(hostile)
    settings = record(page, "settings")
    assert isinstance(settings, Table)
    assert {row[0]: tuple(row[1:]) for row in settings.rows} == {
        "model.cell": ("lstm", "gru"),
        "train.lr": ("0.001", "0.01"),
    }
    result = record(page, "result")
    assert [row[0] for row in result.rows] == ["lstm", "gru", "most frequent label"]
    assert {one.target for one in page.recordings} == {"lstm", "gru"}


def test_every_run_has_its_baselines(hostile: list[Target], tmp_path: Path) -> None:
    """Those of the same data once; others with the names of their runs."""
    (shared,) = results(hostile)
    assert isinstance(shared, Table)
    assert [row[-1] for row in shared.rows[2:]] == ["baseline"]
    others = []
    for k, accuracy in enumerate([0.25, 0.25, 0.25, 0.25, 0.125]):
        found = json.loads((hostile[0].run.folder / "result.json").read_text())
        found["baselines"]["most frequent label"]["accuracy"] = accuracy
        others.append(
            Target("run", str(with_file(hostile[0], tmp_path / f"run-{k}", "result.json", json.dumps(found))), "")
        )
    pages._name_apart(others)
    (apart,) = results(others)
    assert isinstance(apart, Table)
    assert [row[0] for row in apart.rows] == [f"run-{k}" for k in range(5)] + ["most frequent label"] * 2
    assert [row[-1] for row in apart.rows[5:]] == ["run-0, run-1, run-2 and 1 more: baseline", "run-4: baseline"]


def test_settings_keep_their_origin(tmp_path: Path, train_run: Callable[..., Target]) -> None:
    target = train_run(tmp_path / "run", "hello", "train.epochs=1", baselines=False)
    rows = {key: (value, origin) for key, value, origin in record(web_page([target]), "config").rows}
    assert rows["train.epochs"] == ("1", "--set")
    assert rows["model.cell"][0] == "rnn"
    assert rows["model.cell"][1].startswith("hello.yaml:")
    assert "model.proj_size" not in rows
    assert "model.proj_size" in {row[0] for row in record(web_page([target]), "defaults").rows}


def test_a_recipe_is_said_to_be_untrained() -> None:
    page = web_page([find_target("hello", sets=["model.cell=gru"])])
    assert [message.text for message in page.about if message.kind == "warning"] == [
        "not trained: a recipe with initial weights from seed 0, without curves and results"
    ]
    assert [section.name for section in page.sections] == ["answers", "draw", "settings", "defaults", "environment"]
    assert page.recordings[0].sample == "0: hello"


def test_two_of_one_name_are_told_apart() -> None:
    page = web_page([find_target("hello"), find_target("hello", sets=["model.cell=gru"])])
    assert {one.target for one in page.recordings} == {"hello (1)", "hello (2)"}


def test_runs_of_a_sweep_are_named_by_their_trials(tmp_path: Path) -> None:
    sweep = tmp_path / "sweeps" / "hello-001"
    folders = [sweep / "cell=rnn" / "seed-0", sweep / "cell=rnn" / "seed-1", sweep / "cell=gru" / "seed-0"]
    for folder in (*folders, tmp_path / "runs" / "seed-0"):
        folder.mkdir(parents=True)

    def named(*chosen: Path) -> list[str]:
        targets = [Target("run", str(folder), "last") for folder in chosen]
        pages._name_apart(targets)
        return [target.name for target in targets]

    assert named(*folders) == ["cell=rnn/seed-0", "cell=rnn/seed-1", "cell=gru/seed-0"]
    assert named(*folders[:2]) == ["seed-0", "seed-1"]
    assert named(folders[0], tmp_path / "runs" / "seed-0") == ["cell=rnn/seed-0", "runs/seed-0"]
    assert named(folders[0], folders[1], folders[0]) == ["seed-0 (1)", "seed-1", "seed-0 (2)"]
    (sweep / "sweep.json").touch()
    assert named(*folders[:2]) == ["cell=rnn/seed-0", "cell=rnn/seed-1"]
    assert named(folders[2]) == ["cell=gru/seed-0"]


def test_long_samples_are_cut_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "STEPS", 3)
    monkeypatch.setattr(recordings, "UNITS", 2)
    (core,) = web_page([find_target("hello")]).recordings[0].cores
    assert (core.num_steps, core.num_units) == (5, 4)
    assert core.tokens == ["h", "e", "l"]
    assert [len(row) for row in core.values["l0.fwd.h"]] == [2, 2, 2]


def test_a_page_holds_so_many_numbers_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "NUMBERS", 2000)
    page = web_page([find_target("language-model")], samples=2)
    held = sum(
        len(values) * len(values[0]) for one in page.recordings for core in one.cores for values in core.values.values()
    )
    assert 1000 < held <= 2000


@pytest.fixture
def moved(tmp_path: Path, train_run: Callable[..., Target]) -> tuple[Path, Path]:
    """A run, and its data file."""
    data = tmp_path / "text.txt"
    data.write_text("the quick brown fox jumps over the lazy dog. " * 200, encoding="utf-8")
    sets = ("train.epochs=1", "train.control=false", "data.window=8", "train.batch_size=4", f"data.path={data}")
    target = train_run(tmp_path / "run", "language-model", *SMALL, *sets, baselines=False)
    return target.run.folder, data


def test_data_that_is_gone_leaves_curves_and_settings(moved: tuple[Path, Path]) -> None:
    folder, data = moved
    data.unlink()
    target = Target("run", str(folder), "run")
    page = web_page([target])
    assert any("cannot be read" in message.text for message in page.about)
    assert not page.recordings
    assert [section.name for section in page.sections] == ["result", "learning", "settings", "defaults", "environment"]
    html.render(page)
    with pytest.raises(UsageError, match="needs the data"):
        web_page([target], view_names=["steps"])


def test_changed_data_is_said(moved: tuple[Path, Path]) -> None:
    folder, data = moved
    data.write_text("the quick brown fox jumps over the lazy dogs. " * 200, encoding="utf-8")
    page = web_page([Target("run", str(folder), "run")])
    assert any("has changed" in message.text for message in page.about)
    assert page.recordings


def test_a_run_that_has_not_ended(moved: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "open"
    shutil.copytree(moved[0], folder)
    (folder / "result.json").unlink()
    manifest = Manifest(folder)
    manifest.load()
    manifest.release(["result.json", "metrics.jsonl", "timing.jsonl"])
    manifest.write({})
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as log:
        line = {"epoch": 2, "step": 2, "loss": "nan", "lr": 0.1, "grad_norm": 2.5, "validation": {"loss": 1.0}}
        log.write(json.dumps(line) + "\n")
    page = web_page([Target("run", str(folder), "open")])
    assert any("has not ended" in message.text for message in page.about)
    assert "result" not in [section.name for section in page.sections]
    loss = record(page, "curve-loss")
    assert loss.lines["train"][1] != loss.lines["train"][1]  # nan
    assert record(page, "curve-gradient norm").lines["open"][-1] == 2.5


def with_file(target: Target, folder: Path, name: str, content: str) -> Path:
    """A copy of a run with another file of that name."""
    shutil.copytree(target.run.folder, folder)
    manifest = Manifest(folder)
    manifest.load()
    manifest.release([name])
    manifest.write({name: content})
    return folder


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", '{"metrics": []}'),
        ("result.json", '{"on": "train", "best_epoch": "x", "metrics": {}}'),
        ("result.json", '{"on": "train", "best_epoch": 1, "metrics": {"loss": [1]}, "baselines": 3}'),
        ("metrics.jsonl", '{"epoch": 1}\n'),
        ("metrics.jsonl", '{"epoch": 1, "loss": {}, "train": 7}\n'),
    ],
)
def test_a_file_of_another_shape_is_refused_by_name(
    name: str, content: str, hostile: list[Target], tmp_path: Path
) -> None:
    target = Target("run", str(with_file(hostile[0], tmp_path / "run", name, content)), "run")
    with pytest.raises(DataError, match="damaged") as error:
        web_page([target])
    assert error.value.where.endswith(name)


def test_views_are_shown_too(hostile: list[Target]) -> None:
    page = web_page(hostile[:1], view_names=["saturation"], change=["l1.fwd.h[0]@1:=0"])
    assert [section.title for section in page.sections[3:6]] == ["the network over time", "saturation", "what if"]
    shown = views.page("what-if", hostile[0].subject(), views.Options(change=("l1.fwd.h[0]@1:=0",)))
    assert list(page.sections[5].records) == list(shown.records)
    assert any(isinstance(one, Unrolled) for one in page.sections[3].records)


def test_a_comparison_folds_the_drawings(hostile: list[Target]) -> None:
    drawn = [section for section in web_page(hostile).sections if section.name.startswith("draw")]
    titles = ["lstm: the network over time", "gru: the network over time"]
    assert [(section.title, section.folded) for section in drawn] == [(title, True) for title in titles]


@pytest.mark.skipif(sys.platform == "win32", reason="its file names have no quotes and angle brackets")
def test_names_of_runs_and_files_in_settings_are_text(train_run: Callable[..., Target], tmp_path: Path) -> None:
    pages = []
    for name in ("harmless", "<script>alert('1')<!--\"><img src=x onerror=alert(2)>&amp;\u202e"):
        data = tmp_path / f"{name}.tsv"
        data.write_text("a\tX\nb\tY\n\nb\tY\na\tX\n\na\tX\na\tX\n", encoding="utf-8")
        words = {
            "task": "tagging",
            "data": {"format": "tsv", "min_count": 1, "train": str(data)},
            "model": {"cell": "gru"},
        }
        pages.append(html.render(web_page([train_run(tmp_path / name, words, *SMALL, baselines=False)])))
    (harmless, tags), (evil, evil_tags) = ((text, re.findall(r"<[a-z][^\s>]*", text)) for text in pages)
    assert tags == evil_tags
    assert harmless.count("harmless.tsv") == evil.count("onerror=alert(2)&gt;&amp;amp;\\u202e.tsv") > 0
    assert "\u202e" not in evil
