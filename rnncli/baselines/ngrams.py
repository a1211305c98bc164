"""A linear classifier on bags of n-grams: what a text reveals without its order."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 3  # tokens in an n-gram
PENALTY = 1e-5  # L2 penalty; chosen on validation splits among 1e-5, 1e-4 and 1e-3
ITERATIONS = 60
MOST = 1_000_000  # n-grams to fit, all in memory, with the history of L-BFGS: about 400 MB
STRETCH = 4096  # texts classified at a time


def ngrams(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    """All n-grams of 1 to LONGEST tokens; the ends of the text are tokens, too (`""`), so prefixes and suffixes
    count."""
    ended = ["", *tokens, ""]
    return [tuple(ended[i : i + n]) for n in range(1, LONGEST + 1) for i in range(len(ended) - n + 1)]


def thinned(tokens: int) -> int:
    """Subsampling factor: fit on one in this many texts, given the total number of tokens."""
    return max(1, -(-LONGEST * tokens // MOST))


class NgramClassifier:
    """Multinomial logistic regression on n-gram counts, scaled by 1/sqrt(number of n-grams) per text.

    L-BFGS on the whole training split, from zeros: no randomness, so the result is the same on every run.
    """

    def __init__(self, texts: Sequence[Sequence[str]], labels: Sequence[int], num_classes: int) -> None:
        """texts: tokens of each training text; labels: class ids, 0 ... num_classes - 1."""
        import torch
        from torch.nn import functional as F

        self._ids: dict[tuple[str, ...], int] = {}
        for tokens in texts:
            for gram in ngrams(tokens):
                self._ids.setdefault(gram, len(self._ids))
        self._weight = torch.zeros(len(self._ids), num_classes, requires_grad=True)  # (n-grams, C)
        self._bias = torch.zeros(num_classes, requires_grad=True)  # (C,)
        bags, targets = self._bags(texts), torch.tensor(labels)
        optimizer = torch.optim.LBFGS([self._weight, self._bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            error = F.cross_entropy(self._scores(bags), targets) + PENALTY * self._weight.square().sum()
            error.backward()
            return error

        optimizer.step(closure)

    def log_probs(self, texts: Sequence[Sequence[str]]) -> Tensor:
        """Log probabilities of the classes, (texts, C). N-grams not seen in training are ignored."""
        import torch

        with torch.no_grad():
            parts = [texts[start : start + STRETCH] for start in range(0, max(1, len(texts)), STRETCH)]
            return torch.cat([self._scores(self._bags(part)).log_softmax(1) for part in parts])

    def _bags(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor, Tensor]:
        """(ids of the known n-grams of all texts, concatenated; offset of each text; weight of each n-gram)."""
        import numpy as np
        import torch

        numbers, starts, weights = array("q"), array("q"), array("f")
        for tokens in texts:
            known = [self._ids[gram] for gram in ngrams(tokens) if gram in self._ids]
            starts.append(len(numbers))
            numbers.extend(known)
            weights.extend([max(1, len(known)) ** -0.5] * len(known))
        of_all, of_texts, of_each = (torch.from_numpy(np.array(values)) for values in (numbers, starts, weights))
        return of_all, of_texts, of_each

    def _scores(self, bags: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        from torch.nn import functional as F

        numbers, starts, weights = bags
        return F.embedding_bag(numbers, self._weight, starts, mode="sum", per_sample_weights=weights) + self._bias
