"""`train.accumulate_grad_batches`: several batches make one update, as one batch with all their rows would."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch

from rnncli.data.batch import Order
from rnncli.errors import Diverged
from rnncli.runs.train import run_training
from rnncli.tasks import load_recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import TrainState, fit, groups, start, update

BARE = ("train.control=false", "train.compare=[]", "train.threads=1", "train.dtype=float64", "model.hidden_size=5")


def made(recipe: str, *sets: str) -> tuple[Job, TrainState]:
    job = prepare(load_recipe(recipe, (*BARE, "train.optimizer=sgd", *sets)))
    return job, start(job)


@pytest.mark.parametrize("recipe", ["names", "pos-tagging", "parity", "forecasting"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_update_is_that_of_the_mean_over_all_rows(recipe: str, n: int) -> None:
    """Against the loss of all batches in one graph; their counts of tokens or rows differ."""
    sets = ("model.outer_dropout=0",) if recipe == "names" else ()  # each batch would draw its own
    job, state = made(recipe, "train.batch_size=7", *sets)
    batches = list(islice(job.batches(Order(0, 1)), n))
    losses = [job.task.loss(job.config, job.model, batch, None) for batch in batches]
    mean = torch.stack([loss.total for loss in losses]).sum() / sum(loss.count for loss in losses)
    wanted = torch.autograd.grad(mean, list(job.model.parameters()), allow_unused=True)
    before = [parameter.detach().clone() for parameter in job.model.parameters()]
    update(job, state, *batches)
    assert (state.step, state.next_batch) == (1, n)
    assert float(state.total) == pytest.approx(mean.item() * state.count, rel=1e-12)
    for parameter, old, gradient in zip(job.model.parameters(), before, wanted, strict=True):
        moved = old - parameter.detach()
        expected = torch.zeros_like(moved) if gradient is None else job.config.train.lr * gradient
        torch.testing.assert_close(moved, expected, rtol=1e-9, atol=1e-14)


def test_a_text_goes_on_from_batch_to_batch(tmp_path: Path) -> None:
    """The state at the end of one batch begins the next, within an update as between two."""
    (tmp_path / "t.txt").write_text("so it goes, and so it went. " * 80)
    sets = (f"data.path={tmp_path / 't.txt'}", "data.window=16", "train.batch_size=4", "train.lr=1e-30")
    states = []
    for n in (1, 3):
        job, state = made("language-model", *sets)
        for together in islice(groups(job.batches(Order(0, 1)), n), 3 // n):
            update(job, state, *together)
        states.append(state.carry)
    torch.testing.assert_close(states[0], states[1], rtol=1e-12, atol=1e-14)


def test_updates_are_counted_and_the_last_is_smaller() -> None:
    job, _ = made("names", "train.batch_size=500", "train.accumulate_grad_batches=3", "train.epochs=2")
    assert job.batches_per_epoch() == 4
    assert job.steps_per_epoch() == 2
    events = [(step.event, step.step) for step in fit(job)]
    assert events == [("step", 1), ("step", 2), ("epoch", 2), ("step", 3), ("step", 4), ("epoch", 4), ("end", 4)]


@pytest.mark.usefixtures("thinned")
def test_cut_short_and_resumed_it_ends_the_same(tmp_path: Path) -> None:
    sets = (*BARE, "train.batch_size=25", "train.accumulate_grad_batches=3", "train.epochs=2")
    for name, limits in (("whole", ((),)), ("cut", (("train.max_steps=2",), ()))):
        (tmp_path / name).mkdir()
        for i, limit in enumerate(limits):
            recipe = load_recipe("names", (*sets, *limit))
            run_training(prepare(recipe), tmp_path / name, resume=i > 0)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("on_nan", ["stop", "skip"])
def test_one_bad_batch_spoils_its_update_alone(on_nan: str) -> None:
    job, state = made("forecasting", "train.batch_size=7", f"train.on_nan={on_nan}")
    first, second, third = islice(job.batches(Order(0, 1)), 3)
    second.inputs[0, 0] = torch.nan
    before = {name: tensor.clone() for name, tensor in job.model.state_dict().items()}
    if on_nan == "stop":
        with pytest.raises(Diverged, match="the input"):
            update(job, state, first, second)
        return
    update(job, state, first, second)
    assert (state.step, state.next_batch, state.count) == (1, 2, 0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in job.model.state_dict().items())
    update(job, state, third)
    assert not all(torch.equal(tensor, before[name]) for name, tensor in job.model.state_dict().items())
