"""Runs a model over batches without training. Torch is imported only then, so that tasks can import this module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rnncli.data.batch import Batch

if TYPE_CHECKING:
    import torch
    from torch import nn

    from rnncli.nn.model import Outputs


def device_of(model: nn.Module) -> torch.device:
    """The device of the model's first parameter."""
    return next(model.parameters()).device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; restores both. Never kept open across a `yield`."""
    import torch

    from rnncli.replay import modes

    with modes.evaluating(model), torch.no_grad():
        yield


def outputs_of(model: nn.Module, batches: Iterable[Batch], *, carry: bool = False) -> Iterator[tuple[Batch, Outputs]]:
    """Each batch, on the model's device, with the model's outputs. carry: each batch continues from the last state."""
    device = device_of(model)
    state = None
    for batch in batches:
        batch = batch.to(device)
        with evaluating(model):
            outputs: Outputs = model(batch, state)
        state = outputs.state if carry else None
        yield batch, outputs
