"""Every whole number of every task's recipe: what is too large, too small, or none at all is refused by its key, or by
the memory that it would take, before any of it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, get_args

import pytest
import torch

from rnncli.data.batch import Batch, Order
from rnncli.errors import Missing, RecipeError
from rnncli.recipe import packaged_recipes
from rnncli.recipe.hints import known_fields
from rnncli.recipe.sections import ESTIMATED
from rnncli.tasks import config_class, load_recipe, task_names
from rnncli.training.job import HELD, SAVED, Job, prepare
from rnncli.training.loop import start, update
from tests.hostile import Tally, record

LARGE = ("2147483648", "9223372036854775808", "1" + "0" * 23, "nan", "-9223372036854775809")
RECIPES = {load_recipe(name).config.task: name for name in reversed(list(packaged_recipes()))}
GENERATED = [name for name in packaged_recipes() if load_recipe(name).config.task == "algorithms"]
BATCH = Batch(torch.zeros(3, 2, dtype=torch.long), None)


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
        ("memory-copy", "data.symbols=1000000"),  # as long as so many steps, in every row
        ("counting", "data.test_rows=50000"),  # a length n is 2 n + 1 steps
    ],
)
def test_what_would_take_all_memory_or_time_is_refused_at_once(recipe: str, setting: str) -> None:
    with pytest.raises(RecipeError):
        load_recipe(recipe, [setting])


@pytest.mark.parametrize("recipe", GENERATED)
@pytest.mark.parametrize(
    ("sets", "fits"),
    [
        (["train.batch_size=1000000"], False),
        (["data.max_length=50000", "data.test_lengths=[60000]", "data.test_rows=1", "train.batch_size=4096"], False),
        (["data.test_lengths=[60000]", "data.test_rows=100", "model.hidden_size=512"], False),  # only evaluated
        (["data.batches=2147483647"], True),
    ],
)
def test_rows_that_are_generated_are_estimated_before_any_is_made(
    recipe: str, sets: list[str], fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch alone took more than 30 s, and the length of an epoch was found by making batches."""
    monkeypatch.setattr("rnncli.device.memory_available", lambda: 2 << 30)
    monkeypatch.setattr("rnncli.tasks.inputs.made._rows", lambda *_: [])
    made: list[object] = []

    def batches(*given: object) -> Iterator[Batch]:
        made.append(given)
        return iter([BATCH])

    monkeypatch.setattr(type(load_recipe(recipe).task), "batches", batches)
    if fits:
        assert prepare(load_recipe(recipe, sets)).batches_per_epoch() == 2147483647
        assert len(made) == 1
    else:
        with pytest.raises(Missing, match="model needs"):
            prepare(load_recipe(recipe, sets))
        assert not made


def _saved(job: Job) -> int:
    """Bytes that autograd keeps of one forward pass, beside the weights, and the gradients of as many."""
    own = {parameter.untyped_storage().data_ptr() for parameter in job.model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        update(job, start(job), next(job.batches(Order(0, 0))))
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("recipe", RECIPES.values())
def test_the_estimate_holds_what_a_step_keeps_and_nothing_is_taken_without_it(
    recipe: str, thinned: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = ["model.hidden_size=48", "train.threads=1", "train.batch_size=16", "train.device=cpu"]
    job = prepare(load_recipe(recipe, sizes))
    weights = 4 * job.cost.parameters
    kept = _saved(job)
    assert weights * (HELD + SAVED) <= job.cost.memory
    assert weights * HELD + kept <= job.cost.memory < 13 * weights + 40 * kept
    monkeypatch.setattr("rnncli.device.memory_available", lambda: job.cost.memory - 1)
    monkeypatch.setattr(type(job.task), "read", lambda task, config: job.splits)
    monkeypatch.setattr(torch.nn.Module, "to", None)  # what a model on the meta device has no need of
    with pytest.raises(Missing, match="this model needs"):
        prepare(load_recipe(recipe, sizes))


@pytest.mark.evidence
@pytest.mark.parametrize("task", [*RECIPES, *(name for name in GENERATED if name != RECIPES["algorithms"])])
def test_a_dry_run_of_every_number(
    task: str, thinned: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a recipe may hold is tried, where two gigabytes are free: neither more memory nor a minute is taken. task:
    or another recipe of the one whose rows are generated, since each is another problem."""
    tally, recipe = Tally(capsys), RECIPES.get(task, task)
    monkeypatch.setattr("rnncli.device.memory_available", lambda: 2 << 30)
    keys = list(_keys(load_recipe(recipe).config.task))
    keys = keys if task in RECIPES else [key for key in keys if key[0].startswith("data.")]
    for key, listed in keys:
        for value in ("0", "-1", "1000000", "2147483647", *LARGE):
            text = f"{key}=[{value}]" if listed else f"{key}={value}"
            assert tally(["-q", "train", recipe, "--set", text, "--dry-run"]) in (0, 2, 3, 5), text
    torch.set_num_threads(1)
    record("numbers", task, {"keys": len(keys), **tally.figures()})
