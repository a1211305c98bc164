"""`rnncli bench`: which cell, engine, size and thread count is fastest here, and how far that is from what the machine
can do. `measure_rows` gives the figures; pages.py lays them out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from rnncli.bench.ceilings import Ceiling, call_seconds, serial_ceiling, square_ceiling
from rnncli.bench.measure import (
    ROUNDS,
    Interval,
    Verdict,
    Watch,
    median_of,
    paired_ratio,
    percentile,
    rate_moved,
    ratio_moved,
    spread_of,
    take_turns,
    verdict_of,
    warm_up,
)
from rnncli.bench.memory import peak_of
from rnncli.bench.sizes import Pass, Row
from rnncli.bench.work import Bound, Setting, agree, arm_of, bounds, engines_here, make, path_of, spec_of_row
from rnncli.cells import CELLS
from rnncli.device import dtype_of, pick_device, require_memory
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.recurrent import choose_engine
from rnncli.replay.rounding import Found, ratio

BOUND_ROUNDS = 7

Told = Callable[[str, int, int], None]  # (what is measured now, rows done, of how many)


@dataclass(frozen=True)
class Plan:
    """What to measure. engines: empty means all that can run a row. budget: seconds for the rounds of one row. memory:
    whether peak memory is measured, by one more run of each engine."""

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
    """One engine with one thread count on one row. seconds: of one run of the whole row, or of one streamed step.

    ratio: how many times as fast as `over`, the engine before it in the table, paired by round. latencies: 50th, 90th
    and 99th percentile of single steps. memory: the peak in bytes, where it is measured.
    """

    row: Row
    engine: str
    threads: int
    path: str
    seconds: Interval
    cold: float
    spread: float
    rounds: int
    rate: float  # tokens, that is steps of single rows, a second
    of_ceiling: float
    of_serial: float | None  # None: without W_hh no product waits for the step before
    bound: Bound
    over: str = ""
    ratio: Interval | None = None
    verdict: Verdict = "inconclusive"
    latencies: tuple[float, float, float] | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Contest:
    """The fastest engine and thread count of a row, and whether it surely beats the next: its paired ratio to that."""

    row: Row
    winner: Figure
    second: Figure | None
    ratio: Interval | None
    verdict: Verdict
    automatic: str  # what engine: auto takes here
    over_automatic: Interval | None  # how many times as fast the winner is as that engine, same threads


@dataclass
class Measured:
    """All figures of a bench, and what was measured again at its end."""

    plan: Plan
    device: str
    figures: list[Figure]
    contests: list[Contest]
    ceilings: dict[int, Ceiling]  # by thread count
    ceilings_after: dict[int, Ceiling]
    call: float
    first: Interval | None
    first_after: Interval | None
    watch: Watch
    difference: Found  # the largest between engines, as a share, and what rounding may make

    @property
    def moved(self) -> list[str]:
        """What was not the same at the end; where anything is named, no verdict holds."""
        found = []
        for threads, ceiling in self.ceilings.items():
            if rate_moved(ceiling.rate, self.ceilings_after[threads].rate):
                found.append("ceiling")
                break
        if self.first is not None and self.first_after is not None and ratio_moved(self.first, self.first_after):
            found.append("first row")
        return found


def nothing(what: str, done: int, total: int) -> None:
    """For who does not want to be told."""


def measure_rows(plan: Plan, told: Told = nothing) -> Measured:
    """Measure every row of the plan. Raises CheckFailed where engines disagree, Missing (device, memory), UsageError.

    Thread count, denormals and random state are put back as they were.
    """
    device, dtype = pick_device(plan.device), dtype_of(plan.dtype)
    setting = Setting(plan.what, dtype, device)
    threads_before = torch.get_num_threads()
    watch = Watch()
    torch.set_flush_denormal(True)
    try:
        for row in plan.rows:
            require_memory(row.memory(dtype.itemsize), tr("the row {sizes}", sizes=row.sizes), where="--size")
        told(tr("the machine's products"), 0, len(plan.rows))
        ceilings = _ceilings(plan, setting)
        figures: list[Figure] = []
        contests: list[Contest] = []
        difference: Found = (0.0, 0.0)
        for k, row in enumerate(plan.rows):
            told(f"{row.cell} {row.sizes}", k, len(plan.rows))
            found, contest, apart = _measure(row, plan, setting, ceilings, watch)
            figures += found
            contests.append(contest)
            difference = max(apart, difference, key=ratio)
        told(tr("the first row again"), len(plan.rows), len(plan.rows))
        first = next((figure.ratio for figure in figures if figure.ratio is not None), None)
        after = None
        if first is not None:
            row = next(figure.row for figure in figures if figure.ratio is not None)
            again, _, _ = _measure(row, plan, setting, ceilings, watch)
            after = next((figure.ratio for figure in again if figure.ratio is not None), None)
        return Measured(
            plan,
            device.type,
            figures,
            contests,
            ceilings,
            _ceilings(plan, setting),
            call_seconds(),
            first,
            after,
            watch,
            difference,
        )
    finally:
        torch.set_num_threads(threads_before)
        torch.set_flush_denormal(False)


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
                todo=tr("there are {names}", names=", ".join(here)),
            )
    return list(plan.engines) or here


def _measure(
    row: Row, plan: Plan, setting: Setting, ceilings: dict[int, Ceiling], watch: Watch
) -> tuple[list[Figure], Contest, Found]:
    """All engines and thread counts of one row, in turn; the winner; the largest difference between engines."""
    made = make(row, setting)
    torch.set_num_threads(plan.threads[0])
    engines = _engines(row, plan, setting)
    difference = agree(made, engines)
    several = len(plan.threads) > 1
    arms = {(engine, threads): arm_of(made, engine, threads, several) for threads in plan.threads for engine in engines}
    latencies: dict[tuple[str, int], list[float]] = {key: [] for key in arms}
    if setting.what == "step":
        for key, arm in arms.items():
            arm.run = _timed(arm.run, latencies[key])
    warm_up(list(arms.values()))
    for found in latencies.values():
        found.clear()
    wall, processor = time.perf_counter(), time.process_time()
    rounds = take_turns(list(arms.values()), plan.rounds, plan.budget)
    if plan.threads == (1,) and setting.device.type == "cpu":
        watch.wall += time.perf_counter() - wall
        watch.processor += time.process_time() - processor
    figures = []
    for threads in plan.threads:
        torch.set_num_threads(threads)
        cell = CELLS[row.cell]
        serial = serial_ceiling(row.B, row.H, cell.num_gates, setting.dtype, setting.device)
        bound = bounds(made, engines, BOUND_ROUNDS, plan.budget / 2)
        for k, engine in enumerate(engines):
            arm = arms[engine, threads]
            seconds = median_of(arm.times)
            steps = 1 if setting.what == "step" else row.T
            speed = row.flops(setting.what) * steps / row.T / seconds.value
            over = engines[k - 1] if k else ""
            ratio = paired_ratio(arms[over, threads].times, arm.times) if over else None
            figures.append(
                Figure(
                    row,
                    engine,
                    threads,
                    path_of(row, setting, engine),
                    seconds,
                    arm.cold,
                    spread_of(arm.times),
                    rounds,
                    row.B * steps / seconds.value,
                    speed / ceilings[threads].rate,
                    speed / serial.rate if cell.recurrent_weight else None,
                    bound[engine],
                    over,
                    ratio,
                    verdict_of(ratio, rounds) if ratio is not None else "inconclusive",
                    _percentiles(latencies[engine, threads]),
                    peak_of(partial(made.once, engine), setting.device) if plan.memory else None,
                )
            )
    return figures, _contest(row, figures, {key: arm.times for key, arm in arms.items()}, rounds, setting), difference


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
    row: Row, figures: Sequence[Figure], times: dict[tuple[str, int], list[float]], rounds: int, setting: Setting
) -> Contest:
    ranked = sorted(figures, key=lambda figure: figure.seconds.value)
    winner = ranked[0]
    mine = times[winner.engine, winner.threads]
    second = ranked[1] if len(ranked) > 1 else None
    ratio = paired_ratio(times[second.engine, second.threads], mine) if second is not None else None
    train = setting.what == "train"
    automatic = choose_engine(spec_of_row(row), setting.dtype, setting.device.type, T=row.T, gradients=train)
    other = times.get((automatic, winner.threads)) if automatic != winner.engine else None
    return Contest(
        row,
        winner,
        second,
        ratio,
        verdict_of(ratio, rounds) if ratio is not None else "inconclusive",
        automatic,
        paired_ratio(other, mine) if other is not None else None,
    )
