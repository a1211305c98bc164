"""loop: the Python loop over a cell's steps, which supports recording and every cell."""

from __future__ import annotations

from torch import Tensor, nn

from rnncli.cells import CoreSpec, State
from rnncli.nn.engines import Engine, Sequence, Work
from rnncli.replay import run_core


def run(core: nn.Module, spec: CoreSpec, given: Sequence) -> tuple[Tensor, State]:
    return run_core(core, given.tensor, given.state, given.lengths, dropout=given.dropout, training=given.training)


def faster(spec: CoreSpec, work: Work) -> float:
    """0 if torch has a module for it."""
    return 1.0 if spec.torch_class is None else 0.0


ENGINE = Engine(run, lambda spec: "", faster)
