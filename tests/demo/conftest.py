from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fixture_types import Demo, Document


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Demo:
    """`rnncli demo WORDS` in this process, in English at 80 columns -> (exit code, stdout, stderr)."""
    from rnncli.cli import run

    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["demo", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def document(demo: Demo) -> Document:
    """The JSON document of `rnncli demo WORDS --json`; tensors by name under "named"."""

    def call(*words: str) -> dict[str, Any]:
        code, out, err = demo(*words, "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        found["named"] = {tensor["name"]: tensor["values"] for tensor in found["tensors"]}
        return found

    return call
