"""Runs that rnncli 0.1 left, each stopped in the middle, with what 0.1 itself made of them (tests/data/v01-tasks)."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli.cli import run as rnncli
from rnncli.runs.open import open_run
from tests.processor import processor

HOME = Path(__file__).parents[1] / "data" / "v01-tasks"
EXPECTED = json.loads((HOME / "expected.json").read_text("utf-8"))


def close(value: Any) -> Any:
    """Numbers to within rounding: another processor adds in another order."""
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-3)
    if isinstance(value, list):
        return [close(one) for one in value]
    return {key: close(one) for key, one in value.items()} if isinstance(value, dict) else value


def of_then(found: dict[str, float], expected: dict[str, float]) -> dict[str, float]:
    """The metrics that 0.1 had, too."""
    return {name: value for name, value in found.items() if name in expected}


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert rnncli([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("name", EXPECTED["runs"])
def test_it_opens_resumes_predicts_and_evaluates(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = EXPECTED["runs"][name]
    shutil.copytree(HOME / name, tmp_path / name)
    folder, data = tmp_path / name / "run", str(tmp_path / name / expected["data"])
    opened = open_run(folder)
    assert json.dumps(opened.fitted.to_json(), ensure_ascii=False) == (folder / "vocab.json").read_text("utf-8")
    assert not opened.result()
    vocab = (folder / "vocab.json").read_bytes()
    result = said(capsys, "train", "--resume", str(folder))
    assert of_then(result["metrics"], expected["metrics"]) == close(expected["metrics"])
    assert result["steps"] == expected["steps"]
    assert (folder / "vocab.json").read_bytes() == vocab
    given = data if expected["given"] is None else expected["given"]
    found = said(capsys, "predict", str(folder), given)
    if expected["given"] is None:
        assert found.pop("input") == data
    assert found == close(expected["predicted"])
    evaluated = said(capsys, "evaluate", str(folder), "--data", data)["metrics"]
    assert of_then(evaluated, expected["evaluated"]) == close(expected["evaluated"])
    if torch.__version__ == EXPECTED["torch"] and processor() == EXPECTED["processor"]:
        assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == expected["model.safetensors"]
