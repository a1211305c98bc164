"""`rnncli train`: train a recipe into a run folder."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnncli import render
from rnncli.cli import overrides
from rnncli.cli.deliver import deliver
from rnncli.cli.live import waiting
from rnncli.cli.out import hand_over, note, put, tell
from rnncli.cli.processes import rank_zero_only
from rnncli.cli.settings import settings
from rnncli.device import this_process
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Commands, Message, Page, Record
from rnncli.render.progress import LiveProgress

if TYPE_CHECKING:
    from rnncli.tasks import Recipe
    from rnncli.training.job import Job
    from rnncli.training.outcome import Outcome


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Packaged recipe, or path to a YAML file.")] = "",
    data: overrides.Data = None,
    train_data: overrides.TrainData = None,
    validation_data: overrides.ValidationData = None,
    test_data: overrides.TestData = None,
    sets: overrides.Sets = None,
    epochs: overrides.Epochs = None,
    batch_size: overrides.BatchSize = None,
    lr: overrides.Lr = None,
    seed: overrides.Seed = None,
    device: overrides.Device = None,
    threads: overrides.Threads = None,
    max_time: overrides.MaxTime = None,
    on_nan: overrides.OnNan = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Run folder, new or empty. [default: runs/NAME-001]")
    ] = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN", help="Resume a run.")] = None,
    init_from: Annotated[
        str | None, typer.Option("--init-from", metavar="RUN", help="Initialize from another run's weights.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show data, shapes, parameters, memory and time without training.")
    ] = False,
    fast_dev_run: Annotated[
        bool, typer.Option("--fast-dev-run", help="Run two steps through the whole pipeline and keep nothing.")
    ] = False,
    overfit_batches: Annotated[
        int | None,
        typer.Option("--overfit-batches", help="Train on the first N batches only, to check that the model can learn."),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Show every value and where it comes from, without training.")
    ] = False,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Learning rate range test: show loss against learning rate, keep nothing.")
    ] = False,
    code: Annotated[
        bool, typer.Option("--code", help="Print the recipe as a plain PyTorch script (hello recipes only).")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines, one per epoch; the last is the result.")
    ] = False,
) -> None:
    """Train a recipe into a run folder."""
    modes = {"--resume": resume, "--init-from": init_from, "--dry-run": dry_run, "--fast-dev-run": fast_dev_run,
             "--print-config": print_config, "--find-lr": find_lr, "--code": code,
             "--out": out is not None, "--json": json}  # fmt: skip
    _reject_conflicts(modes)
    if dry_run or print_config or code or find_lr:
        rank_zero_only()
    rank = this_process().rank
    if rank:  # only rank 0 writes and prints
        settings.quiet = True
    flags = overrides.flags_of(
        data=data, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, device=device, threads=threads,
        max_time=max_time, on_nan=on_nan, train_data=train_data, validation_data=validation_data, test_data=test_data,
        overfit_batches=overfit_batches,
    )  # fmt: skip
    if fast_dev_run:
        few = {"max_steps": 2, "control": False, "compare": [], "log": [], "schedule": "none"}
        flags |= {f"train.{key}": ("--fast-dev-run", value) for key, value in few.items()}
    if recipe and resume:
        raise UsageError(
            tr("a recipe and --resume cannot be combined"),
            where="rnncli train",
            todo=tr("omit the recipe: the run has its own"),
        )
    if not recipe and not resume:
        raise UsageError(
            tr("missing recipe (or --resume RUN)"), where="rnncli train", todo=tr("for example: rnncli train hello")
        )
    if resume:
        _resume(resume, tuple(sets or ()), flags, modes)
        return
    from rnncli.cli.editors import renew_schema
    from rnncli.tasks import load_recipe

    renew_schema()
    loaded = load_recipe(recipe, sets or (), flags)
    _notes(loaded, rank)
    if loaded.note and not settings.quiet:
        tell(loaded.note)
    if _shown(loaded, modes):
        return
    with waiting(tr("loading torch ..."), quiet=json):
        from rnncli.training.job import prepare
        from rnncli.training.session import distributed_session

    job = prepare(loaded)
    if init_from and rank == 0:  # its weights are broadcast to the other ranks
        from rnncli.runs.open import initialize

        initialize(job, init_from)
    if dry_run:
        from rnncli.runs.folder import require_free

        require_free(out)
        _dry_run(job, json)
        return
    if find_lr:
        _find_lr(job, recipe, sets or (), flags, json)
        return
    if fast_dev_run:
        import tempfile

        with tempfile.TemporaryDirectory() as folder, distributed_session(job):
            _run(job, nullcontext(Path(folder)), json, kept=False)
        return
    from rnncli.runs.train import new_run_folder

    with distributed_session(job):
        _run(job, new_run_folder(job, out), json)


# Pairs of options of which one would be ignored.
_NOT_TOGETHER = {
    "--resume": ("--init-from", "--fast-dev-run", "--out"),
    "--print-config": ("--dry-run", "--code", "--init-from", "--out"),
    "--code": ("--dry-run", "--fast-dev-run", "--init-from", "--out", "--json"),
    "--dry-run": ("--fast-dev-run",),
    "--find-lr": ("--resume", "--print-config", "--code", "--dry-run", "--fast-dev-run", "--out"),
    "--fast-dev-run": ("--out",),
}


def _reject_conflicts(modes: Mapping[str, object]) -> None:
    """Raises UsageError for options that exclude each other."""
    for option, others in _NOT_TOGETHER.items():
        for other in others if modes[option] else ():
            if modes[other]:
                raise UsageError(
                    tr("{option} and {other} cannot be combined", option=option, other=other),
                    where="rnncli train",
                    todo=tr("a resumed run stays in its folder") if option == "--resume" and other == "--out"
                    else tr("omit one"),
                )  # fmt: skip


def _shown(recipe: Recipe, modes: Mapping[str, object]) -> bool:
    """Whether the options only show the recipe; if so, shows it."""
    if modes["--print-config"]:
        from rnncli.recipe import plain, print_config

        table = print_config(recipe.document, recipe.config)
        page = Page("rnncli/config/1", recipe.name, [table], plain(recipe.config))
        deliver(lambda: page, json=bool(modes["--json"]))
    elif modes["--code"]:
        from rnncli.runs import script

        hand_over(script.code(recipe))
    return bool(modes["--print-config"] or modes["--code"])


def _resume(
    target: str, sets: tuple[str, ...], flags: dict[str, tuple[str, object]], modes: Mapping[str, object]
) -> None:
    from rnncli.runs.folder import find_run
    from rnncli.runs.open import open_run
    from rnncli.runs.resume import check_same, is_finished, recipe_of
    from rnncli.training.job import prepare
    from rnncli.training.loop import stored_reason
    from rnncli.training.session import distributed_session

    folder, json = find_run(target), bool(modes["--json"])
    recipe = recipe_of(folder, sets, flags)
    if _shown(recipe, modes):
        return
    run = open_run(folder)
    rank = this_process().rank
    if is_finished(run, recipe):
        if rank:
            return
        result = run.result()
        if json:
            render.dump_json(result, sys.stdout)
        else:
            why, options = stored_reason(str(result.get("stopped")), recipe.config.train)
            put(tr("{run} is finished: {why}", run=folder, why=why))
            put(tr("next:  train longer with {options}", options=options))
        return
    _notes(recipe, rank)
    job = prepare(recipe, fresh=False)
    sentences = check_same(run.environment(), job, folder)
    if rank == 0:
        for sentence in sentences:
            tell(sentence)
    if modes["--dry-run"]:
        _dry_run(job, json)
        return
    with distributed_session(job):
        _run(job, nullcontext(folder), json, resume=True)


def _notes(recipe: Recipe, rank: int) -> None:
    """Print remarks on outdated names and keys without effect, on standard error."""
    from rnncli.recipe import renamed, without_effect

    if rank == 0:
        for sentence in renamed(recipe.document, type(recipe.config)):
            tell(sentence)
        for sentence in without_effect(recipe.document, recipe.config):
            note(sentence)


def _dry_run(job: Job, json: bool) -> None:
    from rnncli.runs.dryrun import dry_run

    deliver(lambda: dry_run(job), json=json)


def _find_lr(job: Job, recipe: str, sets: Sequence[str], flags: Mapping[str, tuple[str, object]], json: bool) -> None:
    """The range test's page. Its next command is the typed one with the rate that was found."""
    from rnncli.runs.find_lr import find_lr

    typed = [word for text in sets for word in ("--set", text)]
    typed += [word for flag, value in flags.values() if flag != "--lr" for word in (flag, str(value))]
    with waiting(tr("training with an increasing learning rate ..."), quiet=json):
        page = find_lr(job, shlex.join(["rnncli", "train", recipe, *typed]))
    deliver(lambda: page, json=json)


def _run(
    job: Job, place: AbstractContextManager[Path | None], json: bool, *, resume: bool = False, kept: bool = True
) -> None:
    """Train with live progress, then show the final page. Ranks other than 0 train silently. place: the run's folder
    while it is trained."""
    from rnncli.cli.watching import JsonLines, Lines
    from rnncli.runs.summary import closing, header
    from rnncli.runs.train import StoppedBySignal, run_training

    try:
        with place as folder:
            if job.rank:
                run_training(job, folder, resume=resume)
                return
            assert folder is not None
            if json:
                lines = JsonLines(job)
                outcome = run_training(job, folder, lines, resume=resume, say=tell)
                lines.write({**outcome.to_json(), **({} if kept else {"run": None})})
                return
            if not settings.quiet:
                render.show(header(job), file=sys.stderr, ascii=settings.ascii)
            with LiveProgress(ascii=settings.ascii) as live:
                watching = None if settings.quiet else Lines(job, live)
                outcome = run_training(job, folder, watching, resume=resume, say=live.line)
    except StoppedBySignal as stop:
        if job.rank == 0:
            tell(tr("interrupted; everything so far is in {run}", run=folder))
            tell(tr("next:  {todo}", todo=job.group.resume_command()))
        raise typer.Exit(stop.code) from None
    with waiting(tr("measuring one example ...")):
        page = closing(job, outcome)
    shown = list(page.records)
    if kept:
        shown += _final_page(job, outcome, folder)
    else:
        shown.append(Message(tr("fast development run: everything works, nothing is kept"), "note"))
    render.show(replace(page, records=shown), ascii=settings.ascii)


def _final_page(job: Job, outcome: Outcome, folder: Path) -> list[Record]:
    """The final page: the run's results, where it was saved, and the next commands."""
    from rnncli.loggers import LOGGERS
    from rnncli.runs.folder import typed_run

    run = typed_run(folder)
    advice = [] if settings.quiet else outcome.advice
    words: list[Record] = [Message(tr("note: {text}", text=one.text)) for one in advice if not one.command]
    why = tr("saved {run} ({seconds} s, {why})", run=folder, seconds=f"{outcome.seconds:.1f}", why=outcome.stopped)
    text = "FILE" if job.task.input_kind(job.config) == "path" else "TEXT"
    commands = [
        *((one.typed(run, folder), str(one.text)) for one in advice if one.command),
        (f"rnncli inspect {run}", tr("look inside it")),
        (f"rnncli predict {run} {text}", tr("predict on new input")),
        *((LOGGERS[name].command(folder.parent), tr("view the logs")) for name in job.config.train.loggers()),
    ]
    return [*words, Message(why), Commands(tr("next"), [one for one in commands if one[0]])]
