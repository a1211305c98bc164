"""A recipe trained over seeds 0 to 4, options compared row by row, and the files of their figures."""

import json
import platform
import re
import time
from collections.abc import Callable, Iterable
from itertools import product
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


def compared(
    name: str,
    spec: dict[str, Any],
    rows: dict[str, tuple[str, ...]],
    seeds: Iterable[int],
    metric: str,
    measure: Callable[[int, tuple[str, ...]], tuple[dict[str, Any], dict[str, Any]]],
) -> dict[str, Any]:
    """A table of settings, seed by seed, so that the first seeds are whole when it is stopped.

    The file is written after each run; what it already has of the same spec and settings is not measured again.

    Args:
        spec: what all rows share.
        rows: row -> its settings.
        metric: what is summarized in each row.
        measure: (seed, settings) -> figures of a run, and what it says of all rows, such as a baseline.
    """
    path = Path(__file__).parent / f"{name}.json"
    found = json.loads(path.read_text(encoding="utf-8"))["recipes"][0] if path.exists() else {}
    if not spec.items() <= found.items():
        found = {**spec, "rows": {}}
    for seed, (row, added) in product(seeds, rows.items()):
        sets = [re.sub("=.*/", "=", text) for text in added]  # of a file its name: its place is this machine's
        entry = found["rows"].get(row, {})
        if entry.get("sets") != sets:
            entry = found["rows"][row] = {"sets": sets, metric: {}, "runs": []}
        if any(run["seed"] == seed for run in entry["runs"]):
            continue
        began = time.process_time()
        run, common = measure(seed, added)
        entry["runs"].append({"seed": seed, **run, "cpu_seconds": round(time.process_time() - began, 1)})
        values = [run[metric] for run in entry["runs"]]
        entry[metric] = {"mean": mean(values), "sd": stdev(values) if len(values) > 1 else None}
        found |= common
        write(name, [found])
    return found


def write(name: str, found: list[dict[str, Any]]) -> None:
    document = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, one thread",
        "recipes": found,
    }
    path = Path(__file__).parent / f"{name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
