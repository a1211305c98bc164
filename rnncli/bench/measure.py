"""The method: arms timed in turn, ratios paired by round, a bootstrap interval for each, a verdict. No torch here.

Times on a shared machine drift, but together: two arms timed back to back in the same round see the same conditions. So
arms alternate (A B, B A, A B ...), each round gives one ratio, and the median of the ratios is reported, with a
percentile bootstrap interval (Efron 1979). Absolute times of two runs are never compared.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from rnncli.errors import RnncliError

Verdict = Literal["faster", "slower", "inconclusive", "withdrawn"]
RowT = TypeVar("RowT")
FoundT = TypeVar("FoundT")

ROUNDS = 21  # per row, by default
FEWEST = 5  # minimum number of rounds: with five, the interval spans the smallest to the largest ratio
DRAWS = 2000  # bootstrap samples
SHORTEST = 0.01  # seconds: a shorter run is repeated until one timing is at least this long
SLOW = 2.0  # seconds: runs this long are not warmed up twice
WIDE = 0.10  # an interquartile range above this share of the median is reported as noise
MOVED = 0.10  # two measurements of the same thing that differ by more than this share disagree


@dataclass
class Arm:
    """One way to do the work. run: does it once, synchronously (waits for a GPU). before: untimed setup before each of
    its turns, such as setting the thread count. repeat: runs per timing."""

    name: str
    run: Callable[[], object]
    before: Callable[[], object] | None = None
    itself: Callable[[int], float] | None = None
    repeat: int = 1
    cold: float = 0.0  # seconds of the first run
    times: list[float] = field(default_factory=list)  # seconds per run, one value per round
    latencies: list[float] = field(default_factory=list)  # seconds of every single run, if these are timed

    def seconds(self, repeat: int, clock: Callable[[], float]) -> float:
        """Seconds per run, averaged over `repeat` runs."""
        if self.itself is not None:
            return self.itself(repeat)
        start = clock()
        for _ in range(repeat):
            self.run()
        return (clock() - start) / repeat


@dataclass(frozen=True)
class Interval:
    """A median and the ends of its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def as_tuple(self) -> tuple[float, float, float]:
        return self.value, self.low, self.high


def warm_up(arms: Sequence[Arm], clock: Callable[[], float] = time.perf_counter, *, shortest: float = SHORTEST) -> None:
    """Run each arm cold, then warm (slow ones only cold), and set `repeat` so that one timing lasts `shortest`."""
    for arm in arms:
        if arm.before is not None:
            arm.before()
        arm.cold = arm.seconds(1, clock)
        once = arm.seconds(1, clock) if arm.cold < SLOW else arm.cold
        arm.repeat = max(1, min(1000, round(shortest / once))) if once > 0 else 1000


def take_turns(
    arms: Sequence[Arm], rounds: int, budget: float = float("inf"), clock: Callable[[], float] = time.perf_counter
) -> int:
    """Time the arms in turn, reversing the order every round; returns the number of rounds.

    budget: seconds after which no new round starts, once FEWEST are done.
    """
    began = clock()
    for k in range(rounds):
        if k >= FEWEST and clock() - began > budget:
            return k
        for arm in arms if k % 2 == 0 else reversed(arms):
            if arm.before is not None:
                arm.before()
            arm.times.append(arm.seconds(arm.repeat, clock))
    return rounds


def median_of(values: Sequence[float], seed: int = 0) -> Interval:
    """The median with its interval; the same values always give the same interval."""
    draw = random.Random(seed)
    middle = statistics.median(values)
    found = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(DRAWS))
    return Interval(middle, found[int(0.025 * DRAWS)], found[int(0.975 * DRAWS) - 1])


def paired_ratio(over: Sequence[float], under: Sequence[float]) -> Interval:
    """Median over rounds of over[k] / under[k]; see `Paired`."""
    return median_of([a / b for a, b in zip(over, under, strict=True)])


@dataclass(frozen=True)
class Paired:
    """Speedup of one arm over another, paired by round. halves: the same over the first and second half of the rounds;
    None if these are too few."""

    ratio: Interval
    halves: tuple[Interval, Interval] | None
    rounds: int

    @classmethod
    def of(cls, over: Sequence[float], under: Sequence[float]) -> Paired:
        """over, under: times, one value per round; above 1, `under` is the faster arm."""
        rounds = len(over)
        half = rounds // 2
        halves = None
        if half >= FEWEST:
            halves = paired_ratio(over[:half], under[:half]), paired_ratio(over[half:], under[half:])
        return cls(paired_ratio(over, under), halves, rounds)

    @property
    def verdict(self) -> Verdict:
        """faster or slower if the whole interval is on one side of 1 and both halves agree."""
        if self.halves is not None and ratio_moved(*self.halves):
            return "withdrawn"
        if self.rounds < FEWEST:
            return "inconclusive"
        return "faster" if self.ratio.low > 1 else "slower" if self.ratio.high < 1 else "inconclusive"


def row_by_row(
    rows: Sequence[RowT], measure: Callable[[RowT], FoundT], done: Callable[[FoundT], object]
) -> tuple[list[FoundT], BaseException | None]:
    """The results of the rows, and what ended the measurement early: a signal, or an error in a later row. `done` is
    called for each.

    An error in the first row is raised.
    """
    found: list[FoundT] = []
    try:
        for row in rows:
            found.append(measure(row))
            done(found[-1])
    except (KeyboardInterrupt, SystemExit, RnncliError) as end:
        if not found:
            raise
        return found, end
    return found, None


def spread_of(times: Sequence[float]) -> float:
    """Interquartile range of the times, as a share of their median."""
    if len(times) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    return (high - low) / middle if middle else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by at least this share of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rate_moved(before: float, after: float) -> bool:
    """Whether a reference rate changed by more than MOVED in either direction."""
    return max(before, after) / min(before, after) > 1 + MOVED


def ratio_moved(before: Interval, after: Interval) -> bool:
    """Whether two measurements of a ratio disagree: disjoint intervals, and medians more than MOVED apart."""
    apart = before.high < after.low or after.high < before.low
    return apart and rate_moved(before.value, after.value)


@dataclass
class Watch:
    """The share of the machine that this process had. load: other work per core at the start (the system's one-minute
    average; None if unknown). got: CPU seconds per second while one thread was busy."""

    load: float | None = field(default_factory=lambda: load_average())
    wall: float = 0.0
    processor: float = 0.0

    @property
    def got(self) -> float | None:
        return self.processor / self.wall if self.wall else None

    def busy(self, cores: int, threads: int) -> bool:
        """Whether the machine was shared: not enough cores left for these threads, or a core taken away during a
        turn."""
        crowded = self.load is not None and self.load + threads > cores + 0.5
        return crowded or (self.got is not None and self.got < 0.9)


def load_average() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
