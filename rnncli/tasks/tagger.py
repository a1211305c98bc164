"""The network of a tagger: its recipe section, and how it is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from rnncli.data.vocab import UNK
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.recipe import CoreSection, DataPath, Section
from rnncli.tasks.inputs.sentences import Fitted
from rnncli.tasks.inputs.tokens import idle_embedding, start_from_vectors, token_front

if TYPE_CHECKING:
    from torch import nn

    from rnncli.cells import CoreSpec
    from rnncli.nn.frontends import TokenEmbedding


class Characters(Section):
    """`model.characters:`, the core that reads each word's characters, with input: embedding + characters."""

    embedding_size: Annotated[int, Field(ge=1)] = Field(16, description="size of the learned character vectors")
    hidden_size: Annotated[int, Field(ge=1)] = Field(32, description="H of the bidirectional core over characters")


class Model(CoreSection):
    input: Literal["one-hot", "embedding", "embedding + characters"] = Field(
        "one-hot",
        description="encoding of a token as x_t; + characters: concatenated with an RNN over each word's characters",
    )
    embedding_size: Annotated[int, Field(ge=1)] = Field(16, description="size of the learned token vectors")
    vectors: DataPath | None = Field(
        None,
        description="a text file of word vectors to start from (GloVe, fastText's .vec), embedding_size wide",
    )
    word_dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="word dropout: share of words read as <unk> in training, so that the model learns from "
        "context and characters",
    )
    characters: Characters = Field(Characters(), description="with input: embedding + characters")
    head: Literal["linear", "crf", "none"] = Field(
        "linear",
        description="linear: scores the labels; crf: also scores label transitions; none: h_t is the score",
    )

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from idle_embedding(self.input, "vectors", "word_dropout")
        if self.input != "embedding + characters":
            yield "characters", f"input: {self.input}"


def build(model: Model, fitted: Fitted) -> nn.Module:
    """Build with fresh weights. Raises DataError: head: none, but the size of h is not the number of labels."""
    from rnncli.nn.model import SequenceModel
    from rnncli.nn.recurrent import core_of_section

    if model.input == "embedding + characters":
        return _with_characters(model, fitted)
    if model.input == "embedding":
        front: nn.Module = _words(model, fitted)
        size = model.embedding_size
    else:
        front, size = token_front(model.input, len(fitted.tokens), model.embedding_size)
    rnn, spec = core_of_section(model, size)
    return SequenceModel(front, rnn, _head(model, spec, len(fitted.labels)), model.engine)


def start_from_file(model: Model, net: nn.Module, fitted: Fitted, counts: Mapping[str, int]) -> list[str]:
    """Load initial weights from `vectors`. Returns notes; raises DataError."""
    from rnncli.nn.frontends import TokenEmbedding

    words = next((part for part in net.modules() if isinstance(part, TokenEmbedding)), None)
    if model.vectors is None or words is None:
        return []
    return start_from_vectors(words, model.vectors, fitted.tokens, counts)


def _head(model: Model, spec: CoreSpec, num_labels: int) -> nn.Module:
    from rnncli.nn.crf import Crf
    from rnncli.nn.heads import NoHead, PerStep

    if model.head != "none":
        return (Crf if model.head == "crf" else PerStep)(spec.output_size, num_labels)
    if spec.output_size != num_labels:
        raise DataError(
            trn(
                "head: none needs one unit per label: {n} label, output size {size}",
                "head: none needs one unit per label: {n} labels, output size {size}",
                n=num_labels,
                size=spec.output_size,
            ),
            where="model.head",
            todo=tr("--set model.hidden_size={n}, or model.head=linear", n=num_labels // spec.num_directions),
        )
    return NoHead()


def _words(model: Model, fitted: Fitted) -> TokenEmbedding:
    from rnncli.nn.frontends import TokenEmbedding

    unknown = fitted.tokens.id(UNK) if model.word_dropout else 0
    return TokenEmbedding(len(fitted.tokens), model.embedding_size, word_dropout=model.word_dropout, unknown=unknown)


def _with_characters(model: Model, fitted: Fitted) -> nn.Module:
    from torch import nn

    from rnncli.nn.characters import WordsAndCharacters
    from rnncli.nn.recurrent import core_of_section

    small = model.characters
    assert fitted.characters is not None
    words = _words(model, fitted)
    letters = nn.Embedding(len(fitted.characters.tokens), small.embedding_size)
    changes = {"hidden_size": small.hidden_size, "num_layers": 1, "bidirectional": True, "dropout": 0.0, "proj_size": 0}
    characters, small_spec = core_of_section(model.model_copy(update=changes), small.embedding_size)
    rnn, spec = core_of_section(model, model.embedding_size + small_spec.output_size)
    return WordsAndCharacters(words, letters, characters, rnn, _head(model, spec, len(fitted.labels)), model.engine)
