"""`rnncli report`: one web page of a run, or of several side by side."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnncli.cli.out import hand_over, tell
from rnncli.cli.settings import settings
from rnncli.errors import UsageError
from rnncli.locale import tr

if TYPE_CHECKING:
    from rnncli.targets import Target

DEFAULT = Path("report.html")


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
        list[str] | None,
        typer.Option("--view", metavar="VIEW", help="Also include a view of `inspect`. Repeatable."),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the recipe. Repeatable."),
    ] = None,
) -> None:
    """Write one self-contained web page: curves, metrics, predictions, and every time step to explore."""
    from rnncli import views
    from rnncli.files import write_output
    from rnncli.render import html

    file = out or DEFAULT
    _not_somebody_elses(file, chosen=out is not None)
    for name in view or ():
        views.load_view(name)
    html.require_library()
    from rnncli.pages import web_page

    opened = [_open(word, sets or ()) for word in targets]
    page = web_page(opened, samples=samples, view_names=view or (), say=_say)
    text = html.render(page)
    write_output(file, text.encode("utf-8"))
    hand_over(f"{file}\n")


def _open(word: str, sets: Sequence[str]) -> Target:
    from rnncli.cli.target import target_named

    target = target_named(word, sets=sets)
    if target.kind == "weights":
        raise UsageError(
            tr("a weight file has no task, data or curves to report"),
            where=word,
            todo=tr("look inside it: rnncli inspect {file}", file=shlex.quote(word)),
        )
    if target.kind == "run" and sets:
        raise UsageError(tr("--set is for recipes: a run has its own settings"), where=word)
    _say(tr("{name}: its data", name=word))
    target.open()
    return target


def _say(text: str) -> None:
    """What is being done, for who waits."""
    if not settings.quiet:
        tell(text)


def _not_somebody_elses(file: Path, chosen: bool) -> None:
    """Raises UsageError: a file that nobody named, and that is no report, would be written over. CannotWrite: it may
    not be read, to see whether it is one."""
    from rnncli.files import cannot_write
    from rnncli.render.html import GENERATOR

    if chosen or not file.is_file():
        return
    try:
        with open(file, "rb") as opened:
            if GENERATOR.encode() in opened.read(4096):
                return
    except OSError as error:
        raise cannot_write(file, error) from error
    raise UsageError(
        tr("there is a file of that name, and it is no report"), where=str(file), todo=tr("choose another: -o FILE")
    )
