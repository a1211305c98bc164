"""What a word opens: each part once, a run's and a recipe's by the same names, and what a target does not have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rnncli.errors import UsageError
from rnncli.targets import find_target
from rnncli.targets.inspect import InspectRequest, inspect
from rnncli.views import Options

OLD = Path(__file__).parents[1] / "training" / "run_0_1"


def test_a_recipe_is_opened_once_and_has_the_weights_that_training_begins_with() -> None:
    target = find_target("hello", sets=["model.cell=gru"], seed=3)
    assert (target.config.model.cell, target.config.train.seed) == ("gru", 3)
    assert target.splits is target.splits is target.data
    assert target.model is target.model
    torch.manual_seed(3)
    drawn = target.task.build(target.config, target.splits.fitted)
    for name, tensor in target.model.state_dict().items():
        assert torch.equal(tensor, drawn.state_dict()[name])
    assert (target.log(), target.result(), target.environment()) == ([], {}, {})


def test_a_run_has_its_own_weights_vocabulary_and_log() -> None:
    target = find_target(str(OLD))
    assert target.kind == "run"
    assert target.run is target.run
    assert target.model is target.run.model
    assert [line["epoch"] for line in target.log()] == list(range(1, 8))
    assert target.result()["best_epoch"] == target.log()[-1]["epoch"]
    assert target.data is not None
    assert target.data.fitted == target.fitted
    assert target.notes == list(target.data.notes)
    batch = target.subject(batch_size=3).batch
    assert batch.inputs.shape[1] == 3


@pytest.mark.parametrize(("word", "why"), [("hello", "no trained weights"), ("w.pt", "this file is not a run")])
def test_what_is_no_run_is_refused(word: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.pt").touch()
    with pytest.raises(UsageError, match=why):
        _ = find_target(word).run


def test_finding_and_refusing_need_no_torch() -> None:
    code = (
        "import sys; from rnncli.targets import find_target; from rnncli.errors import UsageError\n"
        "try: find_target('hello').run\n"
        "except UsageError: pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_library_call_behind_inspect() -> None:
    target = find_target("hello")
    page = inspect(target, InspectRequest("states"), find_target(str(OLD)))
    assert page.schema == "rnncli/states/1"
    with pytest.raises(UsageError, match="does not support --layer"):
        InspectRequest(options=Options(layer=0)).check(target)
    with pytest.raises(UsageError, match="does not support --core"):
        InspectRequest("embeddings", Options(core="rnn")).check(target)
    with pytest.raises(UsageError, match="--cell is for weight files"):
        inspect(target, InspectRequest("steps", cell="gru"))
