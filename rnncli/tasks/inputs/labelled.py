"""The input interface of tasks that predict one label per row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from rnncli.data.batch import Batch, Order, pad
from rnncli.data.kept import Chosen
from rnncli.data.skipped import Skipped
from rnncli.data.vocab import Vocab
from rnncli.locale import tr, trn
from rnncli.nn.evaluate import outputs_of
from rnncli.recipe import TrainSection
from rnncli.records import Column, Entry, Json, Record, Table
from rnncli.tasks.base import FittedState, InputKind, Script, Splits
from rnncli.tasks.inputs.sources import RowsT
from rnncli.tasks.labels import known_rows

if TYPE_CHECKING:
    from torch import Tensor, nn


class LabelledFitted(FittedState):
    labels: Vocab


@dataclass(frozen=True)
class LabelledPart(Generic[RowsT]):
    """Labelled rows. inputs: each row's T steps as the model reads them; lengths: T. targets: class ids. class_weights:
    (C,) for the loss; None for equal weights."""

    rows: RowsT
    inputs: Sequence[Any]
    lengths: Sequence[int]
    targets: Sequence[int]
    class_weights: Tensor | None = None


@dataclass(frozen=True)
class Given:
    """One row given to `predict`. text: shown with the prediction. inputs: its steps, or None with the reason in
    notes."""

    name: str
    text: str
    inputs: Any
    notes: Sequence[str] = ()


SHOWN_PREFIXES = 12  # of the example shown at the end of a run

FittedT = TypeVar("FittedT", bound=LabelledFitted)
ChosenT = TypeVar("ChosenT", bound=Chosen[Any, Any])


class LabelledInput(ABC, Generic[FittedT, RowsT]):
    """Constructed from the recipe sections that it owns. fitted_class: type of its fitted state. kind: input kind of
    `predict`. name_key: JSON key of a row's name in predictions. hub_task: see Task."""

    fitted_class: type[FittedT]
    kind: InputKind = "path"
    name_key: str = "input"
    hub_task: str = ""

    @abstractmethod
    def read(self, seed: int) -> Splits[FittedT, LabelledPart[RowsT]]:
        """Read and split the data. Raises DataError."""

    @abstractmethod
    def read_part(self, fitted: FittedT, path: str) -> tuple[LabelledPart[RowsT], list[str]]:
        """Read a new source as one split with the fitted state; with notes. Raises DataError."""

    @abstractmethod
    def given(self, fitted: FittedT, text: str) -> Iterator[Given]:
        """The rows of one input of `predict`. Raises DataError."""

    def texts_of(self, fitted: FittedT, lines: Iterable[str]) -> tuple[Iterable[str], str]:
        """See Task."""
        return lines, ""

    def training_inputs(self, part: LabelledPart[RowsT], rows: Sequence[int], order: Order) -> list[Any]:
        """The inputs of these rows for a training batch; may vary with the epoch."""
        return [part.inputs[row] for row in rows]

    def batch(self, inputs: Sequence[Any]) -> Batch:
        """Collate inputs into one batch without targets."""
        return Batch(*pad(inputs))

    @abstractmethod
    def front(self, fitted: FittedT) -> tuple[nn.Module, int]:
        """The model's first stage, and its output size (the size of x_t)."""

    def token_names(self, fitted: FittedT) -> Sequence[str] | None:
        """The token of each id in a batch; None if steps are not tokens."""
        return None

    @abstractmethod
    def baseline(
        self, train: TrainSection, splits: Splits[FittedT, LabelledPart[RowsT]], tested: LabelledPart[RowsT]
    ) -> tuple[str, Tensor, str]:
        """A baseline fitted on the training split: its name, log probabilities (rows, C) on `tested`, and a
        description."""

    @abstractmethod
    def example(self, model: nn.Module, fitted: FittedT, part: LabelledPart[RowsT]) -> list[Record]:
        """Predictions for the split's first row after some of its steps."""

    @abstractmethod
    def script(self, fitted: FittedT) -> Script:
        """As Task has it."""

    def pictures(self, part: LabelledPart[RowsT]) -> list[Record]:
        """A picture of the split's first row, if there is one."""
        return []

    def suggest_settings(self, path: str) -> dict[str, Json]:
        """See Task."""
        return {}


def listed_part(
    rows: ChosenT, label_of: Callable[[Any], str], labels: Vocab, name: str, skipped: Skipped, notes: list[str]
) -> LabelledPart[ChosenT]:
    """Split `name` of clips or image sequences. A class missing from training is a bad record."""
    listed = rows.listed
    usable, targets = known_rows(map(label_of, listed), labels, lambda row: listed[row].where, name, skipped, notes)
    rows = rows.chosen(usable)
    return LabelledPart(rows, rows, rows.lengths, targets)


def labelled_splits(
    parts: Mapping[str, LabelledPart[RowsT]], fitted: FittedT, units: tuple[str, str], fingerprint: str, how: str,
    notes: Sequence[str],
) -> Splits[FittedT, LabelledPart[RowsT]]:  # fmt: skip
    """units: what rows and their steps are called in the counts."""
    counts = {name: dict(zip(units, (len(part.rows), sum(part.lengths)), strict=True)) for name, part in parts.items()}
    how = trn("{how}; {n} class", "{how}; {n} classes", how=how, n=len(fitted.labels))
    return Splits(parts, fitted, counts, fingerprint, how, notes)


def log_probs(model: nn.Module, batches: Iterator[Batch] | Sequence[Batch]) -> Tensor:
    """Log probabilities of every class for every row, in order, (rows, C), on the CPU."""
    import torch

    return torch.cat([outputs.scores.float().log_softmax(1).cpu() for _, outputs in outputs_of(model, batches)])


def answers_so_far(
    probs: Tensor, steps: Sequence[int], read: Sequence[str], kind: Literal["code", "text"], fitted: LabelledFitted,
    target: int,
) -> Table:  # fmt: skip
    """Predictions after given numbers of steps. probs: (len(steps), C). read: the prefix read until then."""
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
