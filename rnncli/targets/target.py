"""A recipe, a run or a weight file; each part is loaded once, on first use."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rnncli.errors import DataError, UsageError, checked_number
from rnncli.locale import tr

if TYPE_CHECKING:
    from torch import nn

    from rnncli.recipe import RecipeConfig, Sets
    from rnncli.records import Json
    from rnncli.runs.open import Run
    from rnncli.tasks import AnySplits, AnyTask, FittedState, Recipe
    from rnncli.views import Subject


@dataclass
class Target:
    """What TARGET on the command line refers to.

    kind: of target. path: of the run folder or the weight file; for a recipe what `load_recipe` takes. typed: as typed.
    note: on how it was resolved, or "". sets: overrides of a recipe, as for load_recipe. seed: for a recipe's initial
    weights, instead of its own; for a weight file's random input.
    """

    kind: Literal["run", "weights", "recipe"]
    path: str
    typed: str
    note: str = ""
    sets: Sets = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        self.seed = checked_number("--seed", self.seed, 0)

    @cached_property
    def name(self) -> str:
        """The name of the run folder or the recipe, for headings; can be set."""
        return (self.run.folder.name or self.typed) if self.kind == "run" else self.recipe.name

    @property
    def title(self) -> str:
        """As typed; `last` is replaced by the name of its folder."""
        return Path(self.path).name if self.typed == "last" else self.typed

    @property
    def set_texts(self) -> list[str]:
        """`sets` as typed on the command line."""
        if isinstance(self.sets, Mapping):
            return [f"{key}={value}" for key, value in self.sets.items()]
        return list(self.sets)

    @property
    def folder(self) -> Path:
        """The run folder. Raises UsageError: this target has no trained weights, or is not a run."""
        if self.kind == "recipe":
            raise UsageError(
                tr("{name} is a recipe, which has no trained weights", name=self.typed),
                todo=tr("run rnncli train {name} first; then `last` is its run", name=shlex.quote(self.typed)),
            )
        if self.kind == "weights":
            todo = tr("a run is a folder that rnncli train made; see: rnncli inspect")
            raise UsageError(tr("this file is not a run"), where=self.typed, todo=todo)
        return Path(self.path)

    @property
    def recipe_source(self) -> str:
        """The argument for `load_recipe`. Raises UsageError: a weight file."""
        if self.kind == "weights":
            todo = tr("for example: rnncli bench hello")
            raise UsageError(tr("this file is neither a recipe nor a run"), where=self.typed, todo=todo)
        return str(Path(self.path) / "recipe.yaml") if self.kind == "run" else self.path

    @cached_property
    def run(self) -> Run:
        """The open run. Raises UsageError: not a run; DataError: one of its files is unusable."""
        folder = self.folder  # raises before torch is loaded
        from rnncli.runs.open import open_run

        return open_run(folder, self.sets)

    @cached_property
    def recipe(self) -> Recipe:
        """Its recipe. Raises RecipeError, UsageError, DataError."""
        from rnncli.tasks import load_recipe

        if self.kind == "run":
            return self.run.recipe
        flags = {} if self.seed is None else {"train.seed": ("--seed", self.seed)}
        return load_recipe(self.recipe_source, self.sets, flags)

    @property
    def config(self) -> RecipeConfig:
        return self.recipe.config

    @property
    def task(self) -> AnyTask:
        return self.recipe.task

    @cached_property
    def splits(self) -> AnySplits:
        """Its data in its current state. Raises DataError."""
        return self.task.read(self.config)

    @property
    def fitted(self) -> FittedState:
        return self.run.fitted if self.kind == "run" else self.splits.fitted

    @cached_property
    def model(self) -> nn.Module:
        """The model in eval mode, with a run's best weights or a recipe's initial ones. Raises Missing (memory)."""
        if self.kind == "run":
            return self.run.model
        import torch

        from rnncli.device import dtype_of
        from rnncli.training.job import estimate

        estimate(self.task, self.config, self.splits, trains=False)
        torch.manual_seed(self.config.train.seed)
        return self.task.build(self.config, self.fitted).to(dtype_of(self.config.train.dtype)).eval()

    def open(self) -> None:
        """Read its data and create its model now, and set torch's CPU threads for its batch size. Raises the same
        errors."""
        from rnncli.training.job import set_threads

        _ = self._data_and_notes
        set_threads(self.model, self.config.train.batch_size)

    @property
    def data(self) -> AnySplits | None:
        """Its splits; None if a run's data cannot be read or has changed, as reported in `notes`."""
        return self._data_and_notes[0]

    @property
    def notes(self) -> list[str]:
        """Notes on its recipe, its data and how training ended."""
        found = [*([self.recipe.note] if self.recipe.note else []), *self._data_and_notes[1]]
        if self.kind == "run" and not self.result():
            found.append(tr("training has not ended: no result yet"))
        return found

    @cached_property
    def _data_and_notes(self) -> tuple[AnySplits | None, list[str]]:
        if self.kind == "recipe":
            return self.splits, list(self.splits.notes)
        try:
            splits = self.splits
        except DataError as error:
            why = tr("its data cannot be read, so no predictions and time steps are shown: {why}", why=error.what)
            return None, [why]
        if self.environment().get("data_sha256") == splits.fingerprint:
            return splits, list(splits.notes)
        notes = [*splits.notes, tr("the data has changed since this run was trained")]
        return (splits if splits.fitted == self.fitted else None), notes

    def log(self) -> list[dict[str, Json]]:
        """The lines of metrics.jsonl; none for a recipe."""
        return self.run.metrics() if self.kind == "run" else []

    def result(self) -> Mapping[str, Json]:
        """result.json; empty for a recipe, or a run that has not ended."""
        return self.run.result() if self.kind == "run" else {}

    def environment(self) -> Mapping[str, Json]:
        return self.run.environment() if self.kind == "run" else {}

    def subject(
        self,
        *,
        title: str | None = None,
        sample: int = 0,
        rows: int = 1,
        batch_size: int | None = None,
        inputs: Sequence[str] = (),
    ) -> Subject:
        """The target with a batch, for a view: samples of its data, or `inputs`, as for `predict`.

        rows: number of samples, at most; batch_size: exact number of samples, repeated if there are too few. Raises
        UsageError: no such sample; DataError.
        """
        from rnncli.views import subject_of_task

        return subject_of_task(
            self.recipe,
            self.model,
            self.fitted,
            None if inputs else self.splits,
            title=title or self.title,
            origin=tr("run, trained") if self.kind == "run" else tr("recipe, untrained"),
            sample=sample,
            rows=rows,
            batch_size=batch_size,
            inputs=inputs,
        )
