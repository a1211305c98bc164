"""A recipe, a run or a weight file, opened once: each part when it is first asked for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rnncli.errors import DataError, UsageError
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
    """What a word on the command line means.

    kind: what it is. path: of the run folder or the weight file; for a recipe what `load_recipe` takes. typed: the
    word. note: something a user should know about how it was read, or "". sets: over a recipe, as
    load_recipe takes them. seed: of a recipe's fresh weights, in place of its own; of a weight file's random input.
    """

    kind: Literal["run", "weights", "recipe"]
    path: str
    typed: str
    note: str = ""
    sets: Sets = ()
    seed: int | None = None

    @cached_property
    def name(self) -> str:
        """Of the run folder or the recipe, for headings; it may be set to another one."""
        return (self.run.folder.name or self.typed) if self.kind == "run" else self.recipe.name

    @property
    def title(self) -> str:
        """As typed; `last` by the name of its folder."""
        return Path(self.path).name if self.typed == "last" else self.typed

    @property
    def set_texts(self) -> list[str]:
        """`sets` as one types them."""
        if isinstance(self.sets, Mapping):
            return [f"{key}={value}" for key, value in self.sets.items()]
        return list(self.sets)

    @property
    def folder(self) -> Path:
        """The run folder. Raises UsageError: this target has no trained weights, or is not a run."""
        if self.kind == "recipe":
            raise UsageError(
                tr("{name} is a recipe, which has no trained weights", name=self.typed),
                todo=tr("first: rnncli train {name}; then `last` is its run", name=shlex.quote(self.typed)),
            )
        if self.kind == "weights":
            todo = tr("a run is a folder that rnncli train made; see: rnncli inspect")
            raise UsageError(tr("this file is no run"), where=self.typed, todo=todo)
        return Path(self.path)

    @property
    def recipe_source(self) -> str:
        """What `load_recipe` takes for it. Raises UsageError: a weight file."""
        if self.kind == "weights":
            todo = tr("such as: rnncli bench hello")
            raise UsageError(tr("this file is no recipe and no run"), where=self.typed, todo=todo)
        return str(Path(self.path) / "recipe.yaml") if self.kind == "run" else self.path

    @cached_property
    def run(self) -> Run:
        """The run, opened. Raises UsageError: not a run; DataError: a file of it that cannot be used."""
        folder = self.folder  # refused before torch is loaded
        from rnncli.runs.open import open_run

        return open_run(folder, self.sets)

    @cached_property
    def recipe(self) -> Recipe:
        """Of a run its own. Raises RecipeError, UsageError, DataError."""
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
        """Its data, as it is now. Raises DataError."""
        return self.task.read(self.config)

    @property
    def fitted(self) -> FittedState:
        return self.run.fitted if self.kind == "run" else self.splits.fitted

    @cached_property
    def model(self) -> nn.Module:
        """In eval mode: a run's best weights; a recipe's as training would begin with. Raises Missing (memory)."""
        if self.kind == "run":
            return self.run.model
        import torch

        from rnncli.device import dtype_of
        from rnncli.training.job import estimate

        estimate(self.task, self.config, self.splits, trains=False)
        torch.manual_seed(self.config.train.seed)
        return self.task.build(self.config, self.fitted).to(dtype_of(self.config.train.dtype)).eval()

    def open(self) -> None:
        """Read its data and make its model now, and set torch's CPU threads for batches of its size. Raises what these
        raise."""
        from rnncli.training.job import set_threads

        _ = self._data_and_notes
        set_threads(self.model, self.config.train.batch_size)

    @property
    def data(self) -> AnySplits | None:
        """Its splits; None where a run's data cannot be read as it was, which `notes` then says."""
        return self._data_and_notes[0]

    @property
    def notes(self) -> list[str]:
        """What should be known of its recipe, its data and its end."""
        found = [*([self.recipe.note] if self.recipe.note else []), *self._data_and_notes[1]]
        if self.kind == "run" and not self.result():
            found.append(tr("training has not ended: there is no result yet"))
        return found

    @cached_property
    def _data_and_notes(self) -> tuple[AnySplits | None, list[str]]:
        if self.kind == "recipe":
            return self.splits, list(self.splits.notes)
        try:
            splits = self.splits
        except DataError as error:
            why = tr("its data cannot be read, so no answers and no steps are shown: {why}", why=error.what)
            return None, [why]
        if self.environment().get("data_sha256") == splits.fingerprint:
            return splits, list(splits.notes)
        notes = [*splits.notes, tr("the data has changed since this run was trained")]
        return (splits if splits.fitted == self.fitted else None), notes

    def log(self) -> list[dict[str, Json]]:
        """The lines of metrics.jsonl; none for a recipe."""
        return self.run.metrics() if self.kind == "run" else []

    def result(self) -> Mapping[str, Json]:
        """result.json; empty for a recipe, and for a run that has not ended."""
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
        """It with a batch, for a view: a sample of its data, or `inputs`, as `predict` takes them.

        rows: how many samples are looked at, where there are so many; batch_size: exactly so many, the same ones again
        where there are too few. Raises UsageError: no such sample; DataError.
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
