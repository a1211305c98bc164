"""Resolves TARGET of inspect, predict, evaluate, report, export and bench."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rnncli.errors import DataError, UsageError
from rnncli.locale import tr
from rnncli.names import did_you_mean
from rnncli.runs.folder import RUNS, find_run, runs_here
from rnncli.targets.target import Target

if TYPE_CHECKING:
    from rnncli.recipe import Sets
    from rnncli.runs.open import Run
    from rnncli.tasks import Recipe

WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".index.json", ".keras", ".h5", ".hdf5", ".onnx")
RECIPES = (".yaml", ".yml")


Given: TypeAlias = "str | PathLike[str] | Run | Recipe | Mapping[str, object]"  # TARGET, from Python


def find_target(word: str, *, sets: Sets = (), seed: int | None = None) -> Target:
    """Resolve `word`. sets, seed: as in Target. Raises UsageError (nothing has that name) and DataError (unknown kind
    of file)."""
    return replace(_found(word), sets=sets, seed=seed)


def target_of(given: Given, *, sets: Sets = (), seed: int | None = None) -> Target:
    """A target from a name, a path, a recipe's values, or an open run or recipe. Raises like find_target and
    load_recipe."""
    if isinstance(given, str | PathLike):
        return find_target(fspath(given), sets=sets, seed=seed)
    from rnncli.tasks import Recipe, load_recipe

    if isinstance(given, Mapping):
        given = load_recipe(given, sets, {} if seed is None else {"train.seed": ("seed", seed)})
    elif sets or seed is not None:
        raise UsageError(
            tr("this is already open: its settings cannot change"),
            where="sets" if sets else "seed",
            todo=tr("give its name or path"),
        )
    if isinstance(given, Recipe):
        made = Target("recipe", given.name, given.name)
        made.recipe = given
    else:
        made = Target("run", str(given.folder), str(given.folder))
        made.run = given
    return made


def _found(word: str) -> Target:
    if not word:
        raise UsageError(tr("empty name"), where="TARGET", todo=tr("give a recipe, a run or a weight file"))
    path = Path(word)
    forced = os.sep in word or "/" in word or word.endswith((*WEIGHTS, *RECIPES))
    if os.path.isdir(path):  # os.path, unlike pathlib, does not raise for invalid file names
        if (path / "recipe.yaml").is_file():
            return Target("run", word, word, _hidden(word) if not forced else "")
        if forced:
            raise DataError(tr("this folder is not a run: it has no recipe.yaml"), where=word, todo=_runs_below(path))
    elif os.path.exists(path):
        if word.endswith(WEIGHTS):
            return Target("weights", word, word)
        if word.endswith(RECIPES):
            return Target("recipe", word, word)
        if forced:
            raise _unknown_kind(word)
    elif forced:
        raise DataError(tr("no such file or folder"), where=word, todo=tr("check the path"))
    return _by_name(word)


def _runs_below(folder: Path) -> str:
    """A hint for a folder that is not a run: the runs in it, if it is a sweep or a folder of runs."""
    found = sorted(folder.glob("*/seed-*/recipe.yaml")) or sorted(folder.glob("*/recipe.yaml"))
    if not found:
        return tr("see: ls {folder}", folder=shlex.quote(str(folder)))
    run = found[0].parent
    if run.parent != folder:  # in a sweep: the same seed of every trial
        return tr("the runs of this sweep: {runs}", runs=folder / "*" / run.name)
    return tr("give one of its runs, for example {run}", run=shlex.quote(str(run)))


def _by_name(word: str) -> Target:
    from rnncli.starters import find_recipe, packaged_recipes

    run = Path(RUNS) / word
    if word == "last":
        return Target("run", str(find_run(word)), word)
    if os.path.isfile(run / "recipe.yaml"):
        return Target("run", str(run), word, _hidden(word))
    recipes = packaged_recipes()
    if word in recipes:
        return Target("recipe", word, word, find_recipe(word)[1])
    if os.path.isfile(word):
        raise _unknown_kind(word)
    names = [path.name for path in runs_here()]
    listed = tr("recipes: {recipes}; runs are under {folder}/", recipes=", ".join(recipes), folder=RUNS)
    raise UsageError(
        tr("no recipe, run or file named {name!r}", name=word),
        where="TARGET",
        # ordinary words resemble each other
        todo=did_you_mean(word, [*recipes, *names, "last"], listed, cutoff=0.75),
    )


def _unknown_kind(word: str) -> DataError:
    return DataError(
        tr("unknown kind of file"),
        where=word,
        todo=tr("weight files end in {weights}, recipes in .yaml", weights=" ".join(WEIGHTS)),
    )


def _hidden(word: str) -> str:
    """A note if a run hides a packaged recipe of the same name."""
    from rnncli.starters import packaged_recipes

    note = tr("{name} is the run here; the packaged recipe has the same name", name=word)
    return note if word in packaged_recipes() else ""
