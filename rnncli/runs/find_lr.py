"""`train --find-lr`: the learning rate range test of Smith 2017 (arXiv:1506.01186, section 3.3).

The learning rate grows at every step, from far too small to far too large; the loss shows where the model learns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

from rnncli.data.batch import Batch, Order
from rnncli.errors import Diverged
from rnncli.locale import tr
from rnncli.records import Column, Commands, Entry, Message, Page, Record, Series, Table
from rnncli.runs.summary import header
from rnncli.training.divergence import require_an_update
from rnncli.training.job import Job
from rnncli.training.loop import groups, start, update

STEPS = 100
LOWEST, HIGHEST = 1e-6, 10.0
# Half-width of the centered moving average of batch losses: a trailing average would show a decrease too late, at too
# large a rate.
WINDOW = 5
APART = 4.0  # the test ends at this multiple of the lowest loss


@dataclass(frozen=True)
class RangeTest:
    """rates: of each step. losses: of its batch, smoothed. ended: why the test ended early."""

    rates: Sequence[float]
    losses: Sequence[float]
    ended: str = ""

    @property
    def lowest(self) -> int:
        """The step with the lowest loss."""
        return min(range(len(self.losses)), key=self.losses.__getitem__)

    @property
    def steepest(self) -> int | None:
        """The step with the steepest decrease of the loss over the log learning rate, before its minimum; None if it
        does not decrease."""
        falls = {i: self.losses[i + 1] - self.losses[i - 1] for i in range(1, self.lowest)}
        best = min(falls, key=falls.__getitem__, default=None)
        return best if best is not None and falls[best] < 0 else None

    @property
    def suggested(self) -> float | None:
        """A third of the rate with the steepest decrease, or a tenth of the rate with the lowest loss if that is less:
        a rate that works for a few steps is too large for a whole training run. None if the loss does not decrease."""
        return None if self.steepest is None else min(self.rates[self.lowest] / 10, self.rates[self.steepest] / 3)


def range_test(job: Job, updates: int = STEPS) -> RangeTest:
    """Run the test. Trains the job's model, which is useless afterwards; ignores its schedule.

    Raises Diverged if no step has a finite loss and finite gradients.
    """
    state = start(job)
    state.schedule = None
    rates: list[float] = []
    losses: list[float] = []
    ended = ""
    for k, (first, batches) in enumerate(islice(_steps(job), updates)):
        rate = LOWEST * (HIGHEST / LOWEST) ** (k / max(1, updates - 1))
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        if first:
            state.carry = None
        total, count = float(state.total), state.count
        try:
            update(job, state, *batches)
        except Diverged as error:
            if not losses:
                raise
            ended = error.what
            break
        if state.count == count:  # on_nan: skip
            continue
        rates.append(rate)
        losses.append((float(state.total) - total) / (state.count - count))
        means = _smoothed(losses)
        if means[-1] > APART * min(means):
            ended = tr("the loss is {n} times the lowest", n=f"{APART:g}")
            break
    if not losses:
        require_an_update(job, state)
    return RangeTest(rates, _smoothed(losses), ended)


def _smoothed(losses: Sequence[float]) -> list[float]:
    return [fmean(losses[max(0, i - WINDOW) : i + WINDOW + 1]) for i in range(len(losses))]


def _steps(job: Job) -> Iterator[tuple[bool, list[Batch]]]:
    """The batches of each step, epoch after epoch, and whether they start an epoch."""
    train, epoch = job.config.train, 1
    while True:
        batches = islice(job.batches(Order(train.seed, epoch)), train.overfit_batches or None)
        for i, together in enumerate(groups(batches, train.accumulate_grad_batches)):
            yield i == 0, together
        epoch += 1


def find_lr(job: Job, command: str) -> Page:
    """The result of the range test as a page. command: training command to which the rate is added."""
    found = range_test(job)
    page = header(job)
    rows: list[list[Entry]] = [
        [tr("lowest loss"), found.rates[found.lowest], found.losses[found.lowest]],
        [tr("the recipe's train.lr"), job.config.train.lr, None],
    ]
    marks: dict[str, float] = {}
    todo: list[Record] = []
    if found.steepest is not None and found.suggested is not None:
        rows.insert(0, [tr("steepest decrease of the loss"), found.rates[found.steepest], found.losses[found.steepest]])
        rate = f"{found.suggested:.1g}"  # the one number: of the mark, the sentence and the command
        marks = {tr("suggested: {rate}", rate=rate): math.log10(float(rate))}
        rule = tr(
            "suggested: {rate}, a third of the rate of the steepest decrease but at most a tenth of that of the lowest "
            "loss, rounded",
            rate=rate,
        )
        todo = [
            Message(rule, "note"),
            Commands(tr("next"), [(f"{command} --lr {rate}", tr("try it"))]),
        ]
    columns = (
        Column("what", "", "text"),
        Column("lr", tr("learning rate"), "number"),
        Column("loss", tr("loss"), "number"),
    )
    curve = Series(
        "range",
        [math.log10(rate) for rate in found.rates],
        {tr("loss"): found.losses},
        tr("{axis}, log scale", axis=tr("learning rate")),
        tr("loss"),
        tr("loss while the learning rate grows from {low:g} to {high:g}", low=LOWEST, high=HIGHEST),
        marks=marks,
        ticks=[f"{rate:.2g}" for rate in found.rates],
    )
    ends = found.ended or tr("all {n} steps done", n=STEPS)
    shown = [*page.records, curve, Table("rates", columns, rows), Message(tr("ended: {why}", why=ends), "note"), *todo]
    return Page("rnncli/find-lr/1", page.title, shown, seed=page.seed, device=page.device, dtype=page.dtype)
