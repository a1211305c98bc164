"""Progress of reading data, on standard error, for every command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rnncli.cli.out import clear, tell
from rnncli.cli.settings import settings
from rnncli.data.progress import Reading, listening
from rnncli.locale import tr
from rnncli.render.progress import LiveProgress

MB = 1_000_000


class Shown:
    """A live line for each source, and a permanent sentence if there is one."""

    def __init__(self) -> None:
        self.live: LiveProgress | None = None
        self.reading: Reading | None = None

    def __call__(self, reading: Reading | None) -> None:
        if reading is not None and not reading.what:
            if not settings.quiet:
                tell(reading.said)
            return
        if self.live is not None and (reading is None or self.reading is None or reading.what != self.reading.what):
            self.live.__exit__(None, None, None)
            self.live = None
        self.reading = reading
        if reading is None or settings.quiet:
            return
        if self.live is None:
            clear()
            self.live = LiveProgress(ascii=settings.ascii)
        if reading.said:
            self.live.line(reading.said)
        self.live.update(reading.done // MB, reading.total // MB or None, {tr("million:"): reading.what})


@contextmanager
def shown() -> Iterator[None]:
    """Show progress of reading inside this context; if interrupted, say that nothing is kept."""
    to = Shown()
    try:
        with listening(to):
            yield
    finally:
        broken = to.reading  # the parser turns an interrupt into an exit code, so there is no exception to catch
        to(None)
        if broken is not None:
            text = tr("interrupted while {what}; nothing is kept", what=broken.what)
            tell(text)
