"""fp16: the loss is scaled up, so that float16 holds small gradients too, and gradients down again for the optimizer.

Micikevicius et al. 2018, Mixed precision training (arXiv:1710.03740), section 3.2; the scale is torch's GradScaler's.
"""

from __future__ import annotations

import torch
from torch import Tensor

Scaler = torch.amp.GradScaler | None


def make_scaler(precision: str, device: torch.device) -> Scaler:
    """None where nothing is to be scaled: bfloat16 reaches as far as float32."""
    return torch.amp.GradScaler(device.type) if precision == "fp16" else None


def backward(scaler: Scaler, loss: Tensor) -> None:
    """Add the gradients of the loss, scaled up. loss: ()."""
    (loss if scaler is None else scaler.scale(loss)).backward()


def unscale(scaler: Scaler, optimizer: torch.optim.Optimizer) -> None:
    """The gradients as they are, once all are added."""
    if scaler is not None:
        scaler.unscale_(optimizer)


def step(scaler: Scaler, optimizer: torch.optim.Optimizer) -> None:
    """The optimizer's step, left out where a gradient overflowed: then the next loss is scaled up by half as much."""
    if scaler is None:
        optimizer.step()
        return
    scaler.step(optimizer)
    scaler.update()


def lowered(scaler: Scaler, optimizer: torch.optim.Optimizer) -> bool:
    """Of gradients that are not finite: whether a smaller scale, set here, may help. At a scale of 1 it may not."""
    if scaler is None or scaler.get_scale() <= 1:
        return False
    step(scaler, optimizer)
    return True
