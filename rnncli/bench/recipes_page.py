"""The page of `rnncli bench RECIPE`: the parts of a step, the bare loop, every candidate, and the --set line."""

from __future__ import annotations

import torch

from rnncli.bench.machine import machine
from rnncli.bench.measure import WIDE, paired_ratio, spread_of
from rnncli.bench.pages import SCHEMA
from rnncli.bench.recipes import Candidate, Profile, Trial
from rnncli.bench.verdicts import VERDICTS, noise
from rnncli.locale import tr, trn
from rnncli.records import Check, Checks, Column, Commands, Message, Page, Record, Table


def page(found: Profile, name: str) -> Page:
    """The parts of a step, the bare loop, every candidate, and the --set line."""
    job, own = found.job, found.own
    total = sum(found.parts.values())
    split = Table(
        "split",
        [
            Column("part", tr("one training step"), "text"),
            Column("seconds", tr("time"), "seconds"),
            Column("share", tr("share"), "percent"),
            Column("about", "", "text", optional=True),
        ],
        [[tr(part), seconds, seconds / total, _about()[part]] for part, seconds in found.parts.items()],
        total=[tr("total"), total, 1.0, tr("{rate} steps or rows/s", rate=f"{found.per_update / total:,.0f}")],
    )
    tried = Table(
        "tried",
        [
            Column("engine", tr("engine"), "text"),
            Column("threads", tr("threads"), "count"),
            Column("precision", tr("precision"), "text"),
            Column("seconds", tr("update"), "seconds"),
            Column("ratio", tr("times as fast [95%]"), "interval"),
            Column("loss", tr("first loss")),
            Column("remark", "", "text"),
        ],
        [
            [c.engine, c.threads, c.precision, one.seconds, one.ratio.as_tuple(), one.loss, _remark(one, own)]
            for one in found.tried
            for c in [one.candidate]
        ],
    )
    slower = paired_ratio(found.loop, found.bare)
    verdicts = [
        [
            tr("bare loop"),
            tr(
                "the same model in a bare torch loop: this loop takes {ratio} [{low} {high}] times as long",
                ratio=f"{slower.value:.2f}",
                low=f"{slower.low:.2f}",
                high=f"{slower.high:.2f}",
            ),
        ]
    ]
    if found.epoch_end is not None:
        seconds = f"{found.epoch_end * 1e3:.3g}"
        verdicts.append([tr("each epoch"), tr("another {n} ms: evaluation, keeping the best weights", n=seconds)])
    verdicts.append([tr("fastest"), _advice(found)])
    if found.best is not None and found.best.candidate.precision == "bf16" and own.precision != "bf16":
        verdicts.append([tr("! bf16"), tr("lower precision: compare the losses before using it")])
    for engine, precision, why in dict.fromkeys((c.engine, c.precision, why) for c, why in found.failed.items()):
        verdicts.append([tr("left out"), f"{engine} {precision}: {why}"])
    widest = max(spread_of(found.loop), spread_of(found.bare), *(one.spread for one in found.tried))
    verdicts += noise(widest, found.watch, own.threads)
    checks = [
        Check(
            f"engines-agree-{precision}",
            True,
            tr("all engines give the same first loss in {precision}", precision=precision),
            *difference,
        )
        for precision, difference in found.differences.items()
    ]
    shown: list[Record] = [
        Message(_unchanged(own)),
        split,
        tried,
        Table("verdicts", VERDICTS, verdicts),
        Checks(checks),
    ]
    if found.best is not None:
        command = f"rnncli train {name} {found.best.candidate.sets()}"
        shown.append(Commands(tr("next"), [(command, tr("the fastest found here"))]))
    return Page(
        SCHEMA,
        f"{name}   {job.config.task}",
        shown,
        config={
            "machine": machine(),
            "load": found.watch.load,
            "recipe": name,
            "own": vars(own),
            "best": None if found.best is None else vars(found.best.candidate),
            "set": None if found.best is None else found.best.candidate.sets(),
            "rounds": len(found.loop),
            "loop_over_bare": list(slower.as_tuple()),
            "epoch_end_seconds": found.epoch_end,
        },
        seed=job.config.train.seed,
        device=job.device.type,
        dtype=job.config.train.dtype,
        torch=torch.__version__.split("+")[0],
    )


def _about() -> dict[str, str]:
    return {
        "data": tr("making batches"),
        "forward": tr("model and loss"),
        "backward": tr("gradients, clipping, reading the loss"),
        "optimizer": "",
        "reporting": tr("progress display, counting"),
    }


def _unchanged(own: Candidate) -> str:
    threads = trn("{n} thread", "{n} threads", n=own.threads)
    return tr("unchanged: engine {engine}, {threads}, {precision}", **{**vars(own), "threads": threads})


def _remark(one: Trial, own: Candidate) -> str:
    mark = " !" if one.spread > WIDE else ""
    return (tr("unchanged") if one.candidate == own else tr(one.verdict)) + mark


def _advice(found: Profile) -> str:
    if found.best is None:
        return tr("nothing was clearly faster than the unchanged recipe: {sets}", sets=found.own.sets())
    ratio = f"{found.best.ratio.value:.2f}"
    return tr("{sets}: {ratio} times as fast", sets=found.best.candidate.sets(), ratio=ratio)
