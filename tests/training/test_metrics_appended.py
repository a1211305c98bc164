"""The logs of a run only ever grow at their end: the same file, the same beginning, at every epoch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rnncli.runs.train import StoppedBySignal
from rnncli.runs.writer import LOGS
from tests.training.training_runs import job_of, run_in, stop_after


def test_logs_are_appended_to_and_never_written_anew(tmp_path: Path) -> None:
    run = tmp_path / "run"
    seen: dict[str, list[tuple[int, bytes]]] = {name: [] for name in LOGS}

    def watch(progress: Any) -> None:
        if progress.event == "epoch":
            for name in LOGS:
                path = run / name
                seen[name].append((path.stat().st_ino, path.read_bytes()))

    sets = ("train.epochs=12", "train.control=false", "train.checkpoint_every=2")
    run_in(run, job_of("hello", *sets), watch=watch)
    for name, states in seen.items():
        assert len(states) == 12
        assert len({inode for inode, _ in states}) == 1, name
        for (_, before), (_, after) in pairwise(states):
            assert after.startswith(before), name
            assert after.count(b"\n") == before.count(b"\n") + 1, name
        assert (run / name).read_bytes() == states[-1][1]


def test_going_on_keeps_the_file_too(tmp_path: Path) -> None:
    run = tmp_path / "run"
    sets = ("train.epochs=12", "train.control=false")
    with pytest.raises(StoppedBySignal):
        run_in(run, job_of("hello", *sets), watch=stop_after(6))
    path = run / "metrics.jsonl"
    before = path.stat().st_ino, path.read_bytes()
    run_in(run, job_of("hello", *sets), resume=True)
    assert path.stat().st_ino == before[0]
    assert path.read_bytes().startswith(before[1])
