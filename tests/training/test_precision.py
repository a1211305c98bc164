"""train.precision: bf16: every engine trains every cell under autocast, and its effect on the loss is shown."""

import math
from pathlib import Path

import pytest
import torch

from rnncli.cli import run as cli
from rnncli.data.batch import Order
from rnncli.errors import Diverged, Missing, RecipeError
from rnncli.runs.checkpoint import checkpoint, load_checkpoint, own_part
from rnncli.runs.summary import first_losses, header
from rnncli.runs.train import run_training
from rnncli.tasks import load_recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import TrainState, start, update


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


def three_updates(scale: float | None, *, overflow: bool = False) -> TrainState:
    """Of a run in float32; scale: of a scaler, which float32 does not need. overflow: of one weight's gradient."""
    torch.manual_seed(0)
    job = job_of("gru", "torch", "float32")
    state = start(job)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
    if overflow:
        next(job.model.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    for _, batch in zip(range(3), job.task.batches(job.config, job.splits.train, Order(0, 1)), strict=False):
        update(job, state, batch)
    return state


def test_scaling_by_powers_of_two_changes_no_bit() -> None:
    plain, scaled = three_updates(None), three_updates(2.0**10)
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, scaled.model.state_dict()[name]), name
    assert scaled.scaler.is_enabled()
    assert not plain.scaler.is_enabled()
    assert (scaled.step, scaled.count) == (plain.step, plain.count)


def test_gradients_that_overflow_are_left_out_and_scaled_less() -> None:
    """Three updates, three times half the scale, and no change."""
    job, state = job_of("gru", "torch", "float32"), three_updates(2.0**10, overflow=True)
    for name, tensor in job.model.state_dict().items():
        assert torch.equal(tensor, state.model.state_dict()[name]), name
    assert state.scaler.get_scale() == 2.0**7
    assert (state.step, state.count) == (3, 0)


def test_gradients_that_no_scale_helps_end_the_training() -> None:
    job = job_of("gru", "torch", "float32")
    state = start(job)
    state.scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    batch = next(job.task.batches(job.config, job.splits.train, Order(0, 1)))
    next(job.model.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(Diverged, match="gradient"):
        update(job, state, batch)


def test_the_scale_is_kept_in_a_checkpoint(tmp_path: Path) -> None:
    state = three_updates(2.0**10, overflow=True)
    job = job_of("gru", "torch", "float32")
    place = tmp_path / "state.safetensors"
    place.write_bytes(checkpoint(state, {"logs": {}}, [own_part(state)]))
    fresh = start(job)
    fresh.scaler = torch.amp.GradScaler("cpu")
    load_checkpoint(place, job, fresh)
    assert fresh.scaler.state_dict() == state.scaler.state_dict()


@pytest.mark.skipif(torch.cuda.is_available(), reason="here fp16 can be had")
def test_fp16_is_refused_where_it_cannot_run() -> None:
    with pytest.raises(Missing, match="fp16 needs a GPU"):
        job_of("gru", "torch", "fp16")


def test_fp16_with_other_weights_is_refused() -> None:
    with pytest.raises(RecipeError, match="fp16 requires float32 weights"):
        load_recipe("names", ["train.precision=fp16", "train.dtype=float64"])


def test_the_effect_on_the_loss_is_shown() -> None:
    job = job_of("gru", "auto")
    before = torch.random.get_rng_state()
    half, full = first_losses(job)
    assert float(half) == pytest.approx(float(full), rel=0.02)
    assert half != full
    assert any(f"first batch's loss is {half}, in float32 {full}" in str(record) for record in header(job).records)
    assert torch.equal(before, torch.random.get_rng_state())
