"""Write the web page of targets to a file."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from rnncli import views
from rnncli.errors import UsageError, checked_number
from rnncli.files import write_errors, write_output
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
    """Write the page of targets to `out`, or to report.html; returns its path. find: returns the targets, called after
    everything else is validated. samples, view_names, change, from_input, say: as for web_page.

    Raises UsageError (unknown view, a weight file, an existing file that is not a report), Missing (the extra),
    CannotWrite.
    """
    samples = checked_number("--samples", samples, 1, 100)
    file = out or DEFAULT
    _not_somebody_elses(file)
    for name in view_names:
        views.load_view(name)
    html.require_library()
    targets = find()
    for target in targets:
        if target.kind == "weights":
            raise UsageError(
                tr("a weight file has no task, data or curves for a report"),
                where=target.typed,
                todo=tr("use rnncli inspect {file}", file=shlex.quote(target.typed)),
            )
        if target.kind == "run" and target.sets:
            raise UsageError(tr("--set only applies to recipes, not to runs"), where=target.typed)
        say(tr("{name}: reading data", name=target.typed))
        target.open()
    page = web_page(targets, samples=samples, view_names=view_names, change=change, from_input=from_input, say=say)
    write_output(file, html.render(page).encode("utf-8"))
    return file


def _not_somebody_elses(file: Path) -> None:
    """Raises UsageError if the file has content that is not a report, CannotWrite if it cannot be read."""
    with write_errors(file):
        if not file.is_file():
            return
        with open(file, "rb") as opened:
            begin = opened.read(4096)
    if not begin or html.GENERATOR.encode() in begin:
        return
    raise UsageError(
        tr("the file exists and is not a report"), where=str(file), todo=tr("choose another name: -o FILE")
    )
