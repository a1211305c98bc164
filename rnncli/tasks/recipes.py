"""A recipe with its task: `load_recipe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rnncli.errors import Fault, RecipeError
from rnncli.locale import tr, trn
from rnncli.recipe import Document, RecipeConfig, Sets, document_of, read_document, task_name, validate
from rnncli.tasks.base import AnyTask
from rnncli.tasks.registry import load_task, task_names


@dataclass(frozen=True)
class Recipe:
    """A valid recipe. name: from its file name, for the run folder. note: a remark for the user."""

    name: str
    config: RecipeConfig
    document: Document
    note: str = ""
    task: AnyTask = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", load_task(self.config.task))


def load_recipe(
    target: str | Mapping[str, object],
    sets: Sets = (),
    flags: Mapping[str, tuple[str, object]] | None = None,
) -> Recipe:
    """Load and validate the recipe `target`: a packaged name, a path to a YAML file, or its values as nested dicts.

    sets: dotted key -> value, `{"model.cell": "gru"}`, or `a.b=value` texts, as after --set; of a section given as a
    whole, `{"model": {"cell": "gru"}}`, only the keys named are set, each to its whole value. flags: dotted key -> (the
    flag as typed, value). Raises RecipeError with all errors, UsageError (unknown name), DataError (a file that cannot
    be read). Reads no data, imports no torch.

    >>> recipe = load_recipe("hello", {"model.cell": "gru"})
    >>> recipe.config.model.cell, recipe.config.train.epochs
    ('gru', 30)
    """
    if isinstance(target, str):
        document = read_document(target, sets, flags)
        name = Path(target).stem
    else:
        document, name = document_of(target, "recipe", sets, flags), str(target.get("task", "recipe"))
    task = load_task(task_name(document, task_names()))
    config: RecipeConfig = validate(document, task.config_class)
    if config.train.best_by not in task.METRICS:  # for tasks that accept any text here
        known, value = ", ".join(task.METRICS), repr(config.train.best_by)
        what = tr("expected one of {names}, got {value}", names=known, value=value)
        fault = Fault(document.mark("train.best_by"), "train.best_by", what)
        raise RecipeError(trn("{n} error in the recipe", "{n} errors in the recipe", n=1), [fault], where=document.name)
    return Recipe(name, config, document, document.note)
