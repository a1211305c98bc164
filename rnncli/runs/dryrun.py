"""`train --dry-run`: everything known before training, from one batch and two discarded training steps."""

from __future__ import annotations

from dataclasses import replace

from rnncli import records
from rnncli.data.vocab import Vocab
from rnncli.device import memory_available
from rnncli.locale import tr, trn
from rnncli.runs.summary import header
from rnncli.training.job import Job
from rnncli.training.length import step_seconds
from rnncli.views import shapes


def dry_run(job: Job) -> records.Page:
    """Counts, vocabulary, one batch's shapes, parameters, steps per epoch, estimated memory and time. The job is
    unchanged: the two timed steps run on a copy of the model."""
    page = header(job)
    steps, train = job.steps_per_epoch(), job.config.train
    seconds = step_seconds(job) * steps * train.epochs
    rows = [[tr("updates per epoch"), f"{steps:,}"], [tr("vocabulary"), vocabulary(job)]]
    columns = [records.Column("name", "", "text"), records.Column("value", "", "text")]
    estimates = records.Table(
        "estimates",
        [
            records.Column("what", tr("estimated"), "text"),
            records.Column("memory", tr("memory"), "bytes"),
            records.Column("available", tr("available"), "bytes"),
            records.Column("seconds", tr("time"), "seconds"),
        ],
        [[trn("{n} epoch", "{n} epochs", n=train.epochs), job.cost.memory, memory_available(), seconds]],
    )
    plan = records.Table("plan", columns, rows)
    shown = [*page.records, plan, shapes.table(shapes.stages(job.model, job.first_batch())), estimates]
    return replace(page, schema="rnncli/dry-run/1", records=shown)


def vocabulary(job: Job) -> str:
    """Sizes of the vocabularies, and their first entries."""
    parts = []
    for name, value in vars(job.splits.fitted).items():
        if isinstance(value, Vocab):
            tokens = value.tokens
            first = " ".join(repr(token)[1:-1] for token in tokens[:12])
            parts.append(f"{name} {len(tokens):,}: {first}{' ...' if len(tokens) > 12 else ''}")
    return "; ".join(parts) or tr("none")
