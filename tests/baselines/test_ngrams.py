from __future__ import annotations

import math

import pytest
import torch

from rnncli.baselines.ngrams import LONGEST, MOST, NgramClassifier, ngrams, thinned


def test_ngrams_by_hand() -> None:
    assert sorted(ngrams("ab")) == sorted(
        [("",), ("a",), ("b",), ("",), ("", "a"), ("a", "b"), ("b", ""), ("", "a", "b"), ("a", "b", "")]
    )


def test_order_within_three_tokens_is_seen_and_beyond_is_not() -> None:
    near = [list(text) for text in ("ab", "ba") * 10]
    bag = NgramClassifier(near, [0, 1] * 10, 2)
    assert bag.log_probs([list("ab"), list("ba")]).argmax(1).tolist() == [0, 1]
    # a and b swap over four x: the same n-grams, so the same answer, though every training text differs
    far = [list(text) for text in ("xxxaxxxxbxxx", "xxxbxxxxaxxx") * 10]
    found = NgramClassifier(far, [0, 1] * 10, 2).log_probs(far[:2]).exp()
    torch.testing.assert_close(found, torch.full((2, 2), 0.5), atol=1e-3, rtol=0)


def test_a_text_of_unknown_ngrams_gets_about_the_shares_of_the_classes() -> None:
    bag = NgramClassifier([["a"]] * 30 + [["a"]] * 10, [0] * 30 + [1] * 10, 2)
    assert math.isclose(float(bag.log_probs([["a"]]).exp()[0, 0]), 0.75, abs_tol=0.01)
    torch.testing.assert_close(bag.log_probs([["z"], []]).exp().sum(1), torch.ones(2))


def test_it_is_the_same_on_every_run() -> None:
    texts, labels = [list(word) for word in ("anna", "otto", "hannah", "bob")], [0, 1, 0, 1]
    first, second = (NgramClassifier(texts, labels, 2).log_probs(texts) for _ in range(2))
    assert torch.equal(first, second)


def test_texts_are_judged_a_stretch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = [list(word) for word in ("anna", "otto", "hannah", "bob", "x")], [0, 1, 0, 1, 1]
    bag = NgramClassifier(texts, labels, 2)
    whole = bag.log_probs(texts)
    monkeypatch.setattr("rnncli.baselines.ngrams.STRETCH", 2)
    torch.testing.assert_close(bag.log_probs(texts), whole)


def test_so_many_texts_that_memory_suffices() -> None:
    assert thinned(10) == thinned(MOST // LONGEST) == 1
    assert thinned(MOST // LONGEST + 1) == 2
    assert thinned(10**9) * MOST >= LONGEST * 10**9
