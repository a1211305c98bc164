"""Verdicts on the figures of a benchmark, in words: the fastest engines, steadiness of rows and ceilings, noise."""

from __future__ import annotations

from collections.abc import Sequence

from rnncli.bench import gains
from rnncli.bench.ceilings import Ceiling
from rnncli.bench.engines import Contest, Figure, Measured
from rnncli.bench.measure import WIDE, Paired, Watch
from rnncli.device import usable_cores
from rnncli.locale import tr, trn
from rnncli.records import Column

VERDICTS = [Column("what", "", "text", once=True), Column("text", "", "text")]


def verdicts(measured: Measured) -> list[list[str]]:
    """The fastest engines; whether rows and ceilings were steady; noise."""
    rows = [[tr("fastest here"), text] for text in fastest(measured.contests)]
    rows += [[tr("auto"), text] for text in _automatic(measured.contests)]
    if len(measured.plan.threads) > 1:
        rows.append([tr("threads"), _threads(measured)])
    lost = [
        (f"{figure.row.cell} {figure.row.sizes} {figure.engine} / {figure.over}", figure.paired)
        for figure in measured.figures
        if figure.paired is not None
    ]
    rows += withdrawn(lost)
    for threads in measured.plan.threads:
        of = f"{threads}: " if len(measured.plan.threads) > 1 else ""
        moved = any(figure.ceiling.moved for figure in measured.figures if figure.threads == threads)
        rows.append([tr("ceiling"), of + ceilings_text(measured.ceilings(threads), moved)])
    widest = max((figure.spread for figure in measured.figures), default=0.0)
    rows += noise(widest, measured.watch, max(measured.plan.threads))
    bound = {figure.bound.by for figure in measured.figures}
    if "elements" in bound:
        rows.append([tr("elements"), tr("neither calls nor products: tanh, additions, memory access")])
    if gains.is_missing() and measured.device == "cpu" and (gained := _without_numba(measured)):
        rows.append([tr("not here"), gained])
    return rows


def _without_numba(measured: Measured) -> str:
    cells = list(dict.fromkeys(contest.row.cell for contest in measured.contests))
    times = gains.gain_text(cells, "train" if measured.plan.what == "train" else "forward")
    if not times:
        return ""
    return tr("engine compiled: {times} times as fast, measured on one thread; {todo}", times=times, todo=gains.COMMAND)


def withdrawn(ratios: Sequence[tuple[str, Paired]]) -> list[list[str]]:
    """One line per ratio whose rounds disagree. ratios: with the name of the row and its arms."""
    rows = []
    for name, paired in ratios:
        if paired.verdict == "withdrawn" and paired.halves is not None:
            early, late = (f"{half.value:.2f}" for half in paired.halves)
            text = tr(
                "{name}: {early} in the first half of the rounds, {late} in the second; measure it again",
                name=name,
                early=early,
                late=late,
            )
            rows.append([tr("withdrawn"), text])
    return rows


def ceilings_text(ceilings: Sequence[Ceiling], moved: bool) -> str:
    """The ceilings of products, measured before and after each row. moved: whether one changed during a row."""
    rates = [ceiling.rate / 1e9 for ceiling in ceilings]
    low, high = f"{min(rates):,.0f}", f"{max(rates):,.0f}"
    text = tr("products, measured around each row: {low} to {high} GFLOP/s", low=low, high=high)
    return text + (tr("; it changed during a row, so shares of it are rough") if moved else "")


def noise(widest: float, watch: Watch, threads: int) -> list[list[str]]:
    """Reasons to doubt the figures, one line each: the spread of an arm's times, and other work on the machine."""
    rows: list[list[str]] = []
    if widest > WIDE:
        text = tr(
            "the interquartile range of the times is up to {n}% of the median: run it again", n=round(widest * 100)
        )
        rows.append([tr("! spread"), text])
    cores = usable_cores()
    if watch.busy(cores, threads):
        rows.append([tr("! busy"), _busy(watch, cores)])
    return rows


def _busy(watch: Watch, cores: int) -> str:
    load, got = watch.load, watch.got
    parts = []
    if load is not None:
        parts.append(
            trn(
                "load {load} on {n} core before the start",
                "load {load} on {n} cores before the start",
                load=f"{load:.1f}",
                n=cores,
            )
        )
    if got is not None and got < 0.9:
        parts.append(tr("this process had its core {n}% of the time", n=round(got * 100)))
    return "; ".join(parts)


def _name(figure: Figure, threads: bool) -> str:
    return figure.engine + (f" x{figure.threads}" if threads else "")


def fastest(contests: Sequence[Contest]) -> list[str]:
    """One line per cell: the fastest engine (and thread count) by size, or an undecided pair."""
    threads = len({contest.winner.threads for contest in contests} | {c.second.threads for c in contests if c.second})
    lines = []
    for cell in dict.fromkeys(contest.row.cell for contest in contests):
        mine = [contest for contest in contests if contest.row.cell == cell and contest.second is not None]
        if not mine:
            continue
        won: dict[str, list[str]] = {}
        for contest in mine:
            assert contest.second is not None
            name = _name(contest.winner, threads > 1)
            if contest.verdict in ("inconclusive", "withdrawn"):
                name = tr("{one} or {other}", one=name, other=_name(contest.second, threads > 1))
            won.setdefault(name, []).append(contest.row.sizes)
        if len(won) == 1:
            text = tr("{name} at every size", name=next(iter(won))) if len(mine) > 1 else next(iter(won))
        else:
            text = "; ".join(tr("{name} at {sizes}", name=name, sizes=", ".join(sizes)) for name, sizes in won.items())
        lines.append(f"{cell}: {text}")
    return lines


def _automatic(contests: Sequence[Contest]) -> list[str]:
    """Where `engine: auto` does not choose the clear winner: one line per cell and engine."""
    found: dict[tuple[str, str, str], list[Contest]] = {}
    for contest in contests:
        ratio = contest.over_automatic
        if ratio is not None and contest.verdict == "faster" and ratio.low > 1:
            found.setdefault((contest.row.cell, contest.automatic, contest.winner.engine), []).append(contest)
    lines = []
    for (cell, automatic, engine), lost in found.items():
        ratios = sorted(contest.over_automatic.value for contest in lost if contest.over_automatic is not None)
        lines.append(
            tr(
                "chooses {auto} for {cell} {sizes}; --set model.engine={engine} is {ratio} times as fast",
                auto=automatic,
                cell=cell,
                sizes=", ".join(contest.row.sizes for contest in lost),
                engine=engine,
                ratio=f"{ratios[0]:.2f}" + (f" to {ratios[-1]:.2f}" if len(ratios) > 1 else ""),
            )
        )
    return lines


def _threads(measured: Measured) -> str:
    counts: dict[int, int] = {}
    for contest in measured.contests:
        if contest.verdict == "faster":
            counts[contest.winner.threads] = counts.get(contest.winner.threads, 0) + 1
    parts = [
        trn("{threads} clearly fastest in {n} row", "{threads} clearly fastest in {n} rows", threads=t, n=n)
        for t, n in sorted(counts.items())
    ]
    return ", ".join(parts) if parts else tr("no thread count is clearly fastest in any row")
