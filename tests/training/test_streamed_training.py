"""Training on a text that is read from disk: the run of one in memory, bit for bit, gone on with or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rnncli.data.encoded import FILE
from rnncli.runs.evaluation import evaluate
from rnncli.runs.open import open_run
from tests.training.training_runs import interrupted_then_resumed, job_of, run_in


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_a_run_cut_short_and_resumed(
    tmp_path: Path, small_lm: dict[str, Any], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    small_lm["train"]["epochs"] = 2
    small_lm["data"]["tokens"] = kind
    small_lm["data"]["window"] = 6
    run_in(tmp_path / "held", job_of(small_lm))
    monkeypatch.setattr("rnncli.data.text.HELD", 0)
    monkeypatch.setattr("rnncli.data.batch.AHEAD", 100)
    monkeypatch.setenv("RNNCLI_CACHE", str(tmp_path / "cache"))
    interrupted_then_resumed(tmp_path / "cut", lambda: job_of(small_lm), 7)
    assert [path.name for path in (tmp_path / "cache").rglob("*.bin")] == [FILE]
    for name in ("model.safetensors", "metrics.jsonl", "recipe.yaml", "vocab.json"):
        assert (tmp_path / "held" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name
    results = [json.loads((tmp_path / one / "result.json").read_text()) | {"run": ""} for one in ("held", "cut")]
    assert results[0] == results[1]
    found = evaluate(open_run(tmp_path / "cut"))
    assert found.metrics == results[0]["metrics"]
    assert any(FILE in note for note in found.notes)
