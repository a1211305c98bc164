"""Every whole number of every task's recipe: what is too large, too small, or none at all is refused by its key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, get_args

import pytest

from rnncli.errors import RecipeError
from rnncli.recipe import packaged_recipes
from rnncli.recipe.check import known_fields
from rnncli.recipe.sections import ESTIMATED
from rnncli.tasks import config_class, load_recipe, task_names

LARGE = ("2147483648", "9223372036854775808", "1" + "0" * 23, "nan", "-9223372036854775809")
RECIPES = {load_recipe(name).config.task: name for name in reversed(list(packaged_recipes()))}


def _whole(hint: Any) -> bool:
    """A column by its number or name is none: every text is a name."""
    return hint is int or (str not in get_args(hint) and any(_whole(arm) for arm in get_args(hint)))


def _keys(task: str) -> Iterator[tuple[str, bool]]:
    """(dotted key, whether it is a list) of the whole numbers that a task's recipe may hold."""
    for key, field in known_fields(config_class(task)):
        if _whole(field.annotation) and key not in ("format", "train.seed"):
            yield key, "list" in str(field.annotation)


@pytest.mark.parametrize("task", [name for name in task_names() if name in RECIPES])
def test_numbers_beyond_every_count_are_refused_by_their_key(task: str) -> None:
    recipe, keys = RECIPES[task], list(_keys(task))
    assert {"train.epochs", "train.batch_size", "model.hidden_size", "model.num_layers"} <= {key for key, _ in keys}
    for key, listed in keys:
        for value in LARGE[key.endswith(ESTIMATED) :]:
            with pytest.raises(RecipeError) as error:
                load_recipe(recipe, [f"{key}=[{value}]" if listed else f"{key}={value}"])
            assert any(fault.key.startswith(key) for fault in error.value.faults), (key, value)
        for value in ("-1", "0"):  # what some keys take and others do not: never another kind of error
            with suppress(RecipeError):
                load_recipe(recipe, [f"{key}=[{value}]" if listed else f"{key}={value}"])


@pytest.mark.parametrize(
    ("recipe", "setting"),
    [
        ("hello", "model.num_layers=1000000"),
        ("hello", "train.threads=100000"),
        ("hello", "train.threads=3000000000"),
        ("parity", "data.test_lengths=[1000000000]"),
        ("parity", "data.max_length=2000000000"),
        ("parity", "data.test_rows=2000000000"),
        ("memory-copy", "data.symbols=2000000000"),
    ],
)
def test_what_would_take_all_memory_or_time_is_refused_at_once(recipe: str, setting: str) -> None:
    with pytest.raises(RecipeError):
        load_recipe(recipe, [setting])
