"""`rnncli sweep`: many runs of one recipe, to find its best settings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from rnncli import render
from rnncli.cli.deliver import AsJson, Full, Save, deliver
from rnncli.cli.live import live_page
from rnncli.cli.out import tell
from rnncli.cli.overrides import BatchSize, Data, Device, Epochs, Lr, MaxTime, OnNan, Seed, Sets, Threads, flags_of
from rnncli.cli.settings import settings
from rnncli.errors import Diverged, UsageError
from rnncli.locale import tr, trn
from rnncli.records import Page
from rnncli.render.numbers import number

if TYPE_CHECKING:
    from rnncli.cli.live import LivePage
    from rnncli.sweeps.plan import Plan
    from rnncli.sweeps.rows import Row
    from rnncli.sweeps.runner import Sweep

_varies = partial(typer.Option, rich_help_panel="What to vary")
_how = partial(typer.Option, rich_help_panel="How to run")


def sweep(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Packaged recipe, or path to a YAML file.")],
    grid: Annotated[
        list[str] | None,
        _varies("--grid", metavar="KEY=A,B", help="Try every combination of these values. Repeatable."),
    ] = None,
    search: Annotated[
        list[str] | None,
        _varies(
            "--search",
            metavar="KEY=RANGE",
            help="Search this range: log:1e-4..1e-1, 0..0.5, int:8..128, or choices a,b,c. Repeatable.",
        ),
    ] = None,
    seeds: Annotated[int, _varies("--seeds", min=1, max=1000, help="Seeds per trial, starting at --seed.")] = 1,
    trials: Annotated[
        int | None, _varies("--trials", min=1, help="Search only: total trials across machines (default 50).")
    ] = None,
    match_params: Annotated[
        int | None,
        _varies(
            "--match-params", min=1, metavar="N", help="Choose hidden sizes so that every trial has about N parameters."
        ),
    ] = None,
    data: Data = None,
    sets: Sets = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    lr: Lr = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    max_time: MaxTime = None,
    on_nan: OnNan = None,
    jobs: Annotated[int, _how("--jobs", min=1, max=1024, help="Runs to train in parallel; they share the cores.")] = 1,
    out: Annotated[
        str | None,
        _how("--out", metavar="DIR", help="Sweep folder. [default: sweeps/NAME-001, or the one with this same sweep]"),
    ] = None,
    storage: Annotated[
        str,
        _how(
            "--storage",
            metavar="URL",
            help="Search only: Optuna storage to share across machines. [default: a file in the folder]",
        ),
    ] = "",
    prune: Annotated[bool, _how("--prune/--no-prune", help="Search only: prune unpromising trials.")] = True,
    dry_run: Annotated[bool, _how("--dry-run", help="List the trials without training.")] = False,
    json: AsJson = False,
    save: Save = None,
    full: Full = False,
) -> None:
    """Train a recipe over settings and seeds and report the best. Run the same command to resume."""
    if not search and (storage or not prune):
        raise UsageError(tr("--storage and --no-prune need --search"), todo=tr("omit them"))
    from rnncli.sweeps.plan import make_plan

    flags = flags_of(
        data=data, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, device=device, threads=threads,
        max_time=max_time, on_nan=on_nan,
    )  # fmt: skip
    plan = make_plan(
        recipe, sets or (), flags, grid=grid or (), search=search or (), seeds=seeds, match_params=match_params,
        trials=trials,
    )  # fmt: skip
    if plan.recipe.note and not settings.quiet:
        tell(plan.recipe.note)
    if dry_run:
        deliver(lambda: _listing(plan, out), json=json, save=save, full=full)
        return
    from rnncli.sweeps.runner import begin

    made = begin(plan, out, jobs, storage, prune)
    _run(made, json)
    rows = made.rows()
    deliver(made.page, json=json, save=save, full=full)
    if code := _code(rows):
        raise typer.Exit(code)


def _listing(plan: Plan, out: str | None) -> Page:
    from rnncli.sweeps.folder import find_folder
    from rnncli.sweeps.pages import listing, space_listing
    from rnncli.sweeps.runner import preview

    if plan.search:
        return space_listing(plan, find_folder(plan, out))
    rows, folder = preview(plan, out)
    return listing(plan, rows, folder)


def _run(made: Sweep, json: bool) -> None:
    """Run the sweep with live progress. Ctrl-C stops it and prints how to resume."""
    from rnncli.sweeps.pages import opening

    if not settings.quiet and not json:
        render.show(opening(made.plan, made.folder, made.resumed, made.jobs), file=sys.stderr, ascii=settings.ascii)
    try:
        with live_page() as live, closing(made.go()) as steps:
            for _ in steps:
                _draw(made, live)
    except (KeyboardInterrupt, SystemExit) as stop:
        done, total = made.progress()
        tell(tr("interrupted: {done} of {total} done, in {folder}", done=done, total=total, folder=made.folder))
        tell(tr("next:  run the same command to resume"))
        raise typer.Exit(130 if isinstance(stop, KeyboardInterrupt) else 143) from None


def _draw(made: Sweep, live: LivePage) -> None:
    from rnncli.sweeps.pages import board, now

    def fields() -> dict[str, str]:
        rows = made.rows()
        running = next((row for row in rows if row.status == "running"), None)
        best = next((row for row in rows if row.mean is not None and row.status == "done"), None)
        shown = {} if best is None or best.mean is None else {tr("best"): f"{best.name} {number(best.mean)}"}
        return shown if running is None else {**shown, tr("now"): f"{running.name}, {now(running)}"}

    done, total = made.progress()
    live.update(lambda: board(made.plan, made.rows(), live.rows()), done, total, fields)


def _code(rows: Sequence[Row]) -> int:
    """The exit code, explained on stderr: that of the first failed run, else 4 if a run diverged, else 1 without any
    score."""
    failed = [row for row in rows if row.status == "failed"]
    diverged = [row for row in rows if row.status == "diverged"]
    if not (failed or diverged):
        return 0 if any(row.ranked for row in rows) else 1
    code = failed[0].code or 1 if failed else Diverged.exit_code
    bad = trn("{n} trial", "{n} trials", n=len(failed) + len(diverged))
    tell(tr("{bad} of {total} failed or diverged: exit code {code}", bad=bad, total=len(rows), code=code))
    return code
