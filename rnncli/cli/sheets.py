"""Many worksheets and their keys at once: `demo --count 40 --save sheet.html`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rnncli.cli.out import tell
from rnncli.cli.settings import settings as globals_
from rnncli.errors import UsageError
from rnncli.locale import language, speaking, tr, trn

if TYPE_CHECKING:
    from rnncli.demos.settings import Settings, Shown


def write_sheets(settings: Settings, shown: Shown, count: int, save: Path) -> None:
    """Write a worksheet and its key for each of `count` seeds, named after the seed: sheet-01.html, sheet-01-key.html.

    Raises UsageError (a file exists, or an unknown suffix), CannotWrite; Exit 1 if a check of a key fails.
    """
    from rnncli import render
    from rnncli.demos.page import sheets
    from rnncli.files import write_output
    from rnncli.render.progress import LiveProgress

    places = _places(save, range(settings.seed, settings.seed + count))
    ok = True
    with (
        LiveProgress(ascii=globals_.ascii) as live,
        speaking("en" if save.suffix.lower() in render.DATA else language()),
    ):
        for n, ((sheet, key), (blank, filled)) in enumerate(
            zip(sheets(settings, shown, count), places, strict=True), 1
        ):
            write_output(blank, render.render_file(sheet, save.suffix))
            write_output(filled, render.render_file(key, save.suffix))
            ok = ok and key.ok()
            if not globals_.quiet:
                live.update(n, count, {}, tr("sheet"))
    if not globals_.quiet:
        first, last = places[0][0], places[-1][1]
        tell(
            trn(
                "wrote {n} worksheet and its key: {first}, {last}",
                "wrote {n} worksheets and their keys: {first} ... {last}",
                n=count,
                first=first,
                last=last,
            )
        )
    if not ok:
        raise typer.Exit(1)


def _places(save: Path, seeds: Sequence[int]) -> list[tuple[Path, Path]]:
    """(worksheet, key) paths of each seed. Raises UsageError if a file exists."""
    width = len(str(seeds[-1]))
    numbered = [f"{save.stem}-{seed:0{width}}" for seed in seeds]
    places = [(save.with_stem(name), save.with_stem(f"{name}-key")) for name in numbered]
    for file in (file for both in places for file in both):
        if os.path.lexists(file):
            todo = tr("choose another name, or delete it")
            raise UsageError(tr("file already exists"), where=str(file), todo=todo)
    return places
