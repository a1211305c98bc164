"""A dictionary learned from sentence pairs: a context-free translation of each word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

SHARED = 2_000_000  # maximum number of (source token, target token) pairs to learn from


def dictionary(pairs: Iterable[tuple[Sequence[int], Sequence[int]]], rounds: int = 5) -> dict[int, int]:
    """Source token -> the target token it most probably means, by IBM model 1 (Brown et al. 1993, section 4.1).

    t(e|f), uniform at first, is learned from co-occurrence by `rounds` rounds of EM over the first sentence pairs, up
    to SHARED token pairs. No empty source word.

    pairs: token ids of source and target, without <eos>.
    """
    sides: list[tuple[Numbers, Numbers, Numbers]] = []
    shared = 0
    for source, target in pairs:
        f, e = np.array(source, dtype=np.int64), np.array(target, dtype=np.int64)
        shared += len(f) * len(e)
        if shared > SHARED and sides:
            break
        place = sum(len(side[1]) for side in sides[-1:])
        start = int(sides[-1][2][-1]) + 1 if place else 0
        sides.append((np.repeat(f, len(e)), np.tile(e, len(f)), np.tile(np.arange(start, start + len(e)), len(f))))
    sources, targets, slots = (np.concatenate(arrays) for arrays in zip(*sides, strict=True))
    size = int(targets.max()) + 1
    words, entry = np.unique(sources * size + targets, return_inverse=True)  # entries (f, e); entry of each link
    f_of = words // size
    prob = np.ones(len(words))  # t(e|f) up to a factor
    for _ in range(rounds):
        share = prob[entry]
        share = share / np.bincount(slots, share)[slots]  # of a target token's one count, among its source tokens
        counts = np.bincount(entry, share)
        prob = counts / np.bincount(f_of, counts)[f_of]
    found: dict[int, int] = {}
    for place in np.lexsort((-prob, f_of)).tolist():
        found.setdefault(int(f_of[place]), int(words[place] % size))
    return found
