"""tagging: one label for every step. hello -> ohlol, part-of-speech tags."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch, Order, index_batches, pad
from rnncli.data.vocab import Vocab, join, tokenize
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.recipe import Clash, CoreSection, DataSection, Expected, RecipeConfig, TrainSection
from rnncli.records import Column, Record, Table
from rnncli.tasks import Asked, Baseline, Loss, Metrics, Names, Prediction, Splits, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State

METRICS: Mapping[str, Literal["lower", "higher"]] = {"accuracy": "higher", "loss": "lower"}
INPUT: Literal["text", "path"] = "text"
IGNORED = -100  # the target of a step after a row's end


class Data(DataSection):
    pairs: list[Annotated[list[str], Field(min_length=2, max_length=2), Expected("[input, labels]")]] | None = Field(
        None, description="inline data: [input, labels], equally long; both sides share one alphabet"
    )
    tokens: Literal["characters", "words"] = Field("characters", description="what one step of an inline pair is")

    def has_source(self) -> bool:
        return self.pairs is not None or super().has_source()

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.pairs is not None and not self.pairs:
            yield Clash(("pairs",), tr("the list of pairs is empty"), tr("pairs: [[hello, ohlol]]"))
        if self.pairs is not None and super().has_source():
            yield Clash(("pairs", "path"), tr("pairs and a path are both given"), tr("remove one of them"))
        for number, (given, wanted) in enumerate(self.pairs or []):
            steps, labels = tokenize(given, self.tokens), tokenize(wanted, self.tokens)
            if not steps:
                yield Clash((f"pairs.{number}",), tr("an input without steps"), tr("remove the pair"))
            elif len(steps) != len(labels):
                yield Clash(
                    (f"pairs.{number}",),
                    tr(
                        "{given!r} has {n} steps and {wanted!r} has {m}",
                        given=given,
                        n=len(steps),
                        wanted=wanted,
                        m=len(labels),
                    ),
                    tr("one label for every step"),
                )


class Model(CoreSection):
    input: Literal["one-hot", "embedding"] = Field("one-hot", description="how a token becomes x_t")
    embedding_size: Annotated[int, Field(ge=1)] = Field(
        16, description="length of the learned vectors of input: embedding"
    )
    head: Literal["linear", "none"] = Field("linear", description="linear scores the labels; none: h_t is the score")


class Train(TrainSection):
    best_by: Literal["accuracy", "loss"] = Field("loss", description="the metric that decides which epoch is kept")


class Config(RecipeConfig):
    task: Literal["tagging"]
    data: Data
    model: Model
    train: Train


class Row(NamedTuple):
    """One sequence: its tokens, and one label for each."""

    tokens: list[str]
    labels: list[str]


class Part(NamedTuple):
    """Rows, and the same as numbers."""

    rows: Sequence[Row]
    inputs: Sequence[list[int]]
    targets: Sequence[list[int]]


def read(config: Config) -> Splits:
    assert config.data.pairs is not None
    kind = config.data.tokens
    rows = [Row(tokenize(given, kind), tokenize(wanted, kind)) for given, wanted in config.data.pairs]
    # One alphabet for both sides, so that a letter has the same number as input and as answer.
    shared = Vocab.from_tokens(token for row in rows for token in (*row.tokens, *row.labels))
    vocab = {"tokens": shared.to_json(), "labels": shared.to_json(), "kind": kind}
    counts = {"train": {"sequences": len(rows), "steps": sum(len(row.tokens) for row in rows)}}
    fingerprint = sha256(repr(rows).encode()).hexdigest()
    return Splits(_part(rows, vocab), vocab, counts, fingerprint, how=tr("inline pairs, all for training"))


def _part(rows: Sequence[Row], vocab: Vocabulary) -> Part:
    tokens, labels = Vocab.from_json(vocab["tokens"]), Vocab.from_json(vocab["labels"])
    return Part(rows, [tokens.encode(row.tokens) for row in rows], [labels.encode(row.labels) for row in rows])


def build(config: Config, vocab: Vocabulary) -> nn.Module:
    from rnncli.nn.frontends import OneHot, TokenEmbedding
    from rnncli.nn.heads import NoHead, PerStep
    from rnncli.nn.model import SequenceModel
    from rnncli.nn.recurrent import core_of_section

    model = config.model
    num_tokens, num_labels = len(vocab["tokens"]["tokens"]), len(vocab["labels"]["tokens"])
    one_hot = model.input == "one-hot"
    front = OneHot(num_tokens) if one_hot else TokenEmbedding(num_tokens, model.embedding_size)
    rnn, spec = core_of_section(model, num_tokens if one_hot else model.embedding_size)
    if model.head == "none" and spec.output_size != num_labels:
        raise DataError(
            tr("head: none scores {n} labels with an output of {size}", n=num_labels, size=spec.output_size),
            where="model.head",
            todo=tr("--set model.hidden_size={n}, or model.head=linear", n=num_labels // spec.num_directions),
        )
    head = NoHead() if model.head == "none" else PerStep(spec.output_size, num_labels)
    return SequenceModel(front, rnn, head, model.engine)


def names(config: Config, vocab: Vocabulary) -> Names:
    return Names(vocab["tokens"]["tokens"], vocab["labels"]["tokens"])


def batches(config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
    lengths = [len(row) for row in part.inputs]
    where = order or Order(0, 0)
    for rows in index_batches(len(lengths), config.train.batch_size, where, shuffle=order is not None):
        inputs, sizes = pad([part.inputs[row] for row in rows])
        targets, _ = pad([part.targets[row] for row in rows], IGNORED)
        yield Batch(inputs, sizes, targets, rows=rows)


def encode(config: Config, vocab: Vocabulary, inputs: Sequence[str]) -> Batch:
    tokens = Vocab.from_json(vocab["tokens"])
    ids, lengths = pad([tokens.encode(tokenize(text, vocab["kind"])) for text in inputs])
    return Batch(ids, lengths)


def loss(config: Config, model: Any, batch: Batch, carry: State | None) -> Loss:
    return _loss(model(batch).scores, batch.targets)


def _loss(scores: Tensor, targets: Tensor | None) -> Loss:
    """Cross-entropy summed over the steps of all rows. scores: (T, B, C); targets: (T, B)."""
    from torch.nn import functional as F

    assert targets is not None
    total = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return Loss(total, int((targets != IGNORED).sum()))


def metrics(config: Config, model: Any, part: Part, vocab: Vocabulary) -> Metrics:
    from rnncli.nn.evaluate import outputs_of

    total, steps, right = 0.0, 0.0, 0
    for batch, outputs in outputs_of(model, batches(config, part, None)):
        assert batch.targets is not None
        found = _loss(outputs.scores, batch.targets)
        total += float(found.total)
        steps += found.count
        right += int(outputs.scores.argmax(2).eq(batch.targets).sum())
    return {"accuracy": right / steps, "loss": total / steps}


def baselines(config: Config, splits: Splits, part: str) -> list[Baseline]:
    """The most frequent label of each token: on the training part itself, the best that no memory can pass."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    overall: Counter[str] = Counter()
    for row in splits.train.rows:
        for token, label in zip(*row, strict=True):
            seen[token][label] += 1
            overall[label] += 1
    often = _first(overall)
    best = {token: _first(labels) for token, labels in seen.items()}
    pairs = [pair for row in splits.part(part).rows for pair in zip(*row, strict=True)]
    right = sum(best.get(token, often) == label for token, label in pairs)
    about = tr("the commonest label of each token: no net without memory can pass it on its training data")
    return [Baseline(tr("most frequent label"), {"accuracy": right / len(pairs)}, about)]


def _first(counts: Counter[str]) -> str:
    """The commonest; of equals, the first in the alphabet."""
    return min(counts, key=lambda label: (-counts[label], label))


def watch(config: Config, model: Any, splits: Splits) -> str:
    part: Part = splits.train
    if len(part.rows) > 8:
        return ""
    labels = Vocab.from_json(splits.vocab["labels"])
    kind = splits.vocab["kind"]
    return " ".join(join(labels.decode(row), kind) for row in _answers(config, model, part))


def _answers(config: Config, model: Any, part: Part) -> Iterator[list[int]]:
    """The likeliest label of every step, row by row."""
    from rnncli.nn.evaluate import outputs_of

    for batch, outputs in outputs_of(model, batches(config, part, None)):
        assert batch.lengths is not None
        best = outputs.scores.argmax(2)  # (T, B)
        for b, length in enumerate(batch.lengths.tolist()):
            yield best[:length, b].tolist()


def show(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    from rnncli.nn.evaluate import outputs_of

    rows: Part = splits.part(part)
    one = Part(rows.rows[:1], rows.inputs[:1], rows.targets[:1])
    labels = Vocab.from_json(splits.vocab["labels"])
    _, outputs = next(outputs_of(model, batches(config, one, None)))
    chances = outputs.scores[:, 0].softmax(1)  # (T, C)
    top = chances.topk(min(2, len(labels)), dim=1)
    table: list[list[Any]] = []
    for t, (token, target) in enumerate(zip(*one.rows[0], strict=True)):
        values, found = top.values[t].tolist(), labels.decode(top.indices[t].tolist())
        second = f"{found[1]} {values[1]:.4f}" if len(found) > 1 else ""
        table.append([t, token, target, found[0], values[0], second])
    columns = [
        Column("t", "t", "count"),
        Column("in", tr("in"), "code"),
        Column("target", tr("target"), "code"),
        Column("predicted", tr("predicted"), "code"),
        Column("p", "p"),
        Column("second", tr("second"), "text"),
    ]
    return [Table("sample", columns, table)]


def predict(config: Config, model: Any, vocab: Vocabulary, inputs: Iterable[str], asked: Asked) -> Iterator[Prediction]:
    from rnncli.nn.evaluate import outputs_of

    kind = vocab["kind"]
    tokens, labels = Vocab.from_json(vocab["tokens"]), Vocab.from_json(vocab["labels"])
    for text in inputs:
        steps = tokenize(text, kind)
        if not steps:
            yield Prediction("", {"input": text, "tokens": [], "labels": []})
            continue
        ids, lengths = pad([tokens.encode(steps)])
        _, outputs = next(outputs_of(model, [Batch(ids, lengths)]))
        found = labels.decode(outputs.scores[:, 0].argmax(1).tolist())
        yield Prediction(join(found, kind), {"input": text, "tokens": steps, "labels": found})
