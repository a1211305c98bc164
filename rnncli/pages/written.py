"""A web page of targets, written to a file."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from rnncli import views
from rnncli.errors import UsageError
from rnncli.files import cannot_write, write_output
from rnncli.locale import tr
from rnncli.pages import web_page
from rnncli.render import html
from rnncli.targets import Target

DEFAULT = Path("report.html")


def write_report(
    find: Callable[[], Sequence[Target]],
    out: Path | None,
    *,
    samples: int,
    view_names: Sequence[str],
    change: Sequence[str] = (),
    from_input: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the page of targets to `out`, or to report.html; its path. find: names them, once all else is known to be
    right. samples, view_names, change, from_input, say: as for web_page.

    Raises UsageError (no such view, a weight file, an existing file that is not a report), Missing (the extra),
    CannotWrite.
    """
    file = out or DEFAULT
    _not_somebody_elses(file, chosen=out is not None)
    for name in view_names:
        views.load_view(name)
    html.require_library()
    targets = find()
    for target in targets:
        if target.kind == "weights":
            raise UsageError(
                tr("a weight file has no task, data or curves to report"),
                where=target.typed,
                todo=tr("look inside it: rnncli inspect {file}", file=shlex.quote(target.typed)),
            )
        if target.kind == "run" and target.sets:
            raise UsageError(tr("--set is for recipes: a run has its own settings"), where=target.typed)
        say(tr("{name}: its data", name=target.typed))
        target.open()
    page = web_page(targets, samples=samples, view_names=view_names, change=change, from_input=from_input, say=say)
    write_output(file, html.render(page).encode("utf-8"))
    return file


def _not_somebody_elses(file: Path, chosen: bool) -> None:
    """Raises UsageError if the default name is taken by a file that is not a report, CannotWrite if that file cannot be
    read to find out."""
    if chosen or not file.is_file():
        return
    try:
        with open(file, "rb") as opened:
            if html.GENERATOR.encode() in opened.read(4096):
                return
    except OSError as error:
        raise cannot_write(file, error) from error
    raise UsageError(
        tr("there is a file of that name, and it is no report"), where=str(file), todo=tr("choose another: -o FILE")
    )
