"""Measured speedups of the engines over torch's module, by size, from which `auto` chooses.

The figures are in `rnncli/ratios.py`, which a test writes from `tests/evidence/compiled.json`.
"""

from __future__ import annotations

from math import log2

import torch

from rnncli.cells import CoreSpec
from rnncli.nn.engines import Work
from rnncli.ratios import RATIOS

ENGINES = ("bptt", "compiled")  # the columns, after H, B, T


def kind_of(work: Work) -> str:
    """The heading of such work in the table; "" if it was not measured."""
    if work.device != "cpu" or work.dtype not in (torch.float32, torch.float64):
        return ""
    kind = "train" if work.gradients else "forward"
    if work.padded or work.dtype == torch.float64:
        return kind + (", padded" if work.padded else ", float64")
    return kind + (", 2 threads" if work.threads > 1 else "")


def times_torch(engine: str, spec: CoreSpec, work: Work) -> float:
    """Speedup of the engine over torch's module at the nearest sizes (by ratio); 0 if such work was not measured."""
    rows, sizes = RATIOS.get((spec.cell, kind_of(work)), ()), (spec.hidden_size, work.B, work.T)

    def distance(row: tuple[float, ...]) -> float:
        return sum(abs(log2(size / measured)) for size, measured in zip(sizes, row[:3], strict=True))

    return min(rows, key=distance)[3 + ENGINES.index(engine)] if rows else 0.0
