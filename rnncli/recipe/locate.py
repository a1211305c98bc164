"""Where recipes are: the packaged ones by bare name, any other by path."""

from __future__ import annotations

import os
from pathlib import Path

from rnncli import names
from rnncli.errors import UsageError
from rnncli.locale import tr


def recipe_folder() -> Path:
    """The packaged recipes: inside the installed package, or beside our own pyproject.toml in an editable install."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "recipes"
    if inside.is_dir():
        return inside
    beside = package.parent
    if (beside / "pyproject.toml").is_file() and (beside / "recipes").is_dir():
        return beside / "recipes"
    raise UsageError(
        tr("the packaged recipes are missing from this installation"), where=str(package), todo=tr("install it again")
    )


def packaged_recipes() -> list[str]:
    """Their names, sorted."""
    return sorted(path.stem for path in recipe_folder().glob("*.yaml"))


def is_path(target: str) -> bool:
    """Whether it is meant as a path: a name without `/` and `.yaml` is always the packaged recipe."""
    return "/" in target or os.sep in target or target.endswith((".yaml", ".yml"))


def find_recipe(target: str) -> tuple[Path, str]:
    """The recipe's file, and a note to show ("" where there is nothing to say). Raises UsageError: unknown name."""
    if is_path(target):
        return Path(target), ""
    known = packaged_recipes()
    if target in known:
        local = next((name for name in (target, f"{target}.yaml") if os.path.exists(name)), "")
        note = tr("{name} is the packaged recipe; the file here is ./{file}", name=target, file=local) if local else ""
        return recipe_folder() / f"{target}.yaml", note
    near = names.nearest(target, known)
    todo = tr("did you mean {name}?", name=near) if near else tr("see: rnncli recipes list")
    if os.path.exists(target):
        todo = tr("for the file here write ./{name}", name=target)
    raise UsageError(tr("no packaged recipe is called {name!r}", name=target), todo=todo)


def shown(path: Path) -> str:
    """The path as messages show it: a packaged recipe by its file's name alone."""
    return path.name if path.parent == recipe_folder_or_none() else str(path)


def recipe_folder_or_none() -> Path | None:
    try:
        return recipe_folder()
    except UsageError:
        return None
