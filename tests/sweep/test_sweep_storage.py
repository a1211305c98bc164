"""Where a study lies: a lock that dies with its process, and several processes that begin a study at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from rnncli.cli import run as command
from rnncli.errors import DataError
from rnncli.locks import lock_file
from rnncli.sweeps.plan import make_plan
from rnncli.sweeps.storage import JournalLock, with_retries
from rnncli.sweeps.study import JOURNAL, open_study

optuna = pytest.importorskip("optuna")
HOLDS = """
import sys, time
from pathlib import Path
from rnncli.sweeps.storage import JournalLock
lock = JournalLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""
SPACE = ["train.lr=log:1e-3..1"]


def test_a_killed_process_leaves_no_lock_on_the_journal(tmp_path: Path) -> None:
    journal = tmp_path / JOURNAL
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(journal)], stdout=subprocess.PIPE, env=environment, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lock = JournalLock(journal)
        with open(lock.path, "rb") as file:
            assert not lock_file(file)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        begun = time.process_time()
        assert lock.acquire()
        lock.release()
        assert time.process_time() - begun < 5  # it spins no longer than it takes
    assert lock.acquire()
    lock.release()


def test_a_search_goes_on_past_a_lock_that_optuna_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starts_warm: None
) -> None:
    """A symbolic link with a relative target, which leads nowhere: what a killed search of 0.1 left behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    folder = Path("sweeps/hello-001")
    words = [
        "-q",
        "sweep",
        "hello",
        "--search",
        *SPACE,
        "--trials",
        "1",
        "--epochs",
        "1",
        "--set",
        "train.control=false",
    ]
    assert command(words) == 0
    os.symlink(folder / JOURNAL, folder / f"{JOURNAL}.lock")
    words[words.index("--trials") + 1] = "2"
    assert command(words) == 0


def _opened(number: int, barrier: Any, url: str, results: Any) -> None:
    plan = make_plan("hello", (), {}, search=SPACE, trials=2, seeds=1)
    barrier.wait(30)
    try:
        results.put(open_study(plan, Path(f"unused-{number}"), url, None).study_name)
    except DataError as error:
        results.put(repr(error))


def test_workers_that_begin_together_on_a_new_database_all_find_one_study(tmp_path: Path) -> None:
    context = get_context("fork")
    open_study(
        make_plan("hello", (), {}, search=SPACE, trials=2, seeds=1), tmp_path, f"sqlite:///{tmp_path}/0.db", None
    )
    for number in range(1, 4):
        barrier, results = context.Barrier(4), context.Queue()
        url = f"sqlite:///{tmp_path}/{number}.db"
        workers = [context.Process(target=_opened, args=(n, barrier, url, results)) for n in range(4)]
        for worker in workers:
            worker.start()
        names = {results.get(timeout=60) for _ in workers}
        for worker in workers:
            worker.join(60)
        assert len(names) == 1, names
        assert "hello" in names.pop()


def test_other_errors_are_not_tried_again() -> None:
    tried = []

    def make() -> None:
        tried.append(1)
        raise ValueError("already exists")

    with pytest.raises(ValueError, match="already"):
        with_retries(make)
    assert tried == [1]
