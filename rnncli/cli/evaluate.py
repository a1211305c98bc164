"""`rnncli evaluate`: a run's metrics next to its baselines."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rnncli.cli.settings import settings
from rnncli.errors import CheckFailed, UsageError
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
    """Evaluate a run, next to its baselines."""
    from rnncli.cli.target import target_named

    if split is not None and split not in ("test", "validation", "train"):
        raise UsageError(
            tr(
                "{name} takes one of {names}, got {value!r}",
                name="--split",
                names="test, validation, train",
                value=split,
            )
        )
    if split is not None and data is not None:
        raise UsageError(tr("new data has no parts: it is measured whole"), where="--split", todo=tr("omit --split"))
    if dynamic is not None and not 0 < dynamic < float("inf"):
        raise UsageError(tr("a rate above 0 is expected, got {value}", value=dynamic), where="--dynamic")
    run = target_named(target).run
    from rnncli import render
    from rnncli.runs import evaluation
    from rnncli.runs.summary import evaluation_page

    known = evaluation.metric_names(run.task.METRICS)
    required = [evaluation.requirement(text, known) for text in require or ()]
    found = evaluation.evaluate(run.with_threads(run.config.train.batch_size), data, split, dynamic=dynamic)
    checks = [one.check(found.metrics) for one in required]
    if json:
        render.dump_json(found.to_json(run, checks), sys.stdout)
    else:
        render.show(evaluation_page(run, found, checks), ascii=settings.ascii)
    failed = [check for check in checks if not check.ok]
    if failed:
        raise CheckFailed(tr("a requirement does not hold: {what}", what="; ".join(check.text for check in failed)))
