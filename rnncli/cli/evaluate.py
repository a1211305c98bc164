"""`rnncli evaluate`: a run's metrics next to its baselines."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rnncli.cli.settings import settings
from rnncli.errors import CheckFailed
from rnncli.locale import tr


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
            "--dynamic",
            metavar="RATE",
            help="Language models: dynamic evaluation, SGD at this learning rate.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Evaluate a run and its baselines."""
    from rnncli import render
    from rnncli.api.answers import evaluate as evaluated
    from rnncli.cli.target import target_named

    found = evaluated(target_named(target).run, data, split=split, dynamic=dynamic, require=require or ())
    if json:
        render.dump_json(found.to_json(), sys.stdout)
    else:
        render.show(found.page(), ascii=settings.ascii)
    failed = [check for check in found.checks if not check.ok]
    if failed:
        raise CheckFailed(tr("requirement not met: {what}", what="; ".join(check.text for check in failed)))
