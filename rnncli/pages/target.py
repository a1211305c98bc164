"""What a page is of: a run, or a recipe with fresh weights; opened once, with its data where that can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rnncli.device import dtype_of, require_memory
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.records import Json
from rnncli.tasks import AnySplits, AnyTask, FittedState, Recipe, load_recipe
from rnncli.training.job import estimate
from rnncli.training.run import Run, open_run


@dataclass
class Target:
    """name: on the page. typed: what to type for it. splits: None where the data cannot be read as it was.
    run: None for a recipe. notes: what should be said."""

    name: str
    typed: str
    recipe: Recipe
    fitted: FittedState
    model: nn.Module
    splits: AnySplits | None
    run: Run | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def config(self) -> Any:
        return self.recipe.config

    @property
    def task(self) -> AnyTask:
        return self.recipe.task

    def log(self) -> list[dict[str, Json]]:
        """The lines of metrics.jsonl; none for a recipe."""
        return [] if self.run is None else self.run.metrics()

    def result(self) -> Mapping[str, Json]:
        """result.json; empty for a recipe, and for a run that has not ended."""
        return {} if self.run is None else self.run.result()

    def environment(self) -> Mapping[str, Json]:
        return {} if self.run is None else self.run.environment()


def of_run(path: str | Path, typed: str) -> Target:
    """A run folder. Where its data is gone or another one now, curves and settings are left, and a note says why.
    Raises UsageError, DataError: not a run, or one that cannot be used."""
    run = open_run(path)
    run.with_threads(run.config.train.batch_size)
    notes: list[str] = []
    splits = _data_of(run, notes)
    if not run.result():
        notes.append(tr("training has not ended: there is no result yet"))
    return Target(run.folder.name or typed, typed, run.recipe, run.fitted, run.model, splits, run, notes)


def _data_of(run: Run, notes: list[str]) -> AnySplits | None:
    try:
        splits = run.task.read(run.config)
    except DataError as error:
        notes.append(tr("its data cannot be read, so no answers and no steps are shown: {why}", why=error.what))
        return None
    notes += splits.notes
    if run.environment().get("data_sha256") == splits.fingerprint:
        return splits
    notes.append(tr("the data has changed since this run was trained"))
    return splits if splits.fitted == run.fitted else None


def of_recipe(path: str, typed: str, sets: Sequence[str] = ()) -> Target:
    """A recipe with the weights that training would begin with. Raises RecipeError, DataError, Missing (memory)."""
    recipe = load_recipe(path, sets)
    task, config = recipe.task, recipe.config
    splits = task.read(config)
    cost, _ = estimate(task, config, splits)
    require_memory(cost.memory, tr("this model"), where="model", todo=tr("lower hidden_size or batch_size"))
    torch.set_num_threads(1)
    torch.manual_seed(config.train.seed)
    model = task.build(config, splits.fitted).to(dtype_of(config.train.dtype)).eval()
    notes = [recipe.note] if recipe.note else []
    return Target(recipe.name, typed, recipe, splits.fitted, model, splits, notes=[*notes, *splits.notes])
