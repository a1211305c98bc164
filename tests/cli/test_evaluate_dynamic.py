"""`rnncli evaluate --dynamic RATE`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rnncli
from rnncli.cli import run as run_line


def test_dynamic_evaluation_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("the cat sat on the mat\n" * 40)
    sets = ("data.path=a.txt", "data.window=8", "train.batch_size=4", "train.epochs=1", "train.sample.length=0")
    rnncli.train("language-model", out="run", sets=(*sets, "model.hidden_size=8"))
    assert run_line(["evaluate", "run", "--json"]) == 0
    still = json.loads(capsys.readouterr().out)["metrics"]["bits"]
    assert run_line(["evaluate", "run", "--dynamic", "0.5", "--json", "--require", f"bits<{still}"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["bits"] < still
    assert "dynamic evaluation: one SGD step after each window, learning rate 0.5" in found["notes"]
    for wrong in ("0", "-1", "nan", "inf"):
        assert run_line(["evaluate", "run", "--dynamic", wrong]) == 2
        assert "expected a learning rate above 0" in capsys.readouterr().err
