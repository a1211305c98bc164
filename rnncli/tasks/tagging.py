"""tagging: one label per step: hello -> ohlol, parts of speech and other columns of a treebank."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from rnncli.baselines.most_frequent import most_frequent_of_each
from rnncli.data.batch import Batch, Order, index_batches
from rnncli.data.columns import Columns
from rnncli.data.conllu import FIELDS, Broken, check_field
from rnncli.data.pictures import Confusion
from rnncli.data.vocab import join, tokenize
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.nn.evaluate import outputs_of
from rnncli.recipe import Clash, RecipeConfig, TrainSection
from rnncli.records import Json, Message, Record, Table
from rnncli.tasks.base import (
    IGNORED,
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
from rnncli.tasks.entities import OUTSIDE, Found, are_entity_tags
from rnncli.tasks.inputs.sentences import TWO, Data, Fitted, Part, SentenceInput, batch_of, encoded
from rnncli.tasks.inputs.tagged import GivenLines, suggest_tag
from rnncli.tasks.inputs.tokens import not_known, number_values, token_values
from rnncli.tasks.tag_tables import SHOWN, by_entity, by_tag, one_row
from rnncli.tasks.tagger import Model, build, start_from_file

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State
    from rnncli.data.look import Look
    from rnncli.nn.model import Outputs

SHOWN_LABELS = 40  # in the confusion matrix


class Train(TrainSection):
    best_by: Literal["accuracy", "loss", "f1", "precision", "recall"] = Field(
        "loss", description="metric that selects the epoch to keep; f1, precision, recall: of entities (B-PER)"
    )


class Config(RecipeConfig):
    task: Literal["tagging"]
    data: Data
    model: Model
    train: Train

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.model.word_dropout and self.data.pairs is not None:
            yield Clash(
                ("model.word_dropout", "data.pairs"),
                tr("inline pairs have no <unk>"),
                tr("word_dropout: 0.0"),
            )


class Tagging(Task[Config, Fitted, Part]):
    METRICS: Mapping[str, Better] = {
        "accuracy": "higher",
        "loss": "lower",
        "f1": "higher",
        "precision": "higher",
        "recall": "higher",
    }
    config_class = Config
    fitted_class = Fitted

    def input(self, config: Config) -> SentenceInput:
        return SentenceInput(config.data, config.model.input == "embedding + characters")

    def read(self, config: Config) -> Splits[Fitted, Part]:
        splits = self.input(config).read(config.train.seed)
        by, labels = config.train.best_by, splits.fitted.labels.tokens
        if by not in ("accuracy", "loss") and not are_entity_tags(labels):
            raise DataError(
                tr(
                    "{metric} is an entity metric, but these labels mark no entities: {labels}",
                    metric=by,
                    labels=", ".join(labels[:8]) + (" ..." if len(labels) > 8 else ""),
                ),
                where="train.best_by",
                todo=tr("entity labels look like B-PER, I-PER and O; otherwise use train.best_by=accuracy"),
            )
        return splits

    def read_part(self, config: Config, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
        return self.input(config).read_part(fitted, path)

    def suits(self, look: Look, config: Config) -> Suited | None:
        from rnncli.tasks.inputs import suits

        return suits.tagged(look)

    def suggest_settings(self, path: str, config: Config | None = None) -> dict[str, Json]:
        return suggest_tag(path)

    def build(self, config: Config, fitted: Fitted) -> nn.Module:
        return build(config.model, fitted)

    def begin(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part]) -> list[str]:
        return start_from_file(config.model, model, splits.fitted, splits.train.rows.tokens.counts())

    def label_names(self, config: Config, fitted: Fitted) -> Names:
        return Names(fitted.tokens.tokens, fitted.labels.tokens)

    def batches(self, config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
        """Rows of similar length share a batch; without an order, sorted by length."""
        lengths = part.inputs.lengths
        for rows in index_batches(len(lengths), config.train.batch_size, order, lengths=lengths):
            yield batch_of(part, rows)

    def encode(self, config: Config, fitted: Fitted, inputs: Sequence[str]) -> Batch:
        return encoded(fitted, [tokenize(text, fitted.kind) for text in inputs])

    def loss(self, config: Config, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        return _loss(model, model(batch), batch)

    def metrics(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Metrics:
        from rnncli.nn.crf import best_labels

        total, steps, right = 0.0, 0.0, 0
        answers: list[list[int]] = [[] for _ in part.rows]
        for batch, outputs in outputs_of(model, self.batches(config, part, None)):
            assert batch.targets is not None
            loss, best = _loss(model, outputs, batch), best_labels(model, outputs)
            total += float(loss.total.detach())
            steps += loss.count
            right += int(best.eq(batch.targets).sum())
            _place(best, batch, answers)
        entities = {}
        if are_entity_tags(fitted.labels.tokens):
            entities = _entities(part, (fitted.labels.decode(row) for row in answers)).metrics()
        return {**entities, "accuracy": right / _labelled(part), "loss": total / steps}

    def baselines(self, config: Config, splits: Splits[Fitted, Part], part: str) -> list[Baseline]:
        """The most frequent label of each token: on the training split, the upper bound for models without memory."""
        best, often = most_frequent_of_each(_pairs(splits.train))
        tested: Part = splits.part(part)
        right = sum(best.get(token, often) == label for token, label in _pairs(tested))
        metrics = {"accuracy": right / _labelled(tested)}
        if are_entity_tags(splits.fitted.labels.tokens):
            answers = ([best.get(token, often) for token in row.tokens] for row in tested.rows)
            metrics = {**_entities(tested, answers).metrics(), **metrics}
        if part == "train":
            about = tr(
                "the most frequent label of each token: no network without memory can beat it on the training data"
            )
        else:
            about = tr("the most frequent label of each token in training; unknown tokens: {label}", label=often)
        return [Baseline(tr("most frequent label"), metrics, about)]

    def epoch_preview(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part]) -> str:
        part: Part = splits.train
        if splits.fitted.format != "pairs" or len(part.rows) > 8:
            return ""
        labels = splits.fitted.labels
        kind = splits.fitted.kind
        return " ".join(join(labels.decode(row), kind) for row in self._answers(config, model, part))

    def _answers(self, config: Config, model: nn.Module, part: Part) -> list[list[int]]:
        """The predicted labels, row by row."""
        from rnncli.nn.crf import best_labels

        found: list[list[int]] = [[] for _ in part.rows]
        for batch, outputs in outputs_of(model, self.batches(config, part, None)):
            _place(best_labels(model, outputs), batch, found)
        return found

    def summarize(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        rows: Part = splits.part(part)
        if splits.fitted.format == "pairs":
            return [self._steps(config, model, splits.fitted, rows, 0)]
        short = next((i for i, row in enumerate(rows.rows) if 4 <= len(row.tokens) <= SHOWN), 0)
        return [self._steps(config, model, splits.fitted, rows, short), *self._by_tag(config, model, splits, rows)]

    def _steps(self, config: Config, model: nn.Module, fitted: Fitted, part: Part, row: int) -> Table:
        """One row step by step."""
        from rnncli.nn.crf import best_labels, with_marginals

        letters = None if part.letters is None else part.letters[row : row + 1]
        one = Part(part.rows[row : row + 1], part.inputs[row : row + 1], part.targets[row : row + 1], letters)
        _, outputs = next(outputs_of(model, self.batches(config, one, None)))
        probs = with_marginals(model, outputs).scores[:, 0].float().softmax(1)  # (T, C)
        return one_row(one.rows[0], best_labels(model, outputs)[:, 0].tolist(), probs, fitted.labels)

    def _by_tag(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: Part) -> list[Record]:
        """Precision, recall and F1 of every kind of entity, or of every tag; and accuracy on out-of-vocabulary
        words."""
        labels, trained = splits.fitted.labels, splits.train.rows.tokens.counts()
        answers = [labels.decode(row) for row in self._answers(config, model, part)]
        steps = [
            (token, label, answer)
            for row, answers_of in zip(part.rows, answers, strict=True)
            for token, label, answer in zip(row.tokens, row.labels, answers_of, strict=True)
            if label is not None
        ]
        if are_entity_tags(labels.tokens):
            table = by_entity(_entities(part, answers))
        else:
            table = by_tag((label, answer) for _, label, answer in steps)
        known = [label == answer for token, label, answer in steps if token in trained]
        new = [label == answer for token, label, answer in steps if token not in trained]
        if not new or part is splits.train:
            return [table]
        text = trn(
            "accuracy: {known} on words seen in training, {new} on the {n} other",
            "accuracy: {known} on words seen in training, {new} on the {n} others",
            known=f"{sum(known) / max(1, len(known)):.4f}",
            n=len(new),
            new=f"{sum(new) / len(new):.4f}",
        )
        return [table, Message(text, "note")]

    def pictures(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """The confusion matrix of the labels known from training; none if there are very many."""
        if len(splits.fitted.labels) > SHOWN_LABELS:
            return []
        return [self.confusion(config, model, splits.fitted, splits.part(part)).shown()]

    def confusion(self, config: Config, model: nn.Module, fitted: Fitted, part: Part) -> Confusion:
        labels = fitted.labels
        counts = [[0] * len(labels) for _ in labels.tokens]
        for row, answers in zip(part.rows, self._answers(config, model, part), strict=True):
            for label, answer in zip(row.labels, answers, strict=True):
                if label is not None and label in labels:
                    counts[labels.id(label)][answer] += 1
        return Confusion(counts, labels.tokens)

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

    def hub_task(self, config: Config) -> str:
        return "token-classification"

    def script(self, config: Config, fitted: Fitted) -> Script:
        forms = {"pairs": "", "conllu": "CoNLL-U", "tsv": "a file of columns"}
        tag = check_field(fitted.tag or "upos") if fitted.format == "conllu" else ""
        values = {
            **token_values(fitted.kind),
            **number_values(fitted.tokens),
            "format": fitted.format,
            "file_form": forms[fitted.format],
            "columns": _columns(fitted),
            "tag": tag,
            "field_place": FIELDS.index(tag) if tag in FIELDS else None,
            "word_place": 0 if fitted.format == "tsv" else FIELDS.index("form"),
        }
        return Script("tagging.jinja", values)

    def predict_lines(
        self, config: Config, model: nn.Module, fitted: Fitted, lines: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """CoNLL-U and column files are reproduced with the tags filled in; other lines are texts."""
        options.only("top_k")
        given = GivenLines(lines, _columns(fitted), fitted.tag or "upos", fitted.labels)
        file = given.file
        if fitted.format == "pairs" or file is None:
            yield from super().predict_lines(config, model, fitted, given, options)
            return
        for block in file.blocks("-", given.numbered()):
            if isinstance(block, Broken):
                yield Prediction(
                    "".join(block.raw), None, [tr("left unchanged: {where}: {why}", where=block.where, why=block.why)]
                )
                continue
            tags, json, _, notes = _tagged(model, fitted, block.tokens, options)
            yield Prediction(file.with_tags(block, tags), json if block.tokens else None, notes)


def _columns(fitted: Fitted) -> Columns | None:
    """The column layout of the run's files; runs of 0.1 only knew word, tab, tag."""
    return TWO if fitted.format == "tsv" and fitted.columns is None else fitted.columns


def _loss(model: nn.Module, outputs: Outputs, batch: Batch) -> Loss:
    """-log p of the labels: per step, or, with a CRF, per row; averaged per step either way."""
    from rnncli.nn.crf import crf_of

    crf = crf_of(model)
    if crf is None:
        return loss_of_steps(outputs.scores, batch.targets)
    assert batch.targets is not None
    total = -crf.log_likelihood(outputs.scores, batch.targets, outputs.lengths).sum()
    return Loss(total, int((batch.targets != IGNORED).sum()))


def _place(best: Tensor, batch: Batch, answers: list[list[int]]) -> None:
    """Write a batch's labels, (T, B), into its rows."""
    assert batch.lengths is not None
    for b, (row, length) in enumerate(zip(batch.rows, batch.lengths.tolist(), strict=True)):
        answers[row] = best[:length, b].tolist()


def _entities(part: Part, answers: Iterable[Sequence[str]]) -> Found:
    """True and predicted labels of a split. Steps without a label are ignored."""
    found = Found()
    for row, said in zip(part.rows, answers, strict=True):
        pairs = [
            (OUTSIDE, OUTSIDE) if label is None else (label, tag) for label, tag in zip(row.labels, said, strict=True)
        ]
        found.add([label for label, _ in pairs], [tag for _, tag in pairs])
    return found


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
    """The most likely label of each token; the same as JSON, with top_k choices if requested; the choices (label,
    probability) for every token; notes."""
    from rnncli.nn.crf import best_labels, with_marginals

    json: dict[str, Json] = {"tokens": list(steps), "labels": []}
    if not steps:
        return [], json if options.top_k is None else json | {"steps": []}, [], []
    labels = fitted.labels
    _, outputs = next(outputs_of(model, [encoded(fitted, [steps])]))
    found = labels.decode(best_labels(model, outputs)[:, 0].tolist())
    best: list[list[tuple[str, float]]] = []
    json["labels"] = found
    if options.top_k is not None:
        scores = with_marginals(model, outputs).scores[:, 0].float()  # (T, C)
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
