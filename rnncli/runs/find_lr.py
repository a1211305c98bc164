"""`train --find-lr`: the learning rate range test of Smith 2017 (arXiv:1506.01186, section 3.3).

The learning rate grows at every update, from far too small to far too large, and the loss says where it learns.
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

UPDATES = 100
LOWEST, HIGHEST = 1e-6, 10.0
WINDOW = 5  # losses of single batches before and behind one, which its average takes in: one that only looked back
# would show a fall too late, at a rate too large
APART = 4.0  # times the lowest loss, where the test ends


@dataclass(frozen=True)
class RangeTest:
    """rates: of each update. losses: of its batch, averaged with its neighbours. ended: why, before the last."""

    rates: Sequence[float]
    losses: Sequence[float]
    ended: str = ""

    @property
    def lowest(self) -> int:
        """The update at which the loss is lowest."""
        return min(range(len(self.losses)), key=self.losses.__getitem__)

    @property
    def steepest(self) -> int | None:
        """The update around which the loss falls fastest over the logarithm of the rate, before it is lowest; None
        where it does not fall."""
        falls = {i: self.losses[i + 1] - self.losses[i - 1] for i in range(1, self.lowest)}
        best = min(falls, key=falls.__getitem__, default=None)
        return best if best is not None and falls[best] < 0 else None

    @property
    def suggested(self) -> float | None:
        """A third of the rate at which the loss falls fastest, or a tenth of that at which it is lowest, if that is
        less: what falls for a few updates is too large for a whole training. None where the loss does not fall."""
        return None if self.steepest is None else min(self.rates[self.lowest] / 10, self.rates[self.steepest] / 3)


def range_test(job: Job, updates: int = UPDATES) -> RangeTest:
    """Trains the job's model, which is not fit for anything afterwards. Its schedule is left out.

    Raises Diverged: not one update has a loss and gradients that are numbers.
    """
    state = start(job)
    state.schedule = None
    rates: list[float] = []
    losses: list[float] = []
    ended = ""
    for k, (first, batches) in enumerate(islice(_updates(job), updates)):
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
        if fmean(losses[-WINDOW:]) > APART * min(losses):
            ended = tr("the loss is {n} times the lowest", n=f"{APART:g}")
            break
    if not losses:
        require_an_update(job, state)
    means = [fmean(losses[max(0, i - WINDOW) : i + WINDOW + 1]) for i in range(len(losses))]
    return RangeTest(rates, means, ended)


def _updates(job: Job) -> Iterator[tuple[bool, list[Batch]]]:
    """The batches of each update, epoch after epoch, and whether an epoch begins with them."""
    train, epoch = job.config.train, 1
    while True:
        batches = islice(job.batches(Order(train.seed, epoch)), train.overfit_batches or None)
        for i, together in enumerate(groups(batches, train.accumulate_grad_batches)):
            yield i == 0, together
        epoch += 1


def find_lr(job: Job, command: str) -> Page:
    """What the range test found, drawn. command: that trains, to which the rate is added."""
    found = range_test(job)
    page = header(job)
    rows: list[list[Entry]] = [
        [tr("the loss is lowest"), found.rates[found.lowest], found.losses[found.lowest]],
        [tr("the recipe's train.lr"), job.config.train.lr, None],
    ]
    marks: dict[str, float] = {}
    todo: list[Record] = []
    if found.steepest is not None and found.suggested is not None:
        rows.insert(0, [tr("the loss falls fastest"), found.rates[found.steepest], found.losses[found.steepest]])
        marks = {tr("suggested"): math.log10(found.suggested)}
        todo = [Commands(tr("next"), [(f"{command} --lr {found.suggested:.1g}", tr("try it"))])]
    columns = (
        Column("what", "", "text"),
        Column("lr", tr("learning rate"), "number"),
        Column("loss", tr("loss"), "number"),
    )
    curve = Series(
        "range",
        [math.log10(rate) for rate in found.rates],
        {tr("loss"): found.losses},
        tr("log10 of the learning rate"),
        tr("loss"),
        tr("the loss while the learning rate grows from {low:g} to {high:g}", low=LOWEST, high=HIGHEST),
        marks=marks,
    )
    ends = found.ended or tr("all {n} updates done", n=UPDATES)
    shown = [*page.records, curve, Table("rates", columns, rows), Message(tr("ended: {why}", why=ends), "note"), *todo]
    return Page("rnncli/find-lr/1", page.title, shown, seed=page.seed, device=page.device, dtype=page.dtype)
