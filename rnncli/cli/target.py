"""TARGET of inspect, predict, evaluate, export and report: an existing path, then `last` or a name under runs/, then a
packaged recipe; `./x` forces a path. One function, so that every command means the same by it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rnncli import names
from rnncli.errors import UsageError
from rnncli.locale import tr

RUNS = "runs"


@dataclass(frozen=True)
class Target:
    """kind: a run folder, a recipe (a packaged name or a YAML file), or another file, which may hold weights.

    name: the folder, the recipe as load_recipe takes it, or the file. note: what a person should know, or "".
    """

    kind: Literal["run", "recipe", "file"]
    name: str
    note: str = ""


def resolve(text: str) -> Target:
    """What TARGET stands for. Raises UsageError with the nearest name where it is nothing that is here."""
    from rnncli.recipe.locate import packaged_recipes

    path = Path(text)
    if is_run(path):
        return Target("run", text)
    if text and path.is_file():
        note = ""
        if text in packaged_recipes():
            note = tr("{name} is the file here, not the packaged recipe of that name", name=text)
        return Target("recipe" if path.suffix in (".yaml", ".yml") else "file", text, note)
    forced = os.sep in text or "/" in text
    if not forced and text == "last":
        return Target("run", str(last_run()))
    if not forced and is_run(Path(RUNS) / text):
        return Target("run", str(Path(RUNS) / text))
    if not forced and text in packaged_recipes():
        return Target("recipe", text)
    if path.is_dir():
        raise UsageError(tr("this folder is no run: it has no recipe.yaml"), where=text)
    known = [*packaged_recipes(), *(run.name for run in runs())]
    near = names.nearest(text, known)
    raise UsageError(
        tr("no file, run or recipe is called {name!r}", name=text),
        todo=tr("did you mean {name}?", name=near)
        if near
        else tr("see: rnncli recipes list; ls {folder}", folder=RUNS),
    )


def is_run(path: Path) -> bool:
    return (path / "recipe.yaml").is_file()


def runs() -> list[Path]:
    """The run folders under runs/, oldest first."""
    found = [path for path in Path(RUNS).glob("*") if is_run(path)]
    return sorted(found, key=lambda path: ((path / "recipe.yaml").stat().st_mtime_ns, path.name))


def last_run() -> Path:
    """The newest run under runs/. Raises UsageError where there is none."""
    found = runs()
    if not found:
        raise UsageError(tr("there is no run yet under {folder}/", folder=RUNS), todo="rnncli train hello")
    return found[-1]


def run_folder(text: str) -> Path:
    """The run that TARGET names, for commands that need trained weights. Raises UsageError for anything else."""
    target = resolve(text)
    if target.kind == "run":
        return Path(target.name)
    if target.kind == "recipe":
        raise UsageError(
            tr("{name} is a recipe, which has no trained weights", name=text),
            todo=tr("first: rnncli train {name}; then `last` is its run", name=text),
        )
    raise UsageError(tr("this file is no run"), where=text, todo=tr("a run is a folder that rnncli train made"))
