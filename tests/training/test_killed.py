"""SIGKILL at any moment, a full disk, a folder that goes: what was reached last stays whole, and going on from it
ends in the very bytes of the run that was never cut."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rnncli.errors import CannotWrite, DataError, UsageError
from rnncli.files import FolderLock
from rnncli.recipe import resolved_yaml
from rnncli.runs.folder import make_folder
from rnncli.runs.manifest import MANIFEST, check_manifest
from rnncli.runs.open import open_run
from rnncli.runs.train import StoppedBySignal, run_training
from rnncli.runs.writer import CHECKPOINT, LOGS
from rnncli.tasks import load_recipe
from tests.training.training_runs import job_of, run_in, stop_after

NAMES = "name,label\n" + "".join(f"{'abcdefg'[i % 7] * (i % 5 + 1)},{'xy'[i % 2]}\n" for i in range(60))
PAIRS = "".join(f"a{'bcd'[i % 3]} {'efg'[i % 2]}\t{'fed'[i % 3]} {'ba'[i % 2]}\n" for i in range(40))
A_RUN = 24  # moments until the recipe is there, the last of the files that training begins with
SMALL = {"epochs": 6, "batch_size": 4, "checkpoint_every": 3, "threads": 1}
RECIPES: dict[str, dict[str, Any]] = {
    "language-model": {
        "task": "language-model",
        "data": {"path": "text.txt", "window": 8, "split": {"validation": 0.1}},
        "model": {"cell": "lstm", "embedding_size": 4, "hidden_size": 6, "num_layers": 2, "dropout": 0.3},
        "train": {**SMALL, "epochs": 3, "sample": {"length": 0}},
    },
    "classification": {
        "task": "classification",
        "data": {"path": "names.csv", "text": "name", "label": "label"},
        "model": {"cell": "gru", "embedding_size": 4, "hidden_size": 6},
        "train": SMALL,
    },
    "translation": {
        "task": "translation",
        "data": {"path": "pairs.tsv"},
        "model": {"cell": "gru", "embedding_size": 4, "hidden_size": 6},
        "train": SMALL,
    },
}


def worker(folder: Path, left: int, recipe: str = "") -> int | None:
    """Train in a process that kills itself at the `left`-th moment: before and after each system call that changes a
    file for good, and after each update. Goes on with the folder's run where no recipe is named. Returns how many
    moments there were; None where it was killed."""
    job_of("hello")  # everything is imported before the fork, and torch keeps to one thread
    process = os.fork()
    if process == 0:
        seen = 0

        def moment(*_: object) -> None:
            nonlocal seen
            seen += 1
            if seen == left:
                os.kill(os.getpid(), signal.SIGKILL)

        def around(plain: Callable[..., Any]) -> Callable[..., None]:
            def call(*arguments: Any) -> None:
                moment()
                plain(*arguments)
                moment()

            return call

        try:
            os.fsync, os.replace, os.truncate = around(os.fsync), around(os.replace), around(os.truncate)
            job = job_of(recipe or str(folder / "recipe.yaml"))
            run_training(job, folder, moment, resume=not recipe)
            (folder.parent / "moments").write_text(str(seen))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert os.WEXITSTATUS(status) == 0
    return int((folder.parent / "moments").read_text())


@pytest.fixture
def recipes(tmp_path: Path) -> dict[str, str]:
    words = ["the", "cat", "sat", "on", "the", "mat", "and", "the", "dog", "ran"]
    text = "\n".join(" ".join(words[(i * k) % 10] for k in range(1, 6)) for i in range(1, 20))
    (tmp_path / "text.txt").write_text(text)
    (tmp_path / "names.csv").write_text(NAMES)
    (tmp_path / "pairs.tsv").write_text(PAIRS)
    found = {}
    for name, recipe in RECIPES.items():
        path = tmp_path / f"{name}.yaml"
        values = recipe | {"data": recipe["data"] | {"path": str(tmp_path / recipe["data"]["path"])}}
        path.write_text(resolved_yaml(load_recipe(values).config))
        found[name] = str(path)
    return found


def killed_then_resumed(tmp_path: Path, recipe: str, kills: int, rng: random.Random) -> list[int]:
    """Compare `kills` cut runs with one that was not cut; the moments at which they were killed."""
    whole = tmp_path / "whole"
    whole.mkdir()
    moments = worker(whole, 0, recipe)
    assert moments is not None
    wanted = []
    for n in range(kills):
        cut = tmp_path / f"cut{n}"
        cut.mkdir()
        at = rng.randrange(A_RUN, moments)
        wanted.append(at)
        assert worker(cut, at, recipe) is None
        if n % 2:  # killed again while it goes on
            worker(cut, rng.randrange(1, 20))
        job = job_of(str(cut / "recipe.yaml"))
        run_in(cut, job, resume=True)
        for name in ("model.safetensors", "metrics.jsonl", "recipe.yaml", "vocab.json"):
            assert (whole / name).read_bytes() == (cut / name).read_bytes(), (at, name)
        results = [json.loads((folder / "result.json").read_text()) | {"run": ""} for folder in (whole, cut)]
        assert results[0] == results[1]
        assert not list(cut.rglob("*.tmp"))
        check_manifest(cut)
        open_run(cut)
    return wanted


@pytest.mark.parametrize("name", RECIPES)
def test_killed_and_gone_on_with(tmp_path: Path, recipes: dict[str, str], name: str) -> None:
    killed_then_resumed(tmp_path, recipes[name], 2, random.Random(name))


@pytest.mark.evidence
@pytest.mark.parametrize("name", RECIPES)
def test_killed_twenty_times(tmp_path: Path, recipes: dict[str, str], name: str) -> None:
    moments = killed_then_resumed(tmp_path, recipes[name], 20, random.Random(f"evidence {name}"))
    path = Path(__file__).parents[1] / "evidence" / "killed.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    found[name] = {"kills": len(moments), "at_moments": moments, "equal": ["model.safetensors", "metrics.jsonl"]}
    path.write_text(json.dumps(found, indent=1) + "\n")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, where this machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True
    )
    if not made or made.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


HELLO = ("train.epochs=40", "train.control=false", "train.checkpoint_every=5")


def test_a_disk_that_fills_up(small_disk: Path) -> None:
    run = small_disk / "run"

    def fill(progress: Any) -> None:
        if progress.step == 12 and progress.event == "step":
            with contextlib.suppress(OSError), open(small_disk / "other", "wb", buffering=0) as file:
                while True:
                    file.write(bytes(1024))

    with pytest.raises(CannotWrite, match="the disk is full") as full:
        run_in(run, job_of("hello", *HELLO), watch=fill)
    assert full.value.exit_code == 6
    open_run(run)  # the checkpoint of step 10 is whole
    (small_disk / "other").unlink()
    run_in(run, job_of("hello", *HELLO), resume=True)
    assert len(open_run(run).metrics()) == 40


def test_a_disk_that_is_read_only(small_disk: Path) -> None:
    run_in(small_disk / "run", job_of("hello", "train.epochs=1", "train.control=false"))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    open_run(small_disk / "run")
    with pytest.raises(CannotWrite, match="read-only") as refused:
        make_folder(str(small_disk / "other"))
    assert refused.value.exit_code == 6
    with pytest.raises(CannotWrite, match="read-only"):
        run_in(small_disk / "run", job_of("hello", "train.epochs=2"), resume=True)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_errors_of_writing_injected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The same where nothing can be mounted: the third checkpoint cannot be written."""
    replace, calls = os.replace, iter(range(10_000))

    def failing(source: str, target: str) -> None:
        if next(calls) >= 14:
            raise OSError(code, os.strerror(code))
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", failing)
        with pytest.raises(CannotWrite):
            run_in(tmp_path / "run", job_of("hello", *HELLO))
    check_manifest(tmp_path / "run")
    run_in(tmp_path / "run", job_of("hello", *HELLO), resume=True)
    assert len(open_run(tmp_path / "run").metrics()) == 40


def test_a_folder_that_vanishes(tmp_path: Path) -> None:
    def vanish(progress: Any) -> None:
        if progress.step == 7 and progress.event == "step":
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(CannotWrite, match="its folder does not exist"):
        run_in(tmp_path / "run", job_of("hello", *HELLO), watch=vanish)


def test_another_process_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with FolderLock(tmp_path / "run"), pytest.raises(UsageError, match=f"another process .*{os.getpid()}") as locked:
        run_in(tmp_path / "run", job_of("hello", *HELLO))
    assert locked.value.exit_code == 2


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), contextlib.suppress(StoppedBySignal):
        run_in(tmp_path / "run", job_of("hello", *HELLO), watch=twice(12))
    check_manifest(tmp_path / "run")
    run_in(tmp_path / "run", job_of("hello", *HELLO), resume=True)
    assert len(open_run(tmp_path / "run").metrics()) == 40


def twice(step: int) -> Any:
    first, second = stop_after(step), stop_after(step)

    def watch(progress: Any) -> None:
        first(progress)
        second(progress)

    return watch


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json", "recipe.yaml", "environment.json", *LOGS])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_file_of_a_run_is_named(tmp_path: Path, name: str, damage: str) -> None:
    run_in(tmp_path / "run", job_of("hello", "train.epochs=1", "train.control=false"))
    path = tmp_path / "run" / name
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:-3])
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        path.unlink()
    with pytest.raises((DataError, UsageError)) as named:
        open_run(str(tmp_path / "run"))
    assert name in str(named.value) or (name, damage) == ("recipe.yaml", "gone")
    assert named.value.exit_code == 3 or (name, damage) == ("recipe.yaml", "gone")


def test_a_damaged_checkpoint_of_a_run_is_named_and_its_weights_still_open(tmp_path: Path) -> None:
    run_in(tmp_path / "run", job_of("hello", "train.epochs=1", "train.control=false"))
    path = tmp_path / "run" / CHECKPOINT
    data = bytearray(path.read_bytes())
    data[-5] ^= 4
    path.write_bytes(data)
    open_run(tmp_path / "run")
    with pytest.raises(DataError, match=r"state\.safetensors.*has changed"):
        run_in(tmp_path / "run", job_of("hello", "train.epochs=2"), resume=True)
    (tmp_path / "run" / MANIFEST).unlink()
    with pytest.raises(DataError, match=MANIFEST):
        open_run(tmp_path / "run")


@pytest.mark.parametrize("name", ["metrics.jsonl", "model.safetensors", "resume"])
def test_nothing_is_read_or_written_through_a_link_out_of_the_run(tmp_path: Path, name: str) -> None:
    run_in(tmp_path / "run", job_of("hello", "train.epochs=1", "train.control=false"))
    shutil.move(tmp_path / "run" / name, tmp_path / "outside")
    (tmp_path / "run" / name).symlink_to(tmp_path / "outside")
    with pytest.raises(DataError, match="points outside its folder"):
        run_in(tmp_path / "run", job_of("hello", "train.epochs=2"), resume=True)


def test_a_line_that_a_kill_cut_is_not_read(tmp_path: Path) -> None:
    run_in(tmp_path / "run", job_of("hello", *HELLO), watch=None)
    run = open_run(tmp_path / "run")
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 41, "st')
    assert len(run.metrics()) == 40


def test_checkpoints_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 60))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    job = job_of("hello", "train.checkpoint_time=2m", "train.checkpoint_every=0", "train.epochs=9")
    seen: list[int] = []

    def watch(progress: Any) -> None:
        seen.append((tmp_path / "run" / CHECKPOINT).stat().st_mtime_ns)

    run_in(tmp_path / "run", job, watch=watch)
    assert len(set(seen)) > 3
