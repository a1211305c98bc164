"""Sound files as log-mel frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnncli.data.audio import LogMel


@dataclass(frozen=True)
class LogMelSettings:
    """How sound becomes frames, as a run keeps it. rate: Hz. window, hop: milliseconds."""

    rate: int
    mels: int
    window: float
    hop: float

    def log_mel(self) -> LogMel:
        from rnncli.data.audio import LogMel

        return LogMel(self.rate, self.mels, self.window, self.hop)
