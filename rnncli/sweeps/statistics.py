"""Statistics over seeds: mean, spread, and whether two trials differ.

The test is the paired t-test. Two trials use the same seeds, hence the same data order and, if the data is split by
seed, the same split: pairing removes what a lucky split gives to both. The exact alternative, a sign-flip permutation
test, has p-values of at least 2/2^n, 0.0625 with five seeds, so every sweep of five seeds would be inconclusive. The
price is the assumption of roughly normal differences, so fewer than three pairs are inconclusive here. All trials are
compared with the best one, and p-values corrected by Holm's method (Holm 1979, "A simple sequentially rejective
multiple test procedure"): among twenty equal trials one will look worse by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

ALPHA = 0.05
FEWEST = 3  # minimum number of pairs for a verdict


def spread(values: Sequence[float]) -> float | None:
    """The sample standard deviation; None for a single value."""
    return stdev(values) if len(values) > 1 else None


def paired_t_test(ours: Mapping[int, float], theirs: Mapping[int, float]) -> float | None:
    """Two-sided p-value for equal means over the common seeds; None for fewer than three.

    Equal differences have no spread: p is 1 if they are zero, else 0.
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
    if x > (a + 1) / (a + b + 2):  # where the fraction converges quickly
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
    """Holm's corrected p-values, in the given order."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    found = [0.0] * len(p_values)
    largest = 0.0
    for rank, k in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[k]))
        found[k] = largest
    return found
