"""A sweep killed again and again: what is done is never touched, and it ends as one that was not killed."""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
KEPT = ("model.safetensors", "metrics.jsonl", "recipe.yaml", "vocab.json")
COMMANDS = {
    "grid": ["--grid", "model.cell=rnn,gru,lstm", "--seeds", "3", "--jobs", "2"],
    "search": ["--search", "train.lr=log:1e-3..1e-1", "--search", "model.cell=rnn,gru", "--trials", "7", "--no-prune"],
}


def start(cwd: Path, *words: str) -> subprocess.Popen[str]:
    line = [
        sys.executable,
        "-m",
        "rnncli",
        "sweep",
        "hello",
        *words,
        "--epochs",
        "400",
        "--set",
        "train.checkpoint_every=7",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    return subprocess.Popen(
        line, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    )


def results(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("result.json")}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.name in KEPT}


@pytest.mark.evidence
@pytest.mark.parametrize("kind", COMMANDS)
def test_killed_again_and_again(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("optuna")
    rng = random.Random(kind)
    began = time.monotonic()
    whole = start(tmp_path, *COMMANDS[kind], "--out", "whole", "--json")
    document = json.loads(whole.communicate()[0])
    took = time.monotonic() - began
    done: list[int] = []
    while True:
        process = start(tmp_path, *COMMANDS[kind], "--out", "cut", "--json")
        before = results(tmp_path / "cut")
        try:
            out = process.communicate(timeout=rng.uniform(0.2, 0.4) * took)[0]
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            assert before.items() <= results(tmp_path / "cut").items()
            done.append(len(results(tmp_path / "cut")))
            time.sleep(rng.choice((0, 0, 2)))  # sometimes gone on with while its workers are still saving
    assert before.items() <= results(tmp_path / "cut").items()
    assert process.returncode == 0
    assert len(done) > 2
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    cut = json.loads(out)
    for row, other in zip(cut["rows"], document["rows"], strict=True):
        for key in ("trial", "scores", "p", "verdict"):
            assert row[key] == other[key]
    figures = {
        "kills": len(done),
        "runs_done_at_each_kill": done,
        "runs": len(document["rows"]) * len(document["config"]["seeds"]),
        "equal_to_one_that_was_not_killed": list(KEPT),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    file = ROOT / "tests" / "evidence" / "sweep_killed.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(found | {kind: figures}, indent=1) + "\n")
