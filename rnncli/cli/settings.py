"""What the global options said, for every command to read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Settings:
    """ascii: True draws with ASCII only, None goes by the output's encoding."""

    ascii: bool | None = None
    quiet: bool = False
    debug: bool = False


settings = Settings()
