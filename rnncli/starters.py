"""Recipes by name or path, and what their opening comments say. Lists and completion need no more of a recipe, so this
module is outside the package `recipe`, which loads pydantic."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rnncli import names
from rnncli.errors import DataError, RecipeError, UsageError
from rnncli.locale import tr

MAX_BYTES = 1_000_000  # of a recipe
SCHEMA_FILE = "recipe.schema.json"  # of all recipes, in the folder for caches


def recipe_folder() -> Path:
    """The folder of packaged recipes: inside the installed package, or next to our pyproject.toml in an editable
    install."""
    package = Path(__file__).resolve().parent
    inside = package / "recipes"
    if inside.is_dir():
        return inside
    beside = package.parent
    if (beside / "pyproject.toml").is_file() and (beside / "recipes").is_dir():
        return beside / "recipes"
    raise UsageError(
        tr("the packaged recipes are missing from this installation"), where=str(package), todo=tr("reinstall rnncli")
    )


def packaged_recipes() -> list[str]:
    """Their names, sorted."""
    return sorted(path.stem for path in recipe_folder().glob("*.yaml"))


def data_wanted(name: str) -> str:
    """The user data that a packaged recipe reads, from its header comment: `my.txt`, `FOLDER_OR_CSV`; "" if its data is
    generated."""
    opening = recipe_text(recipe_folder() / f"{name}.yaml").partition("\n\n")[0]
    found = re.search(r"--data (\S+)", opening)
    return found[1] if found else ""


def is_path(target: str) -> bool:
    """Whether the target is a path: a name without `/` and `.yaml` is always a packaged recipe."""
    return "/" in target or os.sep in target or target.endswith((".yaml", ".yml"))


def find_recipe(target: str) -> tuple[Path, str]:
    """The recipe's file, and a note to show or "". Raises UsageError: unknown name."""
    if is_path(target):
        return Path(target), ""
    known = packaged_recipes()
    if target in known:
        local = next((name for name in (target, f"{target}.yaml") if os.path.exists(name)), "")
        note = tr("{name} is the packaged recipe; the file here is ./{file}", name=target, file=local) if local else ""
        return recipe_folder() / f"{target}.yaml", note
    raise UsageError(tr("no packaged recipe is named {name!r}", name=target), todo=_meant(target, known))


def _meant(target: str, known: list[str]) -> str:
    """A hint for an unknown recipe name: recipes of a task, a cell, data, or the nearest name."""
    of_task = [name for name in known if recipe_task(name) == target]
    if of_task:
        return tr("{name} is a task; its recipes: {recipes}", name=target, recipes=", ".join(of_task))
    if target.lower() in names.CELLS:
        name = target.lower()
        return tr(
            "{name} is a cell: rnncli train RECIPE --set model.cell={name}, or rnncli demo --cell {name}", name=name
        )
    if os.path.exists(target):
        name = shlex.quote(target)
        return tr(
            "for your own data: rnncli recipes copy --data {name} finds a recipe; for a recipe in this folder: "
            "./{name}",
            name=name,
        )
    return names.did_you_mean(target, known, tr("see: rnncli recipes list"), cutoff=0.75)


def recipe_task(name: str) -> str:
    """The task that a packaged recipe names."""
    found = re.search(r"^task: *(\S+)", recipe_text(recipe_folder() / f"{name}.yaml"), re.MULTILINE)
    return found[1] if found else ""


def recipe_text(path: Path) -> str:
    """The file's text. Raises DataError (unreadable, not UTF-8) and RecipeError (too large)."""
    where = shown(path)
    try:
        if path.is_dir():
            raise DataError(tr("this is a folder; a recipe is a YAML file"), where=where)
        if path.exists() and not path.is_file():
            raise DataError(tr("not a regular file"), where=where)
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        near = names.similar_file(where)
        todo = tr("did you mean {name}?", name=near) if near else tr("for packaged recipes see: rnncli recipes list")
        raise DataError(tr("no such file"), where=where, todo=todo) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(tr("cannot be read: {why}", why=why), where=where) from error
    if len(data) > MAX_BYTES:
        raise RecipeError(tr("this file is too large for a recipe: at most 1 MB"), [], where=where)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        what = tr("byte {n} is not UTF-8 text", n=error.start + 1)
        raise DataError(what, where=f"{where}:{line}", todo=tr("save it as UTF-8")) from error


def about(name: str) -> str:
    """A packaged recipe's description: the first sentence of the comment below its first line."""
    text = recipe_text(recipe_folder() / f"{name}.yaml")
    return re.split(r"(?<=[.?])(?<!et al\.) |(?<=[。？])", comments(text)[0].translated(), maxsplit=1)[0]


@dataclass(frozen=True)
class Comment:
    """One comment: lines[first:end] of a recipe, its `#` at `column` of the first. text: its words, on one line."""

    first: int
    end: int
    column: int
    text: str

    def translated(self) -> str:
        """The text in the current language, or the original if it has no translation."""
        then, _, commands = self.text.partition("Then: ")
        return tr("Then: {commands}", commands=commands) if commands and not then else tr(self.text)


_COMMENTED = re.compile(r"""( +# \w+: .*\s|(?:[^#"']|"[^"]*"|'[^']*')*?)(?:(?<=\s)|^)# (\S.*)""")
_FURTHER = (re.compile(r"# (?!Result,|[A-Z][a-z ]*:|Without --data:)(\S.*)"), re.compile(r" {9,}#   (\S.*)"))
_VALUES = re.compile(r"[\w.-]+|[\w.+-]+( [\w.+-]+){0,2}( \| [\w.+-]+( [\w.+-]+){0,2})+")  # rnn | gru | lstm
_SWITCHED_OFF = re.compile(r" +# \w+: ")  # a key that a user may switch on


def comments(text: str) -> list[Comment]:
    """The comments that are sentences or phrases, in order: not the command of line 1, nor lists of values, nor
    indented examples and switched off keys."""
    lines, found, end = text.split("\n"), list[Comment](), 1
    for first, line in enumerate(lines):
        match = _COMMENTED.fullmatch(line)
        if first < end or match is None:
            continue
        words, end = [match[2]], first + 1
        while end < len(lines) and (further := _FURTHER[bool(match[1])].fullmatch(lines[end])):
            words.append(further[1])
            end += 1
        said = " ".join(words)
        if not _VALUES.fullmatch(said) and not (_SWITCHED_OFF.match(line) and not match[1].strip()):
            found.append(Comment(first, end, len(match[1]), said))
    return found


def shown(path: Path) -> str:
    """The path as shown in messages: only the file name for a packaged recipe."""
    with suppress(UsageError):
        if path.parent == recipe_folder():
            return path.name
    return str(path)
