"""What a command says of its target before its result: weights of a run that has not ended, names nearly right."""

from __future__ import annotations

from pathlib import Path

import pytest

import rnncli
from rnncli.names import similar_file
from rnncli.runs.writer import Writer
from tests.fixture_types import Typed


def _interrupted(epoch: rnncli.Epoch) -> None:
    if epoch.epoch == 3:
        raise ZeroDivisionError


def _begun() -> None:
    with pytest.raises(ZeroDivisionError):
        rnncli.train("hello", sets={"train.control": False}, out="early", on_epoch=_interrupted)


def test_weights_of_a_run_that_has_not_ended_are_named(typed: Typed) -> None:
    _begun()
    for words in (["predict", "early", "hello"], ["evaluate", "early"], ["inspect", "early", "steps"]):
        code, _, err = typed(*words)
        assert code == 0
        assert "training has not ended: these are the weights of epoch 3, the best one saved so far" in err
    assert "not ended" not in typed("--quiet", "predict", "early", "hello")[2]


def test_untrained_weights_are_called_untrained(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Writer, "checkpoint", lambda *_: None)  # killed before the first one
    _begun()
    assert "these are untrained weights" in typed("predict", "early", "hello")[2]


def test_a_run_that_ended_needs_no_note_and_a_lost_result_is_not_an_early_run(typed: Typed) -> None:
    rnncli.train("hello", sets={"train.control": False, "train.epochs": 1}, out="done")
    assert typed("predict", "done", "hello")[2] == ""
    Path("done/result.json").unlink()
    code, _, err = typed("predict", "done", "hello")
    assert code == 3
    assert "not ended" not in err


def test_a_mistyped_path_gets_the_nearest_file(typed: Typed) -> None:
    Path("sub").mkdir()
    Path("sub/sales.yaml").write_text("task: tagging\n", encoding="utf-8")
    Path("sub/sales.csv").write_text("date,sold\n", encoding="utf-8")
    assert "did you mean sub/sales.yaml?" in typed("train", "sub/slaes.yaml")[2]
    assert "did you mean sub/sales.csv?" in typed("recipes", "copy", "--data", "sub/slaes.csv")[2]
    assert "see: rnncli recipes list" in typed("train", "sub/weather.yaml")[2]
    assert [similar_file(name) for name in ("sub/sales.csv/x", "nowhere/a.txt", "a\0b/c")] == ["", "", ""]
