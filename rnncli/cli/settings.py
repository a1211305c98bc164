"""Global options, for every command to read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Settings:
    """ascii: True for ASCII only, None to decide by the output's encoding."""

    ascii: bool | None = None
    quiet: bool = False
    debug: bool = False


settings = Settings()
