"""Two processes train what one trains: the same rows in every batch, the same losses, the same best epoch."""

from __future__ import annotations

import subprocess
import wave
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnncli import tasks
from rnncli.data.batch import Batch, Order
from rnncli.data.made import speech
from rnncli.device import Process, this_process
from rnncli.errors import UsageError
from tests import warm
from tests.training import team
from tests.training.team import made

ROOT = str(Path(__file__).parents[2])
# 31 rows to train on in most: batches of 5, and a last one of 1, which leaves a process without rows
ROWS, BATCH = 39, 5
TRAIN = {"batch_size": BATCH, "max_steps": 50, "epochs": 50, "threads": 1, "dtype": "float64", "early_stopping": 4}
NET = {"cell": "gru", "hidden_size": 6}
SHARED = {"validation": 0.2}


def words(i: int, n: int) -> str:
    draw = np.random.RandomState(i)
    return " ".join("abcdefgh"[k] for k in draw.randint(8, size=n))


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def clips(folder: Path) -> str:
    folder.mkdir()
    for take in range(ROWS):
        with wave.open(str(folder / f"{['one', 'six'][take % 2]}_s{take}_{take}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(speech.RATE)
            file.writeframes(
                speech.speak([["one", "six"][take % 2]], speech.voice_of(take), take).astype("<i2").tobytes()
            )
    return str(folder)


def films(path: Path) -> str:
    draw = np.random.RandomState(0)
    np.savez(path, frames=draw.randint(0, 255, (ROWS, 4, 8, 8)).astype(np.uint8), labels=np.arange(ROWS) % 2)
    return str(path)


def recipes(folder: Path) -> dict[str, dict[str, Any]]:
    """A small recipe of every task, with what is hard to share: rows of unlike length, weights of classes, unknown
    targets, a state that is carried, clipping, schedules that look at the metrics."""
    lines = [f"{words(i, 1 + i % 7)}\t{words(i + 99, 1 + i % 5)}" for i in range(ROWS)]
    table = "".join(f"{line.split(chr(9))[0]},{'xyz'[(i % 4) % 3]}\n" for i, line in enumerate(lines))
    days = "".join(f"{date(2020, 1, 1) + timedelta(i)},{(i % 7) + i / 50:.2f}\n" for i in range(75))
    tagged = "".join(
        "".join(f"{word}\t{word.upper() if word < 'e' else '_'}\n" for word in words(i, 1 + i % 6).split()) + "\n"
        for i in range(ROWS)
    )
    text = "\n".join(words(i, 9) for i in range(60))
    return {
        "language-model": {
            "data": {"path": write(folder / "text.txt", text), "window": 8, "split": SHARED},
            "model": NET | {"cell": "lstm", "num_layers": 2, "embedding_size": 4},
            "train": {"clip_grad_norm": 0.5, "sample": {"length": 0}},
        },
        "translation": {
            "data": {"path": write(folder / "pairs.tsv", "\n".join(lines) + "\n"), "split": SHARED},
            "model": NET | {"bidirectional": True, "embedding_size": 4, "attention": "general"},
            "train": {"schedule": "plateau"},
        },
        "classification": {
            "data": {
                "path": write(folder / "t.csv", "text,label\n" + table),
                "text": "text",
                "label": "label",
                "split": SHARED,
            },
            "model": NET | {"embedding_size": 4},
            "train": {"class_weights": "balanced", "label_smoothing": 0.1},
        },
        "tagging": {
            "data": {"path": write(folder / "tags.tsv", tagged), "split": SHARED},
            "model": NET | {"bidirectional": True},
        },
        "forecasting": {
            "data": {
                "path": write(folder / "days.csv", "date,value\n" + days),
                "date": "date",
                "target": "value",
                "window": 7,
                "horizon": 3,
                "season": 7,
                "split": SHARED,
            },
            "model": NET,
        },
        "transcription": {
            "data": {"path": clips(folder / "clips"), "pattern": "{text}_{speaker}_{take}.wav", "split": SHARED},
            "model": NET | {"channels": 4},
        },
        "image-sequences": {
            "data": {"path": films(folder / "films.npz"), "split": SHARED},
            "model": NET | {"channels": [4], "frame_size": 8},
        },
        "algorithms": {"data": {"problem": "parity", "max_length": 9, "batches": 7}, "model": NET},
    }


def recipe_of(name: str, found: dict[str, Any]) -> dict[str, Any]:
    return {"task": name, **found, "train": TRAIN | {"optimizer": "adam", "lr": 0.02} | found.get("train", {})}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, dict[str, Any], list[str]]]:
    found = recipes(tmp_path_factory.mktemp("data"))
    assert set(found) == set(tasks.task_names())
    return [(name, recipe_of(name, values), []) for name, values in found.items()]


@pytest.fixture(scope="module")
def both(jobs: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures of every task and of some that end otherwise: of one process, and of two."""
    tagging = next(recipe for name, recipe, _ in jobs if name == "tagging")
    others = [
        ("poisoned", tagging, ["train.on_nan=stop"]),
        ("poisoned, skipped", tagging, ["train.on_nan=skip"]),
        ("outcome", "hello", ["train.epochs=20", "train.compare=[gru]", "train.dtype=float64"]),
    ]
    return team.both([*jobs, *others], tmp_path_factory.mktemp("two"))


@pytest.mark.parametrize("task", tasks.task_names())
def test_two_processes_train_what_one_trains(both: tuple[dict[str, Any], dict[str, Any]], task: str) -> None:
    one, two = both[0][task], both[1][task]
    # CTC is computed in float32 whatever the weights are
    rel, abs = (1e-4, 1e-6) if task == "transcription" else (1e-9, 1e-11)
    assert two["counts"] == pytest.approx(one["counts"], rel=1e-12)  # what was counted, weighed or not: the same rows
    assert two["losses"] == pytest.approx(one["losses"], rel=rel, abs=abs)
    assert len(one["losses"]) == 50 or one["waited"] == TRAIN["early_stopping"]
    assert len(one["epochs"]) > 2
    assert len(two["epochs"]) == len(one["epochs"])
    for mine, theirs in zip(two["epochs"], one["epochs"], strict=True):
        assert mine == pytest.approx(theirs, rel=rel, abs=abs)
    assert two["best"][0] == one["best"][0]
    assert two["best"][1] == pytest.approx(one["best"][1], rel=rel, abs=abs)
    assert two["norms"] == pytest.approx(one["norms"], rel=rel, abs=abs)
    assert two["weights"] == pytest.approx(one["weights"], rel=rel, abs=abs)


def test_a_row_that_gives_no_number_ends_or_skips_for_all(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Only one of the processes has it; the message is that of one process, and names where it came from."""
    one, two = both
    assert two["poisoned"] == one["poisoned"]
    assert "first non-finite: the output of front" in one["poisoned"]["error"]
    one, two = one["poisoned, skipped"], two["poisoned, skipped"]
    assert two["counts"] == one["counts"]
    assert one["counts"].count(0) > 2
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-9)


def test_control_and_compared_cells_are_trained_together(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    one, two = both[0]["outcome"], both[1]["outcome"]
    assert set(one["compared"]) == {"gru", "feedforward"}
    for name, metrics in one["compared"].items():
        assert two["compared"][name] == pytest.approx(metrics, rel=1e-9)
    assert two["metrics"] == pytest.approx(one["metrics"], rel=1e-9)
    assert two["baselines"] == one["baselines"]


def parts(batch: Batch) -> Iterator[Any]:
    """Each row's numbers, without the padding that the other rows of its batch ask for."""
    for b in range(batch.size):
        T = len(batch.inputs) if batch.lengths is None else int(batch.lengths[b])
        yield batch.inputs[:T, b].double().flatten().tolist()


@pytest.mark.parametrize("world", [2, 3, 7])
def test_the_shares_of_a_batch_are_the_batch(jobs: Any, world: int) -> None:
    """For every task, also where a process gets no row (7 of a batch of 5), and from any batch on."""
    for name, recipe, _ in jobs:
        if name == "language-model" and world > BATCH:
            continue  # refused, see below
        job = made(recipe, [])

        def take(rank: int, of: int, first: int, job: Any = job) -> list[Batch]:
            order = Order(3, 2, first, rank, of)
            return list(islice(job.task.batches(job.config, job.splits.train, order), 40))

        for first in (0, 3):
            whole = take(0, 1, first)
            shares = [take(rank, world, first) for rank in range(world)]
            assert {len(share) for share in shares} == {len(whole)}
            for batch, *of_ranks in zip(whole, *shares, strict=True):
                assert sorted(row for one in of_ranks for row in parts(one)) == sorted(parts(batch)), name
                assert max(one.size for one in of_ranks) - min(one.size for one in of_ranks) <= 1
                assert batch.size <= BATCH


def test_a_stream_stays_with_its_process(jobs: Any) -> None:
    """The state that a process carries belongs to its rows of the text: every window goes on where the last ended."""
    recipe = next(recipe for name, recipe, _ in jobs if name == "language-model")
    job = made(recipe, [])
    for rank in range(2):
        batches = list(job.task.batches(job.config, job.splits.train, Order(0, 1, 0, rank, 2)))
        for batch, after in pairwise(batches):
            assert batch.targets is not None
            assert (batch.targets[-1] == after.inputs[0]).all()
    with pytest.raises(UsageError, match="5 streams cannot be shared by 6 processes"):
        next(job.task.batches(job.config, job.splits.train, Order(0, 1, 0, 0, 6)))


def test_who_this_process_is(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    assert this_process() == Process()
    for name, value in zip(names, ("5", "8", "1", "4", "10.0.0.1", "29500"), strict=True):
        monkeypatch.setenv(name, value)
    assert this_process() == Process(5, 8, 1, 4)
    monkeypatch.delenv("MASTER_ADDR")
    monkeypatch.setenv("LOCAL_RANK", "first")
    with pytest.raises(UsageError, match="MASTER_ADDR, LOCAL_RANK") as refused:
        this_process()
    assert refused.value.exit_code == 2
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert this_process() == Process()


def test_one_process_needs_nothing_of_this() -> None:
    code = (
        f"import sys; sys.path.insert(0, {ROOT!r}); import rnncli.cli;"
        "assert rnncli.cli.run(['-q', 'train', 'hello', '--fast-dev-run']) == 0;"
        "assert 'rnncli.runs.train' in sys.modules; assert 'rnncli.training.distributed' not in sys.modules"
    )
    subprocess.run([warm.python(), "-I", "-c", code], check=True, capture_output=True)
