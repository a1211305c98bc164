"""train.precision: bf16: every engine trains every cell under autocast, and its effect on the loss is shown."""

import math
from pathlib import Path

import pytest
import torch

from rnncli.cli import run as cli
from rnncli.data.batch import Order
from rnncli.runs.summary import first_losses, header
from rnncli.runs.train import run_training
from rnncli.tasks import load_recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import start, update


def job_of(cell: str, engine: str, precision: str = "bf16") -> Job:
    model = [f"model.cell={cell}", f"model.engine={engine}", "model.bidirectional=true", "model.num_layers=2"]
    return prepare(load_recipe("names", [*model, f"train.precision={precision}", "train.threads=1"]))


@pytest.mark.parametrize("engine", ["loop", "torch", "bptt"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_three_updates_stay_near_those_of_float32(cell: str, engine: str) -> None:
    found = {}
    for precision in ("bf16", "float32"):
        job = job_of(cell, engine, precision)
        state = start(job)
        order = Order(0, 1)
        for _, batch in zip(range(3), job.task.batches(job.config, job.splits.train, order), strict=False):
            update(job, state, batch)
        assert all(p.dtype == torch.float32 for p in job.model.parameters())
        found[precision] = float(state.total) / state.count
    assert found["bf16"] == pytest.approx(found["float32"], rel=0.02)
    assert found["bf16"] != found["float32"]


def test_a_bf16_run_that_carries_state_resumes(tmp_path: Path) -> None:
    """Its carry is what bptt gave on in training, not what torch's module would."""
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 150, "utf-8")
    sets = [f"data.path={text}", "data.window=16", "train.batch_size=4", "train.precision=bf16", "train.threads=1"]
    sets += ["model.cell=rnn", "model.hidden_size=8", "train.epochs=2", "train.sample.length=0"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for out, limit in ((whole, 30), (cut, 7)):
        out.mkdir()
        run_training(prepare(load_recipe("language-model", [*sets, f"train.max_steps={limit}"])), out)
    assert "engine: bptt" in (cut / "recipe.yaml").read_text("utf-8")
    assert cli(["train", "--resume", str(cut), "--set", "train.max_steps=30"]) == 0
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("engine", ["loop", "torch", "bptt"])
def test_a_short_source_and_a_long_target(tmp_path: Path, cell: str, engine: str) -> None:
    """The encoder has too few steps for bptt, the decoder enough: what torch gives on is bfloat16 under autocast."""
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"a{i % 7} b c{i % 3}\t{'x y z u v ' * 3}{i % 5}\n" for i in range(80)), "utf-8")
    sets = [f"data.path={pairs}", "train.precision=bf16", "train.threads=1", "train.epochs=1", "train.max_steps=2"]
    job = prepare(load_recipe("translation", [*sets, f"model.cell={cell}", f"model.engine={engine}"]))
    state = start(job)
    batch = next(iter(job.task.batches(job.config, job.splits.train, Order(0, 1))))
    assert len(batch.inputs) < 10
    update(job, state, batch)
    assert math.isfinite(float(state.total))


def test_the_effect_on_the_loss_is_shown() -> None:
    job = job_of("gru", "auto")
    before = torch.random.get_rng_state()
    half, full = first_losses(job)
    assert float(half) == pytest.approx(float(full), rel=0.02)
    assert half != full
    assert any(f"first batch's loss is {half}, in float32 {full}" in str(record) for record in header(job).records)
    assert torch.equal(before, torch.random.get_rng_state())
