"""`rnncli export`: export a run for use without rnncli."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from rnncli import render
from rnncli.cli.live import waiting
from rnncli.cli.settings import settings
from rnncli.locale import tr
from rnncli.records import Checks, Commands, Message, Page, Record


def export(
    target: Annotated[str, typer.Argument(metavar="RUN", help="Run folder, name under runs/, or last.")],
    out: Annotated[str, typer.Argument(metavar="DIR", help="Output folder, new or empty.")],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also write model.onnx, checked against ONNX Runtime (extra: onnx).")
    ] = False,
) -> None:
    """Export a run: weights under torch's names, a prediction script that does not need rnncli, a model card."""
    from rnncli.cli.target import target_named

    found = target_named(target)
    folder = found.folder
    with waiting(tr("exporting {run} ...", run=folder)):
        from rnncli.runs.export import export

        done = export(found.run.with_threads(1), out, onnx=onnx)
    about = tr("list the weights, for your own code") if done.why_not else tr("usage; does not need rnncli")
    notes = [tr("load.py cannot predict: {why}", why=done.why_not)] if done.why_not else []
    shown: list[Record] = [
        Message(tr("{dir}: {files}", dir=done.folder, files=", ".join(done.files))),
        *([Checks(done.checks)] if done.checks else []),
        *(Message(tr("note: {text}", text=note)) for note in (*notes, *done.notes)),
        Commands(
            tr("next"),
            [(f"python {shlex.quote(str(done.folder / 'load.py'))}{'' if done.why_not else ' --help'}", about)],
        ),
    ]
    render.show(Page("", tr("exported {run}", run=folder), shown), ascii=settings.ascii)
