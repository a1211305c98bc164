"""Training: one run, or many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING

from rnncli.api.given import Flags, RunLike, data_flags, run_of
from rnncli.data.values import Data
from rnncli.device import borrowed
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.recipe import Sets
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
    """Train a recipe into a new run folder, or resume a run, and open it.

    Args:
        recipe: A packaged recipe's name, a path to a YAML file, its values as nested dicts, or what `load_recipe`
            returned. Omitted with `resume`.
        data: Training data in place of the recipe's: a path; texts (a list of strings); rows (a list of dicts, a pandas
            data frame, or a dict of columns) with the columns that the recipe names; a dict of arrays for image
            sequences. Values are kept in a file under `runs/data/`, so that the run can be evaluated and resumed.
        sets: Values over the recipe: dotted key -> value, `{"train.epochs": 20}`, or `a.b=value` texts.
        out: The run folder, new or empty; default: `runs/NAME-001`, counting up.
        resume: A run to resume from its last checkpoint, bit for bit where the machine is the same. Only budgets may
            change: `sets={"train.epochs": 50}`. A finished run is opened as it is.
        init_from: A run whose best weights to start from, of the same task and vocabulary.
        on_epoch: Called with every epoch's `Epoch` (epoch, step, loss, lr, metrics ...), the line of `metrics.jsonl`.
            If it returns `"stop"`, training ends there, with a result. If it raises, a checkpoint is saved and the
            error goes on to the caller. Both runs can be resumed.

    Returns:
        The run, with the weights of its best epoch on the CPU. torch's random state and thread count are left alone.

    Raises:
        RecipeError: Faults in the recipe, all of them at once.
        UsageError: No such recipe or run, a folder that is not empty, something that may not change in a resumed run.
        DataError: Data that cannot be used, with its file and line.
        Diverged: The loss or a gradient is not finite.
        Missing: A device, an extra, or memory that is not there.
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
        raise UsageError(tr("name a recipe, or a run to resume"), where="train", todo='such as: train("hello")')
    with borrowed():
        if resume is not None:
            return _resumed(run_of(resume), sets, flags, on_epoch)
        assert recipe is not None
        loaded = _recipe(recipe, sets, flags)
        job = prepare(loaded)
        if init_from is not None and job.rank == 0:  # the others are given its weights
            initialize(job, str(run_of(init_from).folder))
        from rnncli.runs.folder import make_run_folder
        from rnncli.runs.train import removed_on_failure, run_training
        from rnncli.training.session import distributed_session

        with distributed_session(job):
            named = None if out is None else fspath(out)
            folder, made = (None, []) if job.rank else make_run_folder(loaded.name, named)
            with removed_on_failure(folder, made):
                run_training(job, folder, on_epoch=on_epoch)
            kept = job.group.folder
        return open_run(kept)


def _resumed(run: Run, sets: Sets, flags: Flags, on_epoch: Callable[[Epoch], object] | None) -> Run:
    from rnncli.runs.folder import recipe_name
    from rnncli.runs.open import open_run
    from rnncli.runs.resume import check_same, is_finished, recipe_of
    from rnncli.runs.train import run_training
    from rnncli.training.job import prepare
    from rnncli.training.session import distributed_session

    folder = run.folder
    recipe = recipe_of(folder, recipe_name(folder), sets, flags)
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
    raise UsageError(tr("this is open already: its settings stay"), where="sets", todo=tr("give its name or its path"))


def sweep(
    recipe: str | PathLike[str],
    *,
    grid: Mapping[str, Sequence[object]] | None = None,
    search: Mapping[str, str | Sequence[object]] | None = None,
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
    """Train a recipe over settings and seeds, and say which is best. The same call again resumes it.

    Args:
        recipe: A packaged recipe's name, or a path to a YAML file.
        grid: Dotted key -> values; every combination is a trial.
        search: Dotted key -> a range, "log:1e-4..1e-1", "0..0.5" or "int:8..128", or a list of choices (extra `sweep`).
        seeds: Runs per trial, their seeds counted up from the recipe's.
        trials: Search only: total number of trials; default: 50.
        match_params: Choose hidden sizes so that every trial has about so many parameters.
        data: Training data in place of the recipe's, as `train` takes it.
        sets: Values over the recipe, as `train` takes them.
        jobs: Runs to train at once, each in a process of its own; they share the cores.
        out: The sweep's folder; default: `sweeps/NAME-001`, or the one with this same sweep.
        storage: Search only: URL of an Optuna storage to share across machines.
        prune: Search only: end unpromising trials early.
        on_change: Called with the sweep whenever something may have changed, about twice a second.

    Returns:
        The sweep: `rows()`, best first, each with `settings`, `scores` and `mean`; `best()`; it displays itself as a
        table. Scores are of the recipe's `train.best_by`.

    Raises:
        RecipeError: Faults in any trial, before anything is trained.
        UsageError: Nothing varies, or another sweep's folder.
        Missing: The extra `sweep` is not installed.
        CannotWrite: The folder cannot be written.

    Examples:
        >>> done = sweep("hello", grid={"model.cell": ["rnn", "gru"]}, sets={"train.epochs": 2})
        >>> [row.status for row in done.rows()]
        ['done', 'done']
    """
    from contextlib import closing

    from rnncli.sweeps.plan import make_plan
    from rnncli.sweeps.runner import begin

    flags = data_flags(data)
    if isinstance(sets, Mapping):
        flags, sets = {**flags, **{key: ("sets", value) for key, value in sets.items()}}, ()
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
