"""The page of `rnncli bench --against`: one line per arm."""

from __future__ import annotations

import torch

from rnncli.bench.machine import machine
from rnncli.bench.measure import WIDE
from rnncli.bench.pages import SCHEMA, cores_and_load, incomplete
from rnncli.bench.peers.worker import LAYERS
from rnncli.bench.sizes import CHARACTER
from rnncli.bench.verdicts import VERDICTS, ceilings_text, noise, withdrawn
from rnncli.bench.versus import LEARNING_RATE, LOOP_TOLERANCE, TOLERANCE, ArmsOfRow, Compared, steps_of
from rnncli.locale import tr, trn
from rnncli.records import Check, Checks, Column, Commands, Entry, Json, Message, Page, Record, Table


def peers_page(found: Compared) -> Page:
    """One line per arm; the ratio is the speedup of rnncli."""
    plan = found.plan
    several = len(plan.passes) > 1
    rows = []
    for row in found.rows:
        for s in row.results:
            line: list[Entry] = [s.row.cell, s.row.sizes, *([s.what] if several else []), s.arm, s.threads, s.rate]
            line += [s.paired.ratio.as_tuple(), s.paired.verdict] if s.paired is not None else [None, None]
            line += ["!" if s.spread > WIDE else None, row.of_ceiling(s, plan.loop), row.ceiling.rate]
            halves = s.paired.halves if s.paired is not None else None
            line += [half.as_tuple() for half in halves] if halves is not None else [None, None]
            rounds = s.paired.rounds if s.paired is not None else None
            rows.append([*line, s.seconds.value, s.cold, s.spread, s.processors, s.difference, rounds])
    columns = [
        Column("cell", tr("cell"), "text", once=True),
        Column("sizes", "H/B/T", "text", once=True),
        *([Column("pass", tr("pass"), "text", once=True)] if several else []),
        Column("arm", "", "text"),
        Column("threads", tr("threads"), "count"),
        Column("tokens_per_second", tr("tokens/s"), "count"),
        Column("ratio", tr("rnncli is [95%]"), "interval"),
        Column("verdict", "", "text"),
        Column("remark", "", "text"),
        Column("of_ceiling", tr("of ceiling"), "percent", optional=True),
        Column("ceiling", "FLOP/s", optional=True),
        Column("first_half", tr("first half"), "interval", optional=True),
        Column("second_half", tr("second half"), "interval", optional=True),
        Column("seconds", tr("time"), "seconds", optional=True),
        Column("cold_seconds", tr("first"), "seconds", optional=True),
        Column("spread", tr("spread"), "percent", optional=True),
        Column("processors", tr("cores used"), optional=True),
        Column("difference", tr("off"), "diff", optional=True),
        Column("rounds", tr("rounds"), "count", optional=True),
    ]
    B, T, V = CHARACTER
    if plan.loop:
        title = tr("whole training loops against {peers}", peers=", ".join(plan.peers))
        what = tr(
            "character model: Embedding({V}, H), {L} layers, Linear(H, {V}), Adam; the same text and initial weights",
            V=V,
            L=LAYERS,
        )
    else:
        title = tr("one layer against {peers}", peers=", ".join(plan.peers))
        what = tr("one layer, input size H; training is forward plus the gradients of weights and input")
    tolerance = LOOP_TOLERANCE if plan.loop else TOLERANCE
    worst = max((s.difference for s in found.results), default=0.0)
    checked = (
        tr("same scores before training, same losses in the first steps")
        if plan.loop
        else tr("same outputs and gradients from the same weights")
    )
    shown: list[Record] = [
        *incomplete(len(found.rows), len(plan.rows) * len(plan.passes)),
        Message(what + tr("; each library in its own process with its best thread count")),
        Table("against", columns, rows),
        Table("verdicts", VERDICTS, _summary(found)),
        Checks([Check("same-function", True, checked, worst, tolerance)]),
    ]
    if not plan.loop:
        shown.append(
            Commands(tr("next"), [("rnncli bench --against keras-jax,jax --train", tr("whole training loops"))])
        )
    config: dict[str, Json] = {
        "machine": machine(),
        "load": found.watch.load,
        "versions": found.versions,
        "loop": plan.loop,
        "passes": list(plan.passes),
        "peers": list(plan.peers),
        "time_budget": plan.budget,
        "rows": len(found.rows),
        "rows_planned": len(plan.rows) * len(plan.passes),
        "tolerance": tolerance,
        "trials": [trial for row in found.rows for trial in row.trials],
    }
    if plan.loop:
        config["model"] = {"layers": LAYERS, "B": B, "T": T, "V": V, "embedding_size": "H", "lr": LEARNING_RATE}
        config["updates"] = {f"{row.cell} {row.sizes}": steps_of(row) for row in plan.rows}
    here, torch_version = cores_and_load(found.watch.load), torch.__version__.split("+")[0]
    return Page(SCHEMA, title, shown, config=config, device=here, dtype="float32", torch=torch_version)


def row_line(found: ArmsOfRow) -> str:
    """One line about a finished row."""
    parts = []
    for s in found.results:
        if (one := s.paired) is not None:
            ratio, verdict = f"{one.ratio.value:.2f}", tr(one.verdict)
            parts.append(tr("{ratio} times {arm} ({verdict})", ratio=ratio, arm=s.arm, verdict=verdict))
    rate = next(s.rate for s in found.results if s.paired is None)
    return f"{found.row.cell} {found.row.sizes} {found.what}: rnncli {rate:,.0f} {tr('tokens/s')}, " + ", ".join(parts)


def _summary(found: Compared) -> list[list[str]]:
    rows = []
    for arm in ("torch", *found.plan.peers):
        verdicts = [s.paired.verdict for s in found.results if s.arm == arm and s.paired is not None]
        rows.append(
            [
                arm,
                trn(
                    "rnncli is faster in {faster} of {n} row, undecided in {open}, slower in {slower}",
                    "rnncli is faster in {faster} of {n} rows, undecided in {open}, slower in {slower}",
                    faster=verdicts.count("faster"),
                    n=len(verdicts),
                    open=verdicts.count("inconclusive") + verdicts.count("withdrawn"),
                    slower=verdicts.count("slower"),
                ),
            ]
        )
    rows += withdrawn(
        [(f"{s.row.cell} {s.row.sizes} rnncli / {s.arm}", s.paired) for s in found.results if s.paired is not None]
    )
    rates = [ceiling for row in found.rows for ceiling in (row.ceiling.before, row.ceiling.after)]
    rows.append([tr("ceiling"), ceilings_text(rates, any(row.ceiling.moved for row in found.rows))])
    rows += noise(max((s.spread for s in found.results), default=0.0), found.watch, 1)
    rows.append([tr("versions"), ", ".join(f"{name} {version}" for name, version in found.versions.items())])
    return rows
