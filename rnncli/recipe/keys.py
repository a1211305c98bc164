"""The dotted keys that can be set in a task's recipe, and their valid values: for completion and reference."""

from __future__ import annotations

from dataclasses import dataclass

from rnncli import names
from rnncli.recipe.hints import choices_of, hint_of, is_path, known_fields
from rnncli.recipe.sections import RecipeConfig


@dataclass(frozen=True)
class Key:
    """name: dotted. about: one line. choices: valid words, empty if any value is allowed. is_path: whether it is a file
    path."""

    name: str
    about: str
    choices: list[str]
    is_path: bool


def keys(config: type[RecipeConfig]) -> list[Key]:
    """Every key with a value of its own, in the order of the schema."""
    fields = list(known_fields(config))
    sections = {name.rpartition(".")[0] for name, _ in fields}
    return [
        Key(
            name,
            field.description or "",
            _words(name, hint_of(field)),
            is_path([field.annotation, *field.metadata]),
        )
        for name, field in fields
        if name not in sections
    ]


def _words(name: str, hint: object) -> list[str]:
    if name == "train.optimizer":
        return list(names.OPTIMIZERS)
    if name == "train.schedule":
        return ["none", *names.SCHEDULES]
    found = choices_of(hint)
    return ["true", "false"] if hint is bool else [] if found == ["auto"] else found
