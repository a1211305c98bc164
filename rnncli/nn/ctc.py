"""Connectionist temporal classification (Graves et al. 2006): texts from per-step predictions; the blank is token 0."""

from __future__ import annotations

from itertools import groupby
from math import exp, inf, log1p

from torch import Tensor
from torch.nn import functional as F

Prefix = tuple[int, ...]


def ctc_loss(scores: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
    """Negative log probability of all alignments of the text (equations 3 and 8), summed over the batch.
    scores: (T, B, V); targets: (S, B)."""
    log_probs = scores.float().log_softmax(2)
    return F.ctc_loss(log_probs, targets.t(), lengths, target_lengths, blank=0, reduction="sum")


def best_path(scores: Tensor, lengths: Tensor) -> list[list[int]]:
    """The most likely token of every step, with repeats merged and blanks removed (section 3.2). scores: (T, B, V)."""
    best = scores.argmax(2).t().tolist()  # B lists of T
    return [
        [token for token, _ in groupby(row[:length]) if token]
        for row, length in zip(best, lengths.tolist(), strict=True)
    ]


def beam_search(log_probs: Tensor, width: int) -> list[int]:
    """The most likely text found by prefix beam search with beam `width` (Hannun et al. 2014, algorithm 1, without a
    language model). log_probs: (T, V). Per prefix: the log probability of all its alignments that end in a blank, and
    of those that end in its last token."""
    beam: dict[Prefix, tuple[float, float]] = {(): (0.0, -inf)}
    for step in log_probs.tolist():
        new: dict[Prefix, tuple[float, float]] = {}

        def add(prefix: Prefix, blank: float, token: float, new: dict[Prefix, tuple[float, float]] = new) -> None:
            before = new.get(prefix, (-inf, -inf))
            new[prefix] = (_plus(before[0], blank), _plus(before[1], token))

        for prefix, (blank, token) in beam.items():
            either = _plus(blank, token)
            add(prefix, either + step[0], -inf)
            for v in range(1, len(step)):
                if prefix and v == prefix[-1]:
                    add(prefix, -inf, token + step[v])
                    add((*prefix, v), -inf, blank + step[v])
                else:
                    add((*prefix, v), -inf, either + step[v])
        best = sorted(new.items(), key=lambda item: (-_plus(*item[1]), item[0]))
        beam = dict(best[:width])
    return list(next(iter(beam)))


def _plus(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    high, low = max(a, b), min(a, b)
    return high if low == -inf else high + log1p(exp(low - high))
