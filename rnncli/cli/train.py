"""`rnncli train`: a recipe -> a run folder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rnncli.cli import overrides
from rnncli.cli.deliver import deliver
from rnncli.cli.live import waiting
from rnncli.cli.processes import only_one_process
from rnncli.cli.settings import settings
from rnncli.errors import UsageError
from rnncli.locale import tr

if TYPE_CHECKING:
    from pathlib import Path

    from rnncli.records import Record
    from rnncli.tasks import Recipe
    from rnncli.training.job import Job
    from rnncli.training.outcome import Outcome


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A packaged recipe's name, or a path to a YAML file.")
    ] = "",
    data: overrides.Data = None,
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
        str | None, typer.Option("--out", metavar="DIR", help="The run folder, empty or new. [default: runs/NAME-001]")
    ] = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run.")] = None,
    init_from: Annotated[
        str | None, typer.Option("--init-from", metavar="RUN", help="Start anew from the weights of a run.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show data, shapes, parameters, memory and time; train nothing.")
    ] = False,
    fast_dev_run: Annotated[
        bool, typer.Option("--fast-dev-run", help="Two updates through everything, keeping no run folder.")
    ] = False,
    overfit_batches: Annotated[
        int | None, typer.Option("--overfit-batches", help="Train on the first N batches only: can it learn at all?")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Show every value and where it comes from; train nothing.")
    ] = False,
    code: Annotated[
        bool, typer.Option("--code", help="Print the recipe as a plain PyTorch script (hello and its like).")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, one per epoch; the last is the result.")] = False,
) -> None:
    """Train a recipe into a run folder."""
    from rnncli.device import this_process

    if dry_run or print_config or code:
        only_one_process()
    rank = this_process().rank
    if rank:  # process 0 writes and speaks
        settings.quiet = True
    flags = overrides.flags_of(data, epochs, batch_size, lr, seed, device, threads, max_time, on_nan)
    if overfit_batches is not None:
        flags["train.overfit_batches"] = ("--overfit-batches", overfit_batches)
    if fast_dev_run:
        flags |= {
            "train.max_steps": ("--fast-dev-run", 2),
            "train.control": ("--fast-dev-run", False),
            "train.compare": ("--fast-dev-run", []),
            "train.schedule": ("--fast-dev-run", "none"),
        }
    if recipe and resume:
        raise UsageError(
            tr("a recipe and --resume are both given"),
            where="rnncli train",
            todo=tr("leave the recipe out: the run has its own"),
        )
    if not recipe and not resume:
        raise UsageError(
            tr("name a recipe, or a run to --resume"), where="rnncli train", todo=tr("such as: rnncli train hello")
        )
    if resume:
        _resume(resume, tuple(sets or ()), flags, out, json)
        return
    from rnncli.tasks import load_recipe

    loaded = load_recipe(recipe, sets or (), flags)
    _notes(loaded, rank)
    if loaded.note and not settings.quiet:
        print(loaded.note, file=sys.stderr)
    if print_config:
        _print_config(loaded, json)
        return
    if code:
        from rnncli.runs import script

        sys.stdout.write(script.code(loaded))
        return
    with waiting(tr("loading torch ..."), quiet=json):
        from rnncli.training.job import prepare
        from rnncli.training.session import distributed_session

    job = prepare(loaded)
    if init_from and rank == 0:  # the others are given its weights
        from rnncli.runs.folder import find_run
        from rnncli.runs.open import load_weights

        load_weights(job.model, find_run(init_from) / "model.safetensors")
    if dry_run:
        _dry_run(job, json)
        return
    if fast_dev_run:
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory() as folder, distributed_session(job):
            _run(job, Path(folder), json, kept=False)
        return
    from rnncli.runs.folder import new_folder

    with distributed_session(job):
        _run(job, None if rank else new_folder(loaded.name, out), json)


def _resume(
    target: str, sets: tuple[str, ...], flags: dict[str, tuple[str, object]], out: str | None, json: bool
) -> None:
    from rnncli.device import this_process
    from rnncli.runs.folder import find_run
    from rnncli.runs.open import open_run
    from rnncli.runs.resume import check_same, is_finished, recipe_of
    from rnncli.training.job import prepare
    from rnncli.training.session import distributed_session

    if out is not None:
        raise UsageError(tr("a resumed run stays in its folder"), where="--out", todo=tr("leave --out away"))
    folder = find_run(target)
    name = folder.name.rpartition("-")[0] or folder.name
    recipe = recipe_of(folder, name, sets, flags)
    run = open_run(folder)
    rank = this_process().rank
    if is_finished(run, recipe):
        if rank:
            return
        result = run.result()
        if json:
            from rnncli import report

            report.dump_json(result, sys.stdout)
        else:
            print(tr("{run} is finished: {why}", run=folder, why=result.get("stopped")))
            print(tr("next:  a larger budget goes on, such as --epochs {n}", n=2 * recipe.config.train.epochs))
        return
    _notes(recipe, rank)
    job = prepare(recipe)
    sentences = check_same(run.environment(), job, folder)
    if rank == 0:
        for sentence in sentences:
            print(sentence, file=sys.stderr)
    with distributed_session(job):
        _run(job, folder, json, resume=True)


def _notes(recipe: Recipe, rank: int) -> None:
    """What of the recipe is written by a former name, on standard error."""
    from rnncli.recipe import renamed

    for sentence in () if rank else renamed(recipe.document, type(recipe.config)):
        print(sentence, file=sys.stderr)


def _print_config(recipe: Recipe, json: bool) -> None:
    from rnncli.recipe import plain, print_config
    from rnncli.records import Page

    table = print_config(recipe.document, recipe.config)
    deliver(lambda: Page("rnncli/config/1", recipe.name, [table], plain(recipe.config)), json=json)


def _dry_run(job: Job, json: bool) -> None:
    from rnncli.runs.dryrun import dry_run

    deliver(lambda: dry_run(job), json=json)


def _run(job: Job, folder: Path | None, json: bool, *, resume: bool = False, kept: bool = True) -> None:
    """Train, drawing progress; then the closing page. Of several processes the others train along, and are silent."""
    from rnncli import report
    from rnncli.cli.watching import JsonLines, Lines
    from rnncli.records import Message
    from rnncli.report.progress import LiveProgress
    from rnncli.runs.folder import remove_if_not_begun
    from rnncli.runs.summary import closing, header
    from rnncli.runs.train import StoppedBySignal, run_training

    try:
        if job.rank:
            run_training(job, folder, resume=resume)
            return
        assert folder is not None
        if json:
            outcome = run_training(job, folder, JsonLines(job), resume=resume)
            report.dump_json({**outcome.to_json(), **({} if kept else {"run": None})}, sys.stdout)
            return
        if not settings.quiet:
            report.show(header(job), file=sys.stderr, ascii=settings.ascii)
        with LiveProgress(ascii=settings.ascii) as live:
            watching = None if settings.quiet else Lines(job, live)
            outcome = run_training(job, folder, watching, resume=resume)
    except StoppedBySignal as stop:
        if job.rank == 0:
            print(tr("stopped; everything so far is in {run}", run=folder), file=sys.stderr)
            print(tr("next:  {todo}", todo=job.group.resume_command()), file=sys.stderr)
        raise typer.Exit(stop.code) from None
    except Exception:
        if folder is not None and not resume:
            remove_if_not_begun(folder)
        raise
    with waiting(tr("measuring one example ...")):
        page = closing(job, outcome)
    shown = list(page.records)
    if kept:
        shown += _closing_words(job, outcome, folder)
    else:
        shown.append(Message(tr("fast development run: all parts work, nothing is kept"), "note"))
    from dataclasses import replace

    report.show(replace(page, records=shown), ascii=settings.ascii)


def _closing_words(job: Job, outcome: Outcome, folder: Path) -> list[Record]:
    """What the run says of itself, where it was saved, and what to type next."""
    from rnncli.records import Commands, Message
    from rnncli.runs.folder import typed_run

    run = typed_run(folder)
    advice = [] if settings.quiet else outcome.advice
    words: list[Record] = [Message(tr("note: {text}", text=one.text)) for one in advice if not one.command]
    why = tr("saved {run} ({seconds} s, {why})", run=folder, seconds=f"{outcome.seconds:.1f}", why=outcome.stopped)
    commands = [
        *((one.typed(run, folder), str(one.text)) for one in advice if one.command),
        (f"rnncli inspect {run}", tr("look inside it")),
        (f"rnncli predict {run} {_input(job)}", tr("use it on new input")),
    ]
    return [*words, Message(why), Commands(tr("next"), commands)]


def _input(job: Job) -> str:
    """What `predict` takes for this recipe."""
    return "FILE" if job.task.input_kind(job.config) == "path" else "TEXT"
