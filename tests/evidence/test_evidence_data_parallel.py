"""Two processes against one at the recipes' own sizes: losses of 50 steps, and how fast each way is."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

from rnncli import tasks
from rnncli.device import usable_cores
from rnncli.recipe import packaged_recipes
from rnncli.tasks import load_recipe
from tests.training import team

FILE = Path(__file__).parent / "data-parallel.json"
RECIPE_OF = {load_recipe(name).config.task: name for name in reversed(packaged_recipes())} | {"tagging": "pos-tagging"}
SETS = ("train.max_steps=50", "train.epochs=50", "train.threads=1", "train.schedule=none")
SIZES = {"small": (32, 128), "middle": (64, 256), "large": (64, 512)}  # batch_size, hidden_size
PATIENT = 5  # steps until torch has made what it makes once


def keep(name: str, found: dict[str, Any]) -> None:
    document = json.loads(FILE.read_text()) if FILE.exists() else {}
    document |= {"torch": torch.__version__, "python": platform.python_version()}
    document["machine"] = f"{platform.machine()}, {usable_cores()} cores"
    FILE.write_text(json.dumps(document | {name: found}, indent=1) + "\n", encoding="utf-8")


@pytest.mark.evidence
def test_fifty_steps_of_every_task(tmp_path: Path) -> None:
    """Largest relative difference of a step's loss, and of the metrics measured behind the last step."""
    found: dict[str, Any] = {}
    for dtype, near in (("float64", 1e-4), ("float32", 2e-2)):
        jobs = [(task, RECIPE_OF[task], [*SETS, f"train.dtype={dtype}"]) for task in tasks.task_names()]
        one, two = team.both(jobs, tmp_path)
        for task, recipe, _ in jobs:
            mine, theirs = one[task], two[task]
            assert mine["counts"] == pytest.approx(theirs["counts"])
            pairs = list(zip(mine["losses"], theirs["losses"], strict=True))
            metrics = [
                abs(before[name] - after[name])
                for before, after in zip(mine["epochs"], theirs["epochs"], strict=True)
                for name in before
            ]
            worst = max(abs(a - b) / abs(a) for a, b in pairs)
            assert worst < (near if task == "transcription" or dtype == "float32" else 1e-9)
            found.setdefault(task, {"recipe": recipe, "steps": len(pairs)})[dtype] = {
                "loss_relative": worst,
                "metrics_absolute": max(metrics),
                "best_epoch": [mine["best"][0], theirs["best"][0]],
            }
    keep("losses", found)


@pytest.mark.evidence
def test_how_fast(tmp_path: Path) -> None:
    """Steps of the text a second: one process with two threads, two with one each, and one with one. The middle of
    three turns."""
    found: dict[str, Any] = {"load before": os.getloadavg()}  # above 0 or 1, other work took part of the cores
    for size, (rows, hidden) in SIZES.items():
        sets = [f"train.batch_size={rows}", f"model.hidden_size={hidden}", "train.max_steps=25", "data.window=64"]
        turns: dict[str, list[float]] = {}
        for _ in range(3):
            for name, world, threads in (("1 x 2 threads", 1, 2), ("2 x 1 thread", 2, 1), ("1 x 1 thread", 1, 1)):
                jobs = [("run", "language-model", [*sets, f"train.threads={threads}"])]
                run = team.begun(jobs, tmp_path, world)()["run"]
                seconds = run["seconds"][-1] - run["seconds"][PATIENT - 1]
                turns.setdefault(name, []).append(sum(run["counts"][PATIENT:]) / seconds)
        found[size] = {
            "batch_size": rows,
            "hidden_size": hidden,
            "steps_a_second": {name: round(median(speeds)) for name, speeds in turns.items()},
        }
    keep("throughput", found)
