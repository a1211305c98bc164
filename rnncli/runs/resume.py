"""Resuming a run: what may differ and what may not."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import torch

from rnncli.device import this_process
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.names import SCHEDULES_BY_EPOCHS
from rnncli.recipe import Sets
from rnncli.recipe.show import differences
from rnncli.records import Json
from rnncli.runs.open import Run
from rnncli.tasks import Recipe, load_recipe
from rnncli.training.job import Job

BUDGETS = ("train.epochs", "train.max_steps", "train.max_time", "train.early_stopping")
STOPPED = "stopped by on_epoch"  # a reason for which a run ended; it can be resumed unchanged
HARMLESS = (
    *("train.checkpoint_every", "train.checkpoint_time", "train.control", "train.compare", "train.sample"),
    "train.log",
)


def recipe_of(folder: Path, sets: Sets = (), flags: Mapping[str, tuple[str, object]] | None = None) -> Recipe:
    """The run's own recipe with new budgets, `hello` for `hello-001`. Raises UsageError with any other differences."""
    before = load_recipe(str(folder / "recipe.yaml"))
    after = load_recipe(str(folder / "recipe.yaml"), sets, flags)
    schedule = before.config.train.schedule
    schedule_name = schedule if isinstance(schedule, str) else str(schedule.get("name"))
    allowed = HARMLESS if schedule_name in SCHEDULES_BY_EPOCHS else (*BUDGETS, *HARMLESS)
    differing = [
        (key, old, new)
        for key, old, new in differences(before.config, after.config)
        if not any(key == ok or key.startswith(f"{ok}.") for ok in allowed)
    ]
    if differing:
        what = "; ".join(f"{key}: {old} -> {new}" for key, old, new in differing)
        raise UsageError(
            tr("a resumed run keeps its recipe: {what}", what=what),
            where=str(folder / "recipe.yaml"),
            todo=tr(
                "only budgets may change ({keys}); to start a new run from its weights: --init-from",
                keys=", ".join(BUDGETS),
            ),
        )
    return Recipe(folder.name.rpartition("-")[0] or folder.name, after.config, after.document)


def check_same(run_environment: Mapping[str, Json], job: Job, folder: Path) -> list[str]:
    """Sentences on why the continuation is not bit-exact. Raises UsageError if the data or the number of processes
    differs.

    On one CPU the same recipe, seed, engine, threads and torch give the same bits. A different number of threads splits
    sums differently; another processor or torch uses other instructions; a GPU's recurrent kernels and atomic sums are
    not deterministic at all. Engines differ by rounding, but a resumed run keeps its engine. A change of processor with
    the same torch is not detected here.
    """
    if run_environment.get("data_sha256") != job.splits.fingerprint:
        raise UsageError(
            tr("the data has changed since this run started"),
            where=str(folder),
            todo=tr("restore the old data, or start a new run from its weights: --init-from"),
        )
    before, here, typed = run_environment.get("processes", 1), this_process().world, shlex.quote(str(folder))
    if before != here:
        raise UsageError(
            tr("this run was trained with {before} processes, not {here}", before=before, here=here),
            where=str(folder),
            todo=f"torchrun --nproc-per-node {before} -m rnncli train --resume {typed}"
            if isinstance(before, int) and before > 1
            else f"rnncli train --resume {typed}",
        )
    now = {"torch": torch.__version__, "threads": job.config.train.threads, "device": job.device.type}
    return [
        tr("not bit-exact: {name} was {old}, now {new}", name=name, old=run_environment.get(name), new=value)
        for name, value in now.items()
        if run_environment.get(name) != value
    ]


def is_finished(run: Run, recipe: Recipe) -> bool:
    """Whether the run has ended and its budgets, including new ones, leave nothing to do."""
    result = run.result()
    if not result or result.get("stopped") == STOPPED:
        return False
    return not any(key in BUDGETS for key, _, _ in differences(run.config, recipe.config))
