"""Output of a command's page: `--json`, `--save`, `--full`, and the exit code of its checks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rnncli import render
from rnncli.cli.live import waiting
from rnncli.cli.out import tell
from rnncli.cli.settings import settings
from rnncli.errors import UsageError
from rnncli.locale import language, speaking, tr
from rnncli.records import Page

output = partial(typer.Option, rich_help_panel="Output")

Full = Annotated[bool, output("--full", help="Do not truncate.")]
AsJson = Annotated[bool, output("--json", help="Print one JSON document.")]
Save = Annotated[
    Path | None,
    output("--save", metavar="FILE", help="Also write to a file: .json .csv .npz .yaml .svg .md .png .html .tex."),
]

Step = Annotated[int | None, output("--step", min=0, help="draw, step-through: time step to open.")]
Unit = Annotated[int | None, output("--unit", min=0, help="draw, step-through: unit to follow; default: 0.")]
Steps = Annotated[str | None, output("--steps", metavar="0:20", help="Time steps to show.")]
Units = Annotated[str | None, output("--units", metavar="0-7", help="Units to show.")]
Animate = Annotated[bool, output("--animate", help="draw, with --save FILE.svg: animate it step by step.")]


def check_animate(animate: bool, save: Path | None) -> None:
    """Raises UsageError if `--animate` is given without a file that can be animated."""
    if animate and (save is None or save.suffix.lower() not in (".svg", ".html")):
        raise UsageError(tr("--animate needs --save FILE.svg"), todo=tr("add --save moving.svg"))


def deliver(
    make: Callable[[], Page],
    *,
    json: bool,
    save: Path | None = None,
    full: bool = False,
    draw: Callable[[Page], None] | None = None,
    wait: str = "",
) -> None:
    """Make a page, save it and print it. Data files are always in English. draw: called instead of printing the whole
    page. wait: shown while the page is made. Exits with 1 if a check failed."""
    with waiting(wait, quiet=json or not wait):
        page = written = make()
        if save is not None and save.suffix.lower() in render.DATA and language() != "en":
            with speaking("en"):
                written = make()
    if save is not None:
        write(save, written)
    if json:
        render.dump_json(page, sys.stdout)
    elif draw is not None:
        draw(page)
    else:
        render.show(page, ascii=settings.ascii, full=full)
    if not page.ok():
        raise typer.Exit(1)


def write(file: Path, page: Page) -> None:
    """Save a page to a file in the format of its suffix, and report it on stderr. Raises UsageError, Missing,
    CannotWrite."""
    from rnncli.files import write_output

    write_output(file, render.render_file(page, file.suffix))
    if not settings.quiet:
        tell(tr("wrote {file}", file=file))
