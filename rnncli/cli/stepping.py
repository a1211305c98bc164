"""--step-through: an interactive screen, or otherwise a section of the page at every Enter."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

import typer

from rnncli import render
from rnncli.cli.out import note
from rnncli.cli.settings import settings
from rnncli.locale import tr
from rnncli.records import Page, Position

if TYPE_CHECKING:
    from rnncli.replay.walk import Walk


def at_a_terminal() -> bool:
    """Whether standard input and output are terminals."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def has_screen() -> bool:
    """Whether the screen can be opened; prints a note if only textual is missing."""
    if os.environ.get("TERM") == "dumb" or not sys.stderr.isatty():  # textual draws to standard error
        return False
    try:
        import_module("rnncli.cli.stepper")
    except ImportError:
        command = "pip install 'rnncli[tui]'"
        note(tr("the screen with arrow keys needs {command}; press Enter for each step", command=command))
        return False
    return True


def walk_through(make: Callable[[], tuple[Walk, Position]]) -> None:
    """Show the screen until the user quits. Exits with 1 if a check failed."""
    from rnncli.cli.stepper import Stepper
    from rnncli.cli.walking import Walker

    encoding = "ascii" if settings.ascii else sys.stdout.encoding or "utf-8"
    walker = Walker(*make(), encoding)
    Stepper(walker).run(mouse=False)
    if walker.failed is not None:
        raise typer.Exit(1)


def in_stages(page: Page, full: bool) -> None:
    """Show a section at every Enter; at end of input, the rest at once."""
    from rnncli.render.stages import stages

    waiting = True
    for k, part in enumerate(stages(page)):
        if k and waiting:
            waiting = bool(sys.stdin.readline())
        render.show(part, ascii=settings.ascii, full=full)
