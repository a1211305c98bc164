from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rnncli.cells import CoreSpec
from rnncli.data.batch import Batch
from rnncli.nn.heads import NoHead
from rnncli.nn.model import SequenceModel
from rnncli.nn.recurrent import make_core
from rnncli.views import Subject
from rnncli.views._subject import Features


def _make(
    cell: str = "rnn",
    *,
    I: int = 3,  # noqa: E741
    H: int = 4,
    T: int = 6,
    B: int = 2,
    layers: int = 1,
    both: bool = False,
    lengths: list[int] | None = None,
    dtype: torch.dtype = torch.float64,
    **more: Any,
) -> Subject:
    torch.manual_seed(0)
    core = make_core(CoreSpec(cell, more.pop("nonlinearity", "tanh"), I, H, layers, both, **more))
    model = SequenceModel(Features(), core, NoHead()).to(dtype).eval()
    x = torch.randn(T, B, I).to(dtype)
    return Subject("made", "made", model, Batch(x, None if lengths is None else torch.tensor(lengths)))


@pytest.fixture
def make() -> Callable[..., Subject]:
    """A subject with a random core over random numbers, in float64."""
    return _make
