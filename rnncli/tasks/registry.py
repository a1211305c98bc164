"""Which tasks there are: the files of this folder, and the entry points `rnncli.tasks` of other packages.

Names are known without importing anything; a task is imported on first use, without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rnncli.errors import Fault, Missing, RecipeError
from rnncli.locale import tr, trn
from rnncli.recipe import Document, RecipeConfig, Sets, document_of, read_document, task_name, validate
from rnncli.registry import added, only, package_of
from rnncli.tasks.base import AnyTask, Task

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "rnncli.tasks"  # of entry points: `name = "package.module:TASK"`


@cache
def _own() -> dict[str, str]:
    """Name -> module, of the tasks in this folder: its files with a line `TASK = ...`."""
    files = sorted(Path(__file__).parent.glob("[a-z]*.py"))
    stems = [file.stem for file in files if "\nTASK = " in file.read_text(encoding="utf-8")]
    return {stem.replace("_", "-"): f"{__package__}.{stem}" for stem in stems}


@cache
def _added() -> dict[str, list[EntryPoint]]:
    """Name -> entry points of other packages' tasks."""
    return added(GROUP)


@cache
def task_names() -> list[str]:
    """The valid names for a recipe's `task:`."""
    return sorted({*_own(), *_added()})


@cache
def load_task(name: str) -> AnyTask:
    """The task of that name, one of task_names(). Raises UsageError: the name is ambiguous; Missing: a package's task
    cannot be imported."""
    others = _added().get(name, [])
    if name in _own() and not others:
        task: AnyTask = import_module(_own()[name]).TASK
        return task
    entry = only(name, others, *(["rnncli"] if name in _own() else []))
    try:
        loaded = entry.load()
    except (ImportError, AttributeError) as error:
        raise Missing(
            tr("task {name} of {package} cannot be loaded: {why}", name=name, package=package_of(entry), why=error)
        ) from error
    if not isinstance(loaded, Task):
        raise Missing(
            tr(
                "task {name} of {package} is {value}, not a Task",
                name=name,
                package=package_of(entry),
                value=entry.value,
            )
        )
    return loaded


def config_class(name: str) -> type[RecipeConfig]:
    found: type[RecipeConfig] = load_task(name).config_class
    return found


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

    sets: dotted key -> value, `{"model.cell": "gru"}`, or `a.b=value` texts, as after --set. flags: dotted key -> (the
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
