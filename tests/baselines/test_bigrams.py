"""Counting pairs a few at a time against counting them all by hand."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.baselines import bigrams
from rnncli.baselines.bigrams import bigram_losses
from rnncli.data import encoded
from rnncli.data.encoded import InMemory, Tokens
from rnncli.data.progress import follow


def tokens(ids: list[int], size: int) -> Tokens:
    text = InMemory("x", "words", [str(i) for i in range(size)], np.array(ids, np.uint32))
    return Tokens(text, 0, len(ids), np.arange(size))


def by_hand(trained: list[int], tested: list[int], size: int) -> tuple[float, float]:
    unigram = [(trained.count(token) + 1) / (len(trained) + size) for token in range(size)]
    pairs, before = Counter(pairwise(trained)), Counter(trained[:-1])
    n = len(tested) - 1
    losses = [
        (math.log(unigram[b]), math.log((pairs[a, b] + unigram[b]) / (before[a] + 1))) for a, b in pairwise(tested)
    ]
    return -sum(one for one, _ in losses) / n, -sum(two for _, two in losses) / n


IDS = st.lists(st.integers(0, 8), min_size=2, max_size=80)


@pytest.mark.parametrize("pairs", [1, 5, 30, 1 << 22])
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@given(trained=IDS, tested=IDS)
def test_any_stretches_give_the_same(pairs: int, block: int, trained: list[int], tested: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bigrams, "PAIRS", pairs)
        patch.setattr(encoded, "BLOCK", block)
        found = follow(bigram_losses(tokens(trained, 9), tokens(tested, 9), 9))
    assert found == pytest.approx(by_hand(trained, tested, 9), rel=1e-12)


def test_pairs_are_counted_a_stretch_at_a_time() -> None:
    """No first token has more different pairs than there are tokens, here 7."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bigrams, "PAIRS", 10)
        assert bigrams._stretches(np.array([3, 4, 3, 1, 20, 0, 2]), 7) == [(0, 3), (3, 7)]
