"""Run folders of several processes: stopped, killed, gone on with, and refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import DistNetworkError, HashStore  # type: ignore[attr-defined]

from rnncli import cli
from rnncli.data.vocab import Vocab
from rnncli.device import Process
from rnncli.errors import Missing, UsageError
from rnncli.recipe import resolved_yaml
from rnncli.runs.manifest import check_manifest
from rnncli.runs.resume import check_same
from rnncli.runs.writer import CHECKPOINT
from rnncli.tasks import load_recipe
from rnncli.tasks.inputs import scaled as series_scales
from rnncli.tasks.inputs import stream
from rnncli.training import distributed
from rnncli.training.distributed import _check_same
from rnncli.training.job import Job
from tests import warm
from tests.training.team import begun, environments, made


def torchrun(*words: str) -> list[str]:
    """A command of two processes."""
    return [warm.python(), "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "rnncli", "train", *words]


PLAIN = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def recipe(tmp_path: Path, small_lm: dict[str, Any]) -> str:
    """A language model with dropout and a carried state, long enough to be met while it is trained."""
    train = {"epochs": 10, "checkpoint_every": 20, "threads": 1}
    path = tmp_path / "small.yaml"
    path.write_text(resolved_yaml(load_recipe(small_lm | {"train": small_lm["train"] | train}).config))
    return str(path)


def directly(folder: Path, *words: str) -> None:
    """Two processes without torchrun: the first of them keeps the store."""
    started = [
        subprocess.Popen([warm.python(), "-m", "rnncli", "-q", "train", *words], cwd=folder, env=env)
        for env in environments()
    ]
    assert [process.wait(timeout=300) for process in started] == [0, 0]


def under_torchrun(
    folder: Path, words: list[str], when: Callable[[], bool], strike: Callable[[int], None]
) -> tuple[str, str]:
    """What torchrun and its processes write to standard output and error. strike: called with torchrun's process number
    as soon as `when` is so."""
    given, said = folder / "given.txt", folder / "said.txt"
    with given.open("wb") as out, said.open("wb") as stream:
        process = subprocess.Popen(torchrun(*words), cwd=folder, stdout=out, stderr=stream, env=PLAIN)
        try:
            until = time.monotonic() + 200
            while not when() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.01)
            assert process.poll() is None, said.read_text()
            strike(process.pid)
            assert process.wait(timeout=100) != 0
        finally:
            process.kill()
    return given.read_text(), said.read_text()


@pytest.mark.evidence
def test_stopped_then_killed_ends_as_if_nothing_had_been(tmp_path: Path, recipe: str) -> None:
    """Ctrl-C at torchrun, then SIGKILL of the process that writes; gone on with each time. The weights and the log are
    those of a run that was left alone, to the last bit: every process had its own dropout and its own carried state."""
    directly(tmp_path, recipe, "--out", "whole")
    cut, log = tmp_path / "cut", tmp_path / "cut" / "metrics.jsonl"

    def lines() -> int:
        return log.read_text().count("\n") if log.exists() else 0

    given, said = under_torchrun(
        tmp_path, [recipe, "--out", "cut", "--json"], lambda: lines() > 1, lambda pid: os.kill(pid, signal.SIGINT)
    )
    assert [json.loads(line)["epoch"] for line in given.splitlines()] == list(range(1, lines() + 1))
    assert said.count("interrupted; everything so far is in cut") == 1
    assert "next:  torchrun --nproc-per-node 2 -m rnncli train --resume cut" in said
    check_manifest(cut)
    stopped = lines()

    def killed(_: int) -> None:
        os.kill(int((cut / ".lock").read_text()), signal.SIGKILL)

    _, said = under_torchrun(tmp_path, ["--resume", "cut"], lambda: lines() > stopped + 1, killed)
    assert said.count("error:") == 1
    assert "one of the 2 training processes has exited or cannot be reached" in said
    assert "resume from the last checkpoint: torchrun --nproc-per-node 2 -m rnncli train --resume cut" in said
    assert "Signal 9 (SIGKILL)" in said  # torchrun's own report

    directly(tmp_path, "--resume", "cut")
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (cut / name).read_bytes()
    results = [json.loads((folder / "result.json").read_text()) | {"run": ""} for folder in (tmp_path / "whole", cut)]
    assert results[0] == results[1]
    assert json.loads((cut / "environment.json").read_text())["processes"] == 2
    with pytest.raises(UsageError, match="this run was trained with 2 processes, not 1") as refused:
        check_same(json.loads((cut / "environment.json").read_text()), made(recipe, []), cut)
    assert refused.value.exit_code == 2
    assert refused.value.todo == f"torchrun --nproc-per-node 2 -m rnncli train --resume {cut}"
    assert (cut / CHECKPOINT).exists()


def test_three_processes_go_on_to_the_last_bit(tmp_path: Path, small_lm: dict[str, Any]) -> None:
    """Of two numbers the order does not matter; three are added up in the order of their place in a message."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    jobs = [(str(folder), small_lm, [f"train.max_steps={n}"]) for folder, n in ((whole, 6), (cut, 3), (cut, 6))]
    assert begun(jobs, tmp_path, 3)()[str(cut)]["steps"] == 6
    assert (whole / "model.safetensors").read_bytes() == (cut / "model.safetensors").read_bytes()


def test_an_error_that_all_have_is_said_once(tmp_path: Path) -> None:
    words = torchrun("hello", "--set", "train.nonlinearity=relu")
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=PLAIN, timeout=300)
    assert ended.stderr.count("error:") == 1
    assert ended.stderr.count("train.nonlinearity") == 1
    assert "exitcode  : 2" in ended.stderr
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Callable[[Job, Job], str]:
    """What two processes that have these jobs are told, "" where they may train together."""

    def compare(*jobs: Job) -> str:
        store = HashStore()
        monkeypatch.setattr(distributed, "_store", lambda: store)
        with ThreadPoolExecutor(2) as pool:
            tasks = [pool.submit(_check_same, job, Process(rank, 2, rank, 2), store) for rank, job in enumerate(jobs)]
        errors = [task.exception() for task in tasks]
        assert all(error is None or isinstance(error, UsageError) for error in errors)
        said = {"" if error is None else f"{error}" for error in errors}
        assert len(said) == 1  # all know, so whichever speaks says it
        return said.pop()

    return compare


def test_processes_that_would_train_different_things(tmp_path: Path, small_lm: dict[str, Any], refused: Any) -> None:
    first = made(small_lm, [])
    assert refused(first, made(small_lm, ["train.threads=2"])) == ""
    assert "different from process 0: the recipe" in refused(first, made(small_lm, ["train.lr=0.5"]))
    other = tmp_path / "other.txt"
    other.write_text(Path(small_lm["data"]["path"]).read_text() + "more\n")
    said = refused(first, made(small_lm, [f"data.path={other}"]))
    assert "different from process 0: the data" in said
    assert "process 1 of 2 on " in said


def test_data_that_is_read_in_another_way_is_another(tmp_path: Path, small_lm: dict[str, Any], refused: Any) -> None:
    """The same file cut into other batches; a copy of it elsewhere is the same; what was read of it is compared, too,
    but for how its means are rounded."""
    first = made(small_lm, [])
    assert "different from process 0: the recipe" in refused(first, made(small_lm, ["data.window=7"]))
    copy = tmp_path / "copy.txt"
    copy.write_bytes(Path(small_lm["data"]["path"]).read_bytes())
    assert refused(first, made(small_lm, [f"data.path={copy}"])) == ""

    def read(**other: Any) -> Job:
        return replace(first, splits=replace(first.splits, **other))

    assert "different from process 0: the data" in refused(
        first, read(fitted=stream.Fitted(Vocab(("a",)), "characters"))
    )
    assert "different from process 0: the data" in refused(first, read(counts={"train": {"steps": 1}}))

    def scaled(mean: float) -> Job:
        return read(fitted=series_scales.Fitted(["value"], 1, [mean], [1.0], [1.0]))

    assert refused(scaled(0.1), scaled(0.1 + 2**-55)) == ""


def test_a_process_that_ends_before_training_begins_is_noticed(
    monkeypatch: pytest.MonkeyPatch, small_lm: dict[str, Any]
) -> None:
    """On another machine, where no torchrun tells this one."""
    store = HashStore()
    monkeypatch.setattr(distributed, "_store", lambda: store)
    store.add(distributed.ENDED, 1)
    with pytest.raises(Missing, match="one of the 2 training processes has exited") as ended:
        _check_same(made(small_lm, []), Process(0, 2, 0, 1), store)
    assert ended.value.exit_code == 5

    class Gone(HashStore):
        def check(self, keys: list[str]) -> bool:
            raise DistNetworkError

    with pytest.raises(Missing, match="one of the 2 training processes has exited"):
        _check_same(made(small_lm, []), Process(0, 2, 0, 1), Gone())


def test_what_is_not_training_is_done_by_one(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for rank in (0, 1):
        for name, value in environments()[rank].items():
            if name.startswith(("RANK", "LOCAL_", "WORLD_", "MASTER_")):
                monkeypatch.setenv(name, value)
        assert cli.run(["train", "hello", "--print-config"]) == 0
        said = capsys.readouterr()
        assert ("train.epochs" in said.out) == (rank == 0)
        assert ("only `train` is distributed; rank 0 of 2 runs this" in said.err) == (rank == 0)
    monkeypatch.delenv("LOCAL_RANK")
    assert cli.run(["train", "hello"]) == 2
    assert "LOCAL_RANK" in capsys.readouterr().err


def test_threads_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnncli.training.job.usable_cores", lambda: 8)
    large = ["model.hidden_size=1200", "model.cell=gru", "model.engine=torch"]
    before = torch.get_num_threads()
    try:
        assert made("hello", large).config.train.threads == 8
        for name, value in environments()[0].items():
            if name.startswith(("RANK", "LOCAL_", "WORLD_", "MASTER_")):
                monkeypatch.setenv(name, value)
        job = made("hello", large)
        assert job.config.train.threads == 4
    finally:
        torch.set_num_threads(before)
