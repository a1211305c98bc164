"""A recipe trained over seeds 0 to 4, and the file of its figures."""

import json
import platform
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from rnncli.runs.train import run_training
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare

SEEDS = range(5)


def figures(recipe: str, sets: tuple[str, ...] = ()) -> dict[str, Any]:
    """Metrics of every seed, of every compared cell and baseline; mean and standard deviation over the seeds."""
    runs: list[dict[str, Any]] = []
    for seed in SEEDS:
        began = time.process_time()
        job = prepare(load_recipe(recipe, (*sets, f"train.seed={seed}")))
        outcome = run_training(job, None)
        cell = job.config.model.cell
        rows = {cell: outcome.metrics, **outcome.compared}
        rows |= {baseline.name: baseline.metrics for baseline in outcome.baselines}
        runs.append(
            {"seed": seed, "rows": rows, "epoch": outcome.best_epoch, "cpu_seconds": time.process_time() - began}
        )
    return {"recipe": recipe, "sets": list(sets), "summary": summary(runs), "runs": runs}


def summary(runs: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Row -> metric -> mean and standard deviation over the runs."""
    return {
        name: {
            metric: {"mean": mean(values), "sd": stdev(values)}
            for metric in runs[0]["rows"][name]
            for values in [[run["rows"][name][metric] for run in runs]]
        }
        for name in runs[0]["rows"]
    }


def write(name: str, found: list[dict[str, Any]]) -> None:
    document = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, one thread",
        "recipes": found,
    }
    path = Path(__file__).parent / f"{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
