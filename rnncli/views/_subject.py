"""The subject of a view: a model, a batch, and task information about both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor, nn

from rnncli.cells import CoreSpec, State, cores_of, quiet_projections
from rnncli.data.batch import Batch, Order
from rnncli.data.made.automata import Automaton
from rnncli.device import dtype_of
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.crf import with_marginals
from rnncli.nn.heads import NoHead
from rnncli.nn.model import Outputs, SequenceModel
from rnncli.nn.recurrent import make_core
from rnncli.recipe import RecipeConfig
from rnncli.replay import CoreTrace, Trace, trace
from rnncli.tasks import AnySplits, AnyTask, FittedState, Names, Recipe
from rnncli.views._inputs import encoded, random_features, with_rows
from rnncli.views._layout import Layout, layouts, scores_inside
from rnncli.weights import FoundCore

STEPS = 20  # length of a random sequence, without data


@dataclass
class Subject:
    """title: as the user typed it. origin: where its weights come from. command: how to name it on the command line.

    model: built by the task: model(batch) -> Outputs. task, config, fitted: None for weight files. tables: embeddings
    in a weight file. notes: what is unknown. layout: of the input that the model is called with; the batch is always
    (T, B, ...).
    """

    title: str
    origin: str
    model: nn.Module
    batch: Batch
    seed: int = 0
    command: str = "TARGET"
    task: AnyTask | None = None
    config: RecipeConfig | None = None
    fitted: FittedState | None = None
    tables: Mapping[str, Tensor] = field(default_factory=dict)
    notes: Sequence[str] = ()
    layout: Layout = field(default_factory=Layout)
    _traces: dict[str, Trace] = field(default_factory=dict, repr=False)

    @cached_property
    def names(self) -> Names:
        if self.task is None or self.fitted is None:
            return Names()
        return self.task.label_names(self.config, self.fitted)

    @property
    def automaton(self) -> Automaton | None:
        """Of the regular language that the task reads, where it does."""
        return None if self.task is None else self.task.automaton(self.config)

    @property
    def like(self) -> Tensor:
        """For device and dtype: one of the model's parameters; its input if it has none."""
        parameter = next(self.model.parameters(), None)
        return self.batch.inputs if parameter is None else parameter

    @property
    def dtype(self) -> torch.dtype:
        return self.like.dtype

    @property
    def specs(self) -> dict[str, CoreSpec]:
        """Path in the model -> spec of every RNN module."""
        return cores_of(self.model)

    def trace(self) -> Trace:
        """One forward pass over the batch, recorded and checked; cached."""
        if "plain" not in self._traces:
            self._traces["plain"] = trace(self.model, self.batch)
        return self._traces["plain"]

    @property
    def outputs(self) -> Outputs:
        """Outputs of the trace; if scores are (T, B, C), their softmax is the probability of each class at each
        step."""
        return self.read(self.trace().result)

    def read(self, result: object) -> Outputs:
        """The model's result as in `outputs`."""
        return with_marginals(self.model, as_outputs(result))

    def graph(self) -> Trace:
        """The trace with its graph, for gradients; cached."""
        if "graph" not in self._traces:
            self._traces["graph"] = trace(self.model, self.batch, gradients=True)
        return self._traces["graph"]

    def cores(self, made: Trace, name: str | None) -> list[CoreTrace]:
        """The modules to show: the one of that name, or all that ran."""
        return made.cores if name is None else [made.core(name)]

    def main(self, made: Trace) -> CoreTrace:
        """The module that reads the sequence itself: the last one with its steps and rows, or the first one."""
        T, B = self.batch.inputs.shape[:2]
        reading = [core for core in made.cores if (core.num_steps, core.calls[0].x.shape[1]) == (T, B)]
        return reading[-1] if reading and "decoder" not in reading[-1].path else made.cores[0]

    def labels(self, core: CoreTrace, row: int = 0) -> list[str] | None:
        """The token of each step of module, None if its steps are not tokens.

        A decoder's steps are labelled by the target, or by its output if there is no target.
        """
        T = core.num_steps
        if "decoder" in core.path and self.names.answers is not None:
            targets = self.step_targets(T, row)
            return self.step_answers(T, row) if targets is None else [target or "" for target in targets]
        if self.batch.size != core.calls[0].x.shape[1]:  # such as the characters of words
            return None
        return self.input_labels(T, row)

    def input_labels(self, T: int, row: int = 0) -> list[str] | None:
        """The token of each of T steps of the input; None if it has no tokens or other steps."""
        ids, tokens = self.batch.inputs, self.names.inputs
        if tokens is None or ids.is_floating_point() or ids.dim() != 2 or len(ids) != T:
            return None
        return [tokens[i] for i in ids[:, row].tolist()]

    def step_scores(self, T: int) -> Tensor | None:
        """The score of every answer at each of T steps, (T, B, C); None if the model predicts other things."""
        scores, answers = self.outputs.scores.detach(), self.names.answers
        if answers is None or scores.dim() != 3 or tuple(scores.shape[::2]) != (T, len(answers)):
            return None
        return scores

    def step_answers(self, T: int, row: int = 0) -> list[str] | None:
        """The prediction at each of T steps; None if the model predicts other things."""
        scores, answers = self.step_scores(T), self.names.answers
        if scores is None or answers is None:
            return None
        return [answers[i] for i in scores[:, row].argmax(1).tolist()]

    def step_predictions(self, T: int) -> list[tuple[str, float]] | None:
        """The prediction at each of T steps of the first row, with its probability."""
        scores, answers = self.step_scores(T), self.names.answers
        if scores is None or answers is None:
            return None
        p, best = scores[:, 0].double().softmax(1).max(1)
        return [(answers[k], float(one)) for one, k in zip(p, best.tolist(), strict=True)]

    def step_targets(self, T: int, row: int = 0) -> list[str | None] | None:
        """The target of each of T steps, None for a step that has none; None if steps are not classified one by one."""
        targets, answers = self.batch.targets, self.names.answers
        if answers is None or targets is None or targets.is_floating_point() or targets.dim() != 2 or len(targets) != T:
            return None
        return [answers[i] if 0 <= i < len(answers) else None for i in targets[:, row].tolist()]

    def length(self, core: CoreTrace, row: int) -> int:
        """Number of steps of that row."""
        return core.num_steps if core.lengths is None else int(core.lengths[row])


def as_outputs(result: object) -> Outputs:
    """A model's result as Outputs; also accepts a plain torch module's (output, state)."""
    if isinstance(result, Outputs):
        return result
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Tensor):
        last = result[1] if isinstance(result[1], tuple) else (result[1],)
        return Outputs(result[0], last)
    if isinstance(result, Tensor):
        return Outputs(result)
    raise UsageError(
        tr("this model returns {kind}, not scores", kind=type(result).__name__),
        todo=tr("return one tensor, or a tensor and the last state"),
    )


# Constructors of subjects


class Features(nn.Module):
    """Identity front end: batch.inputs (T, B, I) is x."""

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        return batch.inputs, batch.lengths


class _Called(nn.Module):
    """Wraps a module that takes a tensor as a model that takes a Batch; a batch and Outputs are (T, B, ...)."""

    def __init__(self, module: nn.Module, x: Tensor) -> None:
        super().__init__()
        self.model = module
        self.x = x
        self._found: tuple[Layout, Layout] | None = None

    def layouts(self) -> tuple[Layout, Layout]:
        """Of the module's input and output: found by running it, so only once, and for views that run it."""
        if self._found is None:
            self._found = layouts(self.model, self.x)
        return self._found

    def forward(self, batch: Batch, state: State | None = None) -> Outputs:
        given, returned = self.layouts()
        outputs = as_outputs(self.model(given.outside(batch.inputs)))
        scores = scores_inside(outputs.scores, given, returned, *batch.inputs.shape[:2])
        last = outputs.state
        if last is not None and given.batch is None:  # torch's states of a single sequence are (L·D, H)
            last = tuple(tensor.unsqueeze(1) if tensor.dim() == 2 else tensor for tensor in last)
        return outputs._replace(scores=scores, state=last)


class _OfModule(Subject):
    """Subject of a module with a layout of its own, found on first use."""

    model: _Called

    def __init__(self, model: _Called, title: str, seed: int) -> None:
        super().__init__(title, tr("module"), model, Batch(model.x), seed)
        del self.batch, self.layout

    @cached_property
    def batch(self) -> Batch:  # type: ignore[override]  # an attribute from the first use on
        return Batch(self.layout.inside(self.model.x))

    @cached_property
    def layout(self) -> Layout:  # type: ignore[override]
        return self.model.layouts()[0]


def subject_of_model(model: nn.Module, x: Tensor, *, title: str = "model", seed: int = 0) -> Subject:
    """Subject of any module that contains an RNN module and takes one tensor. x: its input, in the module's own
    layout."""
    return _OfModule(_Called(model, x), title, seed)


def subject_of_weights(
    core: FoundCore,
    *,
    title: str,
    command: str = "",
    batch: Batch | None = None,
    rows: int = 1,
    steps: int = STEPS,
    seed: int = 0,
    tables: Mapping[str, Tensor] | None = None,
) -> Subject:
    """Subject of a module with given weights, on `batch` (inputs (T, B, I)) or a random sequence drawn from `seed`."""
    with torch.device("meta"), quiet_projections(core.spec):
        module = make_core(core.spec)
    module.load_state_dict(dict(core.state), assign=True)
    for parameter in module.parameters():
        parameter.requires_grad_()
    model = SequenceModel(Features(), module, NoHead()).eval()
    notes = list(core.unknown)
    if batch is None:
        notes.append(tr("the input is random, N(0, 1), from seed {seed}; use --input for your own", seed=seed))
        batch = random_features(steps, rows, (core.spec.input_size,), seed)
    dtype = next(module.parameters()).dtype
    batch = Batch(batch.inputs.to(dtype), batch.lengths)
    origin = core.origin or tr("weight file")
    return Subject(title, origin, model, batch, seed, command or title, tables=tables or {}, notes=notes)


def subject_of_recipe(
    recipe: Recipe,
    *,
    splits: AnySplits | None = None,
    title: str | None = None,
    sample: int = 0,
    rows: int = 1,
    batch_size: int | None = None,
    inputs: Sequence[str] | None = None,
) -> Subject:
    """Subject of a recipe, with initial weights drawn as in `train`.

    sample: index of an example or batch in the data. rows: number of examples, if available; batch_size: exact number,
    repeating examples if there are too few. inputs: inputs of `predict` instead.
    """
    task, config = recipe.task, recipe.config
    splits = task.read(config) if splits is None else splits
    torch.manual_seed(config.train.seed)
    model = task.build(config, splits.fitted).to(dtype_of(config.train.dtype)).eval()
    task.begin(config, model, splits)
    return subject_of_task(
        recipe,
        model,
        splits.fitted,
        splits,
        title=title or recipe.name,
        origin=tr("recipe, untrained"),
        sample=sample,
        rows=rows,
        batch_size=batch_size,
        inputs=inputs,
    )


def subject_of_task(
    recipe: Recipe,
    model: nn.Module,
    fitted: FittedState,
    splits: AnySplits | None,
    *,
    title: str,
    origin: str,
    sample: int = 0,
    rows: int = 1,
    batch_size: int | None = None,
    inputs: Sequence[str] | None = None,
) -> Subject:
    """Subject of a model of a recipe; see subject_of_recipe. splits: None if there are inputs."""
    task, config = recipe.task, recipe.config
    if inputs:
        batch = encoded(task, config, fitted, inputs)
    else:
        assert splits is not None
        batch = sample_batch(task, config, splits, sample, batch_size or rows)
    if batch_size is not None:
        batch = with_rows(batch, batch_size)
    if batch.inputs.shape[0] == 0:
        raise UsageError(tr("an input without steps"), where="--input")
    dtype = next(model.parameters()).dtype
    if batch.inputs.is_floating_point():
        batch = Batch(batch.inputs.to(dtype), batch.lengths, batch.targets, batch.extra, batch.rows)
    return Subject(title, origin, model, batch, config.train.seed, title, task, config, fitted)


def sample_batch(task: AnyTask, config: RecipeConfig, splits: AnySplits, sample: int, rows: int) -> Batch:
    """One example of the data (of its held-out split if there is one), or a batch made as in training.

    Raises UsageError for an example out of range.
    """
    part = splits.part(splits.held_out)
    sized = config.model_copy(update={"train": config.train.model_copy(update={"batch_size": rows})})
    count = 0
    if rows > 1:
        order = Order(config.train.seed, 0)
        for batch in islice(task.batches(sized, part, order), sample, sample + 1):
            return batch
        count = sum(1 for _ in task.batches(sized, part, order))
    else:
        for count, batch in enumerate(task.batches(sized, part, None), 1):
            if (sample in batch.rows) if len(batch.rows) else count == sample + 1:
                return batch
    raise UsageError(
        tr("--sample {n} is out of range", n=sample), where="--sample", todo=tr("choose 0 to {last}", last=count - 1)
    )
