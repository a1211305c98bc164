"""Every command of the README runs, in its order, in one folder; its table is what the evidence files say."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import readme_table
import torch

from rnncli.cli import run

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", TEXT, re.M | re.S)
LINES = [line for block in BLOCKS for line in block.splitlines() if line and not line.startswith("#")]
QUESTIONS = re.findall(r"^\| .* \| `(rnncli [^`]*)` \|$", TEXT, re.M)
LONG = ("language-model",)  # trained for two updates here; the figures are the evidence tier's


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("readme")
    words = "The quick brown fox jumps over the lazy dog and the dog looks at the fox. "
    (made / "my.txt").write_text((words * 700).replace("dog ", "dog\n"), encoding="utf-8")
    from safetensors.torch import save_file

    save_file(dict(torch.nn.LSTM(4, 3).state_dict()), made / "model.safetensors")
    return made


def shortened(line: str) -> str:
    """Long training stopped after two updates, but kept: later lines look into it."""
    if line.startswith("rnncli train") and any(name in line for name in LONG):
        return line + " --set train.max_steps=2 --set train.sample.length=20"
    return line


def test_the_commands_run_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(LINES) > 20
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for line in LINES:
        if "|" in line or line.startswith("for "):
            if shutil.which("jq") is not None:
                done = subprocess.run(["bash", "-euo", "pipefail", "-c", line], capture_output=True, text=True)
                assert done.returncode == 0, (line, done.stderr)
                assert done.stdout.strip(), line
            continue
        if line == 'rnncli evaluate last --require "accuracy>=1"':
            assert run(["train", "hello", "--out", "checked"]) == 0
            line = line.replace("last", "checked")
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', shortened(line))][1:]
        assert run(words) == 0, line


@pytest.mark.parametrize("line", QUESTIONS)
def test_each_question_has_its_command(
    line: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert run(line.split()[1:]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_the_python_example_runs(folder: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([5, 1, 3])" in done.stdout


def test_the_table_is_what_the_evidence_says() -> None:
    assert readme_table.with_table(TEXT) == TEXT, "run: python tests/readme_table.py"
