"""algorithms: what a memory can hold. Sums, copies, parity, counting; trained on short rows, judged on long ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch, Order, generator, pad
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.recipe import Clash, CoreSection, RecipeConfig, Section, TrainSection
from rnncli.records import Column, Record, Series, Table
from rnncli.tasks import Asked, Baseline, Loss, Metrics, Names, Prediction, Splits, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State
    from rnncli.data.made.algorithms import Problem, Row

METRICS: Mapping[str, Literal["lower", "higher"]] = {"loss": "lower", "accuracy": "higher", "mse": "lower"}
INPUT: Literal["text", "path"] = "text"
NUMBERS = ("adding",)  # problems whose answer is a number: they have mse, the others accuracy
SHOWN = 8  # steps of a row that fits a screen


class Data(Section):
    problem: Literal["adding", "copy", "parity", "even-pairs", "modular-arithmetic", "anbn", "anbncn", "dyck"] = Field(
        description="what is computed; each is described where it is made, rnncli/data/made/algorithms.py"
    )
    min_length: Annotated[int, Field(ge=1)] = Field(1, description="training rows have at least this length")
    max_length: Annotated[int, Field(ge=1)] = Field(
        40, description="and at most this; n for anbn and anbncn, the wait for copy, else steps"
    )
    test_lengths: list[Annotated[int, Field(ge=1)]] = Field(
        [40, 80, 160, 400], description="the network is judged at each of these; one class of rows each"
    )
    test_rows: Annotated[int, Field(ge=1)] = Field(200, description="rows of each test length")
    batches: Annotated[int, Field(ge=1)] = Field(200, description="updates in an epoch, each on rows never seen before")
    answers: Literal["every step", "last"] = Field(
        "every step", description="what training sees: the answer at every step that has one, or only those judged"
    )
    symbols: Annotated[int, Field(ge=1)] = Field(10, description="copy only: how many symbols are to be kept")
    growth: Annotated[int, Field(ge=0)] = Field(
        0, description="epochs in which the longest training row grows to max_length; 0: at once"
    )

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.min_length > self.max_length:
            yield Clash(("min_length", "max_length"), tr("min_length is above max_length, {n}", n=self.max_length))
        if not self.test_lengths:
            yield Clash(("test_lengths",), tr("the list of lengths is empty"), tr("test_lengths: [40, 400]"))
        if self.test_lengths != sorted(set(self.test_lengths)):
            yield Clash(("test_lengths",), tr("the lengths must rise"), tr("test_lengths: [40, 400]"))


class Model(CoreSection):
    init: Literal["torch", "long memory"] = Field(
        "torch",
        description="of the core's weights: torch's own, or so that the state is kept at first (rnn: W_hh = 1 and no "
        "bias, Le et al. 2015; lstm and gru: a bias of 1 on the gate that keeps, Gers et al. 2000)",
    )

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.bidirectional:
            yield Clash(
                ("bidirectional",),
                tr("a step's answer would see the steps after it"),
                tr("bidirectional: false"),
            )


class Train(TrainSection):
    best_by: Literal["loss", "accuracy", "mse"] = Field(
        "loss", description="the metric, on rows of the training lengths, that decides which epoch is kept"
    )


class Config(RecipeConfig):
    task: Literal["algorithms"]
    data: Data
    model: Model
    train: Train

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        wrong = "accuracy" if self.data.problem in NUMBERS else "mse"
        if self.train.best_by == wrong:
            yield Clash(
                ("train.best_by", "data.problem"),
                tr("{name} has no {metric}", name=self.data.problem, metric=wrong),
                tr("best_by: loss"),
            )


class Part(NamedTuple):
    """groups: what a group of rows is called -> its rows; those of the training lengths first, under "".

    No groups: the training part, whose rows are drawn when they are asked for.
    """

    groups: Mapping[str, Sequence[Row]]


def read(config: Config) -> Splits:
    data, seed = config.data, config.train.seed
    groups = {"": _rows(data, data.min_length, data.max_length, seed)}
    before = data.max_length
    for length in data.test_lengths:
        first = min(before + 1, length) if _problem(data).fixed else length
        groups[f"{_problem(data).size}={length}"] = _rows(data, first, length, seed)
        before = length
    held_out = Part(groups)
    counts = {
        "train": {"rows an epoch": data.batches * config.train.batch_size},
        "validation": {"rows": sum(map(len, groups.values()))},
    }
    how = tr("made by rule, after {source}; training rows are new in every batch", source=_problem(data).source)
    notes = [
        tr(
            "trained on {size} from {low} to {high}, judged on {lengths}; loss, {metric}: training lengths",
            size=_problem(data).size,
            low=data.min_length,
            high=data.max_length,
            lengths=", ".join(map(str, data.test_lengths)),
            metric="mse" if data.problem in NUMBERS else "accuracy",
        )
    ]
    fingerprint = sha256(data.model_dump_json().encode() + str(seed).encode()).hexdigest()
    return Splits(Part({}), {"problem": data.problem}, counts, fingerprint, held_out, how=how, notes=notes)


def _problem(data: Data) -> Problem:
    from rnncli.data.made.algorithms import PROBLEMS

    return PROBLEMS[data.problem]


def _make(data: Data, length: int, random: Any) -> Row:
    from rnncli.data.made.algorithms import copy

    return copy(length, random, data.symbols) if data.problem == "copy" else _problem(data).make(length, random)


def _rows(data: Data, low: int, high: int, seed: int) -> list[Row]:
    """The rows of a held-out group: test_rows of them over the lengths low ... high, evenly; each length but once where
    it has but one row. The first is one to look at, of about SHOWN steps."""
    lengths = range(low, high + 1)
    n = min(data.test_rows, len(lengths)) if _problem(data).fixed else data.test_rows
    chosen = [lengths[round(i * (len(lengths) - 1) / max(1, n - 1))] for i in range(n)]
    chosen.sort(key=lambda length: abs(length - SHOWN))
    random = generator(seed, 1, low, high)
    return [_make(data, length, random) for length in chosen]


def build(config: Config, vocab: Vocabulary) -> nn.Module:
    from rnncli.nn.frontends import AsGiven, OneHot
    from rnncli.nn.heads import PerStep
    from rnncli.nn.model import SequenceModel
    from rnncli.nn.recurrent import core_of_section, keep_state

    problem = _problem(config.data)
    front = OneHot(len(problem.symbols)) if problem.symbols else AsGiven()
    rnn, spec = core_of_section(config.model, len(problem.symbols) or 2)
    if config.model.init == "long memory":
        keep_state(rnn)
    return SequenceModel(front, rnn, PerStep(spec.output_size, len(problem.answers) or 1), config.model.engine)


def names(config: Config, vocab: Vocabulary) -> Names:
    problem = _problem(config.data)
    return Names(problem.symbols or None, problem.answers or None)


def batches(config: Config, part: Part, order: Order | None) -> Iterator[Batch]:
    """Training: new rows, those of a batch all of one length, drawn anew (Deletang et al. 2023 train so; of a problem
    with but one row of each length, every row has its own length). Held out: the rows of each group in turn."""
    size = config.train.batch_size
    if part.groups:
        for rows in part.groups.values():
            for start in range(0, len(rows), max(size, 100)):
                yield _batch(config, rows[start : start + max(size, 100)])
        return
    data, where = config.data, order or Order(config.train.seed, 0)
    high = data.max_length
    if data.growth:
        high = data.min_length + (high - data.min_length) * min(where.epoch, data.growth) // data.growth
    for number in range(where.next_batch, data.batches):
        random = generator(where.seed, 0, where.epoch, number)
        lengths = random.randint(data.min_length, high + 1, size=size)
        if not _problem(data).fixed:
            lengths[:] = lengths[0]
        rows = [_make(data, int(length), random) for length in lengths]
        yield _batch(config, rows[where.rank :: where.world])


def _batch(config: Config, rows: Sequence[Row]) -> Batch:
    """inputs (T, B) or (T, B, 2); targets (T, B) or (T, B, C); extra: counted, scored (T, B) bool."""
    import torch

    scored = [torch.arange(len(row.counted)).ge(row.scored) for row in rows]
    counted = scored if config.data.answers == "last" else [torch.from_numpy(row.counted) for row in rows]
    inputs, lengths = pad([torch.from_numpy(row.inputs) for row in rows])
    targets, _ = pad([torch.from_numpy(row.targets) for row in rows])
    extra = {"counted": pad(counted, False)[0], "scored": pad(scored, False)[0]}
    return Batch(inputs, lengths, targets, extra)


def encode(config: Config, vocab: Vocabulary, inputs: Sequence[str]) -> Batch:
    rows = [_steps(config, text) for text in inputs]
    if not all(len(row) for row in rows):
        raise DataError(tr("an input without steps"), todo=tr("give some symbols"))
    return Batch(*pad(rows))


def _steps(config: Config, text: str) -> Any:
    """A person's own row: symbols, white space between them or not; for adding, numbers, a * behind the marked."""
    import torch

    problem = _problem(config.data)
    if not problem.symbols:
        try:
            pairs = [(float(word.removesuffix("*")), float(word.endswith("*"))) for word in text.split()]
        except ValueError as error:
            raise DataError(tr("not numbers: {text}", text=repr(text)), todo=tr("such as: 0.25* 0.5 0.125*")) from error
        return torch.tensor(pairs).reshape(-1, 2)
    symbols = list("".join(text.split()))
    if problem.fixed and symbols[:1] != [problem.symbols[-1]]:
        symbols.insert(0, problem.symbols[-1])  # the sign that a row begins
    unknown = [symbol for symbol in symbols if symbol not in problem.symbols]
    if unknown:
        raise DataError(
            tr("{symbol} is no symbol of {name}", symbol=repr(unknown[0]), name=config.data.problem),
            todo=tr("it has {symbols}", symbols=" ".join(problem.symbols)),
        )
    return torch.tensor([problem.symbols.index(symbol) for symbol in symbols], dtype=torch.int64)


def loss(config: Config, model: Any, batch: Batch, carry: State | None) -> Loss:
    return _loss(config, model(batch).scores, batch)


def _loss(config: Config, scores: Tensor, batch: Batch) -> Loss:
    """Over the counted steps: cross-entropy (class, set) or squared error (number). scores: (T, B, C)."""
    from torch.nn import functional as F

    assert batch.targets is not None
    counted = batch.extra["counted"]
    kind = _problem(config.data).kind
    answers, targets = scores[counted], batch.targets[counted]
    if kind == "class":
        total = F.cross_entropy(answers, targets, reduction="sum")
    elif kind == "set":
        total = F.binary_cross_entropy_with_logits(answers, targets.to(answers), reduction="sum")
    else:
        total = F.mse_loss(answers.squeeze(1), targets.to(answers), reduction="sum")
    return Loss(total, len(answers))


def metrics(config: Config, model: Any, part: Part, vocab: Vocabulary) -> Metrics:
    """loss and accuracy (or mse) on rows of the training lengths, then accuracy (mse) at each test length."""
    from rnncli.nn.evaluate import outputs_of

    name = "mse" if config.data.problem in NUMBERS else "accuracy"
    found: Metrics = {}
    for group, rows in part.groups.items():
        total, count, good, judged = 0.0, 0.0, 0.0, 0
        for batch, outputs in outputs_of(model, batches(config, Part({group: rows}), None)):
            loss_ = _loss(config, outputs.scores, batch)
            total, count = total + float(loss_.total), count + loss_.count
            verdicts = _verdicts(config, outputs.scores, batch)
            good, judged = good + float(verdicts.sum()), judged + len(verdicts)
        if not group:
            found["loss"] = total / count
        found[group or name] = good / judged
    return found


def _verdicts(config: Config, scores: Tensor, batch: Batch) -> Tensor:
    """What is averaged: for class, whether each judged step is right; for set, whether all sets of a row are; for a
    number, the squared error of each row. scores: (T, B, C). Returns (N,)."""
    assert batch.targets is not None
    scored, kind = batch.extra["scored"], _problem(config.data).kind
    if kind == "class":
        return (scores.argmax(2) == batch.targets)[scored]
    if kind == "set":
        right = ((scores > 0) == (batch.targets > 0.5)).all(2)  # (T, B)
        return (right | ~scored).all(0)
    return (scores.squeeze(2) - batch.targets)[scored] ** 2


def baselines(config: Config, splits: Splits, part: str) -> list[Baseline]:
    """The commonest answer to each symbol, or the mean answer: no network without memory can pass it by much."""
    import torch

    problem = _problem(config.data)
    name = "mse" if config.data.problem in NUMBERS else "accuracy"
    seen = list(batches(config, Part({}), Order(config.train.seed, 0)))[:50]
    if problem.kind == "number":
        mean = torch.cat([batch.targets[batch.extra["scored"]] for batch in seen if batch.targets is not None]).mean()
        scores_of = {0: mean.reshape(1)}
    else:
        inputs = torch.cat([batch.inputs[batch.extra["scored"]] for batch in seen])  # (N,)
        targets = torch.cat([batch.targets[batch.extra["scored"]] for batch in seen if batch.targets is not None])
        if problem.kind == "class":
            targets = torch.nn.functional.one_hot(targets, len(problem.answers)).float()
        scores_of = {
            symbol: targets[inputs == symbol].mean(0) - (0.5 if problem.kind == "set" else 0.0)
            for symbol in sorted(set(inputs.tolist()))
        }
    found: Metrics = {}
    for group, rows in splits.part(part).groups.items():
        verdicts = []
        for batch in batches(config, Part({group: rows}), None):
            scores = torch.zeros(*batch.inputs.shape[:2], len(problem.answers) or 1)
            for symbol, answer in scores_of.items():
                scores[batch.inputs == symbol if problem.symbols else slice(None)] = answer
            verdicts.append(_verdicts(config, scores, batch).double())
        found[group or name] = float(torch.cat(verdicts).mean())
    if problem.kind == "number":
        return [Baseline(tr("mean answer"), found, tr("always the same number"))]
    about = tr("the commonest answer to each")
    return [Baseline(tr("symbol alone"), found, about)]


def watch(config: Config, model: Any, splits: Splits) -> str:
    return ""


def show(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    from rnncli.nn.evaluate import outputs_of

    row = splits.part(part).groups[""][0]
    batch, outputs = next(outputs_of(model, [_batch(config, [row])]))
    inputs, answers = _inputs(config, batch.inputs[:, 0]), _answers(config, outputs.scores[:, 0])
    assert batch.targets is not None
    targets = _answers(config, batch.targets[:, 0], given=True)
    judged = batch.extra["scored"][:, 0].tolist()
    has = row.counted.tolist()
    table = [
        [t, given, target if known else None, answer, "*" if last else ""]
        for t, (given, target, answer, last, known) in enumerate(
            zip(inputs, targets, answers, judged, has, strict=True)
        )
    ]
    kind: Literal["number", "code"] = "number" if config.data.problem in NUMBERS else "code"
    columns = [
        Column("t", "t", "count"),
        Column("in", tr("in"), "code"),
        Column("target", tr("target"), kind),
        Column("predicted", tr("predicted"), kind),
        Column("judged", tr("judged"), "text"),
    ]
    return [Table("sample", columns, table, cut_rows=14)]


def pictures(config: Config, model: Any, splits: Splits, part: str) -> list[Record]:
    """How far what was learned reaches: the metric at each length, beside the baseline's."""
    data = config.data
    name = "mse" if data.problem in NUMBERS else "accuracy"
    (baseline,) = baselines(config, splits, part)
    groups = [f"{_problem(data).size}={length}" for length in data.test_lengths]
    found = metrics(config, model, splits.part(part), splits.vocab)
    lines = {
        config.model.cell: [found[group] for group in groups],
        baseline.name: [baseline.metrics[group] for group in groups],
    }
    return [
        Series(
            "lengths",
            [float(length) for length in data.test_lengths],
            lines,
            _problem(data).size,
            tr("accuracy") if name == "accuracy" else name,
            tr("how far it reaches"),
            marks={tr("longest in training"): float(data.max_length)},
        )
    ]


def _inputs(config: Config, inputs: Tensor) -> list[str]:
    """Steps as a person reads them. inputs: (T,) or (T, 2)."""
    symbols = _problem(config.data).symbols
    if symbols:
        return [symbols[i] for i in inputs.tolist()]
    return [f"{number:.4f}{'*' if mark else ''}" for number, mark in inputs.tolist()]


def _answers(config: Config, scores: Tensor, *, given: bool = False) -> list[Any]:
    """Answers as a person reads them. scores: (T, C), or, given=True, targets as a batch has them."""
    problem = _problem(config.data)
    if problem.kind == "class":
        return [problem.answers[i] for i in (scores if given else scores.argmax(1)).tolist()]
    if problem.kind == "set":
        chosen = (scores > (0.5 if given else 0)).tolist()
        return [" ".join(a for a, c in zip(problem.answers, row, strict=True) if c) for row in chosen]
    return scores.flatten().tolist()


def predict(config: Config, model: Any, vocab: Vocabulary, inputs: Iterable[str], asked: Asked) -> Iterator[Prediction]:
    from rnncli.nn.evaluate import outputs_of

    asked.only()
    for text in inputs:
        if not text.strip():
            yield Prediction("", {"input": text, "answers": []})
            continue
        _, outputs = next(outputs_of(model, [encode(config, vocab, [text])]))
        answers = _answers(config, outputs.scores[:, 0])
        last = answers[-1]
        yield Prediction(last if isinstance(last, str) else f"{last:.4f}", {"input": text, "answers": answers})
