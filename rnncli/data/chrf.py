"""chrF: character n-gram F-score of a translation against a reference (Popović 2015)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

ORDER = 6  # longest character n-gram
BETA = 2  # recall is weighted BETA² times as much as precision


def chrf(pairs: Iterable[tuple[str, str]]) -> float:
    """Corpus score of (translation, reference) pairs, 0 to 100: F-score of n-grams of 1 to 6 characters without white
    space, precision and recall each averaged over the lengths n that occur on both sides. Same as sacreBLEU's chrF2."""
    written, wanted, shared = [0] * ORDER, [0] * ORDER, [0] * ORDER
    for ours, theirs in pairs:
        ours, theirs = "".join(ours.split()), "".join(theirs.split())
        for n in range(1, min(ORDER, len(theirs)) + 1):  # n-grams longer than the reference are not counted
            a, b = _ngrams(ours, n), _ngrams(theirs, n)
            written[n - 1] += a.total()
            wanted[n - 1] += b.total()
            shared[n - 1] += (a & b).total()
    both = [n for n in range(ORDER) if written[n] and wanted[n]]
    if not any(shared):
        return 0.0
    precision = sum(shared[n] / written[n] for n in both) / len(both)
    recall = sum(shared[n] / wanted[n] for n in both) / len(both)
    return 100 * (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)


def _ngrams(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))
