"""How long to train on data of one's own: one rule for every task.

What a model has learned goes by updates, not by passes over the data: 8 epochs of a long text are thousands of updates,
8 epochs of a short one are too few to learn its words. So epochs follow from updates, and where there is a validation
part early stopping ends what no longer helps.
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

UPDATES = 2000  # of the packaged recipes the slowest to learn takes about a thousand; small data must have enough
LEAST, MOST = 20, 300  # epochs: early stopping ends large data sooner, and small data has been seen often enough
PATIENCE = 5  # early stopping waits for a fifth of the epochs,
SHORTEST = 3  # but never fewer than these
SECONDS = 1800.0  # an estimate beyond half an hour lowers the epochs


@dataclass(frozen=True)
class Length:
    """early_stopping: None where there is no validation part to judge by. why: of the epochs, in a few words."""

    epochs: int
    early_stopping: int | None
    why: str

    def settings(self) -> dict[str, int]:
        """Dotted key -> value, for a recipe."""
        found = {"train.epochs": self.epochs}
        return found if self.early_stopping is None else found | {"train.early_stopping": self.early_stopping}


def length(updates: int, seconds: float, *, validated: bool) -> Length:
    """The rule. updates: in one epoch. seconds: that one update takes. validated: whether there is a validation part.

    >>> length(23, 0.01, validated=True).settings()
    {'train.epochs': 87, 'train.early_stopping': 17}
    """
    wanted = ceil(UPDATES / updates)
    epochs = min(max(wanted, LEAST), MOST)
    each = trn("{n} update", "{n} updates", n=updates)
    why = tr("{updates} each: {total} in all", updates=each, total=f"{updates * epochs:,}")
    if wanted < LEAST:
        why = tr("{updates} each; at least {epochs} epochs", updates=each, epochs=LEAST)
    elif wanted > MOST:
        why = tr("{updates} each; at most {epochs} epochs", updates=each, epochs=MOST)
    affordable = int(SECONDS / max(seconds * updates, 1e-9))
    if affordable < epochs:
        epochs = max(1, affordable)
        minutes = trn("{n} minute", "{n} minutes", n=max(1, round(seconds * updates * epochs / 60)))
        why = tr("{updates} each: about {minutes} in all", updates=each, minutes=minutes)
    return Length(epochs, max(SHORTEST, epochs // PATIENCE) if validated else None, why)


def length_of(recipe: Recipe) -> Length:
    """The rule for a recipe and its data, which is read; two updates are timed. Raises DataError, UsageError, Missing,
    Diverged: whatever would keep it from being trained."""
    job = prepare(recipe)
    return length(job.steps_per_epoch(), step_seconds(job), validated=job.splits.validation is not None)


def step_seconds(job: Job) -> float:
    """Seconds of an update: the second of two, so that what torch does once is not counted."""
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
