"""What a task is: how its data is read, what is built and trained on it, and what a person is shown of it.

A task is a subclass of `Task` in a file of its own. It imports torch and `rnncli.nn` only inside functions or under
TYPE_CHECKING, so that validating a recipe needs neither.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from rnncli.errors import UsageError
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

Metrics = dict[str, float]
Better = Literal["lower", "higher"]
InputKind = Literal["text", "path"]


ConfigT = TypeVar("ConfigT", bound=RecipeConfig)
FittedT = TypeVar("FittedT", bound=FittedState)
PartT = TypeVar("PartT")


@dataclass(frozen=True)
class Splits(Generic[FittedT, PartT]):
    """What `read` found. parts: "train", and "validation" and "test" where the data has such a part -> the task's own
    kind of rows.

    fitted: what the training part taught the reader. counts: part -> what was counted -> how many. how: how the parts
    were chosen, a sentence. notes: sentences about skipped records, unknown tokens and the like. fingerprint: sha256 of
    the data, which a resumed run compares.
    """

    parts: Mapping[str, PartT]
    fitted: FittedT
    counts: Mapping[str, Mapping[str, int]]
    fingerprint: str
    how: str = ""
    notes: Sequence[str] = ()

    def part(self, name: str) -> PartT:
        """One of `parts`. Raises KeyError where the data has no such part."""
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
        """The part that epochs are judged by: validation, or train where there is none."""
        return "validation" if "validation" in self.parts else "train"


@dataclass
class Loss:
    """total: the sum over what was counted, a scalar in the graph. count: of what (steps, rows), the loop divides by
    it, over all processes. carry: what the next batch of this process needs, detached: a language model's state."""

    total: Tensor
    count: float
    carry: State | None = None


IGNORED = -100  # the target of a step that does not count: behind a row's end, or without a known label


def loss_of_steps(scores: Tensor, targets: Tensor | None) -> Loss:
    """Cross-entropy summed over the steps of all rows. scores: (T, B, C); targets: (T, B), IGNORED where none is."""
    from torch.nn import functional as F

    assert targets is not None
    total = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return Loss(total, int((targets != IGNORED).sum()))


@dataclass(frozen=True)
class Baseline:
    """A way to answer without this network: its name as shown, its metrics, and one sentence on what it does."""

    name: str
    metrics: Metrics
    about: str = ""


@dataclass(frozen=True)
class PredictOptions:
    """Options of `predict`. A task refuses those that it does not read: the first line of its `predict` is
    `options.only("top_k", ...)`."""

    top_k: int | None = None
    temperature: float | None = None
    seed: int | None = None
    beam: int | None = None
    length: int | None = None

    def only(self, *read: str) -> None:
        """Raises UsageError where an option is given that is not among `read`."""
        for name, value in vars(self).items():
            if value is not None and name not in read:
                known = ", ".join(_option(other) for other in read)
                raise UsageError(
                    tr("this task does not read {option}", option=_option(name)),
                    todo=tr("it reads {options}", options=known) if known else tr("omit it"),
                )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Prediction:
    """One answer. text: in the input's format, one line or several, without the last line end. json: the same as plain
    values, for --json, None where there is nothing to say of this piece. notes: what should be said beside it (unknown
    characters, a cut input). more: the text goes on in the next one, so that a long answer need not be held. row: the
    answer as a row of a table, name of the column -> cell, for --csv; None where answers are not such."""

    text: str
    json: Json
    notes: Sequence[str] = ()
    more: bool = False
    row: Mapping[str, str | float] | None = None


@dataclass(frozen=True)
class Names:
    """What the numbers of a batch mean to a person.

    inputs: the token of each number in batch.inputs, None where a step is not a token (audio, frames, series). answers:
    the name of each score, in the order of the last axis of Outputs.scores; None where scores are plain numbers.
    """

    inputs: Sequence[str] | None = None
    answers: Sequence[str] | None = None


SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class Script:
    """A task's part of an exported script: what `predict` does around the model, with torch and Python alone.

    template: a Jinja file in SCRIPTS, or the path of one's own, which extends text.jinja or files.jinja there and fills
    their blocks. values: what it reads besides the model (`net`, `core` ..., rnncli/runs/load_script.py); `{{ name }}`
    writes a value as a Python literal, and Code as it is. needs: packages besides torch and safetensors.
    """

    template: str | Path
    values: Mapping[str, Any]
    needs: Sequence[str] = ()


@dataclass(frozen=True)
class Suited:
    """Why a recipe suits a file. rank: 3 where the file says so itself, 2 where it looks like it, 1 where it can be
    read so."""

    rank: Literal[1, 2, 3]
    why: str


class Suggested(dict[str, Json]):
    """What a file suggests for a recipe, sentences on what was passed over, and why a key has its value."""

    def __init__(
        self, settings: Mapping[str, Json], notes: Sequence[str] = (), reasons: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(settings)
        self.notes = list(notes)
        self.reasons = dict(reasons or {})


class Task(ABC, Generic[ConfigT, FittedT, PartT]):
    """A task. A file of one ends in `TASK = ...()`, which the registry finds.

    METRICS: name -> which way is better, "loss" among them; `train.best_by` names the one that decides which epoch is
    kept. Tables show the first.
    COUNTED: what `loss` counts, and the speed is of. config_class, fitted_class: those of the type parameters.
    """

    METRICS: Mapping[str, Better]
    COUNTED: Literal["steps", "tokens", "rows"] = "steps"
    config_class: type[ConfigT]
    fitted_class: type[FittedT]

    @abstractmethod
    def read(self, config: ConfigT) -> Splits[FittedT, PartT]:
        """Read and split the data. Raises DataError with file and line for what cannot be used."""

    @abstractmethod
    def build(self, config: ConfigT, fitted: FittedT) -> nn.Module:
        """A model with fresh weights, drawn from torch's current seed; forward(batch, state=None) -> Outputs."""

    def begin(self, config: ConfigT, model: nn.Module, splits: Splits[FittedT, PartT]) -> list[str]:
        """What of fresh weights is not drawn, such as word vectors from a file, put into the model in place. Not called
        where weights come from elsewhere (a run that is opened or resumed). Returns notes; raises DataError."""
        return []

    def label_names(self, config: ConfigT, fitted: FittedT) -> Names:
        """What token numbers and scores mean, for whoever shows them (`inspect`)."""
        return Names()

    @abstractmethod
    def batches(self, config: ConfigT, part: PartT, order: Order | None) -> Iterator[Batch]:
        """The batches of an epoch, a pure function of the integers in `order`; None: every row, in order, once."""

    @abstractmethod
    def encode(self, config: ConfigT, fitted: FittedT, inputs: Sequence[str]) -> Batch:
        """New inputs, as `predict` takes them, as one batch without targets. Raises DataError."""

    @abstractmethod
    def loss(self, config: ConfigT, model: nn.Module, batch: Batch, carry: State | None) -> Loss:
        """The loss of one batch, as a sum and its count."""

    @abstractmethod
    def metrics(self, config: ConfigT, model: nn.Module, part: PartT, fitted: FittedT) -> Metrics:
        """`loss` and the METRICS of the model on a part, in eval mode, by their names."""

    def dynamic_metrics(self, config: ConfigT, model: nn.Module, part: PartT, fitted: FittedT, rate: float) -> Metrics:
        """The same of a copy of the model that goes on learning, at that rate, from what it was measured on. Raises
        UsageError: a task whose rows have no order."""
        raise UsageError(
            tr("task {name} has no dynamic evaluation", name=config.task),
            where="--dynamic",
            todo=tr("it is for language models, which read a text in its order"),
        )

    def calibrate(self, config: ConfigT, model: nn.Module, part: PartT) -> None:
        """What the model learns from the held-out part after every epoch, before its metrics, into buffers: how wide
        its intervals have to be. Nothing, by default."""
        return

    def baselines(self, config: ConfigT, splits: Splits[FittedT, PartT], part: str) -> list[Baseline]:
        """What simpler methods, fitted on the training part, reach on `part`."""
        return []

    def epoch_preview(self, config: ConfigT, model: nn.Module, splits: Splits[FittedT, PartT]) -> str:
        """A few words on what the model answers now, for the line of an epoch; "" where that would cost time."""
        return ""

    def summarize(
        self, config: ConfigT, model: nn.Module, splits: Splits[FittedT, PartT], part: str
    ) -> Sequence[Record]:
        """One example step by step: token, target, prediction, probability; closes a training run."""
        return []

    def pictures(
        self, config: ConfigT, model: nn.Module, splits: Splits[FittedT, PartT], part: str
    ) -> Sequence[Record]:
        """What a web page has room for beside `summarize` (a confusion matrix, a spectrogram); a record of a name that
        `summarize` has too stands in its place."""
        return []

    @abstractmethod
    def predict(
        self, config: ConfigT, model: nn.Module, fitted: FittedT, inputs: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """Answers for new inputs, one by one, in the input's format."""

    def predict_lines(
        self, config: ConfigT, model: nn.Module, fitted: FittedT, lines: Iterable[str], options: PredictOptions
    ) -> Iterator[Prediction]:
        """`predict` for --file and standard input; a task whose files go beyond a line (CoNLL-U) has its own. lines,
        and the texts of the answers: with their ends as they stand."""
        texts, note = self.texts_of(config, fitted, (line.removeprefix("\ufeff").rstrip("\r\n") for line in lines))
        for found in self.predict(config, model, fitted, texts, options):
            notes = (*([note] if note else []), *found.notes)
            yield replace(found, text=found.text if found.more else found.text + "\n", notes=notes)
            note = ""

    def texts_of(self, config: ConfigT, fitted: FittedT, lines: Iterable[str]) -> tuple[Iterable[str], str]:
        """The texts in lines without their ends: the lines themselves, or, where they are rows of a table such as the
        run learnt from, the column that it read, and a note that says so."""
        return lines, ""

    def in_units(self, config: ConfigT, fitted: FittedT, batch: Batch, scores: Tensor) -> Tensor:
        """Outputs.scores of a batch in the data's units, where they are plain numbers; else as they are."""
        return scores

    def require(self, config: ConfigT) -> None:
        """Raises Missing where training by this recipe needs an extra that is not installed."""

    def answers(self, config: ConfigT, model: nn.Module, part: PartT, fitted: FittedT) -> Iterator[str]:
        """What the model writes for the rows of a part, in order, where answers are texts: `train` says so where they
        are empty. None at all where they are not."""
        yield from ()

    def automaton(self, config: ConfigT) -> Automaton | None:
        """The automaton whose answers the targets are, where inputs are words of a regular language."""
        return None

    def input_kind(self, config: ConfigT) -> InputKind:
        """What `predict` takes: "text" (literal text, --file or -), or "path" (files)."""
        return "text"

    def hub_task(self, config: ConfigT) -> str:
        """What the Hugging Face Hub calls such a task, for a model card's pipeline_tag; "" where it has no name."""
        return ""

    def script(self, config: ConfigT, fitted: FittedT) -> Script | None:
        """How an exported script answers; None: it holds the weights alone. Raises RnncliError: why it cannot."""
        return None

    def fitted_from_json(self, config: ConfigT, value: Json, *, where: str = "") -> FittedT:
        """What a run's vocab.json holds. Raises DataError."""
        return self.fitted_class.from_json(value, where=where)

    def read_part(self, config: ConfigT, fitted: FittedT, path: str) -> tuple[PartT, list[str]]:
        """A new file as one part, in terms of a run's fitted state, and notes on it; for `evaluate --data`. Raises
        DataError; UsageError: the task has no such files."""
        raise UsageError(
            tr("task {name} measures its own data only", name=config.task),
            where="--data",
            todo=tr("omit --data"),
        )

    def suits(self, look: Look, config: ConfigT) -> Suited | None:
        """Whether a file is one for this recipe, for `recipes copy --data` without a name."""
        return None

    def suggest_settings(self, path: str, config: ConfigT | None = None) -> dict[str, Json]:
        """Dotted keys (`data.tag`) and values that a file's head suggests, for `recipes copy --data`: Suggested where
        there is more to say. config: the recipe that is copied, whose names of columns a file may have."""
        return {}


AnyTask = Task[Any, Any, Any]  # of a recipe that was just read: which, only the recipe knows
AnySplits = Splits[Any, Any]
