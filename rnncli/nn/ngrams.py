"""Scores from a text's n-grams: a linear bag-of-n-grams classifier in parallel to the network."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = 1 << 15  # rows of the table; n-grams that share one are distinguished by the other n-grams of their text
SCALE = 3.0  # a row, used by few texts, must learn faster than the network at the same learning rate
FACTOR, PRIME = 1_000_003, 2_147_483_647  # their product is below 2^63


class NgramScores(nn.Module):
    """Token ids (T, B) -> scores (B, C): the sum of a learned row for each n-gram of 1 to `longest` tokens, divided by
    the square root of their number. Both ends of a text count as tokens, so prefixes and suffixes are features.

    Rows are found by hashing, so no vocabulary of n-grams is stored (Weinberger et al. 2009, arXiv:0902.2206); they are
    initialized to zero, so only the network contributes at first. Together with the network: the wide part of Cheng et
    al. 2016 (arXiv:1606.07792).
    """

    def __init__(self, num_tokens: int, num_classes: int, longest: int) -> None:
        super().__init__()
        self.num_tokens, self.longest = num_tokens, longest
        self.weight = nn.Parameter(torch.zeros(ROWS, num_classes))

    def forward(self, numbers: Tensor, lengths: Tensor | None) -> Tensor:
        rows, inside = zip(*self.grams(numbers, lengths), strict=True)
        where, kept = torch.cat(rows), torch.cat(inside)  # (all n-grams, B)
        found = F.embedding(where, self.weight) * kept.unsqueeze(2)  # (all n-grams, B, C)
        return SCALE * found.sum(0) / kept.sum(0).sqrt().unsqueeze(1)

    def grams(self, numbers: Tensor, lengths: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
        """For each length n: the row of the n-gram that starts at each position, (T + 2, B), and whether it is inside
        the text, including the end token."""
        T, B = numbers.shape
        stops = torch.full((B,), T) if lengths is None else lengths
        stops = stops.to(numbers.device)
        place = torch.arange(T + 2, device=numbers.device).unsqueeze(1)  # (T + 2, 1)
        ended = F.pad(numbers, (0, 0, 1, 1), value=self.num_tokens)  # (T + 2, B)
        ended = ended.masked_fill(place > stops, self.num_tokens)
        gram = torch.zeros_like(ended)
        for n in range(self.longest):
            following = F.pad(ended[n:], (0, 0, 0, min(n, T + 2)))  # the token n positions later
            gram = (gram * FACTOR + following + 1) % PRIME
            yield gram % ROWS, place + n <= stops + 1

    def extra_repr(self) -> str:
        return f"{self.num_tokens}, {self.weight.shape[1]}, longest={self.longest}"
