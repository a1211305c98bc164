"""Tasks: one file each, and the folder is the registry; a recipe's `task:` is the file's name.

Every task file has the same names in the same order, the protocol `Task` below. A task file imports torch and
`rnncli.nn` only inside functions or under TYPE_CHECKING, so that validating a recipe needs neither. Tasks never import
each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from rnncli.errors import Fault, RecipeError, UsageError
from rnncli.locale import tr, trn
from rnncli.recipe import Document, RecipeConfig, document_of, read_document, task_name, validate
from rnncli.records import Json, Record

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.cells import State
    from rnncli.data.batch import Batch, Order

Vocabulary = dict[str, Json]
Metrics = dict[str, float]


@dataclass(frozen=True)
class Splits:
    """What `read` found. train, validation, test: the task's own kind of rows, None where there is no such part.

    vocab: all that the training part taught the reader (tokens, labels, scaling), as plain JSON: a run keeps it in
    vocab.json, and `build` and `predict` need nothing else of the data. counts: part -> what was counted -> how many.
    how: how the parts were chosen, a sentence. notes: sentences about skipped records, unknown tokens and the like.
    fingerprint: sha256 of the data, which a resumed run compares.
    """

    train: Any
    vocab: Vocabulary
    counts: Mapping[str, Mapping[str, int]]
    fingerprint: str
    validation: Any = None
    test: Any = None
    how: str = ""
    notes: Sequence[str] = ()

    def part(self, name: str) -> Any:
        """`train`, `validation` or `test`; None where the data has no such part."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    @property
    def held_out(self) -> str:
        """The part that epochs are judged by: validation, or train where there is none."""
        return "train" if self.validation is None else "validation"


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
class Asked:
    """What a person gives `predict`: options of the command line. A task that does not read one refuses it: the first
    line of its `predict` is `asked.only("top_k", ...)`."""

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
                    todo=tr("it reads {options}", options=known) if known else tr("leave it away"),
                )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Prediction:
    """One answer. text: in the input's format, one line or several, without the last line end. json: the same as plain
    values, for --json, None where there is nothing to say of this piece. notes: what should be said beside it (unknown
    characters, a cut input). more: the text goes on in the next one, so that a long answer need not be held."""

    text: str
    json: Json
    notes: Sequence[str] = ()
    more: bool = False


@dataclass(frozen=True)
class Names:
    """What the numbers of a batch mean to a person.

    inputs: the token of each number in batch.inputs, None where a step is no token (audio, frames, series). answers:
    the name of each score, in the order of the last axis of Outputs.scores; None where scores are plain numbers.
    """

    inputs: Sequence[str] | None = None
    answers: Sequence[str] | None = None


class Task(Protocol):
    """What a task file holds, in this order.

    METRICS: name -> which way is better, "loss" among them; `train.best_by` names the one that decides which epoch is
    kept. Tables show the first.
    INPUT: what `predict` takes: "text" (literal text, --file or -), or "path" (files).
    """

    METRICS: Mapping[str, Literal["lower", "higher"]]
    INPUT: Literal["text", "path"]
    Config: type[RecipeConfig]

    def read(self, config: Any) -> Splits:
        """Read and split the data. Raises DataError with file and line for what cannot be used."""
        ...

    def build(self, config: Any, vocab: Vocabulary) -> nn.Module:
        """A model with fresh weights, drawn from torch's current seed; forward(batch, state=None) -> Outputs."""
        ...

    def names(self, config: Any, vocab: Vocabulary) -> Names:
        """What token numbers and scores mean, for whoever shows them (`inspect`)."""
        ...

    def batches(self, config: Any, part: Any, order: Order | None) -> Iterator[Batch]:
        """The batches of an epoch, a pure function of the integers in `order`; None: every row, in order, once."""
        ...

    def encode(self, config: Any, vocab: Vocabulary, inputs: Sequence[str]) -> Batch:
        """New inputs, as `predict` takes them, as one batch without targets. Raises DataError."""
        ...

    def loss(self, config: Any, model: Any, batch: Batch, carry: State | None) -> Loss:
        """The loss of one batch, as a sum and its count."""
        ...

    def metrics(self, config: Any, model: Any, part: Any, vocab: Vocabulary) -> Metrics:
        """`loss` and the METRICS of the model on a part, in eval mode, by their names."""
        ...

    def baselines(self, config: Any, splits: Splits, part: str) -> list[Baseline]:
        """What simpler methods, fitted on the training part, reach on `part`."""
        ...

    def watch(self, config: Any, model: Any, splits: Splits) -> str:
        """A few words on what the model answers now, for the line of an epoch; "" where that would cost time."""
        ...

    def show(self, config: Any, model: Any, splits: Splits, part: str) -> list[Record]:
        """One example step by step: token, target, prediction, probability; closes a training run."""
        ...

    def predict(
        self, config: Any, model: Any, vocab: Vocabulary, inputs: Iterable[str], asked: Asked
    ) -> Iterator[Prediction]:
        """Answers for new inputs, one by one, in the input's format."""
        ...

    # What only some tasks have, and commands ask for by getattr:
    #
    # read_part(config, vocab, path) -> (part, notes): a new file as one part, in terms of a run's vocabulary, for
    #   `evaluate --data`.
    # predict_lines(config, model, vocab, lines, asked) -> Iterator[Prediction]: `predict` for --file and standard input
    #   where a file's format goes beyond a line (CoNLL-U). lines: with their ends as they stand; so are the texts.
    # input_kind(config) -> "text" or "path": where what `predict` takes depends on the recipe, in place of INPUT.
    # pictures(config, model, splits, part) -> list[Record]: what a web page has room for beside `show` (a confusion
    #   matrix, a spectrogram); a record of a name that `show` has too stands in its place.
    # require(config): raises Missing where training by this recipe needs an extra that is not installed.
    # answers(config, model, part, vocab) -> Iterator[str]: what the model writes for the rows of a part, in order,
    #   where answers are texts; `train` says so where they are empty.
    # COUNTED: what `loss` counts, where that is not steps: "tokens", "rows".
    # fill(path) -> dict: dotted keys (`data.tag`) and values that a file's head suggests, for `recipes copy --data`.


def input_kind(task: Task, config: RecipeConfig) -> str:
    """What `predict` takes, "text" or "path": the task's INPUT, unless that depends on the recipe."""
    of_recipe = getattr(task, "input_kind", None)
    return str(task.INPUT if of_recipe is None else of_recipe(config))


@cache
def task_names() -> list[str]:
    """The names a recipe's `task:` may have: the files of this folder."""
    return sorted(file.stem.replace("_", "-") for file in Path(__file__).parent.glob("[a-z]*.py"))


def load_task(name: str) -> Task:
    """The task of that name, one of task_names()."""
    return cast(Task, import_module(f"rnncli.tasks.{name.replace('-', '_')}"))


def config_class(name: str) -> type[RecipeConfig]:
    return load_task(name).Config


@dataclass(frozen=True)
class Recipe:
    """A valid recipe. name: of its file, for the run folder. note: something a person should know about it."""

    name: str
    config: RecipeConfig
    document: Document
    note: str = ""
    task: Task = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", load_task(self.config.task))


def load_recipe(
    target: str | Mapping[str, Any],
    sets: Sequence[str] = (),
    flags: Mapping[str, tuple[str, Any]] | None = None,
) -> Recipe:
    """The recipe `target`, validated whole: a packaged name, a path to a YAML file, or its values as nested dicts.

    sets: `a.b=value` texts, as after --set. flags: dotted key -> (the flag as typed, value). Raises RecipeError with
    every fault, UsageError (unknown name), DataError (a file that cannot be read). Reads no data, imports no torch.

    >>> recipe = load_recipe("hello", ["model.cell=gru"])
    >>> recipe.config.model.cell, recipe.config.train.epochs
    ('gru', 30)
    """
    if isinstance(target, str):
        document = read_document(target, sets, flags)
        name = Path(target).stem
    else:
        document, name = document_of(target, "recipe", sets, flags), str(target.get("task", "recipe"))
    task = load_task(task_name(document, task_names()))
    config = validate(document, task.Config)
    if config.train.best_by not in task.METRICS:  # of a task that lets any text stand there
        raise _no_metric(document, config.train.best_by, task.METRICS)
    return Recipe(name, config, document, document.note)


def _no_metric(document: Document, name: str, known: Iterable[str]) -> RecipeError:
    what = tr("expected one of {names}, got {value}", names=", ".join(known), value=repr(name))
    fault = Fault(document.mark("train.best_by"), "train.best_by", what)
    return RecipeError(trn("{n} fault in the recipe", "{n} faults in the recipe", n=1), [fault], where=document.name)
