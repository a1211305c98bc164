"""`rnncli runs`: list, compare and export runs. Listing and comparing only read files, without torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from rnncli.cli.deliver import AsJson, Full, Save, deliver
from rnncli.cli.live import waiting
from rnncli.cli.out import note, put
from rnncli.locale import tr
from rnncli.records import Page

app = typer.Typer(help="List, compare and export runs.", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_(folder=None, sort="", reverse=False, where=None, json=False)


@app.command("list")
def list_(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Folder to search, at any depth; default: runs/.")
    ] = None,
    sort: Annotated[
        str,
        typer.Option("--sort", metavar="KEY", help="Sort by score (best first), time, hidden_size, or any other key."),
    ] = "",
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse the order.")] = False,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="KEY=VALUE", help="List only these, such as task=tagging. Repeatable."),
    ] = None,
    json: AsJson = False,
    save: Save = None,
    full: Full = False,
) -> None:
    """List the run folders under FOLDER: model, epochs, score and state."""
    from rnncli.runs.folder import RUNS
    from rnncli.runs.listing import list_page
    from rnncli.runs.read import find_runs, read_run

    root = Path(RUNS) if folder is None else folder

    def make() -> Page:
        found, whole = find_runs(root) if folder is not None or os.path.exists(root) else ([], True)
        runs = [read_run(path, curves=False) for path in found]
        return list_page(runs, root, whole, sort=sort, reverse=reverse, where=where or ())

    deliver(make, json=json, save=save, full=full, wait=tr("reading runs ..."))


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, names under runs/, or last.")],
    json: AsJson = False,
    save: Save = None,
    full: Full = False,
) -> None:
    """Compare runs: settings that differ, metrics, time, loss curves."""
    from rnncli.runs.folder import find_run
    from rnncli.runs.listing import compare_page
    from rnncli.runs.read import read_run

    deliver(
        lambda: compare_page([read_run(find_run(name)) for name in runs]),
        json=json,
        save=save,
        full=full,
        wait=tr("reading runs ..."),
    )


@app.command()
def export(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, names under runs/, or last.")],
    to: Annotated[str, typer.Option("--to", metavar="LOGGER", help="Tool to export to, such as tensorboard.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the files of all runs. [default: each run's own]"),
    ] = None,
) -> None:
    """Export runs to another tool: curves, settings, texts and hidden states, as train.log does during training."""
    from rnncli.runs.folder import find_run
    from rnncli.runs.listing import short_names

    folders = [find_run(name) for name in runs]
    places = [None if out is None else out / name for name in short_names(folders)]
    with waiting(tr("loading torch ...")):
        from rnncli.loggers import LOGGERS
        from rnncli.runs.logs import export_log, require_logger

    require_logger(to)
    for folder, place in zip(folders, places, strict=True):
        with waiting(tr("exporting {run} ...", run=folder)):
            notes = export_log(folder, to, place)
        put(tr("exported {run} to {place}", run=folder, place=to if place is None else place))
        for text in notes:
            note(f"{folder}: {text}")
    command = LOGGERS[to].command(out or Path(os.path.commonpath([folder.parent for folder in folders])))
    if command:
        put(tr("next") + f"  {command}")
