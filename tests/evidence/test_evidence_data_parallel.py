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


WAYS = {"1 x 2 threads": (1, 2), "2 x 1 thread": (2, 1), "1 x 1 thread": (1, 1)}  # processes, threads of each
ROUNDS = int(os.environ.get("RNNCLI_ROUNDS", "5"))
STEPS_TIMED = 25


def speeds(recipe: str, sets: list[str], folder: Path) -> dict[str, list[float]]:
    """What the loss counts, a second, of each way, in turn: one round after the other, so that a round shares its
    load."""
    turns: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(ROUNDS):
        for name, (world, threads) in WAYS.items():
            jobs = [("run", recipe, [*sets, f"train.max_steps={STEPS_TIMED}", f"train.threads={threads}"])]
            run = team.begun(jobs, folder, world)()["run"]
            seconds = run["seconds"][-1] - run["seconds"][PATIENT - 1]
            turns[name].append(sum(run["counts"][PATIENT:]) / seconds)
    return turns


def ratios(turns: dict[str, list[float]]) -> dict[str, list[float]]:
    """Paired within a round: lowest, median, highest. Above 1, the first way is the faster."""
    pairs = {
        "two processes against two threads": ("2 x 1 thread", "1 x 2 threads"),
        "two processes against one thread": ("2 x 1 thread", "1 x 1 thread"),
        "two threads against one": ("1 x 2 threads", "1 x 1 thread"),
    }
    found = {}
    for said, (first, second) in pairs.items():
        each = sorted(a / b for a, b in zip(turns[first], turns[second], strict=True))
        found[said] = [round(each[0], 3), round(median(each), 3), round(each[-1], 3)]
    return found


@pytest.mark.evidence
@pytest.mark.parametrize("task", sorted(RECIPE_OF))
def test_how_fast_each_task_is(tmp_path: Path, task: str) -> None:
    """At the recipe's own size. Two processes at best do twice what one thread does; what is missing there is what
    DDP, and what every process does for itself, costs."""
    before = os.getloadavg()
    turns = speeds(RECIPE_OF[task], ["train.epochs=50", "train.schedule=none"], tmp_path)
    found = json.loads(FILE.read_text()).get("throughput of tasks", {}) if FILE.exists() else {}
    row: dict[str, Any] = {"recipe": RECIPE_OF[task], "ratios": ratios(turns), "load before and after": []}
    row["load before and after"] = [round(before[0], 2), round(os.getloadavg()[0], 2)]  # above 1: others took part
    row["cost of two processes, share of a perfect two"] = round(
        1 - row["ratios"]["two processes against one thread"][1] / 2, 3
    )
    keep("throughput of tasks", {**found, task: row})


@pytest.mark.evidence
@pytest.mark.parametrize("size", SIZES)
def test_how_fast(tmp_path: Path, size: str) -> None:
    """A language model of three sizes."""
    before = os.getloadavg()
    rows, hidden = SIZES[size]
    sets = [f"train.batch_size={rows}", f"model.hidden_size={hidden}", "data.window=64"]
    turns = speeds("language-model", sets, tmp_path)
    found = json.loads(FILE.read_text()).get("throughput", {}) if FILE.exists() else {}
    row = {"batch_size": rows, "hidden_size": hidden, "ratios": ratios(turns)}
    row["load before and after"] = [round(before[0], 2), round(os.getloadavg()[0], 2)]
    keep("throughput", {**found, size: row})
