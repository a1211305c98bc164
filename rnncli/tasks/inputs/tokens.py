"""Token inputs: encoding as x_t, and notes on out-of-vocabulary tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from rnncli.data.source import name_of
from rnncli.data.vocab import JOINERS, SIGN, UNK, Kind, Vocab, glued
from rnncli.locale import tr
from rnncli.standalone import Code

if TYPE_CHECKING:
    from torch import nn


def token_front(
    kind: Literal["one-hot", "embedding"], num_tokens: int, embedding_size: int, *, embedding_dropout: float = 0.0
) -> tuple[nn.Module, int]:
    """The module that maps token ids to x_t, and the size of x_t."""
    from rnncli.nn.frontends import OneHot, TokenEmbedding

    if kind == "one-hot":
        return OneHot(num_tokens), num_tokens
    return TokenEmbedding(num_tokens, embedding_size, embedding_dropout=embedding_dropout), embedding_size


def start_from_vectors(embedding: nn.Embedding, source: str, vocab: Vocab, counts: Mapping[str, int]) -> list[str]:
    """Load a file's vectors into an embedding, in place; tokens without one keep a random vector of matching scale.
    counts: token counts in training. Returns notes. Raises DataError."""
    import torch

    from rnncli.data.vectors import MISSING, coverage, read_vectors

    vectors = read_vectors(source, vocab, embedding.embedding_dim)
    there = torch.from_numpy(vectors.found) != MISSING
    table = torch.from_numpy(vectors.table).to(embedding.weight)
    with torch.no_grad():
        embedding.weight.mul_(table[there].std(correction=0).clamp(min=1e-3))
        embedding.weight[there] = table[there]
    return coverage(vectors, vocab, counts, name_of(source))


def idle_embedding(kind: str, *others: str) -> Iterator[tuple[str, str]]:
    """For Section.idle of a token model. kind: its `input`. others: further keys that need an embedding."""
    if kind == "one-hot":
        for key in ("embedding_size", *others):
            yield key, "input: one-hot"


def not_known(vocab: Vocab, tokens: Iterable[str]) -> list[str]:
    """A note on out-of-vocabulary tokens, if there are any."""
    unknown = vocab.unknown(tokens)
    return [tr("not in the vocabulary: {tokens}", tokens=" ".join(map(repr, unknown)))] if unknown else []


def token_values(kind: Kind, *, newlines: bool = False) -> dict[str, Any]:
    """What tokenize.jinja and join.jinja read, for an exported script. newlines: line ends are tokens."""
    before, after = ("".join(sorted(tokens)) for tokens in glued(kind))
    return {
        "token_kind": kind, "newlines": newlines, "joiners": JOINERS, "sign": SIGN,
        "glued_before": before, "glued_after": after,
    }  # fmt: skip


def number_values(vocab: Vocab) -> dict[str, Any]:
    """What numbers.jinja reads."""
    return {"tokens": Code('LEARNED["tokens"]["tokens"]'), "has_unk": UNK in vocab}
