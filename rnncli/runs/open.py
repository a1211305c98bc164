"""A run folder, opened: its recipe, its vocabulary and its best weights."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rnncli.data.vocab import Vocab
from rnncli.device import dtype_of
from rnncli.errors import DataError, UsageError
from rnncli.files import inside, read_json
from rnncli.locale import tr
from rnncli.notebook import Displayed
from rnncli.recipe import RecipeConfig, Sets
from rnncli.recipe.parse import flow_text
from rnncli.recipe.show import differences
from rnncli.records import Json, Page, json_number, json_object
from rnncli.runs.folder import find_run
from rnncli.runs.manifest import MANIFEST, check_manifest
from rnncli.runs.read import read_log
from rnncli.runs.summary import model_line, run_page
from rnncli.runs.writer import LOGS, WEIGHTS
from rnncli.tasks import AnyTask, FittedState, Recipe, load_recipe
from rnncli.training.job import Job, set_threads
from rnncli.weights.read import utf8_path

NO_LOG = "train.log=[]"  # a run opens even if a logger of its recipe is not installed
OPENED = ("recipe.yaml", "vocab.json", "environment.json", WEIGHTS, "result.json")


@dataclass(repr=False)
class Run(Displayed):
    """A run folder, opened: its recipe, vocabulary and best weights, on the CPU, in eval mode.

    folder: its path. recipe: its settings, `recipe.config.model.hidden_size`. fitted: the preprocessing fitted on the
    training data, such as a vocabulary. model: the network, a torch module with the weights of the best epoch.
    """

    folder: Path
    recipe: Recipe
    fitted: FittedState
    model: nn.Module

    def with_threads(self, batch_size: int) -> Run:
        """Return self after setting torch's CPU threads for batches of this size: one, unless the model is large."""
        set_threads(self.model, batch_size)
        return self

    @property
    def config(self) -> RecipeConfig:
        return self.recipe.config

    @property
    def task(self) -> AnyTask:
        return self.recipe.task

    def metrics(self) -> list[dict[str, Json]]:
        """The lines of metrics.jsonl; an incomplete last line is ignored."""
        return read_log(inside(self.folder, "metrics.jsonl"))

    def result(self) -> dict[str, Json]:
        """result.json; empty if training has not ended."""
        path = inside(self.folder, "result.json")
        return read_json(path) if path.exists() else {}

    def environment(self) -> dict[str, Json]:
        """environment.json: versions, device, seed, hash of the data."""
        return read_json(inside(self.folder, "environment.json"))

    def page(self) -> Page:
        """A summary: the model, how training ended, metrics and baselines, the loss per epoch."""
        return run_page(str(self.folder), self.config, self.model, self.result(), self.metrics())

    def __repr__(self) -> str:
        result = self.result()
        metrics = json_object(result.get("metrics", {})).items()
        found = [f"{name} {json_number(value):.4g}" for name, value in metrics]
        how = f"epoch {result['best_epoch']} of {result['epochs']}" if result else "training has not ended"
        return f"Run({', '.join([str(self.folder), f'{self.config.task}: {model_line(self.model)}', *found, how])})"


def open_run(path: str | Path, sets: Sets = ()) -> Run:
    """Open a run folder: its recipe, vocabulary and best weights, on the CPU, in eval mode.

    path: a folder, a name under runs/, or `last`. sets: dotted key -> value, or `a.b=value` texts; the weights must
    still match. Raises UsageError (no such run), DataError (one of its files is unusable).

    Examples:
        >>> run = open_run("last")
        >>> run.result()["metrics"]["accuracy"], run.model.training
        (1.0, False)
    """
    folder = find_run(str(path))
    for name in (*OPENED, *LOGS):
        inside(folder, name)
    _check(folder, (*OPENED, *LOGS))
    recipe = load_recipe(str(folder / "recipe.yaml"), (*sets, NO_LOG))
    vocab = folder / "vocab.json"
    fitted = recipe.task.fitted_from_json(recipe.config, read_json(vocab), where=str(vocab))
    try:
        model = recipe.task.build(recipe.config, fitted).to(dtype_of(recipe.config.train.dtype))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        why = f"{type(error).__name__}: {error}"
        raise DataError(tr("this file does not match the run's recipe: {why}", why=why), where=str(vocab)) from error
    load_weights(model, folder / WEIGHTS)
    return Run(folder, recipe, fitted, model.eval())


def initialize(job: Job, path: str) -> None:
    """Initialize a job's model with the best weights of another run.

    Raises UsageError: no such run, or one with another task or vocabulary, whose ids have other meanings; DataError:
    one of its files is missing or has changed, or weights have another shape.
    """
    folder = find_run(path)
    _check(folder, ("recipe.yaml", "vocab.json", WEIGHTS))
    recipe, file = load_recipe(str(folder / "recipe.yaml"), (NO_LOG,)), folder / "vocab.json"
    ours, theirs = job.config.task, recipe.config.task
    if ours != theirs:
        raise UsageError(
            tr("that run's task is {theirs}; this recipe's is {ours}", theirs=theirs, ours=ours), where="--init-from"
        )
    fitted = recipe.task.fitted_from_json(recipe.config, read_json(file), where=str(file))
    for name, vocab in vars(fitted).items():
        own = vars(job.splits.fitted).get(name)
        if isinstance(vocab, Vocab) and isinstance(own, Vocab) and vocab.tokens != own.tokens:
            raise UsageError(
                tr("that run has different {name}: {theirs}; here {ours}", name=name, theirs=vocab, ours=own),
                where="--init-from",
                todo=tr("use data with the same vocabulary, or train from scratch"),
            )
    known = type(recipe.config.model).model_fields.keys() & type(job.config.model).model_fields.keys()
    own = tuple(f"model.{key}" for key in known)  # not another cell's options
    changed = [one for one in differences(recipe.config, job.config) if ".".join(one[0].split(".")[:2]) in own]
    load_weights(job.model, folder / WEIGHTS, changed)


def _check(folder: Path, names: Iterable[str]) -> None:
    """Raise DataError if one of these files of a run, or its manifest, is missing or has changed."""
    if not (folder / MANIFEST).exists():
        raise DataError(tr("this file of the run is missing"), where=str(folder / MANIFEST))
    check_manifest(folder, names)


def load_weights(model: nn.Module, path: Path, changed: Sequence[tuple[str, Json, Json]] = ()) -> None:
    """Load a safetensors file into a model. Raises DataError: damaged, or from another model. changed: (key, value
    there, value here), the settings in which the recipe of the weights differs from the model's."""
    try:
        with utf8_path(path) as name:
            tensors = load_file(name)
        if unlike := _unlike(model.state_dict(), tensors):
            raise _unfit(unlike, path, changed)
        model.load_state_dict(tensors)
        whole = {name: tensors[name] for name, own in model.state_dict().items() if own.is_floating_point()}
        if bad := [name for name, tensor in whole.items() if not tensor.isfinite().all()]:
            raise ValueError(tr("{name} contains NaN or infinity", name=bad[0]))
        if wrong := [name for name, tensor in whole.items() if not tensor.is_floating_point()]:
            raise ValueError(f"{wrong[0]}: {whole[wrong[0]].dtype}")
    except FileNotFoundError as error:
        raise DataError(tr("this run has no weights yet"), where=str(path)) from error
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        why = " ".join(str(error).split())[:300]
        raise DataError(tr("these weights cannot be used: {why}", why=why), where=str(path)) from error


def _unlike(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> str:
    """The first weight of a model that a file has not, or in another shape; "" if all are alike."""
    for name in dict.fromkeys((*ours, *theirs)):
        if name not in theirs:
            return tr("{name} does not exist there", name=name)
        if name not in ours:
            return tr("{name} does not exist here", name=name)
        there, here = tuple(theirs[name].shape), tuple(ours[name].shape)
        if there != here:
            return tr("{name} is {there} there and {here} here", name=name, there=there, here=here)
    return ""


def _unfit(unlike: str, path: Path, changed: Sequence[tuple[str, Json, Json]]) -> DataError:
    what, where = tr("these weights cannot be used: {why}", why=unlike), str(path)
    if not changed:
        return DataError(what, where=where, todo=tr("use the weights of a run with this recipe"))
    keys = "; ".join(f"{key}: {flow_text(there)} -> {flow_text(here)}" for key, there, here in changed)
    what += tr("; changed since that run: {keys}", keys=keys)
    sets = " ".join(shlex.join(("--set", f"{key}={flow_text(there)}")) for key, there, _ in changed)
    return DataError(what, where=where, todo=tr("use its settings ({sets}), or omit --init-from", sets=sets))
