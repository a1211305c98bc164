"""tagging: one label for every step. hello -> ohlol, parts of speech and other columns of a treebank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from rnncli.baselines.most_frequent import most_frequent_of_each
from rnncli.data.batch import Batch, Order, index_batches
from rnncli.data.columns import Columns
from rnncli.data.conllu import Broken
from rnncli.data.pictures import confusion
from rnncli.data.vocab import join, tokenize
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.recipe import CoreSection, RecipeConfig, Section, TrainSection
from rnncli.records import Column, Entry, Json, Message, Record, Table
from rnncli.tasks.base import (
    Baseline,
    Better,
    Loss,
    Metrics,
    Names,
    Prediction,
    PredictOptions,
    Script,
    Splits,
    Suited,
    Task,
    loss_of_steps,
)
from rnncli.tasks.inputs import suits
from rnncli.tasks.inputs.sentences import TWO, Data, Fitted, Part, SentenceInput, batch_of, encoded
from rnncli.tasks.inputs.tagged import GivenLines, suggest_tag
from rnncli.tasks.inputs.tokens import idle_embedding, not_known, sample_text, token_front
from rnncli.tasks.labels import precision_recall_f1

if TYPE_CHECKING:
    from torch import nn

    from rnncli.cells import CoreSpec, State
    from rnncli.data.look import Look

SHOWN = 16  # steps of the example, and tags of the table, that a closing screen shows
SHOWN_LABELS = 40  # in the confusion matrix


class Characters(Section):
    """`model.characters:`, the core that reads each word letter by letter, with input: embedding + characters."""

    embedding_size: Annotated[int, Field(ge=1)] = Field(16, description="length of the learned vector of a letter")
    hidden_size: Annotated[int, Field(ge=1)] = Field(32, description="H of the core over letters; read both ways")


class Model(CoreSection):
    input: Literal["one-hot", "embedding", "embedding + characters"] = Field(
        "one-hot", description="how a token becomes x_t; + characters: beside a second core over each word's letters"
    )
    embedding_size: Annotated[int, Field(ge=1)] = Field(16, description="length of the learned vectors of tokens")
    characters: Characters = Field(Characters(), description="with input: embedding + characters")
    head: Literal["linear", "none"] = Field("linear", description="linear scores the labels; none: h_t is the score")

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from idle_embedding(self.input)
        if self.input != "embedding + characters":
            yield "characters", f"input: {self.input}"


class Train(TrainSection):
    best_by: Literal["accuracy", "loss"] = Field("loss", description="the metric that decides which epoch is kept")


class Config(RecipeConfig):
    task: Literal["tagging"]
    data: Data
    model: Model
    train: Train


class Tagging(Task[Config, Fitted, Part]):
    METRICS: Mapping[str, Better] = {"accuracy": "higher", "loss": "lower"}
    config_class = Config
    fitted_class = Fitted

    def input(self, config: Config) -> SentenceInput:
        return SentenceInput(config.data, config.model.input == "embedding + characters")

    def read(self, config: Config) -> Splits[Fitted, Part]:
        return self.input(config).read(config.train.seed)

    def read_part(self, config: Config, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
        return self.input(config).read_part(fitted, path)

    def suits(self, look: Look, config: Config) -> Suited | None:
        return suits.tagged(look)

    def suggest_settings(self, path: str, config: Config | None = None) -> dict[str, Json]:
        return suggest_tag(path)

    def build(self, config: Config, fitted: Fitted) -> nn.Module:
        from rnncli.nn.heads import NoHead, PerStep
        from rnncli.nn.model import SequenceModel
        from rnncli.nn.recurrent import core_of_section

        model = config.model
        num_labels = len(fitted.labels)
        if model.input == "embedding + characters":
            return _with_characters(config, fitted)
        front, size = token_front(model.input, len(fitted.tokens), model.embedding_size)
        rnn, spec = core_of_section(model, size)
        _fits(model, spec, num_labels)
        head = NoHead() if model.head == "none" else PerStep(spec.output_size, num_labels)
        return SequenceModel(front, rnn, head, model.engine)

    def label_names(self, config: Config, fitted: Fitted) -> Names:
        return Names(fitted.tokens.tokens, fitted.labels.tokens)

    def batches(self, config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
        """Rows of similar length share a batch; without an order, from the shortest on."""
        lengths = part.inputs.lengths
        where = order or Order(0, 0)
        shuffle = order is not None
        for rows in index_batches(len(lengths), config.train.batch_size, where, shuffle=shuffle, lengths=lengths):
            yield batch_of(part, rows)

    def encode(self, config: Config, fitted: Fitted, inputs: Sequence[str]) -> Batch:
        return encoded(fitted, [tokenize(text, fitted.kind) for text in inputs])

    def loss(self, config: Config, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        return loss_of_steps(model(batch).scores, batch.targets)

    def metrics(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Metrics:
        from rnncli.nn.evaluate import outputs_of

        total, steps, right = 0.0, 0.0, 0
        for batch, outputs in outputs_of(model, self.batches(config, part, None)):
            assert batch.targets is not None
            found = loss_of_steps(outputs.scores, batch.targets)
            total += float(found.total)
            steps += found.count
            right += int(outputs.scores.argmax(2).eq(batch.targets).sum())
        return {"accuracy": right / _labelled(part), "loss": total / steps}

    def baselines(self, config: Config, splits: Splits[Fitted, Part], part: str) -> list[Baseline]:
        """The most frequent label of each token: on the training part itself, the best that no memory can pass."""
        best, often = most_frequent_of_each(_pairs(splits.train))
        tested: Part = splits.part(part)
        right = sum(best.get(token, often) == label for token, label in _pairs(tested))
        if part == "train":
            about = tr("the commonest label of each token: no net without memory can pass it on its training data")
        else:
            about = tr("the commonest label of each token in training; unknown tokens: {label}", label=often)
        return [Baseline(tr("most frequent label"), {"accuracy": right / _labelled(tested)}, about)]

    def epoch_preview(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part]) -> str:
        part: Part = splits.train
        if splits.fitted.format != "pairs" or len(part.rows) > 8:
            return ""
        labels = splits.fitted.labels
        kind = splits.fitted.kind
        return " ".join(join(labels.decode(row), kind) for row in self._answers(config, model, part))

    def _answers(self, config: Config, model: nn.Module, part: Part) -> list[list[int]]:
        """The likeliest label of every step, row by row."""
        from rnncli.nn.evaluate import outputs_of

        found: list[list[int]] = [[] for _ in part.rows]
        for batch, outputs in outputs_of(model, self.batches(config, part, None)):
            assert batch.lengths is not None
            best = outputs.scores.argmax(2)  # (T, B)
            for b, (row, length) in enumerate(zip(batch.rows, batch.lengths.tolist(), strict=True)):
                found[row] = best[:length, b].tolist()
        return found

    def summarize(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        rows: Part = splits.part(part)
        if splits.fitted.format == "pairs":
            return [self._steps(config, model, splits.fitted, rows, 0)]
        short = next((i for i, row in enumerate(rows.rows) if 4 <= len(row.tokens) <= SHOWN), 0)
        return [self._steps(config, model, splits.fitted, rows, short), *self._by_tag(config, model, splits, rows)]

    def _steps(self, config: Config, model: nn.Module, fitted: Fitted, part: Part, row: int) -> Table:
        """One row step by step."""
        from rnncli.nn.evaluate import outputs_of

        labels = fitted.labels
        letters = None if part.letters is None else part.letters[row : row + 1]
        one = Part(part.rows[row : row + 1], part.inputs[row : row + 1], part.targets[row : row + 1], letters)
        _, outputs = next(outputs_of(model, self.batches(config, one, None)))
        chances = outputs.scores[:, 0].float().softmax(1)  # (T, C)
        top = chances.topk(min(2, len(labels)), dim=1)
        table: list[list[Entry]] = []
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
        return Table("sample", columns, table, cut_rows=SHOWN)

    def _by_tag(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: Part) -> list[Record]:
        """Precision, recall and F1 of every tag, the commonest first; and how well words fare that training never
        saw."""
        labels = splits.fitted.labels
        trained = splits.train.rows.tokens.counts()
        target: Counter[str] = Counter()
        predicted: Counter[str] = Counter()
        right: Counter[str] = Counter()
        known, new = [0, 0], [0, 0]  # right, all
        for row, answers in zip(part.rows, self._answers(config, model, part), strict=True):
            for token, label, answer in zip(row.tokens, row.labels, labels.decode(answers), strict=True):
                if label is None:
                    continue
                target[label] += 1
                predicted[answer] += 1
                right[label] += label == answer
                of = known if token in trained else new
                of[0] += label == answer
                of[1] += 1
        rows: list[list[Entry]] = [
            [label, n, *precision_recall_f1(right[label], predicted[label], n)] for label, n in target.most_common()
        ]
        columns = [
            Column("tag", tr("tag"), "code"),
            Column("words", tr("words"), "count"),
            Column("precision", tr("precision")),
            Column("recall", tr("recall")),
            Column("f1", "F1"),
        ]
        table = Table("by-tag", columns, rows, cut_rows=SHOWN)
        if not new[1] or part is splits.train:
            return [table]
        text = trn(
            "accuracy on words seen in training {known}, on the {n} other {new}",
            "accuracy on words seen in training {known}, on the {n} others {new}",
            known=f"{known[0] / max(1, known[1]):.4f}",
            n=new[1],
            new=f"{new[0] / new[1]:.4f}",
        )
        return [table, Message(text, "note")]

    def pictures(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """Which label was taken for which, of the labels that training knows; with very many there is no such
        picture."""
        labels = splits.fitted.labels
        rows: Part = splits.part(part)
        if len(labels) > SHOWN_LABELS:
            return []
        counts = [[0] * len(labels) for _ in labels.tokens]
        for row, answers in zip(rows.rows, self._answers(config, model, rows), strict=True):
            for label, answer in zip(row.labels, answers, strict=True):
                if label is not None and label in labels:
                    counts[labels.id(label)][answer] += 1
        return [confusion(counts, labels.tokens)]

    def predict(
        self, config: Config, model: nn.Module, fitted: Fitted, inputs: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        options.only("top_k")
        for text in inputs:
            steps = tokenize(text, fitted.kind)
            found, json, best, notes = _tagged(model, fitted, steps, options)
            if options.top_k is not None:
                shown = "\n".join(_choices_line(token, choices) for token, choices in zip(steps, best, strict=True))
            elif fitted.format == "pairs":
                shown = join(found, fitted.kind)
            else:
                shown = " ".join(f"{token}/{tag}" for token, tag in zip(steps, found, strict=True))
            yield Prediction(shown, {"input": text, **json}, notes)

    def script(self, config: Config, fitted: Fitted) -> Script:
        text = sample_text(fitted.tokens, fitted.kind)
        return Script(
            "rnncli.data.vocab", ["tokenize", "join"], {"KIND": fitted.kind}, 'vocab["tokens"]["tokens"]', text, _BODY
        )

    def predict_lines(
        self, config: Config, model: nn.Module, fitted: Fitted, lines: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """CoNLL-U and columns come back as they were, with the tags in place; other lines are texts."""
        options.only("top_k")
        given = GivenLines(lines, _columns(fitted), fitted.tag or "upos", fitted.labels)
        file = given.file
        if fitted.format == "pairs" or file is None:
            yield from super().predict_lines(config, model, fitted, given, options)
            return
        for block in file.blocks("-", given.numbered()):
            if isinstance(block, Broken):
                yield Prediction(
                    "".join(block.raw), None, [tr("left as it is: {where}: {why}", where=block.where, why=block.why)]
                )
                continue
            tags, json, _, notes = _tagged(model, fitted, block.tokens, options)
            yield Prediction(file.with_tags(block, tags), json if block.tokens else None, notes)


def _columns(fitted: Fitted) -> Columns | None:
    """How the files of the run were cut; runs of 0.1 knew word, tab, tag alone."""
    return TWO if fitted.format == "tsv" and fitted.columns is None else fitted.columns


_BODY = """\
steps = tokenize(text, KIND)
scores = run(numbers(steps))[0] if steps else torch.zeros(0, 1, len(vocab["labels"]["tokens"]))
found = [vocab["labels"]["tokens"][i] for i in scores[:, 0].float().argmax(1)]  # at every step
if vocab["format"] == "pairs":
    predicted = join(found, KIND)
else:
    predicted = " ".join(f"{token}/{tag}" for token, tag in zip(steps, found))"""


def _fits(model: Model, spec: CoreSpec, num_labels: int) -> None:
    """DataError where h_t is to be the score and has another length."""
    if model.head == "none" and spec.output_size != num_labels:
        raise DataError(
            trn(
                "head: none scores {n} label with an output of {size}",
                "head: none scores {n} labels with an output of {size}",
                n=num_labels,
                size=spec.output_size,
            ),
            where="model.head",
            todo=tr("--set model.hidden_size={n}, or model.head=linear", n=num_labels // spec.num_directions),
        )


def _with_characters(config: Config, fitted: Fitted) -> nn.Module:
    from torch import nn

    from rnncli.nn.characters import WordsAndCharacters
    from rnncli.nn.heads import NoHead, PerStep
    from rnncli.nn.recurrent import core_of_section

    model, small = config.model, config.model.characters
    num_labels = len(fitted.labels.tokens)
    assert fitted.characters is not None
    words = nn.Embedding(len(fitted.tokens.tokens), model.embedding_size)
    letters = nn.Embedding(len(fitted.characters.tokens), small.embedding_size)
    changes = {"hidden_size": small.hidden_size, "num_layers": 1, "bidirectional": True, "dropout": 0.0, "proj_size": 0}
    characters, small_spec = core_of_section(model.model_copy(update=changes), small.embedding_size)
    rnn, spec = core_of_section(model, model.embedding_size + small_spec.output_size)
    _fits(model, spec, num_labels)
    head = NoHead() if model.head == "none" else PerStep(spec.output_size, num_labels)
    return WordsAndCharacters(words, letters, characters, rnn, head, model.engine)


def _labelled(part: Part) -> int:
    return sum(n for label, n in part.rows.labels.counts().items() if label is not None)


def _pairs(part: Part) -> Iterator[tuple[str, str]]:
    for row in part.rows:
        for token, label in zip(row.tokens, row.labels, strict=True):
            if label is not None:
                yield token, label


def _tagged(
    model: nn.Module, fitted: Fitted, steps: Sequence[str], options: PredictOptions
) -> tuple[list[str], dict[str, Json], list[list[tuple[str, float]]], list[str]]:
    """The likeliest label of each token; the same as JSON, with top_k choices where they are asked for; these, label
    and probability, for every token; what should be said."""
    from rnncli.nn.evaluate import outputs_of

    json: dict[str, Json] = {"tokens": list(steps), "labels": []}
    if not steps:
        return [], json if options.top_k is None else json | {"steps": []}, [], []
    labels = fitted.labels
    _, outputs = next(outputs_of(model, [encoded(fitted, [steps])]))
    scores = outputs.scores[:, 0].float()  # (T, C)
    found = labels.decode(scores.argmax(1).tolist())
    best: list[list[tuple[str, float]]] = []
    json["labels"] = found
    if options.top_k is not None:
        top = scores.softmax(1).topk(min(options.top_k, len(labels)), dim=1)
        pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        best = [list(zip(labels.decode(which), ps, strict=True)) for which, ps in pairs]
        json["steps"] = [
            {"token": token, "choices": [{"label": label, "p": p} for label, p in choices]}
            for token, choices in zip(steps, best, strict=True)
        ]
    return found, json, best, not_known(fitted.tokens, steps)


def _choices_line(token: str, choices: Sequence[tuple[str, float]]) -> str:
    return "\t".join([token, *(f"{label} {p:.4f}" for label, p in choices)])


TASK = Tagging()
