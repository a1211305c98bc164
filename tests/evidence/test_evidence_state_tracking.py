"""Which cells keep track of a state: every problem, cell and seed, at every length up to ten times that of training.

Each is a test of its own, and its figures a file in .evidence/: what is there is not computed again, so that all of it
can be made in slices, by several processes, such as `-k "parity and gru"`. The last test gathers what is there.
"""

import json
import platform
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
import yaml

from rnncli.files import atomic_write
from rnncli.tasks import Recipe, load_recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import fit
from tests.evidence.evidence_runs import SEEDS, summary

pytestmark = pytest.mark.evidence

RECIPE = "state-tracking"
PROBLEMS = ("parity", "s3", "sum-mod-3", "even-pairs", "mqar", "a5")
OWN = "s3"  # the problem of the recipe as it stands
BASELINE = "current symbol only"
ROWS: dict[str, tuple[str, ...]] = {
    BASELINE: (),
    "feedforward": ("model.cell=feedforward",),
    "rnn-tanh": ("model.cell=rnn",),
    "rnn-relu": ("model.cell=rnn", "model.nonlinearity=relu"),
    "gru": ("model.cell=gru",),
    "lstm": ("model.cell=lstm",),
    "slstm": ("model.cell=slstm",),
    "mgu": ("model.cell=mgu",),
    "indrnn": ("model.cell=indrnn",),
    "mingru": ("model.cell=mingru",),
    "minlstm": ("model.cell=minlstm",),
    "linear [0, 1]": ("model.cell=linear", "model.eigenvalues=[0, 1]"),
    "linear [-1, 1]": ("model.cell=linear", "model.eigenvalues=[-1, 1]"),
    "deltanet [0, 1]": ("model.cell=deltanet", "model.beta=[0, 1]"),
    "deltanet [0, 2]": ("model.cell=deltanet", "model.beta=[0, 2]"),
}
POSITIVE = {"mingru", "minlstm", "linear [0, 1]", "deltanet [0, 1]"}  # linear in their state, with such factors
FOLDER = Path(__file__).parents[2] / ".evidence" / RECIPE


def recipe(problem: str, row: str, seed: int) -> Recipe:
    return load_recipe(RECIPE, (f"data.problem={problem}", *ROWS[row], "train.compare=[]", f"train.seed={seed}"))


def on_disk(problem: str, row: str, seed: int) -> tuple[Path, dict[str, Any] | None]:
    """The file of one result, and what is in it, where that is of the recipe as it is now."""
    written = yaml.safe_load((Path(__file__).parents[2] / "recipes" / f"{RECIPE}.yaml").read_text(encoding="utf-8"))
    del written["train"]["compare"]
    settings = sha256(repr((written, ROWS[row])).encode()).hexdigest()
    path = FOLDER / problem / row / f"{seed}-{settings[:12]}.json"
    return path, json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def measured(job: Job, row: str) -> Mapping[str, float]:
    if row == BASELINE:
        (baseline,) = job.task.baselines(job.config, job.splits, job.splits.held_out)
        return baseline.metrics
    *_, last = fit(job)
    return last.metrics


@pytest.mark.parametrize(
    ("seed", "problem", "row"), [(seed, problem, row) for seed in SEEDS for problem in PROBLEMS for row in ROWS]
)
def test_accuracy_at_every_length(problem: str, row: str, seed: int) -> None:
    path, found = on_disk(problem, row, seed)
    if found is None:
        began, job = time.process_time(), prepare(recipe(problem, row, seed))
        metrics = dict(measured(job, row))
        found = {"metrics": metrics, "engine": job.config.model.engine, "parameters": job.cost.parameters}
        found["cpu_seconds"] = round(time.process_time() - began, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, json.dumps(found, indent=1) + "\n")
    assert {"T=40", "T=400"} <= set(found["metrics"])
    assert all(0 <= value <= 1 for name, value in found["metrics"].items() if name != "loss")


def gathered() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Problem -> row -> its results, seed by seed, of the rows that have all seeds; the recipe's own cell is one."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for problem in PROBLEMS:
        for row in ROWS:
            results = [on_disk(problem, row, seed)[1] for seed in SEEDS]
            whole = [result for result in results if result is not None]
            if len(whole) == len(SEEDS):
                found.setdefault(problem, {})[row] = whole
    return {problem: rows for problem, rows in found.items() if load_recipe(RECIPE).config.model.cell in rows}


def entry(problem: str, rows: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """One problem, as every evidence file has the figures of a recipe: the recipe's own cell first."""
    cell = load_recipe(RECIPE).config.model.cell
    names = [cell, *(row for row in rows if row != cell)]
    runs = [
        {
            "seed": seed,
            "rows": {row: rows[row][seed]["metrics"] for row in names},
            "cpu_seconds": rows[cell][seed]["cpu_seconds"],
        }
        for seed in SEEDS
    ]
    sets = [] if problem == OWN else [f"data.problem={problem}"]
    about = {row: {key: rows[row][0][key] for key in ("engine", "parameters")} for row in names if row != BASELINE}
    return {"recipe": RECIPE, "problem": problem, "sets": sets, "summary": summary(runs), "cells": about, "runs": runs}


def test_what_was_measured_is_written_down() -> None:
    """Whatever it says; and no cell with factors from 0 to 1 alone keeps parity (Grazzi et al. 2024, theorem 1)."""
    found = gathered()
    document = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, one thread",
        "recipes": [entry(problem, found[problem]) for problem in sorted(found, key=lambda name: name != OWN)],
    }
    path = Path(__file__).parent / f"{RECIPE}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for row in POSITIVE & found.get("parity", {}).keys():
        assert mean(result["metrics"]["T=400"] for result in found["parity"][row]) < 0.6, row
