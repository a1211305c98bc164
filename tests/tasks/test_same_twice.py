"""The same recipe, seed, engine and threads give the same weights, to the last bit, for every task."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from rnncli import tasks
from rnncli.recipe import packaged_recipes
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.training.loop import fit

RECIPE_OF = {load_recipe(name).config.task: name for name in reversed(packaged_recipes())}
SMALL = (
    "model.hidden_size=6",
    "train.max_steps=3",
    "train.threads=1",
    "train.control=false",
    "train.compare=[]",
    "train.schedule=none",
    "train.batch_size=4",
)


def weights(recipe: str, seed: int) -> dict[str, torch.Tensor]:
    """After three updates."""
    job = prepare(load_recipe(recipe, (*SMALL, f"train.seed={seed}")))
    list(islice(fit(job), 3))
    return {name: tensor.clone() for name, tensor in job.model.state_dict().items()}


def test_every_task_has_a_recipe() -> None:
    assert set(RECIPE_OF) == set(tasks.task_names())


@pytest.mark.parametrize("task", tasks.task_names())
def test_the_same_weights_twice(task: str, thinned: None) -> None:
    one, two, other = (weights(RECIPE_OF[task], seed) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
