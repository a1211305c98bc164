"""Generated rows (data/made/algorithms.py): new ones in every training batch, fixed ones at each evaluated length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch, Order, generator, pad
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.recipe import Clash, Section
from rnncli.tasks.base import FittedState, Generated, Splits

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from rnncli.data.made.algorithms import Problem, Row

NUMBERS = ("adding",)  # problems whose target is a number: they have mse, the others accuracy
KEEPING = ("copy", "mqar")  # problems whose rows also hold `symbols`, twice
MOST_PAIRS = 16  # of mqar: a key for each
HELD_OUT = 100  # rows of a held-out batch, at least
SHOWN = 8  # steps of a row that fits on a screen


LONGEST = 1_000_000  # steps of a row
MOST_STEPS = 1 << 26  # of all rows that are kept in memory


class Data(Section):
    problem: Literal[
        "adding",
        "copy",
        "mqar",
        "parity",
        "sum-mod-3",
        "even-pairs",
        "s3",
        "a5",
        "modular-arithmetic",
        "anbn",
        "anbncn",
        "dyck",
    ] = Field(description="the problem; see rnncli/data/made/algorithms.py for each")
    min_length: Annotated[int, Field(ge=1)] = Field(1, description="training rows have at least this length")
    max_length: Annotated[int, Field(ge=1, le=LONGEST)] = Field(
        40, description="and at most this; n for anbn and anbncn, the delay for copy, else steps"
    )
    test_lengths: list[Annotated[int, Field(ge=1, le=LONGEST)]] = Field(
        [40, 80, 160, 400], description="lengths to evaluate; one set of rows each"
    )
    test_rows: Annotated[int, Field(ge=1)] = Field(200, description="rows of each test length")
    batches: Annotated[int, Field(ge=1)] = Field(200, description="training steps per epoch, each on new rows")
    answers: Literal["every step", "last"] = Field(
        "every step", description="targets used in training: at every step that has one, or only the scored ones"
    )
    symbols: Annotated[int, Field(ge=1, le=LONGEST)] = Field(
        10, description="number of symbols to remember (copy) or of pairs (mqar)"
    )
    growth: Annotated[int, Field(ge=0)] = Field(
        0, description="curriculum: epochs over which the longest training row grows to max_length; 0: none"
    )

    @property
    def rule(self) -> Problem:
        from rnncli.data.made.algorithms import PROBLEMS

        return PROBLEMS[self.problem]

    @property
    def metric(self) -> Literal["mse", "accuracy"]:
        """The metric of the problem."""
        return "mse" if self.problem in NUMBERS else "accuracy"

    def steps(self, length: int) -> int:
        """Largest T of a row of this length."""
        blocks = {"anbn": 2, "anbncn": 3}.get(self.problem, 1)
        return 1 + blocks * length + (2 * self.symbols if self.problem in KEEPING else 0)

    def idle(self) -> Iterator[tuple[str, str]]:
        if not self.rule.keeps:
            yield "symbols", f"problem: {self.problem}"

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.min_length > self.max_length:
            yield Clash(("min_length", "max_length"), tr("min_length exceeds max_length, {n}", n=self.max_length))
        if not self.test_lengths:
            yield Clash(("test_lengths",), tr("the list of lengths is empty"), tr("test_lengths: [40, 400]"))
        if self.problem == "mqar" and self.symbols > MOST_PAIRS:
            yield Clash(("symbols", "problem"), tr("mqar has {n} keys", n=MOST_PAIRS), tr("symbols: 8"))
        if self.test_rows * (self.steps(self.max_length) + sum(map(self.steps, self.test_lengths))) > MOST_STEPS:
            yield Clash(
                ("test_rows", "test_lengths", "max_length", *(["symbols"] if self.problem in KEEPING else [])),
                tr("{rows} rows of each length exceed {n} steps", rows=self.test_rows, n=f"{MOST_STEPS:,}"),
                tr("use fewer or shorter rows"),
            )
        if self.test_lengths != sorted(set(self.test_lengths)):
            yield Clash(("test_lengths",), tr("lengths must be increasing"), tr("test_lengths: [40, 400]"))


@dataclass(frozen=True)
class Fitted(FittedState):
    """Nothing is fitted on generated rows."""

    problem: str


class Part(NamedTuple):
    """groups: name -> rows; those of the training lengths come first, under "".

    No groups: the training split, whose rows are drawn on demand.
    """

    groups: Mapping[str, Sequence[Row]]


def read(data: Data, seed: int, batch_size: int) -> Splits[Fitted, Part]:
    groups = {"": _rows(data, data.min_length, data.max_length, seed)}
    before = data.max_length
    for length in data.test_lengths:
        first = min(before + 1, length) if data.rule.fixed else length
        groups[f"{data.rule.size}={length}"] = _rows(data, first, length, seed)
        before = length
    held_out = Part(groups)
    counts = {
        "train": {"rows an epoch": data.batches * batch_size},
        "validation": {"rows": sum(map(len, groups.values()))},
    }
    how = tr("generated, after {source}; every batch has new training rows", source=data.rule.source)
    notes = [
        tr(
            "trained on {size} from {low} to {high}, evaluated on {lengths}; loss, {metric}: training lengths",
            size=data.rule.size,
            low=data.min_length,
            high=data.max_length,
            lengths=", ".join(map(str, data.test_lengths)),
            metric=data.metric,
        )
    ]
    fingerprint = sha256(data.model_dump_json().encode() + str(seed).encode()).hexdigest()
    return Splits({"train": Part({}), "validation": held_out}, Fitted(data.problem), counts, fingerprint, how, notes)


def generated(data: Data, size: int) -> Generated:
    """What is known of batches of `size` rows before any is generated."""
    longest = batch_of(data, [_make(data, data.max_length, generator(0, 0))])
    length = max(data.max_length, *data.test_lengths)
    return Generated(data.batches, longest, min(data.test_rows, max(size, HELD_OUT)) * data.steps(length))


def batches(data: Data, part: Part, seed: int, size: int, order: Order | None) -> Iterator[Batch]:
    """Training: new rows; all rows of a batch share a randomly drawn length, as in Deletang et al. 2023 (if a problem
    has only one row per length, every row has its own length). Held out: the rows of each group in turn."""
    if part.groups:
        for rows in part.groups.values():
            for start in range(0, len(rows), max(size, HELD_OUT)):
                yield batch_of(data, rows[start : start + max(size, HELD_OUT)])
        return
    where = order or Order(seed, 0)
    high = data.max_length
    if data.growth:
        high = data.min_length + (high - data.min_length) * min(where.epoch, data.growth) // data.growth
    for number in range(where.next_batch, data.batches):
        random = generator(where.seed, 0, where.epoch, number)
        lengths = random.randint(data.min_length, high + 1, size=size)
        if not data.rule.fixed:
            lengths[:] = lengths[0]
        rows = [_make(data, int(length), random) for length in lengths]
        yield batch_of(data, rows[where.rank :: where.world])


def _make(data: Data, length: int, random: np.random.RandomState) -> Row:
    kept = [data.symbols] if data.rule.keeps else []
    return data.rule.make(length, random, *kept)


def _rows(data: Data, low: int, high: int, seed: int) -> list[Row]:
    """The rows of a held-out group: test_rows rows spread evenly over the lengths low ... high; each length only once
    if it has only one row. The first has about SHOWN steps, for display."""
    lengths = range(low, high + 1)
    n = min(data.test_rows, len(lengths)) if data.rule.fixed else data.test_rows
    chosen = [lengths[round(i * (len(lengths) - 1) / max(1, n - 1))] for i in range(n)]
    chosen.sort(key=lambda length: abs(length - SHOWN))
    random = generator(seed, 1, low, high)
    return [_make(data, length, random) for length in chosen]


def batch_of(data: Data, rows: Sequence[Row]) -> Batch:
    """inputs (T, B) or (T, B, 2); targets (T, B) or (T, B, C); extra: counted, scored (T, B) bool."""
    import torch

    has_answer = [torch.from_numpy(row.counted) for row in rows]
    scored = [known & torch.arange(len(known)).ge(row.scored) for known, row in zip(has_answer, rows, strict=True)]
    counted = scored if data.answers == "last" else has_answer
    inputs, lengths = pad([torch.from_numpy(row.inputs) for row in rows])
    targets, _ = pad([torch.from_numpy(row.targets) for row in rows])
    extra = {"counted": pad(counted, False)[0], "scored": pad(scored, False)[0]}
    return Batch(inputs, lengths, targets, extra)


def steps_of(data: Data, text: str) -> Tensor:
    """Encode a user's row: symbols, separated by white space if they are words; for adding, numbers, with a * after
    marked ones."""
    import torch

    problem = data.rule
    if not problem.symbols:
        try:
            pairs = [(float(word.removesuffix("*")), float(word.endswith("*"))) for word in text.split()]
        except ValueError as error:
            raise DataError(
                tr("not numbers: {text}", text=repr(text)), todo=tr("for example: 0.25* 0.5 0.125*")
            ) from error
        return torch.tensor(pairs).reshape(-1, 2)
    symbols = text.split() if problem.has_words else list("".join(text.split()))
    if problem.fixed and symbols[:1] != [problem.symbols[-1]]:
        symbols.insert(0, problem.symbols[-1])  # the start symbol
    unknown = [symbol for symbol in symbols if symbol not in problem.symbols]
    if unknown:
        raise DataError(
            tr("{symbol} is not a symbol of {name}", symbol=repr(unknown[0]), name=data.problem),
            todo=tr("its symbols: {symbols}", symbols=" ".join(problem.symbols)),
        )
    return torch.tensor([problem.symbols.index(symbol) for symbol in symbols], dtype=torch.int64)


def inputs_as_text(data: Data, inputs: Tensor) -> list[str]:
    """Steps in readable form. inputs: (T,) or (T, 2)."""
    symbols = data.rule.symbols
    if symbols:
        return [symbols[i] for i in inputs.tolist()]
    return [f"{number:.4f}{'*' if mark else ''}" for number, mark in inputs.tolist()]


def answers_as_text(data: Data, scores: Tensor, *, given: bool = False) -> list[str | float]:
    """Predictions in readable form. scores: (T, C); with given=True, a batch's targets."""
    problem = data.rule
    if problem.kind == "class":
        return [problem.answers[i] for i in (scores if given else scores.argmax(1)).tolist()]
    if problem.kind == "set":
        chosen = (scores > (0.5 if given else 0)).tolist()
        return [" ".join(a for a, c in zip(problem.answers, row, strict=True) if c) for row in chosen]
    return scores.flatten().tolist()
