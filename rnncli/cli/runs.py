"""`rnncli runs`: what was trained here, and how runs differ. Reads files only; no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from rnncli.cli.deliver import AsJson, Full, Save, deliver

app = typer.Typer(help="List and compare runs.", no_args_is_help=False)


@app.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_(folder=None, json=False)


@app.command("list")
def list_(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Folder to search, at any depth; default: runs/.")
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
    found, whole = find_runs(root) if folder is not None or os.path.exists(root) else ([], True)
    runs = [read_run(path, curves=False) for path in found]
    deliver(lambda: list_page(runs, root, whole), json=json, save=save, full=full)


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

    read = [read_run(find_run(name)) for name in runs]
    deliver(lambda: compare_page(read), json=json, save=save, full=full)
