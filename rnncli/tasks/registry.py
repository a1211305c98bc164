"""Which tasks there are: the files of this folder, and the entry points `rnncli.tasks` of other packages.

Names are known without importing anything; a task is imported on first use, without importing torch.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rnncli.errors import Missing
from rnncli.locale import tr
from rnncli.registry import added, only, package_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from rnncli.recipe import RecipeConfig
    from rnncli.tasks.base import AnyTask

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
    from rnncli.tasks.base import Task

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
