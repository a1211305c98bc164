"""Live progress on standard error, erased at the end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from threading import Timer
from typing import TYPE_CHECKING

from rnncli import render
from rnncli.cli.out import hush, tell
from rnncli.cli.settings import settings
from rnncli.records import Page
from rnncli.render.progress import LiveProgress

if TYPE_CHECKING:
    from rich.live import Live


REDRAW = 0.25  # seconds between redraws
SOON = 1.0  # seconds of silence


@contextmanager
def waiting(text: str, *, quiet: bool = False) -> Iterator[None]:
    """Show what the user is waiting for: on a terminal a line that is erased at the end, elsewhere a plain line if it
    takes longer than SOON."""
    if settings.quiet or quiet or sys.stderr is None:  # closed by the caller
        yield
        return
    with LiveProgress(ascii=settings.ascii) as live:
        later = Timer(SOON, tell, [text])
        later.daemon = True
        if live.redraws:
            live.wait(text)
            hush.append(live.clear)
        else:
            later.start()
        try:
            yield
        finally:
            if live.redraws:
                hush.remove(live.clear)
            else:
                later.cancel()
                later.join()  # its line is whole before another one


@contextmanager
def live_page() -> Iterator[LivePage]:
    """`with live_page() as live: live.update(page, done, total, fields)`."""
    page = LivePage()
    with page.live or page.lines or nullcontext():
        yield page


class LivePage:
    """The page on a terminal, otherwise a plain line at most once a second. Either is built only when it is due."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        screen = self.console.is_terminal and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
        self.lines = None if screen or settings.quiet else LiveProgress(ascii=settings.ascii, live=False)
        self.live: Live | None = None
        if screen and not settings.quiet:
            from rich.live import Live

            self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.next = 0.0
        encoding = (getattr(sys.stderr, "encoding", None) or "utf-8").lower().replace("-", "")
        self.ascii = settings.ascii or not encoding.startswith("utf")

    def rows(self) -> int:
        """Number of table rows that fit the terminal."""
        return max(3, self.console.height - 4)

    def update(self, page: Callable[[], Page], done: int, total: int, fields: Callable[[], Mapping[str, str]]) -> None:
        """Redraw if it is due."""
        if self.lines is not None:
            self.lines.update(done, total, fields)
        if self.live is None or time.monotonic() < self.next:
            return
        from rich.text import Text

        self.next = time.monotonic() + REDRAW
        colour = self.console.color_system is not None and not self.console.no_color
        text = render.to_text(page(), width=self.console.width, color=colour, ascii=bool(self.ascii))
        self.live.update(Text.from_ansi(text), refresh=True)
