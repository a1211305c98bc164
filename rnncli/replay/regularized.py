"""A step in training mode, with a core's recurrent regularizers: fresh masks for one layer and direction."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rnncli.cells import CELLS, CoreSpec, Gates, State, Step, Weights


def in_training(spec: CoreSpec, w: Weights, x: Tensor, state: State) -> tuple[Step, Weights]:
    """The cell's step and weights with masks drawn for one sequence. x: (B, I), of any step; state: the first.

    variational_dropout: one mask for x and one for h for all steps, the same for every gate; Gal and Ghahramani 2016
    (arXiv:1512.05287). recurrent_dropout: on the new content, at every step; Semeniuta et al. 2016 (arXiv:1603.05118).
    Both scale by 1 / (1 - p) here, so evaluation needs no change. zoneout: each unit randomly keeps its old value, at
    every step; Krueger et al. 2017 (arXiv:1606.01305).
    """
    rates, shares, own = spec.regularizers, spec.zoneout, CELLS[spec.cell].step
    p = rates.get("variational_dropout", 0.0)
    reads = F.dropout(torch.ones_like(x), p) if p else None  # (B, I)
    made = w.replaced()
    made.drop = rates.get("recurrent_dropout", 0.0)
    made.mask = F.dropout(torch.ones_like(state[0]), p) if p else None  # (B, H or P)

    def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
        after, gates = own(x if reads is None else x * reads, state, w)
        if any(shares):
            after = tuple(_kept(old, new, share) for old, new, share in zip(state, after, shares, strict=True))
        return after, gates

    return step, made


def _kept(old: Tensor, new: Tensor, share: float) -> Tensor:
    return torch.where(torch.rand_like(new) < share, old, new) if share else new
