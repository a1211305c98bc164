"""train.precision: bf16: every engine trains every cell under autocast, and its effect on the loss is shown."""

import pytest
import torch

from rnncli.data.batch import Order
from rnncli.tasks import load_recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import start, update
from rnncli.training.summary import first_losses, header


def job_of(cell: str, engine: str, precision: str = "bf16") -> Job:
    model = [f"model.cell={cell}", f"model.engine={engine}", "model.bidirectional=true", "model.num_layers=2"]
    return prepare(load_recipe("names", [*model, f"train.precision={precision}", "train.threads=1"]))


@pytest.mark.parametrize("engine", ["cell", "torch", "scan"])
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


def test_the_effect_on_the_loss_is_shown() -> None:
    job = job_of("gru", "auto")
    before = torch.random.get_rng_state()
    half, full = first_losses(job)
    assert float(half) == pytest.approx(float(full), rel=0.02)
    assert half != full
    assert any(f"first batch's loss is {half}, in float32 {full}" in str(record) for record in header(job).records)
    assert torch.equal(before, torch.random.get_rng_state())
