"""chrF: the characters that a translation shares with the one that is wanted (Popović 2015)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

ORDER = 6  # the longest n-gram of characters
BETA = 2  # recall counts as much as BETA² times precision


def chrf(pairs: Iterable[tuple[str, str]]) -> float:
    """Of (translation, wanted) over all pairs, 0 to 100: the F-score of n-grams of 1 to 6 characters without white
    space, precision and recall each averaged over the lengths n that both sides have. As sacreBLEU's chrF2."""
    written, wanted, shared = [0] * ORDER, [0] * ORDER, [0] * ORDER
    for ours, theirs in pairs:
        ours, theirs = "".join(ours.split()), "".join(theirs.split())
        for n in range(1, min(ORDER, len(theirs)) + 1):  # what is longer than the wanted text is not counted
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
