"""What `rnncli bench --against` shows: one line per arm."""

from __future__ import annotations

import torch

from rnncli.bench.machine import machine
from rnncli.bench.measure import WIDE
from rnncli.bench.pages import SCHEMA
from rnncli.bench.sizes import CHARACTER
from rnncli.bench.verdicts import VERDICTS, noise
from rnncli.bench.versus import LAYERS, LEARNING_RATE, LOOP_TOLERANCE, TOLERANCE, Compared, updates_of
from rnncli.device import usable_cores
from rnncli.locale import tr, trn
from rnncli.records import Check, Checks, Column, Commands, Entry, Json, Message, Page, Record, Table


def peers_page(found: Compared) -> Page:
    """One line per arm; `times as fast` is how many times as fast rnncli is."""
    plan = found.plan
    several = len(plan.passes) > 1
    rows = []
    for s in found.standings:
        line: list[Entry] = [s.row.cell, s.row.sizes, *([s.what] if several else []), s.arm, s.threads, s.rate]
        ratio = s.ratio.as_tuple() if s.ratio is not None else None
        verdict = None if s.ratio is None else "withdrawn" if found.moved else s.verdict
        line += [ratio, verdict, "!" if s.spread > WIDE else None]
        rows.append([*line, s.seconds.value, s.cold, s.spread, s.processors, s.difference, s.rounds])
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
            "character model: Embedding({V}, H), {L} layers, Linear(H, {V}), Adam; the same text and first weights",
            V=V,
            L=LAYERS,
        )
    else:
        title = tr("one layer against {peers}", peers=", ".join(plan.peers))
        what = tr("one layer, input as wide as H; training is forward and the gradients of weights and input")
    tolerance = LOOP_TOLERANCE if plan.loop else TOLERANCE
    worst = max((s.difference for s in found.standings), default=0.0)
    checked = (
        tr("same scores before training, same losses of the first updates")
        if plan.loop
        else tr("same outputs and gradients from the same weights")
    )
    about = machine()
    load = found.watch.load
    shown: list[Record] = [
        Message(what + tr("; each library in its own process at its best thread count")),
        Table("against", columns, rows),
        Table("verdicts", VERDICTS, _summary(found)),
        Checks([Check("same-function", True, checked, worst, tolerance)]),
    ]
    if not plan.loop:
        shown.append(
            Commands(tr("next"), [("rnncli bench --against keras-jax,jax --train", tr("whole training loops"))])
        )
    config: dict[str, Json] = {
        "machine": about,
        "load": load,
        "versions": found.versions,
        "loop": plan.loop,
        "passes": list(plan.passes),
        "peers": list(plan.peers),
        "time_budget": plan.budget,
        "ceiling": found.ceiling,
        "ceiling_after": found.ceiling_after,
        "first_row": None if found.first is None else list(found.first.as_tuple()),
        "first_row_after": None if found.first_after is None else list(found.first_after.as_tuple()),
        "moved": found.moved,
        "tolerance": tolerance,
        "trials": found.seconds_by_threads,
    }
    if plan.loop:
        config["model"] = {"layers": LAYERS, "B": B, "T": T, "V": V, "embedding_size": "H", "lr": LEARNING_RATE}
        config["updates"] = {f"{row.cell} {row.sizes}": updates_of(row) for row in plan.rows}
    here = trn(
        "{n} core, load {load}", "{n} cores, load {load}", n=usable_cores(), load="?" if load is None else f"{load:.1f}"
    )
    torch_version = torch.__version__.split("+")[0]
    return Page(SCHEMA, title, shown, config=config, device=here, dtype="float32", torch=torch_version)


def _summary(found: Compared) -> list[list[str]]:
    rows = []
    if found.moved:
        what = tr("the machine changed while it was measured: no verdict; run it again when it is quiet")
        rows.append([tr("withdrawn"), what])
    else:
        for arm in ("torch", *found.plan.peers):
            mine = [s for s in found.standings if s.arm == arm]
            counts = {
                verdict: sum(s.verdict == verdict for s in mine) for verdict in ("faster", "inconclusive", "slower")
            }
            rows.append(
                [
                    arm,
                    trn(
                        "rnncli is faster in {faster} of {n} row, undecided in {open}, slower in {slower}",
                        "rnncli is faster in {faster} of {n} rows, undecided in {open}, slower in {slower}",
                        faster=counts["faster"],
                        n=len(mine),
                        open=counts["inconclusive"],
                        slower=counts["slower"],
                    ),
                ]
            )
    before, after = f"{found.ceiling / 1e9:,.0f}", f"{found.ceiling_after / 1e9:,.0f}"
    text = tr("product ceiling, at the beginning and the end: {before} -> {after} GFLOP/s", before=before, after=after)
    if found.first is not None and found.first_after is not None:
        one, other = f"{found.first.value:.2f}", f"{found.first_after.value:.2f}"
        text += "; " + tr("first row: {before} -> {after}", before=one, after=other)
    rows.append([tr("! moved") if found.moved else tr("steady"), text])
    rows += noise(max((s.spread for s in found.standings), default=0.0), found.watch, 1)
    rows.append([tr("versions"), ", ".join(f"{name} {version}" for name, version in found.versions.items())])
    return rows
