"""The script for a machine with a GPU, as far as one without can run it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gpu import run_gpu
from tests.gpu.run_gpu import STEPS, Machine, all_steps, done


def test_every_step_has_its_turn_whatever_the_others_do() -> None:
    now, asked = [0.0], []

    def begin(name: str, seconds: float) -> dict[str, Any]:
        asked.append((name, seconds))
        now[0] += 70 if name == "recipes" else 1
        return {"ok": name != "resume"}

    names = ["recipes", "resume", "bench", "determinism"]
    found = all_steps(names, 78, begin, lambda: now[0])
    assert asked == [("recipes", 78), ("resume", 8), ("bench", 7), ("determinism", 6)]
    assert [found[name]["ok"] for name in names] == [True, False, True, True]
    assert all_steps(names, 73, begin, lambda: now[0])["resume"] == {"ok": False, "said": "no time left"}
    assert sum(seconds for _, seconds in STEPS.values()) > run_gpu.LIMIT  # the limit of all is the one that counts


def test_a_step_that_breaks_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(machine: Machine) -> dict[str, Any]:
        raise RuntimeError("CUDA error: an illegal memory access")

    def wrong(machine: Machine) -> dict[str, Any]:
        return run_gpu.require({"share": 2}, fine=False)

    machine = Machine("cpu", True, tmp_path)
    monkeypatch.setitem(STEPS, "bench", (broken, 1))
    monkeypatch.setitem(STEPS, "resume", (wrong, 1))
    assert done("bench", machine) == {"ok": False, "said": "RuntimeError: CUDA error: an illegal memory access"}
    assert done("resume", machine) == {"ok": False, "found": {"share": 2}}


def test_losses_here_are_those_of_the_cpu(tmp_path: Path) -> None:
    found = done("losses against the CPU", Machine("cpu", True, tmp_path))
    assert found["ok"], found
    assert found["found"]["largest relative difference"] == {"hello": 0}


@pytest.mark.evidence
def test_all_steps_on_a_cpu(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    run_gpu.main(["--device", "cpu", "--small", "--limit", "1800", "--save", str(file)])
    steps = json.loads(file.read_text())["steps"]
    assert list(steps) == list(STEPS)
    assert [(name, one) for name, one in steps.items() if not one["ok"]] == []
