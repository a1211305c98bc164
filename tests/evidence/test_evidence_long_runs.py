"""Ten thousand steps take no more memory than a thousand; four processes on two cores keep their speed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.evidence
FILE = Path(__file__).parent / "long-runs.json"

MEMORY = """
import json, sys
from pathlib import Path
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.training.run import run_training
def resident():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1])
found = {}
def watch(progress):
    if progress.event == "step" and progress.step in (1000, 2000, 5000, 10000):
        found[progress.step] = resident()
sets = ("train.max_steps=10000", "train.epochs=100000", "train.threads=1", "train.checkpoint_every=500",
        "model.hidden_size=8", "train.control=false", "train.compare=[]", "train.early_stopping=0")
run_training(prepare(load_recipe("hello", sets)), Path(sys.argv[1]), watch, baselines=False)
print(json.dumps(found))
"""

SPEED = """
import json, sys, time, resource
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.training.loop import fit
sets = ("train.max_steps=21", "train.epochs=1000", f"train.threads={sys.argv[1]}", "train.control=false",
        "train.compare=[]", "model.hidden_size=64")
job = prepare(load_recipe("pos-tagging", sets))
wall, cpu = time.perf_counter(), time.process_time()
end = next(progress for progress in fit(job) if progress.step == 20)
print(json.dumps({"counted": end.counted, "seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
"""


def record(name: str, figures: dict[str, Any]) -> None:
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    found |= {"torch": torch.__version__, "python": platform.python_version(), "cores": os.cpu_count()}
    found[name] = figures
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def test_memory_over_ten_thousand_steps(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    done = subprocess.run([sys.executable, "-c", MEMORY, str(folder)], capture_output=True, text=True, check=True)
    found = {int(step): kib for step, kib in json.loads(done.stdout).items()}
    record("resident KiB after steps, a checkpoint every 500", {str(step): kib for step, kib in found.items()})
    assert found[10000] < found[1000] * 1.05


def together(processes: int, threads: str) -> dict[str, float]:
    started = [
        subprocess.Popen([sys.executable, "-c", SPEED, threads], stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    rows = [json.loads(process.communicate()[0]) for process in started]
    return {
        "counted": sum(row["counted"] for row in rows),
        "seconds": max(row["seconds"] for row in rows),
        "cpu_seconds": sum(row["cpu"] for row in rows),
    }


def test_four_processes_on_two_cores() -> None:
    """Work per second, and per second of a core: the second says less about what else the machine does."""
    arms = {"one, two threads": (1, "2"), "four, two threads each": (4, "2"), "four, auto": (4, "auto")}
    found = {name: together(*arm) for name, arm in arms.items()}
    for row in found.values():
        row["per_second"] = row["counted"] / row["seconds"]
        row["per_cpu_second"] = row["counted"] / row["cpu_seconds"]
    record("processes", found)
    assert found["four, auto"]["per_second"] >= 0.8 * found["one, two threads"]["per_second"]
