from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from tests import warm
from tests.fixture_types import Run, Typed


@pytest.fixture
def rnncli(tmp_path: Path) -> Run:
    """Runs `rnncli WORDS` as its own process in an empty folder, in English and without colour."""

    def run(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "80", "NO_COLOR": "1", **settings}
        root = str(Path(__file__).parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH", "")]))
        environment.pop("RNNCLI_DEBUG", None) if "RNNCLI_DEBUG" not in settings else None
        return subprocess.run(
            [warm.python("light"), "-W", "error", "-m", "rnncli", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Runs `rnncli WORDS` in this process, in an empty folder; returns (exit code, stdout, stderr).

    input: bytes on standard input. For commands that import torch, which a process of their own would do anew.
    """
    from rnncli import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words: str, input: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(input), encoding="utf-8"))
        capfd.readouterr()
        code = cli.run(list(words))
        found = capfd.readouterr()
        return code, found.out, found.err

    return run
