"""The Task interface: reading data, building and training a model, and showing results.

A task is a subclass of `Task` in its own file. It imports torch, and modules of `rnncli.nn` that do, only inside
functions or under TYPE_CHECKING, so that validating a recipe needs neither.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from rnncli.errors import UsageError, checked_number
from rnncli.locale import tr
from rnncli.recipe import RecipeConfig
from rnncli.records import Json, Record
from rnncli.tasks.fitted import FittedState as FittedState

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State
    from rnncli.data.batch import Batch, Order
    from rnncli.data.look import Look
    from rnncli.data.made.automata import Automaton
    from rnncli.data.pictures import Confusion

Metrics = dict[str, float]
Better = Literal["lower", "higher"]
InputKind = Literal["text", "path"]


ConfigT = TypeVar("ConfigT", bound=RecipeConfig)
FittedT = TypeVar("FittedT", bound=FittedState)
PartT = TypeVar("PartT")


@dataclass(frozen=True)
class Splits(Generic[FittedT, PartT]):
    """The result of `read`. parts: "train", and "validation" and "test" if present -> rows in the task's own type.

    fitted: preprocessing fitted on the training split. counts: split -> unit -> count. how: a sentence on how the
    splits were chosen. notes: sentences on skipped records, unknown tokens and the like. fingerprint: sha256 of the
    data, compared on resume.
    """

    parts: Mapping[str, PartT]
    fitted: FittedT
    counts: Mapping[str, Mapping[str, int]]
    fingerprint: str
    how: str = ""
    notes: Sequence[str] = ()

    def part(self, name: str) -> PartT:
        """One of `parts`. Raises KeyError if there is no such split."""
        return self.parts[name]

    @property
    def train(self) -> PartT:
        return self.parts["train"]

    @property
    def validation(self) -> PartT | None:
        return self.parts.get("validation")

    @property
    def test(self) -> PartT | None:
        return self.parts.get("test")

    @property
    def held_out(self) -> str:
        """The split that epochs are evaluated on: validation, or train if there is none."""
        return "validation" if "validation" in self.parts else "train"


@dataclass
class Loss:
    """total: the summed loss, a scalar in the graph. count: number of terms (steps, rows); the training loop divides by
    its sum over all processes. carry: detached state for the next batch of this process (language models)."""

    total: Tensor
    count: float
    carry: State | None = None


IGNORED = -100  # target of ignored steps: padding, or without a known label


def loss_of_steps(scores: Tensor, targets: Tensor | None) -> Loss:
    """Cross-entropy summed over the steps of all rows. scores: (T, B, C); targets: (T, B), IGNORED where there is
    none."""
    from torch.nn import functional as F

    assert targets is not None
    total = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return Loss(total, int((targets != IGNORED).sum()))


@dataclass(frozen=True)
class Baseline:
    """A baseline: its display name, its metrics, and one sentence on what it does."""

    name: str
    metrics: Metrics
    about: str = ""


@dataclass(frozen=True)
class PredictOptions:
    """Options of `predict`. A task rejects those it does not support: the first line of its `predict` is
    `options.only("top_k", ...)`."""

    top_k: int | None = None
    temperature: float | None = None
    seed: int | None = None
    beam: int | None = None
    length: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("top_k", 1), ("seed", 0), ("beam", 1), ("length", 0)):
            object.__setattr__(self, name, checked_number(_option(name), getattr(self, name), least, 2**63 - 1))
        temperature = checked_number(_option("temperature"), self.temperature, 0, whole=False)
        object.__setattr__(self, "temperature", temperature)

    def only(self, *read: str) -> None:
        """Raises UsageError if an option outside `read` is given."""
        for name, value in vars(self).items():
            if value is not None and name not in read:
                known = ", ".join(_option(other) for other in read)
                raise UsageError(
                    tr("this task does not support {option}", option=_option(name)),
                    todo=tr("it supports {options}", options=known) if known else tr("omit it"),
                )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Prediction:
    """One prediction. text: in the input's format, one or more lines, without the last line end. json: the same as
    plain values for --json, None if this chunk has none. notes: warnings (unknown characters, a truncated input). more:
    the text continues in the next prediction, so that long output can be streamed. row: the prediction as a table row,
    column -> cell, for --csv; csv: if it is several rows, the whole table instead, like text; None if it is neither."""

    text: str
    json: Json
    notes: Sequence[str] = ()
    more: bool = False
    row: Mapping[str, str | float] | None = None
    csv: str | None = None


@dataclass(frozen=True)
class Names:
    """Names for the numbers in a batch.

    inputs: the token of each id in batch.inputs, None if steps are not tokens (audio, frames, series). answers: the
    names of the classes, in the order of the last axis of Outputs.scores; None if scores are plain numbers.
    """

    inputs: Sequence[str] | None = None
    answers: Sequence[str] | None = None


@dataclass(frozen=True)
class Generated:
    """Training rows that are generated, new ones for every batch. batches: per epoch. longest: a batch of one row, as
    long as any. held_out: time steps of the largest evaluated batch, over all its rows."""

    batches: int
    longest: Batch
    held_out: int


SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class Script:
    """A task's part of an exported script: what `predict` does around the model, with torch and Python alone.

    template: a Jinja file in SCRIPTS, or the path of one's own, which extends text.jinja or files.jinja there and fills
    their blocks. values: what it reads besides the model (`net`, `core` ..., rnncli/runs/load_script.py); `{{ name }}`
    writes a value as a Python literal, and Code as it is. needs: packages besides torch and safetensors. imports: lines
    that import what its Code uses.
    """

    template: str | Path
    values: Mapping[str, Any]
    needs: Sequence[str] = ()
    imports: Collection[str] = ()


@dataclass(frozen=True)
class Suited:
    """Why a recipe suits a file. rank: 3 if the file declares it, 2 if it looks like it, 1 if it can be read that
    way. as_it_is: whether the recipe's own settings fit, too; of two recipes with the same rank, it comes first."""

    rank: Literal[1, 2, 3]
    why: str
    as_it_is: bool = True


class Suggested(dict[str, Json]):
    """Settings that a file suggests for a recipe, sentences on alternatives not chosen, and reasons for the values."""

    def __init__(
        self, settings: Mapping[str, Json], notes: Sequence[str] = (), reasons: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(settings)
        self.notes = list(notes)
        self.reasons = dict(reasons or {})


class Task(ABC, Generic[ConfigT, FittedT, PartT]):
    """A task. Its file ends in `TASK = ...()`, which the registry finds.

    METRICS: name -> which direction is better, including "loss"; `train.best_by` names the one that selects the epoch
    to keep. Tables show the first. COUNTED: the unit that `loss` counts and that speed is measured in. config_class,
    fitted_class: the type arguments.
    """

    METRICS: Mapping[str, Better]
    COUNTED: Literal["steps", "tokens", "rows"] = "steps"
    config_class: type[ConfigT]
    fitted_class: type[FittedT]

    @abstractmethod
    def read(self, config: ConfigT) -> Splits[FittedT, PartT]:
        """Read and split the data. Raises DataError with file and line for unusable data."""

    @abstractmethod
    def build(self, config: ConfigT, fitted: FittedT) -> nn.Module:
        """A model with freshly initialized weights, drawn from torch's current seed; forward(batch, state=None) ->
        Outputs."""

    def begin(self, config: ConfigT, model: nn.Module, splits: Splits[FittedT, PartT]) -> list[str]:
        """Set initial weights that are not drawn, such as word vectors from a file, in place. Not called if weights are
        loaded (opening or resuming a run). Returns notes; raises DataError."""
        return []

    def label_names(self, config: ConfigT, fitted: FittedT) -> Names:
        """Names of token ids and classes, for display (`inspect`)."""
        return Names()

    @abstractmethod
    def batches(self, config: ConfigT, part: PartT, order: Order | None) -> Iterator[Batch]:
        """The batches of an epoch, a pure function of the integers in `order`; None: every row, in order, once."""

    def generated(self, config: ConfigT) -> Generated | None:
        """Sizes that are known before anything is generated; None if rows come from data, which limits them."""
        return None

    @abstractmethod
    def encode(self, config: ConfigT, fitted: FittedT, inputs: Sequence[str]) -> Batch:
        """Encode inputs of `predict` as one batch without targets. Raises DataError."""

    @abstractmethod
    def loss(self, config: ConfigT, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        """The loss of one batch, as a sum and its count."""

    @abstractmethod
    def metrics(self, config: ConfigT, model: nn.Module, part: PartT, fitted: FittedT) -> Metrics:
        """`loss` and METRICS of the model on a split, in eval mode, by name."""

    def dynamic_metrics(self, config: ConfigT, model: nn.Module, part: PartT, fitted: FittedT, rate: float) -> Metrics:
        """Dynamic evaluation: the metrics of a copy of the model that keeps learning, at this rate, from the text it
        has been evaluated on. Raises UsageError for tasks whose rows have no order."""
        raise UsageError(
            tr("task {name} does not support dynamic evaluation", name=config.task),
            where="--dynamic",
            todo=tr("it applies to language models, which read a text in order"),
        )

    def calibrate(self, config: ConfigT, model: nn.Module, part: PartT) -> None:
        """Fit buffers of the model on the held-out split after every epoch, before its metrics: the width of its
        intervals. Does nothing by default."""
        return

    def baselines(self, config: ConfigT, splits: Splits[FittedT, PartT], part: str) -> list[Baseline]:
        """Metrics of simpler methods, fitted on the training split, on `part`."""
        return []

    def epoch_preview(self, config: ConfigT, model: nn.Module, splits: Splits[FittedT, PartT]) -> str:
        """A short sample of the model's output, for the epoch's progress line; "" if that would take time."""
        return ""

    def summarize(
        self, config: ConfigT, model: nn.Module, splits: Splits[FittedT, PartT], part: str
    ) -> Sequence[Record]:
        """One example step by step: token, target, prediction, probability; closes a training run."""
        return []

    def pictures(
        self, config: ConfigT, model: nn.Module, splits: Splits[FittedT, PartT], part: str
    ) -> Sequence[Record]:
        """Additional records for a web page (a confusion matrix, a spectrogram); a record replaces the one of the same
        name from `summarize`."""
        return []

    def confusion(self, config: ConfigT, model: nn.Module, fitted: FittedT, part: PartT) -> Confusion | None:
        """Which class was predicted for which, of a task that has classes."""
        return None

    @abstractmethod
    def predict(
        self, config: ConfigT, model: nn.Module, fitted: FittedT, inputs: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """Predictions for new inputs, one by one, in the input's format."""

    def predict_lines(
        self, config: ConfigT, model: nn.Module, fitted: FittedT, lines: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """`predict` for --file and standard input; overridden by tasks with multi-line records (CoNLL-U). Input lines
        and output texts keep their line ends."""
        texts, note = self.texts_of(config, fitted, (line.removeprefix("\ufeff").rstrip("\r\n") for line in lines))
        for found in self.predict(config, model, fitted, texts, options):
            notes = (*([note] if note else []), *found.notes)
            yield replace(found, text=found.text if found.more else found.text + "\n", notes=notes)
            note = ""

    def texts_of(self, config: ConfigT, fitted: FittedT, lines: Iterable[str]) -> tuple[Iterable[str], str]:
        """The texts in lines without line ends: the lines themselves, or, for rows of a table like the training data,
        the text column, with a note that says so."""
        return lines, ""

    def in_units(self, config: ConfigT, fitted: FittedT, batch: Batch, scores: Tensor) -> Tensor:
        """Outputs.scores of a batch, in the data's units if they are plain numbers; else unchanged."""
        return scores

    def require(self, config: ConfigT) -> None:
        """Raises Missing if training with this recipe needs an extra that is not installed."""

    def answers(self, config: ConfigT, model: nn.Module, part: PartT, fitted: FittedT) -> Iterator[str]:
        """The model's output for the rows of a split, in order, if outputs are texts, so that `train` can warn about
        empty ones; else nothing."""
        yield from ()

    def automaton(self, config: ConfigT) -> Automaton | None:
        """The automaton that defines the targets, if inputs are words of a regular language."""
        return None

    def input_kind(self, config: ConfigT) -> InputKind:
        """Input kind of `predict`: "text" (literal text, --file or -), or "path" (files)."""
        return "text"

    def hub_task(self, config: ConfigT) -> str:
        """What the Hugging Face Hub calls such a task, for a model card's pipeline_tag; "" where it has no name."""
        return ""

    def script(self, config: ConfigT, fitted: FittedT) -> Script | None:
        """How an exported script answers; None: it holds the weights alone. Raises RnncliError: why it cannot."""
        return None

    def fitted_from_json(self, config: ConfigT, value: Json, *, where: str = "") -> FittedT:
        """The content of a run's vocab.json. Raises DataError."""
        return self.fitted_class.from_json(value, where=where)

    def read_part(self, config: ConfigT, fitted: FittedT, path: str) -> tuple[PartT, list[str]]:
        """Read a new file as one split with a run's fitted state, with notes; for `evaluate --data`. Raises DataError;
        UsageError: the task reads no files."""
        raise UsageError(
            tr("task {name} can only be evaluated on its own data", name=config.task),
            where="--data",
            todo=tr("omit --data"),
        )

    def suits(self, look: Look, config: ConfigT) -> Suited | None:
        """Whether this recipe suits a file, for `recipes copy --data` without a name."""
        return None

    def suggest_settings(self, path: str, config: ConfigT | None = None) -> dict[str, Json]:
        """Dotted keys (`data.tag`) and values suggested by a file's head, for `recipes copy --data`; Suggested to add
        reasons. config: the recipe being copied, whose column names the file may have."""
        return {}


AnyTask = Task[Any, Any, Any]  # the task of a recipe, known only at run time
AnySplits = Splits[Any, Any]
