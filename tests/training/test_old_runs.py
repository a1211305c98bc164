"""run_0_1: a run of hello that rnncli 0.1 was stopped in, after 7 of 30 updates, kept as it wrote it."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from rnncli import cli, train
from rnncli.runs.evaluation import evaluate
from rnncli.runs.open import open_run
from rnncli.runs.read import read_run

OLD = Path(__file__).parent / "run_0_1"


def test_a_run_of_rnncli_0_1_opens_and_evaluates_to_its_own_figures() -> None:
    run = open_run(OLD)
    summary = read_run(OLD)
    assert (summary.state, summary.last_epoch, summary.on) == ("finished", 7, "train")
    measured = evaluate(run).metrics
    assert measured["accuracy"] == summary.metrics["accuracy"]
    assert abs(measured["loss"] - summary.metrics["loss"]) < 1e-6  # another processor may round otherwise


def test_a_run_of_rnncli_0_1_resumes_as_if_never_stopped(tmp_path: Path) -> None:
    """To the last bit where the processor and torch are those it was begun with; here as close as rounding allows."""
    cut = tmp_path / "cut"
    shutil.copytree(OLD, cut)
    assert cli.run(["-q", "train", "--resume", str(cut), "--set", "train.max_steps=0"]) == 0
    whole, resumed = train("hello", out=str(tmp_path / "whole")), open_run(cut)
    lines = (cut / "metrics.jsonl").read_text().splitlines()
    assert lines[:7] == (OLD / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == len(whole.metrics()) == 30
    for name, tensor in whole.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
