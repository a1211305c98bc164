"""`rnncli bench`: which cell, engine, size and thread count is fastest here, and how far that is from the machine's
limits. `measure_rows` measures; pages.py renders."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from rnncli.bench.ceilings import Around, Ceiling, call_seconds, product_rate, square_ceiling
from rnncli.bench.measure import (
    ROUNDS,
    Arm,
    Interval,
    Paired,
    Watch,
    median_of,
    paired_ratio,
    percentile,
    row_by_row,
    spread_of,
    take_turns,
    warm_up,
)
from rnncli.bench.memory import peak_of
from rnncli.bench.sizes import Pass, Row
from rnncli.bench.work import Bound, Prepared, Setting, agree, arm_of, bounds, engines_here, make, path_of, spec_of_row
from rnncli.cells import CELLS
from rnncli.device import borrowed, dtype_of, pick_device, require_memory
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.recurrent import choose_engine
from rnncli.replay.rounding import Found, ratio

BOUND_ROUNDS = 7

OnProgress = Callable[[str, int, int], None]  # (current measurement, rows done, number of rows)


@dataclass(frozen=True)
class Plan:
    """What to measure. engines: empty for all that can run a row. budget: seconds for the rounds of one row. memory:
    whether to measure peak memory, with one more run of each engine."""

    rows: Sequence[Row]
    engines: Sequence[str] = ()
    what: Pass = "train"
    dtype: str = "float32"
    device: str = "cpu"
    threads: Sequence[int] = (1,)
    rounds: int = ROUNDS
    budget: float = 4.0
    memory: bool = False


@dataclass(frozen=True)
class Figure:
    """One engine with one thread count on one row. seconds: per run of the whole row, or per streamed step.

    paired: speedup over `over`, the previous engine in the table. of_ceiling: share of the product ceiling measured
    around this row; of_serial: share of that of one step's product. latencies: 50th, 90th and 99th percentile of single
    steps. memory: peak in bytes, if measured.
    """

    row: Row
    engine: str
    threads: int
    path: str
    seconds: Interval
    cold: float
    spread: float
    rounds: int
    rate: float  # tokens (steps of single sequences) per second
    of_ceiling: float
    of_serial: float | None  # None: without W_hh no product depends on the previous step
    bound: Bound
    ceiling: Around
    over: str = ""
    paired: Paired | None = None
    latencies: tuple[float, float, float] | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Contest:
    """The fastest engine and thread count of a row, and its speedup over the next, paired."""

    row: Row
    winner: Figure
    second: Figure | None
    paired: Paired | None
    automatic: str  # the choice of engine: auto here
    over_automatic: Interval | None  # speedup of the winner over that engine, same threads

    @property
    def verdict(self) -> str:
        return "inconclusive" if self.paired is None else self.paired.verdict


@dataclass(frozen=True)
class RowResult:
    """The results of one row. difference: the largest relative one between engines, and the tolerance for rounding.
    after: the ceiling of each thread count after the row."""

    figures: list[Figure]
    contest: Contest
    difference: Found
    after: dict[int, Ceiling]


@dataclass
class Measured:
    """The measured rows of a benchmark. ended: why it ended before the last one."""

    plan: Plan
    device: str
    rows: list[RowResult]
    call: float
    watch: Watch
    ended: BaseException | None

    @property
    def figures(self) -> list[Figure]:
        return [figure for row in self.rows for figure in row.figures]

    @property
    def contests(self) -> list[Contest]:
        return [row.contest for row in self.rows]

    @property
    def difference(self) -> Found:
        return max((row.difference for row in self.rows), key=ratio)

    def ceilings(self, threads: int) -> list[Ceiling]:
        """The ceilings for that thread count, in the order they were measured."""
        first = next(figure for figure in self.figures if figure.threads == threads)
        return [first.ceiling.before, *(row.after[threads] for row in self.rows)]


def no_progress(*_: object) -> None:
    """Ignores progress."""


def measure_rows(
    plan: Plan, on_progress: OnProgress = no_progress, done: Callable[[RowResult], object] = no_progress
) -> Measured:
    """Measure every row of the plan; `done` is called for each. An error or a signal keeps the rows before it, see
    `Measured.ended`; on the first row it is raised: CheckFailed (engines disagree), Missing (device, memory),
    UsageError.

    Thread count, denormals and random state are restored.
    """
    device, dtype = pick_device(plan.device), dtype_of(plan.dtype)
    setting = Setting(plan.what, dtype, device)
    watch = Watch()
    with borrowed():
        torch.set_flush_denormal(True)
        for row in plan.rows:
            require_memory(row.memory(dtype.itemsize), tr("the row {sizes}", sizes=row.sizes), where="--size")
        on_progress(tr("the machine's matrix products"), 0, len(plan.rows))
        ceilings = _ceilings(plan, setting)

        def measure(k: int) -> RowResult:
            nonlocal ceilings
            on_progress(f"{plan.rows[k].cell} {plan.rows[k].sizes}", k, len(plan.rows))
            found = _measure(plan.rows[k], plan, setting, ceilings, watch)
            ceilings = found.after
            return found

        rows, ended = row_by_row(range(len(plan.rows)), measure, done)
        return Measured(plan, device.type, rows, call_seconds(), watch, ended)


def _ceilings(plan: Plan, setting: Setting) -> dict[int, Ceiling]:
    found = {}
    for threads in plan.threads:
        torch.set_num_threads(threads)
        found[threads] = square_ceiling(setting.dtype, setting.device)
    return found


def _engines(row: Row, plan: Plan, setting: Setting) -> list[str]:
    here = engines_here(row.cell, setting)
    for engine in plan.engines:
        if engine not in here:
            raise UsageError(
                tr("engine {engine} cannot run {cell} here", engine=engine, cell=row.cell),
                where="--engine",
                todo=tr("available: {names}", names=", ".join(here)),
            )
    return list(plan.engines) or here


def _measure(row: Row, plan: Plan, setting: Setting, before: dict[int, Ceiling], watch: Watch) -> RowResult:
    """All engines and thread counts of one row, alternating. before: the current ceiling of each thread count."""
    made = make(row, setting)
    torch.set_num_threads(plan.threads[0])
    engines = _engines(row, plan, setting)
    difference = agree(made, engines)
    several = len(plan.threads) > 1
    arms = {(engine, threads): arm_of(made, engine, threads, several) for threads in plan.threads for engine in engines}
    if setting.what == "step":
        for arm in arms.values():
            arm.run = _timed(arm.run, arm.latencies)
    warm_up(list(arms.values()))
    for arm in arms.values():
        arm.latencies.clear()
    wall, processor = time.perf_counter(), time.process_time()
    take_turns(list(arms.values()), plan.rounds, plan.budget)
    if plan.threads == (1,) and setting.device.type == "cpu":
        watch.wall += time.perf_counter() - wall
        watch.processor += time.process_time() - processor
    after = _ceilings(plan, setting)
    figures = []
    for threads in plan.threads:
        torch.set_num_threads(threads)
        mine = {engine: arms[engine, threads] for engine in engines}
        figures += _figures(made, plan, threads, mine, Around(before[threads], after[threads]))
    contest = _contest(row, figures, {key: arm.times for key, arm in arms.items()}, setting)
    return RowResult(figures, contest, difference, after)


def _figures(made: Prepared, plan: Plan, threads: int, arms: dict[str, Arm], ceiling: Around) -> list[Figure]:
    """What bounds each engine on a row, with the current thread count."""
    row, setting, figures = made.row, made.setting, list[Figure]()
    cell = CELLS[row.cell]
    serial = product_rate(row.B, row.H, cell.num_gates * row.H, setting.dtype, setting.device)
    bound = bounds(made, list(arms), BOUND_ROUNDS, plan.budget / 2)
    over = ""
    for engine, arm in arms.items():
        seconds = median_of(arm.times)
        steps = 1 if setting.what == "step" else row.T
        speed = row.flops(setting.what) * steps / row.T / seconds.value
        figures.append(
            Figure(
                row,
                engine,
                threads,
                path_of(row, setting, engine),
                seconds,
                arm.cold,
                spread_of(arm.times),
                len(arm.times),
                row.B * steps / seconds.value,
                speed / ceiling.rate,
                speed / serial.rate if cell.recurrent_weight else None,
                bound[engine],
                ceiling,
                over,
                Paired.of(arms[over].times, arm.times) if over else None,
                _percentiles(arm.latencies),
                peak_of(partial(made.once, engine), setting.device) if plan.memory else None,
            )
        )
        over = engine
    return figures


def _timed(run: Callable[[], object], into: list[float]) -> Callable[[], object]:
    def once() -> None:
        start = time.perf_counter()
        run()
        into.append(time.perf_counter() - start)

    return once


def _percentiles(latencies: list[float]) -> tuple[float, float, float] | None:
    if not latencies:
        return None
    return percentile(latencies, 0.5), percentile(latencies, 0.9), percentile(latencies, 0.99)


def _contest(
    row: Row, figures: Sequence[Figure], times: dict[tuple[str, int], list[float]], setting: Setting
) -> Contest:
    ranked = sorted(figures, key=lambda figure: figure.seconds.value)
    winner = ranked[0]
    mine = times[winner.engine, winner.threads]
    second = ranked[1] if len(ranked) > 1 else None
    train = setting.what == "train"
    T = 1 if setting.what == "step" else row.T
    spec, device, threads = spec_of_row(row), setting.device.type, winner.threads
    automatic = choose_engine(spec, setting.dtype, device, T=T, B=row.B, gradients=train, threads=threads)
    other = times.get((automatic, threads)) if automatic != winner.engine else None
    return Contest(
        row,
        winner,
        second,
        Paired.of(times[second.engine, second.threads], mine) if second is not None else None,
        automatic,
        paired_ratio(other, mine) if other is not None else None,
    )
