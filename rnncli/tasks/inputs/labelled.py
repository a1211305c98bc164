"""What an input is to a task that answers each row with one label."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from rnncli.data.batch import Batch, Order, pad
from rnncli.data.vocab import Vocab
from rnncli.locale import tr
from rnncli.recipe import TrainSection
from rnncli.records import Column, Entry, Json, Record, Table
from rnncli.tasks.base import FittedState, InputKind, Script, Splits
from rnncli.tasks.inputs.sources import RowsT

if TYPE_CHECKING:
    from torch import Tensor, nn


class LabelledFitted(FittedState):
    labels: Vocab


@dataclass(frozen=True)
class LabelledPart(Generic[RowsT]):
    """Rows, and the same as a model reads them. inputs: of each row its T steps, lengths: T. targets: the class of
    each. class_weights: (C,) of the loss; None where all classes count alike."""

    rows: RowsT
    inputs: Sequence[Any]
    lengths: Sequence[int]
    targets: Sequence[int]
    class_weights: Tensor | None = None


@dataclass(frozen=True)
class Given:
    """One row that a person gives `predict`. text: on the answer's line. inputs: its steps, None where it has none, and
    notes says why."""

    name: str
    text: str
    inputs: Any
    notes: Sequence[str] = ()


SHOWN_PREFIXES = 12  # of the example that closes a run

FittedT = TypeVar("FittedT", bound=LabelledFitted)


class LabelledInput(ABC, Generic[FittedT, RowsT]):
    """Made from the recipe's sections that it owns. fitted_class: what the training part teaches it. kind: what
    `predict` takes. name_key: of a row's name in the answer's JSON. hub_task: as Task has it."""

    fitted_class: type[FittedT]
    kind: InputKind = "path"
    name_key: str = "input"
    hub_task: str = ""

    @abstractmethod
    def read(self, seed: int) -> Splits[FittedT, LabelledPart[RowsT]]:
        """Read and split the data. Raises DataError."""

    @abstractmethod
    def read_part(self, fitted: FittedT, path: str) -> tuple[LabelledPart[RowsT], list[str]]:
        """A new source as one part, in terms of what training taught; and notes on it. Raises DataError."""

    @abstractmethod
    def given(self, fitted: FittedT, text: str) -> Iterator[Given]:
        """The rows of one thing that a person gives `predict`. Raises DataError."""

    def texts_of(self, fitted: FittedT, lines: Iterable[str]) -> tuple[Iterable[str], str]:
        """As Task has it."""
        return lines, ""

    def training_inputs(self, part: LabelledPart[RowsT], rows: Sequence[int], order: Order) -> list[Any]:
        """The inputs of these rows for a batch of training, which may change with the epoch."""
        return [part.inputs[row] for row in rows]

    def batch(self, inputs: Sequence[Any]) -> Batch:
        """Rows' inputs as one batch, without targets."""
        return Batch(*pad(inputs))

    @abstractmethod
    def front(self, fitted: FittedT) -> tuple[nn.Module, int]:
        """The model's first stage, and the length of x_t that it gives."""

    def token_names(self, fitted: FittedT) -> Sequence[str] | None:
        """The token of each number in a batch; None where a step is not a token."""
        return None

    @abstractmethod
    def baseline(
        self, train: TrainSection, splits: Splits[FittedT, LabelledPart[RowsT]], tested: LabelledPart[RowsT]
    ) -> tuple[str, Tensor, str]:
        """A simpler method fitted on the training part: its name, log probabilities (rows, C) of `tested`, and what it
        does."""

    @abstractmethod
    def example(self, model: nn.Module, fitted: FittedT, part: LabelledPart[RowsT]) -> list[Record]:
        """The first row of the part, read so far and answered after some of its steps."""

    @abstractmethod
    def script(self, fitted: FittedT) -> Script:
        """As Task has it."""

    def pictures(self, part: LabelledPart[RowsT]) -> list[Record]:
        """The first row of the part, where a web page can show it."""
        return []

    def suggest_settings(self, path: str) -> dict[str, Json]:
        """As Task has it."""
        return {}


def log_probs(model: nn.Module, batches: Iterator[Batch] | Sequence[Batch]) -> Tensor:
    """Of every class for every row, in order, (rows, C), on the CPU."""
    import torch

    from rnncli.nn.evaluate import outputs_of

    return torch.cat([outputs.scores.float().log_softmax(1).cpu() for _, outputs in outputs_of(model, batches)])


def answers_so_far(
    probs: Tensor, steps: Sequence[int], read: Sequence[str], kind: Literal["code", "text"], fitted: LabelledFitted,
    target: int,
) -> Table:  # fmt: skip
    """What is answered after so many steps. probs: (len(steps), C). read: what was read until then."""
    labels = fitted.labels.tokens
    best, which = probs.max(1)
    rows: list[list[Entry]] = [
        [stop, text, labels[int(which[k])], float(best[k]), float(probs[k, target])]
        for k, (stop, text) in enumerate(zip(steps, read, strict=True))
    ]
    columns = [
        Column("steps", tr("steps"), "count"),
        Column("read", tr("read so far"), kind),
        Column("predicted", tr("predicted"), "text"),
        Column("p", "p"),
        Column("p_target", tr("p of {label}", label=labels[target])),
    ]
    return Table("sample", columns, rows, title=tr("an example: {label}", label=labels[target]))
