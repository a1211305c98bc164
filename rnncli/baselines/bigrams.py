"""Unigram and bigram baselines: counted over texts of any length."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from rnncli.data.encoded import Tokens
from rnncli.data.progress import Reading
from rnncli.locale import tr

Ints = npt.NDArray[np.int64]

PAIRS = 1 << 22  # distinct pairs counted at a time: 32 MB as a table, up to three times that as a list


def bigram_losses(trained: Tokens, tested: Tokens, size: int) -> Generator[Reading, None, tuple[float, float]]:
    """Mean -log p over the tokens of `tested` except the first: for add-one unigram frequencies of `trained`, and for
    bigrams (count(a, b) + p(b)) / (count(a) + 1). size: V.

    Pairs are counted for a stretch of first tokens at a time, so that there are never more than PAIRS of them: one pass
    over the texts if V squared is within that limit, several for a large vocabulary.
    """
    counts = np.zeros(size, np.int64)
    for block in trained.blocks():
        counts += np.bincount(block, minlength=size)
    unigram = (counts + 1) / (counts.sum() + size)  # (V,)
    log_unigram = np.log(unigram)
    before = counts.copy()  # pairs that start with each token: the last token of the text starts none
    before[trained.read(len(trained) - 1, len(trained))] -= 1
    totals = [0.0, 0.0]
    stretches = _stretches(before, size)
    texts = len(trained) + len(tested)
    for number, (first, stop) in enumerate(stretches):
        pairs = _Pairs(first, stop, size)
        done = number * texts
        for block in trained.blocks(overlap=1):
            pairs.add(*_of(block, first, stop))
            done += len(block)
            yield Reading(tr("counting pairs for the bigram baseline"), done, len(stretches) * texts)
        pairs.done()
        for block in tested.blocks(overlap=1):
            a, b = _of(block, first, stop)
            totals[0] -= float(log_unigram[b].sum())
            totals[1] -= float(np.log((pairs.count(a, b) + unigram[b]) / (before[a] + 1)).sum())
            done += len(block)
            yield Reading(tr("counting pairs for the bigram baseline"), done, len(stretches) * texts)
    n = len(tested) - 1
    return totals[0] / n, totals[1] / n


def _of(block: Ints, first: int, stop: int) -> tuple[Ints, Ints]:
    """The block's pairs whose first token is in first ... stop - 1."""
    a, b = block[:-1], block[1:]
    inside = (a >= first) & (a < stop)
    return a[inside], b[inside]


def _stretches(before: Ints, size: int) -> list[tuple[int, int]]:
    """Ranges of first tokens with at most PAIRS distinct pairs, bounded by their counts."""
    most = np.minimum(before, size)  # distinct pairs that start with each token
    stretches, first, room = [], 0, PAIRS
    for token, n in enumerate(most.tolist()):
        if n > room and token > first:
            stretches.append((first, token))
            first, room = token, PAIRS
        room -= n
    return [*stretches, (first, size)]


class _Pairs:
    """Counts of the pairs whose first token is in a range: a table if that is small, else a sorted list of observed
    pairs."""

    def __init__(self, first: int, stop: int, size: int) -> None:
        self.first, self.size = first, size
        self.table = np.zeros((stop - first) * size, np.int64) if (stop - first) * size <= PAIRS else None
        self.keys, self.times = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.waiting: list[Ints] = []

    def _keys(self, a: Ints, b: Ints) -> Ints:
        return (a - self.first) * self.size + b

    def add(self, a: Ints, b: Ints) -> None:
        keys = self._keys(a, b)
        if self.table is not None:
            found = np.bincount(keys)
            self.table[: len(found)] += found
            return
        self.waiting.append(keys)
        if sum(map(len, self.waiting)) > PAIRS:
            self.done()

    def done(self) -> None:
        """Merge the pairs that wait to be sorted."""
        if not self.waiting:
            return
        new, times = np.unique(np.concatenate(self.waiting), return_counts=True)
        self.waiting = []
        keys, place = np.unique(np.concatenate([self.keys, new]), return_inverse=True)
        self.times = np.bincount(place, np.concatenate([self.times, times]), len(keys)).astype(np.int64)
        self.keys = keys

    def count(self, a: Ints, b: Ints) -> Ints:
        keys = self._keys(a, b)
        if self.table is not None:
            return self.table[keys]
        if not len(self.keys):
            return np.zeros(len(keys), np.int64)
        place = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.times[place], 0)
