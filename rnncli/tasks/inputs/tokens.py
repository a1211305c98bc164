"""Steps that are tokens: how they enter a model, and what is said of those that the vocabulary lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from rnncli.data.vocab import Kind, Vocab, join
from rnncli.locale import tr

if TYPE_CHECKING:
    from torch import nn


def token_front(kind: Literal["one-hot", "embedding"], num_tokens: int, embedding_size: int) -> tuple[nn.Module, int]:
    """The stage that makes x_t of a token's number, and the length of x_t."""
    from rnncli.nn.frontends import OneHot, TokenEmbedding

    if kind == "one-hot":
        return OneHot(num_tokens), num_tokens
    return TokenEmbedding(num_tokens, embedding_size), embedding_size


def idle_embedding(kind: str) -> Iterator[tuple[str, str]]:
    """For Section.idle of a model of tokens. kind: its `input`."""
    if kind == "one-hot":
        yield "embedding_size", "input: one-hot"


def not_known(vocab: Vocab, tokens: Iterable[str]) -> list[str]:
    """A note on the tokens that the vocabulary lacks, none where it has all."""
    unknown = vocab.unknown(tokens)
    return [tr("not in the vocabulary: {tokens}", tokens=" ".join(map(repr, unknown)))] if unknown else []


def sample_text(vocab: Vocab, kind: Kind) -> str:
    """A short text of tokens that the vocabulary has."""
    known = [token for token in vocab.tokens if not token.startswith("<") and not token.isspace()]
    return join(known[:5], kind).strip()
