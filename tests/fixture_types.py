"""What the fixtures of several files hand to a test, as types."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Protocol


class Run(Protocol):
    """`rnncli`: a command line in a process of its own."""

    def __call__(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]: ...


class Typed(Protocol):
    """`typed`: a command line in this process -> (exit code, stdout, stderr)."""

    def __call__(self, *words: str, input: bytes = b"") -> tuple[int, str, str]: ...


class Demo(Protocol):
    """`demo`: `rnncli demo WORDS` in this process -> (exit code, stdout, stderr)."""

    def __call__(self, *words: str) -> tuple[int, str, str]: ...


class Document(Protocol):
    """`document`: what `rnncli demo WORDS --json` prints, tensors by name under "named"."""

    def __call__(self, *words: str) -> dict[str, Any]: ...


class AsKept(Protocol):
    """`as_kept`: fails where a text is not that of the file that keeps it; --rewrite-golden writes the file."""

    def __call__(self, file: Path, text: str) -> None: ...


class Golden(Protocol):
    """`golden`: compares a screen with tests/golden/NAME.txt."""

    def __call__(self, name: str, text: str) -> None: ...
