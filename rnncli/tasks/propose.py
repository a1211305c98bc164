"""Finds the packaged recipes that suit a user's file, with reasons."""

from __future__ import annotations

from dataclasses import dataclass

from rnncli.data.look import Look
from rnncli.errors import DataError
from rnncli.files import open_binary, read_chunks
from rnncli.locale import tr
from rnncli.starters import data_wanted, packaged_recipes
from rnncli.tasks.recipes import load_recipe


@dataclass(frozen=True)
class Proposal:
    """recipe: a packaged recipe. why: the reason."""

    recipe: str
    why: str


def proposals(path: str) -> list[Proposal]:
    """The packaged recipes that suit a file or folder, best first. Raises DataError: unreadable, or none suits it."""
    look = Look(path)
    if not look.folder:
        with open_binary(path):  # reports why it cannot be read
            pass
    found = []
    for name in filter(data_wanted, packaged_recipes()):
        recipe = load_recipe(name)
        suited = recipe.task.suits(look, recipe.config)
        if suited is not None:
            found.append(((suited.rank, suited.as_it_is), Proposal(name, suited.why)))
    if not found:
        raise _refused(look)
    found = [one for one in found if one[0][0] > 1] or found  # anything can be read as text
    return [proposal for _, proposal in sorted(found, key=lambda one: one[0], reverse=True)]


def _refused(look: Look) -> DataError:
    """None suits it; for a file that is not UTF-8 text, why, and how to convert it."""
    if not look.folder:
        try:
            next(read_chunks(look.path), "")
        except DataError as error:
            what = tr("no packaged recipe can read this file: {why}", why=error.what)
            return DataError(what, where=error.where, todo=error.todo)
    what = tr("no packaged recipe can read this file")
    return DataError(what, where=look.path, todo=tr("for supported files see: rnncli recipes list"))
