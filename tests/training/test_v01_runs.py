"""Run folders that rnncli 0.1 wrote open, resume, and end in the weights that 0.1 ended in.

tests/data/v01/NAME is a run of `hello` with longer words, stopped by Ctrl-C after step 7 of 16; NAME.safetensors are
the weights of the same run when 0.1 trained it to its end, on the processor and torch of expected.json.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rnncli.cli import run as rnncli
from tests.processor import processor

V01 = Path(__file__).parents[1] / "data" / "v01"
EXPECTED = json.loads((V01 / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED["runs"])
def test_a_run_of_0_1_resumes(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / name
    shutil.copytree(V01 / name, folder)
    assert rnncli(["train", "--resume", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out.splitlines()[-1])
    assert err.count("scan is now called bptt") == ("scan" in name)
    ours, theirs = load_file(folder / "model.safetensors"), load_file(V01 / f"{name}.safetensors")
    assert ours.keys() == theirs.keys()
    if (EXPECTED["torch"], EXPECTED["processor"]) == (torch.__version__, processor()):
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        assert digest == EXPECTED["runs"][name]["sha256"]
        assert result["metrics"] == EXPECTED["runs"][name]["metrics"]
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)  # another machine: rounding through 16 updates


@pytest.mark.parametrize("name", EXPECTED["runs"])
def test_a_run_of_0_1_opens(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / name
    shutil.copytree(V01 / name, folder)
    for words in (["inspect", "steps"], ["evaluate"], ["predict", "hello"]):
        command, *more = words
        assert rnncli([command, str(folder), *more, "--json"]) == 0, words
        assert capsys.readouterr().out


@pytest.mark.parametrize(("old", "now"), [("cell", "loop"), ("scan", "bptt")])
def test_engines_by_their_former_names(old: str, now: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "hello", "--set", f"model.engine={old}", "--print-config"]
    assert rnncli(words) == 0
    out, err = capsys.readouterr()
    assert re.search(rf"^model.engine +{now} +--set", out, re.M)
    assert err.count("model.engine: scan is now called bptt") == (old == "scan")
