"""algorithms: algorithmic tasks that probe memory: sums, copying, parity, counting; trained on short rows, evaluated on
long ones."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from rnncli.data.batch import Batch, Order, pad
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.nn.evaluate import outputs_of
from rnncli.recipe import Clash, CoreSection, RecipeConfig, TrainSection
from rnncli.records import Column, Record, Series, Table
from rnncli.standalone import Code
from rnncli.tasks.base import (
    Baseline,
    Better,
    Generated,
    Loss,
    Metrics,
    Names,
    Prediction,
    PredictOptions,
    Script,
    Splits,
    Task,
)
from rnncli.tasks.inputs import made
from rnncli.tasks.inputs.made import Data, Fitted, Part

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State
    from rnncli.data.made.automata import Automaton


class Model(CoreSection):
    init: Literal["torch", "long memory"] = Field(
        "torch",
        description="initialization of the core: torch's, or one that preserves the state at first (rnn: W_hh = 1, no "
        "bias, Le et al. 2015; lstm and gru: bias 1 for the gate that keeps the state, Gers et al. 2000)",
    )

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.bidirectional:
            yield Clash(
                ("bidirectional",),
                tr("each step's prediction would see the steps after it"),
                tr("bidirectional: false"),
            )


class Train(TrainSection):
    best_by: Literal["loss", "accuracy", "mse"] = Field(
        "loss", description="metric, on rows of the training lengths, that selects the epoch to keep"
    )


class Config(RecipeConfig):
    task: Literal["algorithms"]
    data: Data
    model: Model
    train: Train

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        wrong = "accuracy" if self.data.metric == "mse" else "mse"
        if self.train.best_by == wrong:
            yield Clash(
                ("train.best_by", "data.problem"),
                tr("{name} has no {metric}", name=self.data.problem, metric=wrong),
                tr("best_by: loss"),
            )


class Algorithms(Task[Config, Fitted, Part]):
    METRICS: Mapping[str, Better] = {"loss": "lower", "accuracy": "higher", "mse": "lower"}
    config_class = Config
    fitted_class = Fitted

    def read(self, config: Config) -> Splits[Fitted, Part]:
        return made.read(config.data, config.train.seed, config.train.batch_size)

    def batches(self, config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
        return made.batches(config.data, part, config.train.seed, config.train.batch_size, order)

    def generated(self, config: Config) -> Generated:
        return made.generated(config.data, config.train.batch_size)

    def build(self, config: Config, fitted: Fitted) -> nn.Module:
        from rnncli.nn.frontends import AsGiven, OneHot
        from rnncli.nn.heads import PerStep
        from rnncli.nn.model import SequenceModel
        from rnncli.nn.recurrent import core_of_section, keep_state

        problem = config.data.rule
        front = OneHot(len(problem.symbols)) if problem.symbols else AsGiven()
        rnn, spec = core_of_section(config.model, len(problem.symbols) or 2)
        if config.model.init == "long memory":
            keep_state(rnn)
        return SequenceModel(front, rnn, PerStep(spec.output_size, len(problem.answers) or 1), config.model.engine)

    def label_names(self, config: Config, fitted: Fitted) -> Names:
        problem = config.data.rule
        return Names(problem.symbols or None, problem.answers or None)

    def encode(self, config: Config, fitted: Fitted, inputs: Sequence[str]) -> Batch:
        rows = [made.steps_of(config.data, text) for text in inputs]
        if not all(len(row) for row in rows):
            raise DataError(tr("empty input"), todo=tr("provide at least one symbol"))
        return Batch(*pad(rows))

    def loss(self, config: Config, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        return _loss(config, model(batch).scores, batch)

    def metrics(self, config: Config, model: nn.Module, part: Part, fitted: Fitted) -> Metrics:
        """Loss and accuracy (or mse) on rows of the training lengths, then accuracy (mse) at each test length."""
        name = config.data.metric
        found: Metrics = {}
        for group, rows in part.groups.items():
            total, count, good, judged = 0.0, 0.0, 0.0, 0
            for batch, outputs in outputs_of(model, self.batches(config, Part({group: rows}), None)):
                loss_ = _loss(config, outputs.scores, batch)
                total, count = total + float(loss_.total), count + loss_.count
                verdicts = _verdicts(config, outputs.scores, batch)
                good, judged = good + float(verdicts.sum()), judged + len(verdicts)
            if not group:
                found["loss"] = total / count
            found[group or name] = good / judged
        return found

    def baselines(self, config: Config, splits: Splits[Fitted, Part], part: str) -> list[Baseline]:
        """The most frequent target for each symbol, or the mean target: no memoryless network beats it by much."""
        import torch

        problem = config.data.rule
        name = config.data.metric
        seen = list(islice(self.batches(config, Part({}), Order(config.train.seed, 0)), 50))
        targets = torch.cat([batch.targets[batch.extra["scored"]] for batch in seen if batch.targets is not None])
        if problem.kind == "number":
            scores_of = {0: targets.mean().reshape(1)}
        else:
            inputs = torch.cat([batch.inputs[batch.extra["scored"]] for batch in seen])  # (N,)
            if problem.kind == "class":
                targets = torch.nn.functional.one_hot(targets, len(problem.answers)).float()
            scores_of = {
                symbol: targets[inputs == symbol].mean(0) - (0.5 if problem.kind == "set" else 0.0)
                for symbol in sorted(set(inputs.tolist()))
            }
        found: Metrics = {}
        for group, rows in splits.part(part).groups.items():
            verdicts = []
            for batch in self.batches(config, Part({group: rows}), None):
                scores = torch.zeros(*batch.inputs.shape[:2], len(problem.answers) or 1)
                for symbol, answer in scores_of.items():
                    scores[batch.inputs == symbol if problem.symbols else slice(None)] = answer
                verdicts.append(_verdicts(config, scores, batch).double())
            found[group or name] = float(torch.cat(verdicts).mean())
        if problem.kind == "number":
            return [Baseline(tr("mean target"), found, tr("constant prediction"))]
        about = tr("the most frequent target for each symbol")
        return [Baseline(tr("current symbol only"), found, about)]

    def summarize(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        row = splits.part(part).groups[""][0]
        batch, outputs = next(outputs_of(model, [made.batch_of(config.data, [row])]))
        inputs = made.inputs_as_text(config.data, batch.inputs[:, 0])
        answers = made.answers_as_text(config.data, outputs.scores[:, 0])
        assert batch.targets is not None
        targets = made.answers_as_text(config.data, batch.targets[:, 0], given=True)
        judged = batch.extra["scored"][:, 0].tolist()
        has = row.counted.tolist()
        table = [
            [t, given, target if known else None, answer, "*" if last else ""]
            for t, (given, target, answer, last, known) in enumerate(
                zip(inputs, targets, answers, judged, has, strict=True)
            )
        ]
        kind: Literal["number", "code"] = "number" if config.data.metric == "mse" else "code"
        columns = [
            Column("t", "t", "count"),
            Column("in", tr("in"), "code"),
            Column("target", tr("target"), kind),
            Column("predicted", tr("predicted"), kind),
            Column("judged", tr("judged"), "text"),
        ]
        return [Table("sample", columns, table, cut_rows=14)]

    def pictures(self, config: Config, model: nn.Module, splits: Splits[Fitted, Part], part: str) -> list[Record]:
        """Length generalization: the metric at each length, next to the baseline's."""
        data = config.data
        name = data.metric
        (baseline,) = self.baselines(config, splits, part)
        groups = [f"{data.rule.size}={length}" for length in data.test_lengths]
        found = self.metrics(config, model, splits.part(part), splits.fitted)
        lines = {
            config.model.cell: [found[group] for group in groups],
            baseline.name: [baseline.metrics[group] for group in groups],
        }
        return [
            Series(
                "lengths",
                [float(length) for length in data.test_lengths],
                lines,
                data.rule.size,
                tr("accuracy") if name == "accuracy" else name,
                tr("length generalization"),
                marks={tr("longest training length"): float(data.max_length)},
            )
        ]

    def automaton(self, config: Config) -> Automaton | None:
        return config.data.rule.automaton

    def script(self, config: Config, fitted: Fitted) -> Script:
        rule = config.data.rule
        sample = " ".join(rule.symbols[:5]) if rule.symbols else "0.25* 0.5 0.125*"
        values = {
            "problem": config.data.problem,
            "sample": Code(shlex.quote(sample)),
            "kind_of_answer": rule.kind,
            "answers": rule.answers,
            "tokens": rule.symbols,
            "has_unk": False,
            "words": rule.has_words,
            "fixed": rule.fixed,
        }
        return Script("algorithms.jinja", values)

    def predict(
        self, config: Config, model: nn.Module, fitted: Fitted, inputs: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        options.only()
        for text in inputs:
            if not text.strip():
                yield Prediction("", {"input": text, "answers": []})
                continue
            _, outputs = next(outputs_of(model, [self.encode(config, fitted, [text])]))
            answers = made.answers_as_text(config.data, outputs.scores[:, 0])
            last = answers[-1]
            yield Prediction(last if isinstance(last, str) else f"{last:.4f}", {"input": text, "answers": answers})


def _loss(config: Config, scores: Tensor, batch: Batch) -> Loss:
    """Loss over the counted steps: cross-entropy (class, set) or squared error (number). scores: (T, B, C)."""
    from torch.nn import functional as F

    assert batch.targets is not None
    counted = batch.extra["counted"]
    kind = config.data.rule.kind
    answers, targets = scores[counted], batch.targets[counted]
    if kind == "class":
        total = F.cross_entropy(answers, targets, reduction="sum")
    elif kind == "set":
        total = F.binary_cross_entropy_with_logits(answers, targets.to(answers), reduction="sum")
    else:
        total = F.mse_loss(answers.squeeze(1), targets.to(answers), reduction="sum")
    return Loss(total, len(answers))


def _verdicts(config: Config, scores: Tensor, batch: Batch) -> Tensor:
    """Values to average: for class, whether each scored step is correct; for set, whether all sets of a row are; for
    number, the squared error of each row. scores: (T, B, C). Returns (N,)."""
    assert batch.targets is not None
    scored, kind = batch.extra["scored"], config.data.rule.kind
    if kind == "class":
        return (scores.argmax(2) == batch.targets)[scored]
    if kind == "set":
        right = ((scores > 0) == (batch.targets > 0.5)).all(2)  # (T, B)
        return (right | ~scored).all(0)
    return (scores.squeeze(2) - batch.targets)[scored] ** 2


TASK = Algorithms()
