"""A loss or gradient that is no number: where it went bad first, what came before, and what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli.errors import Diverged
from rnncli.runs.open import open_run
from rnncli.training.divergence import bad_tensor
from rnncli.training.loop import fit
from tests.training.training_runs import job_of, run_in

PAIRS: dict[str, Any] = {
    "task": "tagging",
    "data": {"pairs": [["hello", "ohlol"], ["hole", "oleh"]]},
    "model": {"hidden_size": 4},
    "train": {"epochs": 9, "batch_size": 1, "lr": 0.02, "checkpoint_every": 1},
}


def spoil_gradient(job: Any, parameter: str, call: int) -> None:
    """The gradient of this parameter becomes infinite in that backward pass."""
    calls = iter(range(1, 1000))
    tensor = dict(job.model.named_parameters())[parameter]
    tensor.register_hook(lambda grad: grad * float("inf") if next(calls) == call else grad)


def test_a_gradient_that_is_no_number_stops_before_it_reaches_the_weights(tmp_path: Path) -> None:
    job = job_of(PAIRS)
    name = next(name for name, _ in job.model.named_parameters() if name.endswith("weight_hh_l0"))
    spoil_gradient(job, name, 4)
    with pytest.raises(Diverged) as stopped:
        run_in(tmp_path / "run", job)
    said = str(stopped.value)
    assert stopped.value.exit_code == 4
    assert "at step 4" in said
    assert f"first non-finite: the gradient of {name}" in said
    norms = said.split("gradient norms: ")[1].split("\n")[0].split(", ")
    assert len(norms) == 3
    assert all(0 < float(norm) < 100 for norm in norms)
    assert bad_tensor(job.model) == ""
    assert bad_tensor(open_run(tmp_path / "run").model) == ""


def test_a_bad_gradient_is_skipped() -> None:
    job = job_of(PAIRS | {"train": PAIRS["train"] | {"on_nan": "skip"}})
    before: list[torch.Tensor] = []
    spoil_gradient(job, next(iter(dict(job.model.named_parameters()))), 4)
    for progress in fit(job):
        if progress.event == "step" and progress.step in (3, 4):
            before.append(job.model.get_parameter("head.weight").detach().clone())
    assert torch.equal(before[0], before[1])
    assert bad_tensor(job.model) == ""


def test_the_first_bad_tensor_of_a_bad_loss_is_named() -> None:
    job = job_of(PAIRS)

    def poison(progress: Any) -> None:
        with torch.no_grad():
            job.model.get_parameter("head.bias")[0] = float("nan")

    with pytest.raises(Diverged, match=r"first non\-finite: head\.bias"):
        list(map(poison, fit(job)))


def test_weights_that_are_no_numbers_are_never_kept(tmp_path: Path) -> None:
    """The update of step 3 overflows, which the next loss would tell: its checkpoint is not written."""
    job = job_of(PAIRS)

    def poison(progress: Any) -> None:
        if progress.step == 3:
            with torch.no_grad():
                job.model.get_parameter("head.bias")[0] = float("inf")

    with pytest.raises(Diverged, match=r"weights became NaN or infinite at step 4; first non-finite: head\.bias"):
        run_in(tmp_path / "run", job, watch=poison)
    assert bad_tensor(open_run(tmp_path / "run").model) == ""
    run_in(tmp_path / "run", job_of(PAIRS), resume=True)
    run_in(tmp_path / "whole", job_of(PAIRS))
    names = ("model.safetensors", "metrics.jsonl")
    assert all((tmp_path / "run" / n).read_bytes() == (tmp_path / "whole" / n).read_bytes() for n in names)
