"""`rnncli evaluate`: a run's metrics next to its baselines."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from typing import Annotated, Literal

import typer

from rnncli import render
from rnncli.cli.live import waiting
from rnncli.cli.settings import settings
from rnncli.errors import CheckFailed
from rnncli.locale import tr
from rnncli.records import Commands

Confusion = Literal["counts", "percent"]


def evaluate(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Run folder, name under runs/, or last.")],
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="PATH", help="Evaluate on this data instead of the run's own splits."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split", metavar="test|validation|train", help="Split of the run's data. [default: the last one]"
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option("--require", metavar="METRIC<NUMBER", help="Exit with status 1 unless this holds. Repeatable."),
    ] = None,
    dynamic: Annotated[
        float | None,
        typer.Option(
            "--dynamic", metavar="RATE", help="Language models: dynamic evaluation, SGD at this learning rate."
        ),
    ] = None,
    confusion: Annotated[
        Confusion | None,
        typer.Option("--confusion", help="Also show the confusion matrix: counts, or percent of each true class."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Evaluate a run and its baselines."""
    from rnncli.api.answers import evaluate as evaluated
    from rnncli.cli.target import target_named

    with waiting(tr("evaluating {run} ...", run=target), quiet=json):
        run = target_named(target).run
        found = evaluated(run, data, split=split, dynamic=dynamic, require=require or (), confusion=confusion)
    if json:
        render.dump_json(found.to_json(), sys.stdout)
    else:
        page = found.page()
        report = f"rnncli report {shlex.quote(target)}"
        more = Commands(tr("next"), [(report, tr("one web page: curves, predictions, every time step"))])
        render.show(replace(page, records=[*page.records, more]), ascii=settings.ascii)
    failed = [check for check in found.checks if not check.ok]
    if failed:
        raise CheckFailed(tr("requirement not met: {what}", what="; ".join(check.text for check in failed)))
