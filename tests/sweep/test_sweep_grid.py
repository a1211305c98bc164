"""Whole sweeps with real worker processes: equal to training by hand, killed and gone on with, stopped, diverging."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnncli.cli import run
from rnncli.errors import CannotWrite
from rnncli.files import FolderLock
from rnncli.runs.open import open_run
from rnncli.runs.read import ENDED, read_run
from rnncli.runs.train import run_training
from rnncli.sweeps import jobs
from rnncli.sweeps.grid import Grid
from rnncli.sweeps.jobs import RunState, threads_each
from rnncli.sweeps.plan import make_plan
from rnncli.sweeps.rows import rows_of_runs
from rnncli.sweeps.runner import begin
from rnncli.sweeps.worker import Claim
from rnncli.training.job import prepare

KEPT = ("model.safetensors", "metrics.jsonl", "recipe.yaml", "vocab.json")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starts_warm: None) -> None:
    monkeypatch.chdir(tmp_path)


def sweep(*words: str) -> int:
    return run(["sweep", "hello", *words])


def contents(folder: Path, names: tuple[str, ...] = KEPT) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.name in names
    }


def stamps(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("result.json")}


def test_a_sweep_is_its_runs(capfd: pytest.CaptureFixture[str]) -> None:
    """Two jobs, one setting that diverges: the rest is bit for bit what `train` gives, and nothing is made twice."""
    words = ("--grid", "train.lr=0.1,0.02,1e38", "--seeds", "2", "--epochs", "4", "--jobs", "2", "--out", "s")
    assert sweep(*words, "--json") == 4
    document = json.loads(capfd.readouterr().out)
    assert document["schema"] == "rnncli/sweep/1"
    rows = {row["train.lr"]: row for row in document["rows"]}
    assert [row["train.lr"] for row in document["rows"]][-1] == "1e38"
    assert rows["1e38"]["verdict"] == "diverged"
    assert rows["1e38"]["mean"] is None
    plan = make_plan("hello", (), {"train.epochs": ("--epochs", 4)}, grid=["train.lr=0.1,0.02,1e38"], seeds=2)
    for lr in ("0.1", "0.02"):
        losses = []
        for seed in (0, 1):
            ours = Path("s") / f"lr={lr}" / f"seed-{seed}"
            by_hand = Path(f"by-hand-{lr}-{seed}")
            by_hand.mkdir()
            outcome = run_training(prepare(plan.load({"train.lr": lr}, seed)), by_hand)
            assert contents(ours) == contents(by_hand)
            open_run(ours)
            losses.append(outcome.metrics["loss"])
        assert rows[lr]["scores"] == losses
        assert rows[lr]["mean"] == pytest.approx(sum(losses) / 2)
        assert rows[lr]["verdict"] in ("best", "inconclusive")  # two seeds decide nothing
    assert [read_run(Path(f"s/lr=1e38/seed-{seed}")).state for seed in (0, 1)] == ["diverged"] * 2

    before, workers = stamps(Path("s")), jobs.Worker
    try:
        jobs.Worker = None  # type: ignore[misc,assignment]  # nothing is left to do: no process is begun
        assert sweep(*words, "--quiet") == 2  # a global option stands before the command
        assert run(["-q", "sweep", "hello", *words]) == 4
    finally:
        jobs.Worker = workers  # type: ignore[misc]
    assert stamps(Path("s")) == before
    shown = capfd.readouterr()
    assert "diverged" in shown.out
    assert shown.err.count("error") == 1  # that of --quiet


COMMAND = ["--grid", "model.cell=rnn,gru", "--seeds", "2", "--epochs", "80", "--set", "train.checkpoint_every=7"]


def started(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "rnncli", "sweep", "hello", *COMMAND, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip


def wait_for(folder: Path, results: int, process: subprocess.Popen[str]) -> None:
    """Until so many runs are done and another one has begun."""
    for _ in range(6000):
        done = len(list(folder.rglob("result.json")))
        if done >= results and len(list(folder.rglob("metrics.jsonl"))) > done:
            return
        assert process.poll() is None
        time.sleep(0.02)
    raise AssertionError("the sweep does not come on")


@pytest.mark.evidence
def test_killed_stopped_and_gone_on_with() -> None:
    """SIGKILL, then Ctrl-C, then to the end: what was done is not touched, and all equals a sweep that was not cut."""
    cut, whole = Path("cut"), Path("whole")
    process = started("--out", "cut")
    wait_for(cut, 1, process)
    process.kill()
    process.communicate()
    after_kill = stamps(cut)

    process = started("--out", "cut")
    wait_for(cut, len(after_kill) + 1, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "next:  run the same command to resume" in err
    assert "Traceback" not in err
    assert out == ""
    after_stop = stamps(cut)
    assert after_kill.items() <= after_stop.items()
    assert len(after_stop) < 4
    assert not any(read_run(path.parent).state == "running" for path in cut.rglob("recipe.yaml"))

    process, other = started("--out", "cut", "--jobs", "2"), started("--out", "whole")
    for one in (process, other):
        one.communicate(timeout=240)
        assert one.returncode == 0
    assert after_stop.items() <= stamps(cut).items()
    assert contents(cut) == contents(whole)
    assert len(stamps(cut)) == len(stamps(whole)) == 4


def test_a_run_that_another_process_holds_is_waited_for(capfd: pytest.CaptureFixture[str]) -> None:
    plan = make_plan("hello", ("train.epochs=1",), {}, grid=["model.cell=rnn,gru"])
    made = begin(plan, "s", jobs=1)
    held = made.runs[0]
    held.folder.mkdir(parents=True)
    steps = made.go()
    seen = set()
    with Claim(held.folder):
        for _ in steps:
            seen.add(held.status)
            if made.runs[1].ended and "elsewhere" in seen:
                break
    assert made.runs[1].status == "done"
    for _ in steps:
        pass
    assert [run.status for run in made.runs] == ["done", "done"]


def test_a_run_whose_worker_a_signal_stops_is_gone_on_with() -> None:
    plan = make_plan("hello", ("train.epochs=300",), {}, grid=["model.cell=rnn"])
    made = begin(plan, "s", jobs=1)
    (run,) = made.runs
    worker = ""
    for _ in made.go():
        if run.status == "running" and run.epoch and not worker:
            worker = FolderLock.holder(run.folder)
            os.kill(int(worker), signal.SIGTERM)
    assert (run.status, run.what) == ("done", "")
    assert len((run.folder / "metrics.jsonl").read_text().splitlines()) == 300
    assert worker


def test_ctrl_c_ends_an_idle_worker_without_a_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "rnncli.sweeps.worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    ) as worker:  # fmt: skip
        assert worker.stdin is not None
        assert worker.stdout is not None
        done = Path("done")
        done.mkdir()
        (done / "result.json").write_text("{}")
        worker.stdin.write(json.dumps({"folder": str(done)}) + "\n")
        worker.stdin.flush()
        assert json.loads(worker.stdout.readline()) == {"event": "done"}
        while (done / Claim.NAME).read_bytes():  # let go of last
            time.sleep(0.01)
        worker.send_signal(signal.SIGINT)
        assert worker.wait(60) == 0  # before its input ends, which ends it, too
        assert worker.communicate() == ("", "")


def test_a_full_disk_ends_a_sweep_and_other_failures_do_not(tmp_path: Path) -> None:
    runs = [RunState("t", {}, seed, tmp_path / str(seed)) for seed in range(3)]
    grid = Grid(runs)
    assert grid.take() is runs[0]
    runs[0].status, runs[0].code = "failed", 5
    assert grid.handle(runs[0], {"event": "failed"}) == "go"
    assert grid.take() is runs[1]
    runs[1].status, runs[1].code, runs[1].what = "failed", 6, "the disk is full"
    with pytest.raises(CannotWrite, match="the disk is full"):
        grid.handle(runs[1], {"event": "failed"})


def test_data_that_cannot_be_read_fails_every_run_with_its_code(capfd: pytest.CaptureFixture[str]) -> None:
    Path("bad.csv").write_text("a,b\n")
    words = ["--data", "bad.csv", "--set", "data.text=x", "--set", "data.label=y"]
    assert run(["sweep", "names", *words, "--grid", "model.cell=rnn,gru"]) == 3
    shown = capfd.readouterr()
    assert "failed" in shown.out
    assert "bad.csv" in shown.out.replace("\n", "")
    assert "Traceback" not in shown.out + shown.err
    assert not list(Path("sweeps").rglob(ENDED))  # mended data makes another try worth while


@pytest.mark.parametrize(("cores", "n", "each"), [(8, 1, 8), (8, 2, 4), (8, 3, 2), (2, 2, 1), (2, 8, 1), (1, 1, 1)])
def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch, cores: int, n: int, each: int) -> None:
    monkeypatch.setattr(jobs, "usable_cores", lambda: cores)
    assert threads_each(n) == each


def test_a_trial_that_runs_has_the_epoch_it_is_in_and_no_p_value() -> None:
    plan = make_plan("hello", (), {}, grid=["train.lr=0.1,0.02"])
    run = RunState("lr=0.1", {"train.lr": "0.1"}, 0, Path("s"), "running", epoch=3, epochs=30, score=0.5)
    (row,) = rows_of_runs(plan, [run], {})
    assert (row.status, row.epoch, row.epochs, row.mean, row.p) == ("running", 3, 30, None, None)
