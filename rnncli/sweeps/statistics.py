"""What scores over seeds say: mean, spread, and whether two trials differ.

The test is the paired t-test. Two trials see the same seeds, so the same order of data and, where the data is split by
seed, the same split: pairing takes away what a lucky split gives to both. The exact alternative, flipping the signs of
the differences, cannot go below 2/2^n, 0.0625 with five seeds: it would call every sweep of five seeds inconclusive,
whatever its figures. The price is the assumption that differences scatter about normally, which is why fewer than
three pairs decide nothing here. All trials are compared with the best one, and the p-values corrected by Holm's method
(Holm 1979, "A simple sequentially rejective multiple test procedure"): among twenty equal trials one will look worse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

ALPHA = 0.05
FEWEST = 3  # pairs that a verdict needs


def spread(values: Sequence[float]) -> float | None:
    """The sample standard deviation; None of a single value."""
    return stdev(values) if len(values) > 1 else None


def paired_t_test(ours: Mapping[int, float], theirs: Mapping[int, float]) -> float | None:
    """Two-sided p of equal means over the seeds that both have; None where these are fewer than three.

    Differences that are all the same have no spread: p is 1 where they are zero, else 0.
    """
    differences = [ours[seed] - theirs[seed] for seed in ours if seed in theirs]
    n = len(differences)
    if n < FEWEST:
        return None
    mean, deviation = fmean(differences), stdev(differences)
    if deviation <= 1e-12 * max(abs(value) for value in (mean, *ours.values(), *theirs.values())):
        return 1.0 if mean == 0 or abs(mean) <= deviation else 0.0
    return t_two_sided(mean / deviation * math.sqrt(n), n - 1)


def t_two_sided(t: float, degrees: int) -> float:
    """P(|T| >= |t|) for Student's t: the incomplete beta function I_x(n/2, 1/2) at x = n / (n + t^2)."""
    return incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularized I_x(a, b), by Lentz's evaluation of its continued fraction (Numerical Recipes, 6.4)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # where the fraction converges fast
        return 1 - incomplete_beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny = 1e-300
    d = 1 / (_no_zero(1 - (a + b) * x / (a + 1), tiny))
    c, value = 1.0, d
    for m in range(1, 1000):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _no_zero(1 + term * d, tiny)
            c = _no_zero(1 + term / c, tiny)
            value *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return front * value / a


def _no_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's corrected p-values, in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    found = [0.0] * len(p_values)
    largest = 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[k]))
        found[k] = largest
    return found
