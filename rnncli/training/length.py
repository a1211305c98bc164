"""How long to train on a user's data: one rule for every task.

What a model learns depends on training steps, not on passes over the data: 8 epochs of a long text are thousands of
steps, 8 epochs of a short one are too few to learn its words. So the number of epochs follows from steps; with a
validation split, early stopping ends training that no longer helps.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from itertools import islice
from math import ceil

import torch

from rnncli.data.batch import Order
from rnncli.locale import tr, trn
from rnncli.tasks import Recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import groups, start, update

UPDATES = 2000  # the slowest packaged recipe needs about a thousand; small data must have enough
LEAST, MOST = 20, 300  # epochs: early stopping ends large data sooner; small data was seen often enough
PATIENCE = 5  # early stopping waits for a fifth of the epochs,
SHORTEST = 3  # but at least these
SECONDS = 1800.0  # the number of epochs is reduced if the estimate exceeds half an hour


@dataclass(frozen=True)
class Length:
    """early_stopping: None without a validation split. why: a short reason for the number of epochs."""

    epochs: int
    early_stopping: int | None
    why: str

    def settings(self) -> dict[str, int]:
        """Dotted key -> value, for a recipe."""
        found = {"train.epochs": self.epochs}
        return found if self.early_stopping is None else found | {"train.early_stopping": self.early_stopping}


def length(updates: int, seconds: float, *, validated: bool) -> Length:
    """The rule. updates: steps per epoch. seconds: per step. validated: whether there is a validation split.

    >>> length(23, 0.01, validated=True).settings()
    {'train.epochs': 87, 'train.early_stopping': 17}
    """
    wanted = ceil(UPDATES / updates)
    epochs = min(max(wanted, LEAST), MOST)
    each = trn("{n} step", "{n} steps", n=updates)
    why = tr("{updates} each: {total} in total", updates=each, total=f"{updates * epochs:,}")
    if wanted < LEAST:
        why = tr("{updates} each; at least {epochs} epochs", updates=each, epochs=LEAST)
    elif wanted > MOST:
        why = tr("{updates} each; at most {epochs} epochs", updates=each, epochs=MOST)
    affordable = int(SECONDS / max(seconds * updates, 1e-9))
    if affordable < epochs:
        epochs = max(1, affordable)
        minutes = trn("{n} minute", "{n} minutes", n=max(1, round(seconds * updates * epochs / 60)))
        why = tr("{updates} each: about {minutes} in total", updates=each, minutes=minutes)
    return Length(epochs, max(SHORTEST, epochs // PATIENCE) if validated else None, why)


def length_of(recipe: Recipe) -> Length:
    """Apply the rule to a recipe; reads its data and times two training steps. Raises DataError, UsageError, Missing,
    Diverged: whatever would prevent training."""
    job = prepare(recipe)
    return length(job.steps_per_epoch(), step_seconds(job), validated=job.splits.validation is not None)


def step_seconds(job: Job) -> float:
    """Seconds per training step: the second of two, to exclude one-time costs of torch."""
    probe = copy.copy(job)
    probe.model = copy.deepcopy(job.model)
    state = start(probe)
    before = torch.get_rng_state()
    together = groups(job.batches(Order(job.config.train.seed, 1)), job.config.train.accumulate_grad_batches)
    seconds = 0.0
    for batches in list(islice(together, 2)):
        began = time.perf_counter()
        update(probe, state, *batches)
        seconds = time.perf_counter() - began
    torch.set_rng_state(before)
    return seconds
