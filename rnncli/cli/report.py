"""`rnncli report`: a web page of one run, or of several side by side."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from rnncli.cli.out import hand_over, tell
from rnncli.cli.settings import settings
from rnncli.locale import tr


def report(
    targets: Annotated[
        list[str],
        typer.Argument(metavar="TARGET...", help="Run, `last`, or recipe (untrained weights). Several are compared."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="File to write. [default: report.html]")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, max=100, help="Examples per target in the viewer.")] = 4,
    view: Annotated[
        list[str] | None, typer.Option("--view", metavar="VIEW", help="Also include a view of `inspect`. Repeatable.")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--change",
            metavar="CHANGE",
            help="Also include what happens if a gate or state is fixed, as `inspect TARGET what-if` shows: h[0]@1:=0. "
            "Repeatable.",
        ),
    ] = None,
    from_input: Annotated[
        str | None,
        typer.Option("--from-input", metavar="INPUT", help="Input that `other` in a --change takes values of."),
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the recipe. Repeatable.")
    ] = None,
) -> None:
    """Write one self-contained web page: curves, metrics, predictions, and every time step to explore."""
    from rnncli.cli.target import target_named
    from rnncli.pages.written import write_report

    file = write_report(
        lambda: [target_named(word, sets=sets or ()) for word in targets],
        out,
        samples=samples,
        view_names=view or (),
        change=change or (),
        from_input=from_input,
        say=_say,
    )
    hand_over(f"{file}\n")
    sys.stdout.flush()
    _say(f"{tr('next')}  python -m webbrowser {shlex.quote(str(file))}")


def _say(text: str) -> None:
    """Progress messages."""
    if not settings.quiet:
        tell(text)
