"""Pages of `rnncli bench`: `screen` for the terminal, `document` for JSON and data files, complete and in full
precision."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import torch

from rnncli.bench.engines import Figure, Measured, RowResult
from rnncli.bench.machine import machine
from rnncli.bench.measure import WIDE
from rnncli.bench.sizes import Axis, Row
from rnncli.bench.verdicts import VERDICTS, verdicts
from rnncli.device import usable_cores
from rnncli.locale import tr, trn
from rnncli.records import Check, Checks, Column, Commands, Entry, Message, Page, Record, Series, Table
from rnncli.render import numbers

SCHEMA = "rnncli/bench/1"


def pass_name(what: str) -> str:
    return {
        "train": tr("training step"),
        "forward": tr("forward pass, no gradients"),
        "step": tr("one streamed step"),
    }[what]


def short_rate(rate: float) -> str:
    """Three digits, right-aligned: 29.3k, 1.19M; further digits would be noise."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rate >= limit * 0.9995:
            number = rate / limit
            return f"{number:.{2 if number < 9.995 else 1 if number < 99.95 else 0}f}{unit}".rjust(5)
    return f"{rate:.3g}".rjust(5)


def cores_and_load(load: float | None) -> str:
    """The device of a figure measured on a CPU."""
    text = "?" if load is None else f"{load:.1f}"
    return trn("{n} core, load {load}", "{n} cores, load {load}", n=usable_cores(), load=text)


def page_of(measured: Measured, records: Sequence[Record], title: str) -> Page:
    """The page. device: cores and load of this machine, part of every figure."""
    plan, load = measured.plan, measured.watch.load
    here = cores_and_load(load)
    return Page(
        SCHEMA,
        title,
        records,
        config={
            "machine": machine(),
            "load": load,
            "processor_share": measured.watch.got,
            "pass": plan.what,
            "dtype": plan.dtype,
            "device": measured.device,
            "threads": list(plan.threads),
            "engines": list(plan.engines),
            "rounds": plan.rounds,
            "time_budget": plan.budget,
            "ceilings": [
                {"threads": threads, "flops": median(c.rate for c in ceilings), "path": ceilings[0].path}
                for threads in plan.threads
                for ceilings in [measured.ceilings(threads)]
            ],
            "call_seconds": measured.call,
            "rows": len(measured.rows),
            "rows_planned": len(plan.rows),
            "seed": 0,
        },
        device=f"{measured.device} · {here}" if measured.device != "cpu" else here,
        dtype=plan.dtype,
        torch=torch.__version__.split("+")[0],
    )


def document(measured: Measured) -> Page:
    """One row per cell, size, thread count and engine."""
    rows = [_plain(measured, figure) for figure in measured.figures]
    columns = [Column(name, name, "text" if name in TEXT else "number") for name in rows[0]]
    return page_of(
        measured, [Table("rates", columns, [list(row.values()) for row in rows]), _checks(measured)], "bench"
    )


TEXT = ("cell", "pass", "engine", "path", "bound", "over", "verdict")


def _plain(measured: Measured, f: Figure) -> dict[str, Entry]:
    """A figure for JSON: seconds per run of the row (per step for the pass `step`), shares from 0 to 1."""
    percentiles = f.latencies or (None, None, None)
    ratio = f.paired.ratio.as_tuple() if f.paired is not None else (None, None, None)
    halves = f.paired.halves if f.paired is not None else None
    early, late = (None, None) if halves is None else (half.value for half in halves)
    return {
        "cell": f.row.cell,
        "pass": measured.plan.what,
        "engine": f.engine,
        "path": f.path,
        "H": f.row.H,
        "B": f.row.B,
        "T": f.row.T,
        "threads": f.threads,
        "rounds": f.rounds,
        **dict(zip(("seconds", "seconds_low", "seconds_high"), f.seconds.as_tuple(), strict=True)),
        "cold_seconds": f.cold,
        "spread": f.spread,
        "tokens_per_second": f.rate,
        "of_ceiling": f.of_ceiling,
        "of_serial_ceiling": f.of_serial,
        "ceiling_flops": f.ceiling.before.rate,
        "ceiling_flops_after": f.ceiling.after.rate,
        "bound": f.bound.by,
        "calls": f.bound.calls,
        "products": f.bound.products,
        "elements": f.bound.rest,
        "over": f.over or None,
        **dict(zip(("ratio", "ratio_low", "ratio_high"), ratio, strict=True)),
        "ratio_first_half": early,
        "ratio_second_half": late,
        "verdict": None if f.paired is None else f.paired.verdict,
        **dict(zip(("p50", "p90", "p99"), percentiles, strict=True)),
        "peak_bytes": f.memory,
    }


def _checks(measured: Measured) -> Checks:
    return Checks([Check("engines-agree", True, tr("all engines give the same results"), *measured.difference)])


def screen(measured: Measured) -> Page:
    """The table of rates, the fastest engines, noise, and next steps."""
    plan = measured.plan
    threads = ", ".join(map(str, plan.threads))
    words = trn("{threads} thread", "{threads} threads", n=plan.threads[-1], threads=threads)
    title = f"{pass_name(plan.what)}, {plan.dtype}, {words}"
    shown: list[Record] = [
        *incomplete(len(measured.rows), len(plan.rows)),
        Message(
            tr(
                "{rounds}, engines alternating · this machine's product ceiling {ceilings}",
                rounds=_rounds(measured),
                ceilings=_ceilings(measured),
            )
        ),
        _latency_table(measured) if plan.what == "step" else _rate_table(measured),
        Table("verdicts", VERDICTS, verdicts(measured)),
        Commands(tr("next"), _next(measured)),
    ]
    return page_of(measured, shown, title)


def _rounds(measured: Measured) -> str:
    found = sorted({figure.rounds for figure in measured.figures})
    rounds = found[0] if len(found) == 1 else f"{found[0]}-{found[-1]}"
    return trn("{rounds} round", "{rounds} rounds", n=found[-1], rounds=rounds)


def _ceilings(measured: Measured) -> str:
    parts = []
    for threads in measured.plan.threads:
        ceilings = measured.ceilings(threads)
        rate = f"{median(ceiling.rate for ceiling in ceilings) / 1e9:,.0f} GFLOP/s ({ceilings[0].path})"
        parts.append(rate if len(measured.plan.threads) == 1 else f"{threads}: {rate}")
    return ", ".join(parts)


def incomplete(done: int, planned: int) -> list[Record]:
    """A warning if a benchmark ended before its last row."""
    if done == planned:
        return []
    return [Message(tr("stopped: {done} of {planned} rows measured", done=done, planned=planned), "warning")]


def row_line(found: RowResult) -> str:
    """One line about a finished row."""
    parts = []
    for figure in found.figures:
        name = figure.engine + (f" x{figure.threads}" if len(found.after) > 1 else "")
        parts.append(f"{name} {numbers.seconds(figure.seconds.value)}")
    row, ratio = found.contest.row, found.contest.paired
    text = f"{row.cell} {row.sizes}: " + ", ".join(parts)
    if ratio is None:
        return text
    return text + "; " + tr("the fastest is {ratio} times as fast as the next", ratio=f"{ratio.ratio.value:.2f}")


def _lines(measured: Measured) -> list[list[Figure]]:
    """The figures of each table line: same row and thread count, one per engine."""
    lines: dict[tuple[Row, int], list[Figure]] = {}
    for figure in measured.figures:
        lines.setdefault((figure.row, figure.threads), []).append(figure)
    return list(lines.values())


def _engines(measured: Measured) -> list[str]:
    return list(dict.fromkeys(figure.engine for figure in measured.figures))


def _first_columns(measured: Measured) -> list[Column]:
    several = len(measured.plan.threads) > 1
    return [
        Column("cell", tr("cell"), "text", once=True),
        Column("sizes", "H/B/T", "text", once=several or measured.plan.what == "step"),
        *([Column("threads", tr("threads"), "count")] if several else []),
    ]


def _first_cells(measured: Measured, figure: Figure) -> list[Entry]:
    several = [figure.threads] if len(measured.plan.threads) > 1 else []
    return [figure.row.cell, figure.row.sizes, *several]


def _last_ratio(line: list[Figure]) -> Figure | None:
    return line[-1] if line[-1].paired is not None else None


def _ratio_group(measured: Measured) -> str:
    pairs = {(f.engine, f.over) for line in _lines(measured) if (f := _last_ratio(line)) is not None}
    if len(pairs) == 1:
        engine, over = pairs.pop()
        return f"{engine} / {over}"
    return tr("last / previous")


def _mark(line: list[Figure]) -> str | None:
    if any(figure.paired is not None and figure.paired.verdict == "withdrawn" for figure in line):
        return tr("withdrawn")
    return "!" if any(figure.spread > WIDE for figure in line) else None


def _rate_table(measured: Measured) -> Table:
    engines = _engines(measured)
    columns = [
        *_first_columns(measured),
        *(Column(f"{engine}_rate", engine.rjust(5), "text", group=tr("tokens/s")) for engine in engines),
        *([Column("ratio", tr("ratio [95%]"), "interval", group=_ratio_group(measured))] if len(engines) > 1 else []),
        Column("ceiling", tr("ceiling"), "percent", group=tr("of")),
        Column("bound", tr("by"), "text", group=tr("bound")),
        Column("remark", "", "text"),
    ]
    if measured.device == "cuda":
        columns.insert(-1, Column("memory", tr("peak"), "bytes"))
    rows = []
    for line in _lines(measured):
        by_engine = {figure.engine: figure for figure in line}
        best = min(line, key=lambda figure: figure.seconds.value)
        last = _last_ratio(line)
        ratio = [last.paired.ratio.as_tuple() if last is not None and last.paired is not None else None]
        rows.append(
            [
                *_first_cells(measured, line[0]),
                *(short_rate(by_engine[engine].rate) if engine in by_engine else None for engine in engines),
                *(ratio if len(engines) > 1 else []),
                best.of_ceiling,
                tr(best.bound.by),
                *([best.memory] if measured.device == "cuda" else []),
                _mark(line),
            ]
        )
    return Table("rates", columns, rows)


def _latency_table(measured: Measured) -> Table:
    """Streaming, one line per engine: latency of a step; the tail matters as much as the median."""
    columns = [
        *_first_columns(measured),
        Column("engine", tr("engine"), "text"),
        *(Column(name, name, "seconds", group=tr("one step")) for name in ("p50", "p90", "p99")),
        Column("ratio", tr("ratio [95%]"), "interval"),
        Column("over", tr("over"), "text"),
        Column("bound", tr("by"), "text", group=tr("bound")),
        Column("remark", "", "text"),
    ]
    rows = []
    for figure in measured.figures:
        ratio = figure.paired.ratio.as_tuple() if figure.paired is not None else None
        times = figure.latencies or (None, None, None)
        about = [ratio, figure.over or None, tr(figure.bound.by), _mark([figure])]
        rows.append([*_first_cells(measured, figure), figure.engine, *times, *about])
    return Table("latencies", columns, rows)


def _next(measured: Measured) -> list[tuple[str, str]]:
    found = [("rnncli bench hello", tr("profile a recipe, with advice"))]
    if len(measured.plan.threads) == 1:
        found.append(("rnncli bench --threads 1,2", tr("is a second thread faster?")))
    if measured.plan.what == "train":
        found.append(("rnncli bench --pass step", tr("latency of one streamed step")))
    return found


def scaling(measured: Measured, axis: Axis) -> Page:
    """Time and memory of one run along an axis: tables, with the factor for each doubling, and a chart of times per
    cell."""
    engines = _engines(measured)
    several = len(measured.plan.threads) > 1
    columns = [
        *_first_columns(measured),
        *(Column(f"{engine}_seconds", engine, "seconds", group=tr("time")) for engine in engines),
        *(
            Column(f"{engine}_growth", engine.rjust(5), "text", group=tr("factor to the line above"))
            for engine in engines
        ),
        Column("remark", "", "text"),
    ]
    rows: list[list[Entry]] = []
    before: dict[tuple[str, int, str], float] = {}
    charts: dict[tuple[str, int], dict[str, list[tuple[float, float]]]] = {}
    for line in _lines(measured):
        cell, threads = line[0].row.cell, line[0].threads
        by_engine = {figure.engine: figure for figure in line}
        growth: list[str | None] = []
        for engine in engines:
            if engine not in by_engine:
                growth.append(None)
                continue
            now = by_engine[engine].seconds.value
            previous = before.get((cell, threads, engine))
            growth.append(None if previous is None else f"{now / previous:.2f}".rjust(5))
            before[cell, threads, engine] = now
            at = float(getattr(line[0].row, axis))
            charts.setdefault((cell, threads), {}).setdefault(engine, []).append((at, now * 1e3))
        times = [by_engine[engine].seconds.value if engine in by_engine else None for engine in engines]
        rows.append([*_first_cells(measured, line[0]), *times, *growth, _mark(line)])
    series: list[Record] = [
        Series(
            f"{cell}-{threads}",
            [x for x, _ in next(iter(curves.values()))],
            {engine: [y for _, y in points] for engine, points in curves.items()},
            x_label=axis,
            y_label=tr("ms"),
            title=f"{cell}, {trn('{n} thread', '{n} threads', n=threads)}" if several else cell,
        )
        for (cell, threads), curves in charts.items()
    ]
    title = tr("{what}, growing {axis}", what=pass_name(measured.plan.what), axis=axis) + f", {measured.plan.dtype}"
    noisy = [row for row in verdicts(measured) if row[0].startswith("!") or row[0] == tr("withdrawn")]
    shown: list[Record] = [*incomplete(len(measured.rows), len(measured.plan.rows)), Table("scaling", columns, rows)]
    shown += [*_memory_table(measured), *series]
    return page_of(measured, [*shown, Table("verdicts", VERDICTS, noisy)], title)


def _memory_table(measured: Measured) -> list[Table]:
    """The peak memory of each engine, if measured."""
    if all(figure.memory is None for figure in measured.figures):
        return []
    engines = _engines(measured)
    columns = [
        *_first_columns(measured),
        *(Column(engine, engine, "bytes", group=tr("peak memory")) for engine in engines),
    ]
    rows: list[list[Entry]] = []
    for line in _lines(measured):
        peaks = {figure.engine: figure.memory for figure in line}
        rows.append([*_first_cells(measured, line[0]), *(peaks.get(engine) for engine in engines)])
    return [Table("memory", columns, rows)]
