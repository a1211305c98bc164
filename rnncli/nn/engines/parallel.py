"""parallel: a prefix scan over time, for cells whose state is linear in itself: h_t = a_t ⊙ h_(t-1) + b_t.

a and b of all steps come from one product and a few operations; `rnncli/replay/scan.py` has the scan and its gradients,
a scan from the last step to the first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rnncli.cells import CELLS, CoreSpec, State, Weights
from rnncli.locale import tr
from rnncli.nn.engines import Engine, Sequence, Work
from rnncli.nn.engines._layers import run_layers
from rnncli.replay import scan


def run(module: torch.nn.Module, spec: CoreSpec, given: Sequence) -> tuple[Tensor, State]:
    """Run a core over a batch. x may be rows of a table."""
    return run_layers(module, spec, given, _states)


def refuses(spec: CoreSpec) -> str:
    if spec.regularizers:
        return tr("engine {engine} does not support {what}", engine="parallel", what=spec.with_options)
    if CELLS[spec.cell].parallel is not None:
        return ""
    return tr("engine parallel needs a cell whose state is linear in itself; {cell} is not", cell=spec.cell)


def faster(spec: CoreSpec, work: Work) -> float:
    """Against the loop, in training minGRU by one thread's processor time (`tests/evidence/parallel.json`): 44 times
    its rate over 1,000 steps of one row of 32 units, 9 of 16 rows, 2.6 of 32 rows of 64 units. In training, no cell was
    slower from 10 steps on; `linear` was over 5."""
    return 3.0 if work.T >= SHORTEST else 0.5


SHORTEST = 10  # steps


def _states(spec: CoreSpec, w: Weights, sums: Tensor, before: State, half: bool) -> State:
    """h after every step, (T, B, H), computed in the weights' own dtype even under autocast."""
    parallel = CELLS[spec.cell].parallel
    assert parallel is not None
    return (scan(*parallel(sums, w), before[0]),)


ENGINE = Engine(run, refuses, faster, reads_tables=True)
