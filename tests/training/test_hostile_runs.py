"""Run folders changed behind our back: bits flipped, files cut, swapped, exchanged with another run's, links that lead
out, tensors and values of the checkpoint replaced with the manifest agreeing. Each command that opens a run either
works or names what is wrong; training never goes on from what does not fit its recipe."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save

from rnncli.errors import DataError
from rnncli.runs.manifest import Manifest
from rnncli.runs.train import StoppedBySignal
from rnncli.runs.writer import CHECKPOINT
from tests.hostile import Tally, record, slices
from tests.training.training_runs import job_of, run_in, stop_after

TEXT = "the cat sat on the mat and the dog ran to the cat\n" * 8


def recipe(text: Path, **model: Any) -> dict[str, Any]:
    return {
        "task": "language-model",
        "data": {"path": str(text), "window": 8, "split": {"validation": 0.2}},
        "model": {"cell": "lstm", "embedding_size": 3, "hidden_size": 4, **model},
        "train": {
            "epochs": 2,
            "batch_size": 4,
            "threads": 1,
            "schedule": {"name": "exponential", "gamma": 0.9},
            "sample": {"length": 5},
        },
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`run`: cut within its first epoch, so with a carried state. `other`: of another recipe. `done`: ended."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text(TEXT)
    (folder / "outside.txt").write_text("not of a run")
    for name, job, step in (
        ("run", job_of(recipe(folder / "text.txt")), 5),
        ("other", job_of(recipe(folder / "text.txt", hidden_size=5, num_layers=2)), 5),
        ("done", job_of("hello", "train.epochs=2"), 0),
    ):
        if step:
            with pytest.raises(StoppedBySignal):
                run_in(folder / name, job, watch=stop_after(step))
        else:
            run_in(folder / name, job)
    return folder


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def flipped(folder: Path, other: Path, rng: random.Random) -> None:
    path = rng.choice(_files(folder))
    data = bytearray(path.read_bytes() or b"x")
    for _ in range(rng.choice([1, 1, 5])):
        data[rng.randrange(min(len(data), rng.choice([64, 10**9])))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def cut(folder: Path, other: Path, rng: random.Random) -> None:
    path = rng.choice(_files(folder))
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data) + 1)] + rng.choice([b"", b"", b"\0" * 9]))


def gone(folder: Path, other: Path, rng: random.Random) -> None:
    path = rng.choice(_files(folder))
    path.unlink()
    if rng.randrange(2):
        path.mkdir()


def swapped(folder: Path, other: Path, rng: random.Random) -> None:
    one, two = rng.sample(_files(folder), 2)
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)


def exchanged(folder: Path, other: Path, rng: random.Random) -> None:
    """Files of another run in place of its own."""
    for path in rng.sample(_files(other), rng.randrange(1, 4)):
        shutil.copy(path, folder / path.relative_to(other))


def linked(folder: Path, other: Path, rng: random.Random) -> None:
    path = rng.choice([*_files(folder), folder / "resume"])
    target = rng.choice([other / path.relative_to(folder), folder.parent / "outside.txt", path, Path("/dev/zero")])
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(target)


def piped(folder: Path, other: Path, rng: random.Random) -> None:
    """A file is a pipe that nobody writes to, or a folder above it is."""
    path = rng.choice([*_files(folder), folder / "resume"])
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    os.mkfifo(path)


def weights(folder: Path, other: Path, rng: random.Random) -> None:
    """A weight with NaN or infinity, and the manifest agrees."""
    path = folder / "model.safetensors"
    found = load(path.read_bytes())
    tensor = found[rng.choice(sorted(found))]
    tensor.view(-1)[rng.randrange(tensor.numel())] = rng.choice([float("nan"), float("inf"), -float("inf"), 1e38])
    path.write_bytes(save(found))
    _seal(folder)


def resealed(folder: Path, other: Path, rng: random.Random) -> None:
    """Any of these, and the manifest says that it is so."""
    rng.choice([flipped, cut, swapped, exchanged])(folder, other, rng)
    _seal(folder)


def tensors(folder: Path, other: Path, rng: random.Random) -> None:
    """A tensor or a plain value of the checkpoint is another; the manifest agrees."""
    path = folder / CHECKPOINT
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()["rnncli"])
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for _ in range(rng.choice([0, 1, 1, 2])):
        name = rng.choice(sorted(found))
        tensor = found.pop(name)
        kind = rng.randrange(7)
        if kind == 0:
            found[name] = tensor.flatten()[: tensor.numel() // 2].clone()
        elif kind == 1:
            found[name] = torch.zeros([n + 1 for n in tensor.shape], dtype=tensor.dtype)
        elif kind == 2:
            found[name] = tensor.unsqueeze(0).clone()
        elif kind == 3:
            found[name] = tensor.to(rng.choice([torch.int64, torch.bool, torch.float16, torch.float64]))
        elif kind == 4:
            found[f"{name}x"] = tensor
        elif kind == 5:
            found[name] = torch.full_like(tensor, rng.choice([float("nan"), 1e30]) if tensor.is_floating_point() else 1)
    if len(found) and rng.randrange(2):
        _replace(document, rng)
    path.write_bytes(save(found, metadata={"rnncli": json.dumps(document)}))
    _seal(folder)


JUNK = [None, True, -1, 10**30, 0.5, "text", [], {}, [1], {"a": 1}]


def _replace(value: Any, rng: random.Random) -> None:
    """One value somewhere in a document."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(value[key], dict | list) and value[key] and rng.randrange(4):
            value = value[key]
            continue
        value[key] = rng.choice(JUNK)
        return


def _seal(folder: Path) -> None:
    manifest = Manifest(folder)
    manifest.load()
    manifest.seal([name for name in manifest.states if (folder / name).is_file()])


CHANGES: list[Callable[[Path, Path, random.Random], None]] = [
    flipped, cut, gone, swapped, exchanged, linked, piped, weights, resealed, tensors, tensors, tensors,
]  # fmt: skip
COMMANDS = {
    "run": [["train", "--resume", "runs/x"], ["train", "--resume", "runs/x", "--epochs", "3"], ["predict", "x", "the"],
            ["evaluate", "x"], ["inspect", "x", "--batch-size", "2"], ["train", "--resume", "runs/x"],
            ["train", "--resume", "runs/x", "--dry-run"], ["export", "x", "exported"], ["runs", "list", "runs"]],
    "done": [["train", "--resume", "runs/x", "--epochs", "3"], ["evaluate", "x"], ["predict", "x", "hel"],
             ["inspect", "x"], ["train", "--resume", "runs/x"], ["report", "x", "--out", "x.html"],
             ["train", "hello", "--init-from", "x", "--fast-dev-run"], ["runs", "list", "runs", "--json"]],
}  # fmt: skip


@slices(40, 1000, 4)
def test_mutated_run_folders(
    tmp_path: Path,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    count: int,
    slice_number: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RNNCLI_DEBUG", raising=False)
    outside = {path: path.read_bytes() for path in _files(runs)}
    rng, tally = random.Random(3 + slice_number), Tally(capsys)
    copy = tmp_path / "runs" / "x"
    for n in range(count):
        name = rng.choice(["run", "run", "done"])
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(runs / name, copy)
        try:
            CHANGES[n % len(CHANGES)](copy, runs / rng.choice(["other", "done", "run"]), rng)
        except Exception:  # what is sealed cannot be sealed again: the manifest itself was changed
            continue
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b""), encoding="utf-8"))
        tally(rng.choice(COMMANDS[name]))
        torch.set_num_threads(1)
    assert outside == {path: path.read_bytes() for path in _files(runs)}, "nothing outside a run is written"
    assert tally.codes[3] > count / 4
    assert tally.codes[0] > count / 20
    if slice_number:
        record("inputs", f"run folders {slice_number}", tally.figures())


def test_no_command_waits_for_a_pipe_in_a_run(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipe in the place of any of its files, of a run that has ended and of one that has not."""
    monkeypatch.chdir(tmp_path)
    tally = Tally(capsys)
    for name in ("run", "done"):
        for file in sorted(path.relative_to(runs / name) for path in _files(runs / name)):
            copy = tmp_path / name / file.name / "x"
            shutil.copytree(runs / name, copy)
            (copy / file).unlink()
            os.mkfifo(copy / file)
            for words in (["inspect", str(copy), "params"], ["export", str(copy), str(copy) + "-exported"]):
                tally(words)
            tally(["runs", "list", str(copy.parent)])
    assert tally.codes[3] > tally.codes[0] / 4


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (
            "carry.0",
            lambda tensor: tensor[:, :1].clone(),
            r"carry\.0 is .*\(1, 1, 4\); expected .*\(1, 4, 4\)",
        ),
        ("carry.0", lambda tensor: tensor.double(), r"carry\.0 is torch\.float64"),
        ("carry.1", None, "carry is"),
        ("optimizer.0.exp_avg", lambda tensor: tensor[:1].clone(), r"optimizer\.0\.exp_avg is .*\(1, 3\)"),
        ("optimizer.1.exp_avg_sq", None, r"optimizer\.1 is"),
        ("best.rnn.weight_ih_l0", lambda tensor: tensor.T.contiguous(), r"best"),
        ("model.rnn.bias_hh_l0", None, "model is"),
        ("total", lambda tensor: torch.zeros(3), r"total is .*\(3,\)"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, runs: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor] | None, words: str
) -> None:
    """Adam's kernel would have read beyond the end of a moment that is too short."""
    folder = tmp_path / "run"
    shutil.copytree(runs / "run", folder)
    with safe_open(folder / CHECKPOINT, framework="pt") as file:
        metadata = file.metadata()
        found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensor = found.pop(name, torch.zeros(16, 3))
    if change is not None:
        found[name] = change(tensor)
    (folder / CHECKPOINT).write_bytes(save(found, metadata=metadata))
    _seal(folder)
    before = {path: path.read_bytes() for path in _files(folder)}
    with pytest.raises(DataError, match=words) as refused:
        run_in(folder, job_of(recipe(runs / "text.txt")), resume=True)
    assert str(folder / CHECKPOINT) in str(refused.value)
    assert before == {path: path.read_bytes() for path in _files(folder)}, "a run that is refused is left as it was"


def test_a_checkpoint_of_another_recipe(tmp_path: Path, runs: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs / "run", folder)
    shutil.copy(runs / "other" / CHECKPOINT, folder / CHECKPOINT)
    with pytest.raises(DataError, match=r"state\.safetensors.*bytes|has changed"):
        run_in(folder, job_of(recipe(runs / "text.txt")), resume=True)
    _seal(folder)
    with pytest.raises(DataError, match="; expected ") as refused:
        run_in(folder, job_of(recipe(runs / "text.txt")), resume=True)
    assert refused.value.exit_code == 3
