"""Front ends: from a batch to x (T, B, I), the input of the recurrent core.

Each takes a Batch and returns x and the lengths that go with it (a front end may shorten the sequence).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnncli.data.batch import Batch, mask
from rnncli.replay import is_recording


@dataclass(frozen=True)
class Rows:
    """x (T, B, I) as rows of a table, x[t, b] = table[numbers[t, b]]: linear functions of x can be computed on the
    table, then looked up. table: (V, I), None for the identity. numbers: (T, B). like: has x's dtype and device."""

    table: Tensor | None
    numbers: Tensor
    num_rows: int
    like: Tensor

    def look_up(self, table: Tensor) -> Tensor:
        """Look up in a table (V, .) computed from this one row by row. Returns (T, B, .)."""
        return table.index_select(0, self.numbers.flatten()).view(*self.numbers.shape, -1)

    def tensor(self) -> Tensor:
        """x itself, (T, B, I)."""
        if self.table is None:
            return F.one_hot(self.numbers, self.num_rows).to(self.like)
        return F.embedding(self.numbers, self.table)


class OneHot(nn.Module):
    """Token ids (T, B) -> one-hot vectors, (T, B, V). No parameters."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.register_buffer("like", torch.zeros(()), persistent=False)  # carries dtype and device

    def rows(self, batch: Batch) -> tuple[Rows, Tensor | None]:
        assert isinstance(self.like, Tensor)
        return Rows(None, batch.inputs, self.num_tokens, self.like), batch.lengths

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        rows, lengths = self.rows(batch)
        return rows.tensor(), lengths

    def extra_repr(self) -> str:
        return str(self.num_tokens)


class TokenEmbedding(nn.Embedding):
    """Token ids (T, B) -> learned embeddings, (T, B, embedding_size).

    In training, word_dropout is the share of tokens replaced by id `unknown` (Bowman et al. 2016, arXiv:1511.06349,
    section 3.1), and embedding_dropout the share of the table's rows set to 0 for a batch, with the others scaled by 1
    / (1 - p) (Gal, Ghahramani 2016, arXiv:1512.05287, section 4.2).
    """

    def __init__(
        self, num_tokens: int, size: int, *, word_dropout: float = 0.0, unknown: int = 0, embedding_dropout: float = 0.0
    ) -> None:
        super().__init__(num_tokens, size)
        self.word_dropout = word_dropout
        self.unknown = unknown
        self.embedding_dropout = embedding_dropout

    def read(self, numbers: Tensor) -> Tensor:
        """The ids (T, B) to look up for these, after word dropout."""
        if not self.training or not self.word_dropout:
            return numbers
        dropped = torch.rand(numbers.shape, device=numbers.device) < self.word_dropout
        return numbers.masked_fill(dropped, self.unknown)

    def table(self) -> Tensor:
        """The table to look them up in, after embedding dropout, (V, embedding_size)."""
        if not self.training or not self.embedding_dropout:
            return self.weight
        kept = F.dropout(torch.ones_like(self.weight[:, :1]), self.embedding_dropout)  # (V, 1)
        return self.weight * kept

    def vectors(self, numbers: Tensor) -> Tensor:
        """(T, B) -> (T, B, embedding_size)."""
        table = self.table()
        return F.embedding(self.read(numbers), table)

    def rows(self, batch: Batch) -> tuple[Rows, Tensor | None]:
        return Rows(self.table(), self.read(batch.inputs), self.num_embeddings, self.weight), batch.lengths

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:  # type: ignore[override]
        return self.vectors(batch.inputs), batch.lengths


def rows_of(front: nn.Module, batch: Batch) -> tuple[Tensor | Rows, Tensor | None]:
    """The output of `front`, as rows of its table if that is smaller: fewer tokens than steps in the batch. Only in
    training: code that reads or replays a model (trace, hooks) calls the front end itself."""
    if isinstance(front, (OneHot, TokenEmbedding)) and torch.is_grad_enabled() and not is_recording():
        rows, lengths = front.rows(batch)
        if rows.num_rows < batch.inputs.numel():
            return rows, lengths
    found: tuple[Tensor, Tensor | None] = front(batch)
    return found


class AsGiven(nn.Module):
    """Numeric features (T, B, F), converted to the model's dtype. No parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("like", torch.zeros(()), persistent=False)  # carries dtype and device

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        assert isinstance(self.like, Tensor)
        return batch.inputs.to(self.like), batch.lengths


def subsampled(length: int, factor: int) -> int:
    """Number of steps after ConvSubsampling of `length` steps: halved and rounded up, log2(factor) times."""
    while factor > 1:
        length, factor = (length + 1) // 2, factor // 2
    return length


class ConvSubsampling(nn.Module):
    """Features (T, B, F) -> (T', B, channels): standardized, then convolutions over five steps with ReLU, all of stride
    2 (a single one with factor 1 has stride 1), so that T' = ceil(T / factor).

    mean, std: (F,), fitted on the training split, stored as buffers. Steps after a sequence's end are set to 0 before
    every convolution, so a sequence has the same result alone and in a batch with longer ones.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], channels: int, factor: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        strides = [2] * (factor.bit_length() - 1) or [1]
        sizes = [len(mean), *[channels] * len(strides)]
        self.convs = nn.ModuleList(
            nn.Conv1d(sizes[i], sizes[i + 1], kernel_size=5, stride=stride, padding=2)
            for i, stride in enumerate(strides)
        )
        self.sizes = sizes
        self.factor = factor

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        assert isinstance(self.mean, Tensor)
        assert isinstance(self.std, Tensor)
        x = (batch.inputs.to(self.mean) - self.mean) / self.std
        x, lengths = x.permute(1, 2, 0), batch.lengths  # (B, F, T)
        for conv in self.convs:
            if lengths is not None:
                x = x * mask(lengths.to(x.device), x.shape[2]).t().unsqueeze(1)  # (B, 1, T)
            x = F.relu(conv(x))
            if lengths is not None and self.factor > 1:
                lengths = (lengths + 1) // 2
        return x.permute(2, 0, 1), lengths

    def extra_repr(self) -> str:
        return f"{self.sizes[0]}, {self.sizes[-1]}, /{self.factor}"


class ConvFrames(nn.Module):
    """Frames (T, B, height, width, C) -> (T, B, size): a small convolutional net applied to all T · B frames at once,
    independent of time.

    channels: of its convolutions (3x3, ReLU), each followed by 2x2 max pooling. mean, std: (C,), fitted on the training
    split, stored as buffers.
    """

    def __init__(
        self, height: int, width: int, mean: Sequence[float], std: Sequence[float], channels: Sequence[int], size: int
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        layers: list[nn.Module] = []
        before = len(mean)
        self.sizes = (height, width, before, size)
        for after in channels:
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
            before, height, width = after, (height + 1) // 2, (width + 1) // 2
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * height * width, size), nn.ReLU())

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        assert isinstance(self.mean, Tensor)
        assert isinstance(self.std, Tensor)
        T, B = batch.inputs.shape[:2]
        x = (batch.inputs.to(self.mean) - self.mean) / self.std
        x = self.net(x.flatten(0, 1).permute(0, 3, 1, 2))  # (T·B, C, height, width) -> (T·B, size)
        return x.view(T, B, -1), batch.lengths

    def extra_repr(self) -> str:
        height, width, C, size = self.sizes
        return f"{height}x{width}x{C}, {size}"
