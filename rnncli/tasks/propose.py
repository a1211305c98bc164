"""Which packaged recipes read a file of one's own, and why."""

from __future__ import annotations

from dataclasses import dataclass

from rnncli.data.look import Look
from rnncli.errors import DataError
from rnncli.files import open_binary
from rnncli.locale import tr
from rnncli.recipe.locate import data_wanted, packaged_recipes
from rnncli.tasks.registry import load_recipe


@dataclass(frozen=True)
class Proposal:
    """recipe: a packaged one. why: what of the file speaks for it."""

    recipe: str
    why: str


def proposals(path: str) -> list[Proposal]:
    """The packaged recipes that suit a file or folder, the likeliest first. Raises DataError: it cannot be read, or
    none suits it."""
    look = Look(path)
    if not look.folder:
        with open_binary(path):  # says why it cannot be read
            pass
    found = []
    for name in filter(data_wanted, packaged_recipes()):
        recipe = load_recipe(name)
        suited = recipe.task.suits(look, recipe.config)
        if suited is not None:
            found.append((suited.rank, Proposal(name, suited.why)))
    if not found:
        raise DataError(
            tr("no packaged recipe reads such a file"),
            where=path,
            todo=tr("what they read: rnncli recipes list"),
        )
    found = [one for one in found if one[0] > 1] or found  # anything can be read as a text
    return [proposal for _, proposal in sorted(found, key=lambda one: -one[0])]
