"""The paired t-test against closed forms and against integrating Student's density; Holm's correction by definition."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.sweeps.jobs import RunState
from rnncli.sweeps.rows import Row, with_verdicts
from rnncli.sweeps.statistics import holm, paired_t_test, spread, t_two_sided

# P(|T| >= t) where Student's distribution has a formula.
CLOSED: dict[int, Callable[[float], float]] = {
    1: lambda t: 1 - 2 / math.pi * math.atan(t),
    2: lambda t: 1 - t / math.sqrt(2 + t * t),
    4: lambda t: 1 - t * (t * t + 6) / (t * t + 4) ** 1.5,
}


@pytest.mark.parametrize("degrees", CLOSED)
@pytest.mark.parametrize("t", [0.0, 1e-6, 0.3, 1.0, 2.7, 12.0, 300.0])
def test_closed_forms(degrees: int, t: float) -> None:
    assert t_two_sided(t, degrees) == pytest.approx(CLOSED[degrees](t), rel=1e-9, abs=1e-12)
    assert t_two_sided(-t, degrees) == t_two_sided(t, degrees)


@pytest.mark.parametrize("degrees", [3, 5, 9, 40])
@pytest.mark.parametrize("t", [0.5, 2.0, 4.0])
def test_the_area_under_the_density(degrees: int, t: float) -> None:
    scale = math.gamma((degrees + 1) / 2) / (math.sqrt(degrees * math.pi) * math.gamma(degrees / 2))
    n = 20_000  # Simpson's rule from 0 to t
    heights = [scale * (1 + (k * t / n) ** 2 / degrees) ** (-(degrees + 1) / 2) for k in range(n + 1)]
    area = t / n / 3 * (heights[0] + heights[-1] + 4 * sum(heights[1::2]) + 2 * sum(heights[2:-1:2]))
    assert t_two_sided(t, degrees) == pytest.approx(1 - 2 * area, abs=1e-10)


def test_paired_over_the_same_seeds_only() -> None:
    ours = {0: 1.0, 1: 2.5, 2: 2.0, 7: 100.0}
    theirs = {2: 1.0, 1: 1.0, 0: 0.5, 9: -100.0}
    differences = [0.5, 1.5, 1.0]
    t = fmean(differences) / (stdev(differences) / math.sqrt(3))
    assert paired_t_test(ours, theirs) == pytest.approx(CLOSED[2](t))
    assert paired_t_test(theirs, ours) == pytest.approx(CLOSED[2](t))


def test_too_few_pairs_and_differences_without_spread() -> None:
    assert paired_t_test({0: 1.0, 1: 2.0}, {0: 5.0, 1: 7.0}) is None
    same = {0: 1.0, 1: 2.0, 2: 3.0}
    assert paired_t_test(same, same) == 1.0
    assert paired_t_test(same, {seed: value + 0.1 for seed, value in same.items()}) == 0.0
    assert spread([1.0]) is None
    assert spread([1.0, 3.0]) == pytest.approx(math.sqrt(2))


def test_of_equal_trials_one_in_twenty_is_called_different() -> None:
    """The test keeps its level: on pairs without a difference, p < 0.05 happens about 5% of the time."""
    rng = random.Random(1)
    wrong = 0
    for _ in range(2000):
        shared = [rng.gauss(0, 3) for _ in range(5)]
        ours = {seed: value + rng.gauss(0, 1) for seed, value in enumerate(shared)}
        theirs = {seed: value + rng.gauss(0, 1) for seed, value in enumerate(shared)}
        p = paired_t_test(ours, theirs)
        assert p is not None
        wrong += p < 0.05
    assert 70 <= wrong <= 130


@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_rejects_what_the_stepwise_rule_rejects(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, k in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
            if p_values[k] * (len(p_values) - rank) > alpha:
                break
            rejected.add(k)
        assert {k for k, p in enumerate(corrected) if p <= alpha} == rejected


def row(name: str, *scores: float, status: str = "done") -> Row:
    return Row(name, {"k": name}, status, dict(enumerate(scores)), len(scores))


def test_best_first_and_verdicts() -> None:
    rows = [
        row("worse", 2.0, 2.1, 2.2, 2.0),
        row("gone", status="diverged"),
        row("noisy", 0.6, 2.0, 0.2, 1.6),
        row("best", 1.0, 1.1, 1.0, 1.05),
        row("twin", 1.0, 1.1, 1.0, 1.05),
    ]
    found = with_verdicts(rows, lower=True)
    assert [one.name for one in found] == ["best", "twin", "noisy", "worse", "gone"]
    assert [one.verdict for one in found] == ["best", "equal", "inconclusive", "worse", ""]
    assert with_verdicts(rows, lower=False)[0].name == "worse"


def test_trials_of_equal_scores_are_ordered_by_their_losses() -> None:
    rows = [row("a", 0.0, 0.0), row("b", 0.0, 0.0), row("c", 0.0, 0.0), row("d", 0.5, 0.0)]
    for one, loss in zip(rows, (2.0, 1.0, None, 9.0), strict=True):
        one.loss = loss
    assert [one.name for one in with_verdicts(rows, lower=False)] == ["d", "b", "a", "c"]
    assert [one.name for one in with_verdicts(rows, lower=True)] == ["b", "a", "c", "d"]


@pytest.mark.parametrize("n", [1, 2])
def test_few_seeds_are_inconclusive(n: int) -> None:
    found = with_verdicts([row("a", *[1.0] * n), row("b", *[9.0] * n)], lower=True)
    assert [one.verdict for one in found] == ["best", "inconclusive"]


def test_every_status_has_a_place(tmp_path: Path) -> None:
    from rnncli.sweeps.pages import status_word
    from rnncli.sweeps.rows import _status

    kinds = ["done", "running", "waiting", "elsewhere", "diverged", "failed", "pruned"]
    for one, other in itertools.product(kinds, kinds):
        runs = [RunState("t", {}, seed, tmp_path, status) for seed, status in enumerate((one, other))]  # type: ignore[arg-type]
        assert status_word(_status(runs))
        assert (_status(runs) == "done") == (one == other == "done")
