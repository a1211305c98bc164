"""What was measured of the engines: how many times as fast as torch's module each is, by sizes. `auto` chooses by it.

The figures are in `rnncli/ratios.py`, which a test writes from `tests/evidence/compiled.json`.
"""

from __future__ import annotations

from functools import lru_cache
from math import log2

import torch

from rnncli.cells import CoreSpec
from rnncli.nn.engines import Work
from rnncli.ratios import RATIOS

ENGINES = ("bptt", "compiled")  # the columns, after H, B, T


def kind_of(work: Work) -> str:
    """The heading under which such work was measured; "" where it was not."""
    if work.device != "cpu" or work.dtype not in (torch.float32, torch.float64):
        return ""
    kind = "train" if work.gradients else "forward"
    return kind + (", padded" if work.padded else ", float64" if work.dtype == torch.float64 else "")


def times_torch(engine: str, spec: CoreSpec, work: Work) -> float:
    """How many times as fast as torch's module the engine was at the nearest sizes, by their ratios; 0 where such work
    was not measured."""
    return _nearest(ENGINES.index(engine), spec.cell, kind_of(work), spec.hidden_size, work.B, work.T)


@lru_cache(4096)
def _nearest(engine: int, cell: str, kind: str, *sizes: int) -> float:
    """Kept: it is asked for at every forward pass."""
    rows = RATIOS.get((cell, kind), ())

    def distance(row: tuple[float, ...]) -> float:
        return sum(abs(log2(size / measured)) for size, measured in zip(sizes, row[:3], strict=True))

    return min(rows, key=distance)[3 + engine] if rows else 0.0
