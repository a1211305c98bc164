"""A sound model never reads FAILED, whatever its weights; a broken one always does. The small version of
tests/evidence/test_evidence_checks.py: random networks of every cell, up to weights that make them chaotic.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from rnncli.data.batch import Batch
from rnncli.views import Subject, page, subject_of_model
from tests.faults import PLANT, planted
from tests.narrowed import of_kind

FAULTS = ("gates swapped", "one wrong bias", "a stale weight")
CHECKED = ("", "engines", "padding", "params", "memory", "gradients", "states", "influence")
CELLS: dict[str, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def _subject(cell: str, gain: float, dtype: torch.dtype, T: int = 40, rows: int = 2) -> Subject:
    """Two layers, both ways for the lstm; all weights times `gain`: at 8 most networks are chaotic."""
    torch.manual_seed(0)
    module = CELLS[cell](6, 12, 2, bidirectional=cell == "lstm").to(dtype)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= gain
    return subject_of_model(module, torch.randn(T, rows, 6).to(dtype))


def _page(name: str, subject: Subject) -> Any:
    from rnncli.views import overview

    return page(name, subject) if name else overview(subject)


@pytest.mark.parametrize(
    ("gain", "dtype"),
    [(0.1, torch.float32), (3.0, torch.float32), (8.0, torch.float32), (8.0, torch.float64), (3.0, torch.bfloat16)],
)
@pytest.mark.parametrize("cell", CELLS)
def test_no_sound_network_fails_a_check(cell: str, gain: float, dtype: torch.dtype) -> None:
    subject = _subject(cell, gain, dtype)
    for name in ("", "engines", "padding", "params", "memory"):
        failed = [(name, check) for check in _page(name, subject).checks() if not check.ok]
        assert failed == []


@pytest.mark.parametrize("gain", [1.0, 8.0])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("views", ["half", pytest.param("all", marks=pytest.mark.evidence)])
def test_a_planted_fault_is_found_by_every_view_that_checks(views: str, cell: str, fault: str, gain: float) -> None:
    """In the fast tier by half of the views at one gain and the rest at the other, in turn: each view at both gains,
    each fault by all views. By all views at both gains: evidence."""
    if cell == "rnn" and fault == "gates swapped":
        pytest.skip("an rnn has no gates")
    for name in CHECKED if views == "all" else CHECKED[(FAULTS.index(fault) + int(gain > 1)) % 2 :: 2]:
        if name == "params" and fault == "a stale weight":
            continue  # it shows the module's own weights, and runs the loop over a copy of them
        subject = _subject(cell, gain, torch.float32, T=12)
        with planted(fault, subject.model):
            checks = _page(name, subject).checks()
        assert any(not check.ok for check in checks), name


@pytest.mark.parametrize("gain", [1.0, 8.0])
@pytest.mark.parametrize("cell", CELLS)
def test_a_state_that_goes_on_after_a_rows_end_is_found(cell: str, gain: float) -> None:
    from rnncli.nn.heads import NoHead
    from rnncli.nn.model import SequenceModel
    from rnncli.views._subject import Features

    core = of_kind(nn.RNNBase, _subject(cell, gain, torch.float32).model.model)
    model = SequenceModel(Features(), core, NoHead()).eval()
    batch = Batch(torch.randn(12, 3, 6), torch.tensor([12, 7, 3]))
    for name in ("", "engines", "padding", "states"):
        fault = "state not held after the end"
        with planted(fault, model):
            checks = _page(name, Subject("made", "made", model, batch)).checks()
        assert any(not check.ok for check in checks), name
        sound = _page(name, Subject("made", "made", model, batch)).checks()
        assert [check for check in sound if not check.ok] == []


def test_every_fault_is_planted_in_a_test() -> None:
    assert set(PLANT) == {"gates swapped", "one wrong bias", "a stale weight", "state not held after the end"}
