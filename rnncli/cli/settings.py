"""What the global options said, for every command to read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Settings:
    """ascii: True draws with ASCII only, None goes by the output's encoding. verbose: how many -v."""

    ascii: bool | None = None
    quiet: bool = False
    verbose: int = 0
    debug: bool = False


settings = Settings()
