"""--step-through: a screen that keys walk through, or else a part of a page at every Enter."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

import typer

from rnncli.cli.out import note
from rnncli.cli.settings import settings
from rnncli.locale import tr

if TYPE_CHECKING:
    from rnncli.records import Page, Position
    from rnncli.replay.walk import Walk


def at_a_terminal() -> bool:
    """Whether a person can press keys and see what they do."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def has_screen() -> bool:
    """Whether the screen can be opened; where only textual is missing, that is said."""
    if os.environ.get("TERM") == "dumb" or not sys.stderr.isatty():  # textual draws on standard error
        return False
    try:
        import_module("rnncli.cli.stepper")
    except ImportError:
        command = "pip install 'rnncli[tui]'"
        note(tr("the screen with arrow keys needs {command}; press Enter for each step", command=command))
        return False
    return True


def walk_through(make: Callable[[], tuple[Walk, Position]]) -> None:
    """The screen, until its person leaves it. Exits with 1 where a check did not hold."""
    from rnncli.cli.stepper import Stepper
    from rnncli.cli.walking import Walker

    encoding = "ascii" if settings.ascii else sys.stdout.encoding or "utf-8"
    walker = Walker(*make(), encoding)
    Stepper(walker).run(mouse=False)
    if walker.failed is not None:
        raise typer.Exit(1)


def in_stages(page: Page, full: bool) -> None:
    """A step at every Enter; the end of the input shows the rest at once."""
    from rnncli import render
    from rnncli.render.stages import stages

    waiting = True
    for k, part in enumerate(stages(page)):
        if k and waiting:
            waiting = bool(sys.stdin.readline())
        render.show(part, ascii=settings.ascii, full=full)
