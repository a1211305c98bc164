"""train and sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from os import PathLike, fspath
from typing import TYPE_CHECKING

from rnncli.api.given import Flags, RunLike, data_flags, run_of
from rnncli.data.values import Data
from rnncli.device import borrowed
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.recipe import Sets
from rnncli.recipe.document import typed_of
from rnncli.targets import Given

if TYPE_CHECKING:
    from rnncli.runs.open import Run
    from rnncli.sweeps.runner import Sweep
    from rnncli.tasks import Recipe
    from rnncli.training.epoch import Epoch


def train(
    recipe: Given | None = None,
    *,
    data: Data | None = None,
    sets: Sets = (),
    out: str | PathLike[str] | None = None,
    resume: RunLike | None = None,
    init_from: RunLike | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
) -> Run:
    """Train a recipe into a new run folder, or resume a run; returns the run.

    Args:
        recipe: A packaged recipe's name, a path to a YAML file, its values as nested dicts, or what `load_recipe`
            returned. Omitted with `resume`.
        data: Training data instead of the recipe's: a path; texts (a list or a Series of strings); rows (a list of
            dicts, a pandas data frame, or a dict of columns) with the recipe's columns; a dict of arrays for image
            sequences. Values are stored in a file under `runs/data/`, so that the run can be evaluated and resumed.
        sets: Recipe overrides: dotted key -> value, `{"train.epochs": 20}`, or `a.b=value` texts. Numbers may be
            numpy's or torch's. Of a section given as a whole, `{"train": {"epochs": 20}}`, only the keys named are set;
            a key's value is replaced whole, also where it is a dict, such as `train.optimizer` or `data.split`.
        out: The run folder, new or empty; default: `runs/NAME-001`, counting up.
        resume: A run to resume from its last checkpoint, bit for bit on the same machine. Only budgets may change:
            `sets={"train.epochs": 50}`. A finished run is opened unchanged.
        init_from: A run with the same task and vocabulary, whose best weights to start from.
        on_epoch: Called after every epoch with an `Epoch` (epoch, step, loss, lr, metrics ...), its line in
            `metrics.jsonl`. If it returns `"stop"`, training ends there, with a result. If it raises, a checkpoint is
            saved and the error is passed on to the caller. Both runs can be resumed.

    Returns:
        The run, with the weights of its best epoch on the CPU. torch's random state and thread count are not changed.

    Raises:
        RecipeError: The recipe is invalid; lists all errors.
        UsageError: No such recipe or run, the folder is not empty, or a change that a resumed run does not allow.
        DataError: The data is unusable; gives file and line.
        Diverged: The loss or a gradient is not finite.
        Missing: A device, an extra or memory is not available.
        CannotWrite: The folder cannot be written.
        StoppedBySignal: Ctrl-C or a notebook's interrupt, after everything was saved.

    Examples:
        >>> losses = []
        >>> run = train("hello", sets={"train.control": False}, on_epoch=lambda epoch: losses.append(epoch.loss))
        >>> run.folder.name, run.result()["metrics"]["accuracy"], len(losses)
        ('hello-001', 1.0, 30)
    """
    from rnncli.runs.open import initialize, open_run
    from rnncli.training.job import prepare

    flags = data_flags(data)
    if (recipe is None) == (resume is None):
        raise UsageError(tr("give a recipe, or a run to resume"), where="train", todo='for example: train("hello")')
    with borrowed():
        if resume is not None:
            return _resumed(run_of(resume), sets, flags, on_epoch)
        assert recipe is not None
        job = prepare(_recipe(recipe, sets, flags))
        if init_from is not None and job.rank == 0:  # the others receive its weights
            initialize(job, str(run_of(init_from).folder))
        from rnncli.runs.train import new_run_folder, run_training
        from rnncli.training.session import distributed_session

        with distributed_session(job), new_run_folder(job, None if out is None else fspath(out)) as folder:
            run_training(job, folder, on_epoch=on_epoch)
            kept = job.group.folder
        return open_run(kept)


def _resumed(run: Run, sets: Sets, flags: Flags, on_epoch: Callable[[Epoch], object] | None) -> Run:
    from rnncli.runs.open import open_run
    from rnncli.runs.resume import check_same, is_finished, recipe_of
    from rnncli.runs.train import run_training
    from rnncli.training.job import prepare
    from rnncli.training.session import distributed_session

    folder = run.folder
    recipe = recipe_of(folder, sets, flags)
    if is_finished(run, recipe):
        return run
    job = prepare(recipe, fresh=False)
    check_same(run.environment(), job, folder)
    with distributed_session(job):
        run_training(job, folder, resume=True, on_epoch=on_epoch)
    return open_run(folder)


def _recipe(given: Given, sets: Sets, flags: Flags) -> Recipe:
    from rnncli.tasks import Recipe, load_recipe

    if isinstance(given, Recipe) and not (sets or flags):
        return given
    if isinstance(given, str | PathLike):
        return load_recipe(fspath(given), sets, flags)
    if isinstance(given, Mapping):
        return load_recipe(given, sets, flags)
    raise UsageError(
        tr("this is already open: its settings cannot change"), where="sets", todo=tr("give its name or path")
    )


def sweep(
    recipe: str | PathLike[str],
    *,
    grid: Mapping[str, Iterable[object]] | None = None,
    search: Mapping[str, str | Iterable[object]] | None = None,
    seeds: int = 1,
    trials: int | None = None,
    match_params: int | None = None,
    data: Data | None = None,
    sets: Sets = (),
    jobs: int = 1,
    out: str | PathLike[str] | None = None,
    storage: str = "",
    prune: bool = True,
    on_change: Callable[[Sweep], object] | None = None,
) -> Sweep:
    """Train a recipe over settings and seeds, and rank them. Repeating the call resumes the sweep.

    Args:
        recipe: A packaged recipe's name, or a path to a YAML file.
        grid: Dotted key -> values; every combination is a trial.
        search: Dotted key -> a range, "log:1e-4..1e-1", "0..0.5" or "int:8..128", or a list of choices (extra `sweep`).
        seeds: Runs per trial, with seeds counting up from the recipe's.
        trials: Search only: total number of trials; default: 50.
        match_params: Choose hidden sizes so that every trial has about this many parameters.
        data: Training data instead of the recipe's, as for `train`.
        sets: Recipe overrides, as for `train`.
        jobs: Number of runs to train at once, each in its own process; they share the cores.
        out: The sweep's folder; default: `sweeps/NAME-001`, or an existing one of the same sweep.
        storage: Search only: URL of an Optuna storage to share across machines.
        prune: Search only: end unpromising trials early.
        on_change: Called with the sweep whenever something may have changed, about twice a second.

    Returns:
        The sweep: `rows()`, best first, each with `settings`, `scores` and `mean`; `best()`; it displays itself as a
        table. Scores are values of the recipe's `train.best_by`.

    Raises:
        RecipeError: A trial is invalid; raised before any training.
        UsageError: Nothing varies, or the folder belongs to another sweep.
        Missing: The extra `sweep` is not installed.
        CannotWrite: The folder cannot be written.

    Examples:
        >>> done = sweep("hello", grid={"model.cell": ["rnn", "gru"]}, sets={"train.epochs": 2})
        >>> [row.status for row in done.rows()]
        ['done', 'done']
    """
    from rnncli.sweeps.plan import make_plan
    from rnncli.sweeps.runner import begin

    if not isinstance(recipe, str | PathLike):
        raise UsageError(
            tr("a sweep takes the name of a recipe, or the path of its file"),
            where="recipe",
            todo=tr("write the values to a YAML file, or change a packaged recipe with sets"),
        )
    flags = data_flags(data)
    if isinstance(sets, Mapping):
        flags, sets = {**flags, **typed_of(sets)}, ()
    plan = make_plan(
        fspath(recipe), [sets] if isinstance(sets, str) else sets, flags, grid=grid or {}, search=search or {},
        seeds=seeds, match_params=match_params, trials=trials,
    )  # fmt: skip
    made = begin(plan, None if out is None else fspath(out), jobs, storage, prune)
    with closing(made.go()) as changes:
        for _ in changes:
            if on_change is not None:
                on_change(made)
    return made
