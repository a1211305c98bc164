"""The statistics, on times whose answer is known, and the turns. No test here looks at a real clock."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable

import pytest

from rnncli.bench.measure import (
    FEWEST,
    Arm,
    Interval,
    Paired,
    Verdict,
    Watch,
    median_of,
    percentile,
    rate_moved,
    ratio_moved,
    row_by_row,
    spread_of,
    take_turns,
    warm_up,
)
from rnncli.errors import CheckFailed


class Ticks:
    """A clock that only moves when work is done."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.log.append(name)
            self.now += seconds

        return run


def test_arms_take_turns_and_the_order_turns_around() -> None:
    clock = Ticks()
    arms = [Arm(name, clock.work(name, 1.0)) for name in "abc"]
    assert take_turns(arms, 5, clock=clock) == 5
    assert "".join(clock.log) == "abc" + "cba" + "abc" + "cba" + "abc"
    assert [arm.times for arm in arms] == [[1.0] * 5] * 3


def test_untimed_work_before_a_turn_is_not_in_its_time() -> None:
    clock = Ticks()
    arm = Arm("a", clock.work("a", 1.0), clock.work("threads", 100.0), repeat=4)
    take_turns([arm], 5, clock=clock)
    assert arm.times == [1.0] * 5
    assert clock.log[:5] == ["threads", "a", "a", "a", "a"]


def test_the_budget_ends_the_rounds_but_never_before_the_fewest() -> None:
    clock = Ticks()
    assert take_turns([Arm("a", clock.work("a", 1.0))], 100, budget=9.5, clock=clock) == 10
    assert take_turns([Arm("a", clock.work("a", 1.0))], 100, budget=0.0, clock=clock) == FEWEST


def test_warming_up_keeps_the_first_run_and_repeats_short_ones() -> None:
    clock = Ticks()
    seconds = iter([1.5, 0.001])

    def run() -> None:
        clock.now += next(seconds)

    arm = Arm("a", run)
    warm_up([arm], clock)
    assert arm.cold == 1.5
    assert arm.repeat == 10  # ten times a millisecond are SHORTEST
    assert arm.times == []


def test_an_arm_with_its_own_clock_is_believed() -> None:
    clock = Ticks()
    arm = Arm("a", clock.work("never", 1.0), itself=lambda repeat: 0.5 / repeat, repeat=2)
    take_turns([arm], 5, clock=clock)
    assert arm.times == [0.25] * 5
    assert clock.log == []


def noisy(seconds: float, n: int, seed: int, drift: list[float]) -> list[float]:
    draw = random.Random(seed)
    return [seconds * drift[k] * draw.uniform(0.97, 1.03) for k in range(n)]


def test_pairs_see_through_a_machine_that_slows_down() -> None:
    """The machine gets four times slower meanwhile: unpaired medians overlap, paired ratios do not."""
    drift = [1 + 3 * k / 20 for k in range(21)]
    slow, fast = noisy(1.10, 21, 1, drift), noisy(1.00, 21, 2, drift)
    found = Paired.of(slow, fast)
    assert found.ratio.low < 1.10 < found.ratio.high
    assert found.ratio.value == pytest.approx(1.10, abs=0.02)
    assert found.verdict == "faster"
    assert Paired.of(fast, slow).verdict == "slower"
    assert spread_of(slow) > 0.5


def test_equal_arms_are_inconclusive_at_the_stated_rate() -> None:
    """Of 60 comparisons of two equal arms about 5% may come out as faster or slower; never a tenth."""
    wrong = 0
    for seed in range(60):
        draw = random.Random(seed)
        a, b = ([draw.gauss(1.0, 0.05) for _ in range(21)] for _ in range(2))
        wrong += Paired.of(a, b).verdict != "inconclusive"
    assert wrong <= 6


def test_the_interval_holds_the_median_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(60):
        draw = random.Random(1000 + seed)
        found = median_of([draw.expovariate(1.0) for _ in range(31)])
        held += found.low <= 0.6931471805599453 <= found.high  # the median of that distribution is ln 2
    assert held >= 54


def test_few_rounds_decide_nothing() -> None:
    assert Paired.of([2.0] * (FEWEST - 1), [1.0] * (FEWEST - 1)).verdict == "inconclusive"
    assert Paired.of([2.0] * FEWEST, [1.0] * FEWEST).verdict == "faster"
    assert Paired.of([2.0], [1.0]).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("early", "late", "verdict"),
    [
        (1.5, 1.5, "faster"),
        (1.5, 1.54, "faster"),
        (1.5, 2.0, "withdrawn"),
        (1.3, 0.7, "withdrawn"),
        (0.7, 0.7, "slower"),
    ],
)
@pytest.mark.parametrize("rounds", [2 * FEWEST, 11, 21])
def test_a_verdict_is_withdrawn_where_its_own_rounds_disagree(
    early: float, late: float, verdict: Verdict, rounds: int
) -> None:
    """Whatever the machine does: here it is twice as slow at the end, which both arms feel."""
    drift = [1 + k / rounds for k in range(rounds)]
    ratios = [early if k < rounds // 2 else late for k in range(rounds)]
    fast = noisy(1.0, rounds, 3, drift)
    slow = [ratio * time for ratio, time in zip(ratios, noisy(1.0, rounds, 4, drift), strict=True)]
    assert Paired.of(slow, fast).verdict == verdict


def test_noise_alone_withdraws_next_to_nothing() -> None:
    """Of 60 comparisons with rounds that scatter by a fifth, without any drift."""
    lost = 0
    for seed in range(60):
        draw = random.Random(seed)
        a, b = ([draw.lognormvariate(0.0, 0.2) for _ in range(11)] for _ in range(2))
        lost += Paired.of(a, b).verdict == "withdrawn"
    assert lost <= 2


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(143), CheckFailed("another function")])
def test_what_ends_a_bench_leaves_the_rows_before_it(end: BaseException) -> None:
    said: list[int] = []

    def measure(row: int) -> int:
        if row == 3:
            raise end
        return 10 * row

    assert row_by_row([1, 2, 3, 4], measure, said.append) == ([10, 20], end)
    assert said == [10, 20]
    assert row_by_row([1, 2], measure, said.append) == ([10, 20], None)
    with pytest.raises(type(end)):
        row_by_row([3, 4], measure, said.append)


def test_the_same_times_give_the_same_interval() -> None:
    times = [1.0, 2.0, 1.5, 1.2, 1.9, 1.1]
    assert median_of(times) == median_of(times)
    assert median_of(times).value == statistics.median(times)
    assert median_of([3.0] * 9).as_tuple() == (3.0, 3.0, 3.0)


def test_spread_and_percentiles() -> None:
    assert spread_of([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3)
    assert spread_of([1.0]) == 0.0
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50.0, 99.0, 7.0)


def test_what_has_moved() -> None:
    assert rate_moved(100.0, 111.0)
    assert rate_moved(111.0, 100.0)
    assert not rate_moved(100.0, 109.0)
    assert ratio_moved(Interval(1.5, 1.4, 1.6), Interval(2.0, 1.9, 2.1))
    assert not ratio_moved(Interval(1.5, 1.4, 1.6), Interval(1.6, 1.55, 1.7))  # the intervals meet
    assert not ratio_moved(Interval(1.50, 1.49, 1.51), Interval(1.53, 1.52, 1.54))  # apart, by next to nothing


def test_busy_by_load_or_by_time_taken_away() -> None:
    assert Watch(load=3.7).busy(cores=2, threads=1)
    assert not Watch(load=0.2).busy(cores=2, threads=2)
    assert Watch(load=0.0, wall=10.0, processor=6.0).busy(cores=2, threads=1)
    assert not Watch(load=None).busy(cores=2, threads=1)
