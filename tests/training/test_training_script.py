"""`train RECIPE --code`: the printed script runs as it is, alone, and its losses are the run's."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from rnncli.cli import run
from tests import warm


@pytest.mark.parametrize(
    "words",
    [
        "hello",
        "hello-cell",
        "hello-embedding",
        "hello --set model.head=none",
        "hello-cell --set model.cell=lstm --set train.seed=3",
        "hello --set model.cell=gru --set model.bidirectional=true --set train.optimizer=sgd",
        "hello-cell --set model.nonlinearity=relu --set model.bias=false --set train.clip_grad_norm=0.1",
    ],
)
def test_the_script_has_the_losses_of_the_run(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = words.split()
    assert run(["train", *options, "--code"]) == 0
    script = capsys.readouterr().out
    assert "rnncli" not in script
    if words == "hello":
        done = subprocess.run([warm.python(), "-I", "-c", script], capture_output=True, encoding="utf-8", check=True)
        said = done.stdout
    else:  # nothing of ours is in it: another process would only load torch once more
        exec(compile(script, "script.py", "exec"), {"__name__": "__main__"})
        said = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", said)]
    assert run(["-q", "train", *options, "--out", "out", "--set", "train.control=false"]) == 0
    ours = [json.loads(line)["loss"] for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == len(ours) > 10
    assert losses == pytest.approx(ours, abs=2e-4)
    assert losses[0] == pytest.approx(ours[0], abs=2e-6)


@pytest.mark.parametrize(
    "words",
    [
        "language-model",
        "hello --set model.cell=feedforward",
        "hello --set train.schedule=cosine",
        "hello --set data.pairs=[[ab,ba],[abc,cba]]",
    ],
)
def test_what_has_no_script_is_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", *words.split(), "--code"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "--code" in err
