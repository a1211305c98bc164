"""What a view looks at: a model, a batch for it, and what its task knows about both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor, nn

from rnncli.cells import CoreSpec, State, quiet_projections, spec_of
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
from rnncli.weights import FoundCore

STEPS = 20  # of a random sequence, where there is no data


@dataclass
class Subject:
    """title: as the person typed it. origin: where its weights come from. command: what to type for it.

    model: as the task builds it: model(batch) -> Outputs. task, config, fitted: None for foreign weights.
    tables: embeddings that lie beside foreign weights. notes: what is not known.
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
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    @property
    def specs(self) -> dict[str, CoreSpec]:
        """Path in the model -> spec of every recurrent core."""
        found = {path: spec_of(module) for path, module in self.model.named_modules()}
        return {path: spec for path, spec in found.items() if spec is not None}

    def trace(self) -> Trace:
        """One forward pass over the batch, recorded and checked; made once."""
        if "plain" not in self._traces:
            self._traces["plain"] = trace(self.model, self.batch)
        return self._traces["plain"]

    @property
    def outputs(self) -> Outputs:
        """Of the trace; where scores are (T, B, C), their softmax is the probability of each answer at each step."""
        return self.read(self.trace().result)

    def read(self, result: object) -> Outputs:
        """What the model returned, as `outputs` has it."""
        return with_marginals(self.model, as_outputs(result))

    def graph(self) -> Trace:
        """The same with the graph kept, for gradients of anything; made once."""
        if "graph" not in self._traces:
            self._traces["graph"] = trace(self.model, self.batch, gradients=True)
        return self._traces["graph"]

    def cores(self, made: Trace, name: str | None) -> list[CoreTrace]:
        """The cores to show: the one of that name, else all that ran."""
        return made.cores if name is None else [made.core(name)]

    def main(self, made: Trace) -> CoreTrace:
        """The core that reads the sequence itself: the last one over its steps and rows, else the first of all."""
        T, B = self.batch.inputs.shape[:2]
        reading = [core for core in made.cores if (core.num_steps, core.calls[0].x.shape[1]) == (T, B)]
        return reading[-1] if reading and "decoder" not in reading[-1].path else made.cores[0]

    def labels(self, core: CoreTrace, row: int = 0) -> list[str] | None:
        """The token of each step of a core, None where its steps are not tokens.

        A core in a decoder is labelled by what it should write, or by what it wrote where there is no target.
        """
        T = core.num_steps
        if "decoder" in core.path and self.names.answers is not None:
            return self._decoder_labels(T, row)
        ids = self.batch.inputs
        if self.names.inputs is None or ids.is_floating_point() or ids.dim() != 2:
            return None
        if tuple(ids.shape) != (T, core.calls[0].x.shape[1]):  # such as the letters of words
            return None
        return [self.names.inputs[int(i)] for i in ids[:, row]]

    def _decoder_labels(self, T: int, row: int) -> list[str] | None:
        answers = self.names.answers
        assert answers is not None
        targets = self.batch.targets
        if targets is not None and targets.dim() == 2 and targets.shape[0] == T and not targets.is_floating_point():
            return [answers[i] if 0 <= i < len(answers) else "" for i in targets[:, row].tolist()]
        scores = self.outputs.scores
        if scores.dim() == 3 and scores.shape[0] == T and scores.shape[2] == len(answers):
            return [answers[i] for i in scores[:, row].argmax(1).tolist()]
        return None

    def length(self, core: CoreTrace, row: int) -> int:
        """Steps of that row."""
        return core.num_steps if core.lengths is None else int(core.lengths[row])


def as_outputs(result: object) -> Outputs:
    """A model's result as Outputs; a plain torch module's (output, state) too."""
    if isinstance(result, Outputs):
        return result
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Tensor):
        last = result[1] if isinstance(result[1], tuple) else (result[1],)
        return Outputs(result[0], last)
    if isinstance(result, Tensor):
        return Outputs(result)
    raise UsageError(tr("this model returns {kind}, no scores", kind=type(result).__name__))


# Where subjects come from


class Features(nn.Module):
    """Numbers as they are: batch.inputs (T, B, I) is x."""

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        return batch.inputs, batch.lengths


class _Called(nn.Module):
    """Any module that takes a tensor, as a model that takes a Batch."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.model = module

    def forward(self, batch: Batch, state: State | None = None) -> Outputs:
        return as_outputs(self.model(batch.inputs))


def subject_of_model(model: nn.Module, x: Tensor, *, title: str = "model", seed: int = 0) -> Subject:
    """Any module that holds a recurrent core and takes one tensor. x: what it is called with, as it takes it."""
    return Subject(title, tr("a module"), _Called(model), Batch(x), seed)


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
    """A core out of given weights, over `batch` (inputs (T, B, I)) or a random sequence drawn from `seed`."""
    with torch.device("meta"), quiet_projections(core.spec):
        module = make_core(core.spec)
    module.load_state_dict(dict(core.state), assign=True)
    for parameter in module.parameters():
        parameter.requires_grad_()
    model = SequenceModel(Features(), module, NoHead()).eval()
    notes = list(core.unknown)
    if batch is None:
        notes.append(tr("the input is random, N(0, 1), from seed {seed}: --input gives your own", seed=seed))
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
    """A recipe with fresh weights, as `train` draws them.

    sample: which row of its data, or which batch. rows: how many are looked at, where there are so many; batch_size:
    exactly so many, the same ones again where there are too few. inputs: other ones, as `predict` takes them.
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
    """A model of a recipe, else as subject_of_recipe. splits: None where there are inputs."""
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
    """One sample of the data (its held-out split where there is one), or a batch of several as training makes them.

    Raises UsageError: no such sample.
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
        tr("there is no sample {n}", n=sample), where="--sample", todo=tr("they go from 0 to {last}", last=count - 1)
    )
