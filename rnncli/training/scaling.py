"""Loss scaling for fp16: the loss is scaled up so that small gradients fit into float16; gradients are unscaled for the
optimizer.

Micikevicius et al. 2018, Mixed precision training (arXiv:1710.03740), section 3.2; the scale is torch's GradScaler's.
"""

from __future__ import annotations

import torch
from torch import Tensor

Scaler = torch.amp.GradScaler | None


def make_scaler(precision: str, device: torch.device) -> Scaler:
    """None if no scaling is needed: bfloat16 has the range of float32."""
    return torch.amp.GradScaler(device.type) if precision == "fp16" else None


def backward(scaler: Scaler, loss: Tensor) -> None:
    """Accumulate the gradients of the scaled loss. loss: ()."""
    (loss if scaler is None else scaler.scale(loss)).backward()


def unscale(scaler: Scaler, optimizer: torch.optim.Optimizer) -> None:
    """Unscale the gradients, once all are accumulated."""
    if scaler is not None:
        scaler.unscale_(optimizer)


def step(scaler: Scaler, optimizer: torch.optim.Optimizer) -> None:
    """The optimizer's step, skipped if a gradient overflowed: then the scale is halved."""
    if scaler is None:
        optimizer.step()
        return
    scaler.step(optimizer)
    scaler.update()


def lowered(scaler: Scaler, optimizer: torch.optim.Optimizer) -> bool:
    """For non-finite gradients: lower the scale, and return whether that may help. At scale 1 it cannot."""
    if scaler is None or scaler.get_scale() <= 1:
        return False
    step(scaler, optimizer)
    return True
