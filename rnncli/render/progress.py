"""Progress on standard error: one line redrawn on a terminal, occasional plain lines elsewhere.

Cheap enough for every step: `update` checks the clock first and formats nothing until it is due.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO

from rnncli.locale import tr
from rnncli.render import numbers, symbols
from rnncli.render.lines import cells

REDRAW = 0.1  # seconds between redraws on a terminal
LINE = 1.0  # seconds between plain lines
BAR = 20

Fields = Mapping[str, str]


class LiveProgress:
    """`with LiveProgress() as progress: ... progress.update(step, steps, lambda: {"loss": "1.2345"})`

    file: standard error. live: redraw one line; default: if the file is a terminal that is not dumb. ascii: force
    ASCII; default: by the file's encoding. clock: seconds, for tests.
    """

    def __init__(
        self,
        file: IO[str] | None = None,
        *,
        live: bool | None = None,
        ascii: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file if file is not None else sys.stderr
        self._live = _is_screen(self._file) if live is None else live
        self._encoding = "ascii" if ascii else getattr(self._file, "encoding", None) or "utf-8"
        self._clock = clock
        self._interval = REDRAW if self._live else LINE
        self._drawn = 0  # width of the live line on the screen
        self._last = ""
        self._begun: tuple[float, int] | None = None  # start time and count; the count is above zero for resumed runs
        self._next = clock() + (0.0 if self._live else LINE)

    def __enter__(self) -> LiveProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Erase the live line; permanent lines stay."""
        self.clear()

    def update(self, done: int, total: int | None, fields: Fields | Callable[[], Fields], what: str = "") -> None:
        """Show `done` of `total` and the fields, if due. A callable is only called then. what: the unit of the
        count."""
        now = self._clock()
        if self._begun is None:
            self._begun = now, done
        if now < self._next:
            return
        self._next = now + self._interval
        self._draw(done, total, fields() if callable(fields) else fields, now, f"{what} " if what else "")

    def wait(self, text: str) -> None:
        """Show a message without a count, if the line is live."""
        if self._live:
            text = symbols.fit(text, self._encoding)
            self._write_live(text if cells(text) < _columns(self._file) else "")
            self._file.flush()

    @property
    def redraws(self) -> bool:
        """Whether its line is live, so that nothing of it stays."""
        return self._live

    def clear(self) -> None:
        """Take the live line away for now."""
        self._erase()
        self._file.flush()

    def line(self, text: str) -> None:
        """Print a permanent line above the live one."""
        live = self._last
        self._erase()
        self._file.write(symbols.fit(text, self._encoding, keep="\n") + "\n")
        if live:
            self._write_live(live)
        self._file.flush()

    def _draw(self, done: int, total: int | None, fields: Fields, now: float, what: str) -> None:
        parts = [f"{key} {value}" for key, value in fields.items()]
        left = self._seconds_left(done, total, now)
        if left is not None:
            parts.append(tr("{time} left", time=numbers.seconds(left)))
        head = what + (f"{done:,}" if not total else f"{done:,}/{total:,}")
        if not self._live:
            self._file.write(symbols.fit("  ".join([head, *parts]), self._encoding) + "\n")
        else:
            if total:
                filled = round(min(done / total, 1.0) * BAR)
                head = "█" * filled + "░" * (BAR - filled) + f" {head}"
            # Drop whole fields if the line is too short: a truncated number would be wrong.
            room = _columns(self._file) - 1
            texts = [symbols.fit(part, self._encoding) for part in [head, *parts]]
            while len(texts) > 1 and sum(cells(text) + 2 for text in texts) - 2 > room:
                texts.pop(-1 if left is None or len(texts) == 2 else -2)  # drop the time left last
            text = "  ".join(texts)
            self._write_live(text if cells(text) <= room else "")
        self._file.flush()

    def _seconds_left(self, done: int, total: int | None, now: float) -> float | None:
        if not total or self._begun is None:
            return None
        begun, first = self._begun
        if done <= first or done >= total or now - begun < 1.0:
            return None
        return float(round((now - begun) / (done - first) * (total - done)))

    def _write_live(self, text: str) -> None:
        width = cells(text)
        self._file.write("\r" + text + " " * max(0, self._drawn - width))
        self._drawn = width
        self._last = text

    def _erase(self) -> None:
        if self._drawn:
            self._file.write("\r" + " " * self._drawn + "\r")
        self._drawn = 0
        self._last = ""


def _is_screen(file: IO[str]) -> bool:
    return file.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def _columns(file: IO[str]) -> int:
    try:
        return os.get_terminal_size(file.fileno()).columns or 80
    except (OSError, ValueError):  # not a terminal, or no descriptor
        return 80
