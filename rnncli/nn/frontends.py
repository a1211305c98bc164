"""Front ends: from what a batch holds to x (T, B, I), the input of the recurrent core.

Each takes a Batch and returns x and the lengths that go with it (a front end may shorten the sequence).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncli.data.batch import Batch


class OneHot(nn.Module):
    """Token numbers (T, B) -> rows of the identity, (T, B, V). No parameters."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.register_buffer("like", torch.zeros(()), persistent=False)  # carries dtype and device

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        assert isinstance(self.like, Tensor)
        return F.one_hot(batch.inputs, self.num_tokens).to(self.like), batch.lengths

    def extra_repr(self) -> str:
        return str(self.num_tokens)


class TokenEmbedding(nn.Embedding):
    """Token numbers (T, B) -> learned word vectors, (T, B, embedding_size)."""

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:  # type: ignore[override]
        return super().forward(batch.inputs), batch.lengths


class AsGiven(nn.Module):
    """Numbers (T, B, F) as they are, in the model's dtype. No parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("like", torch.zeros(()), persistent=False)  # carries dtype and device

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        assert isinstance(self.like, Tensor)
        return batch.inputs.to(self.like), batch.lengths
