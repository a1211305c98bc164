"""The modes in which a trace runs a model, each restored afterwards, and checks for models that cannot be traced."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from rnncli.errors import UsageError
from rnncli.locale import tr


def require_numbers(model: nn.Module, gradients: bool) -> None:
    """Raise UsageError if a model has no values to trace, or cannot have a graph."""
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise UsageError(
            tr("this model is on the meta device: its weights have no values"),
            todo=tr("initialize it first: model.to_empty(device='cpu'), then load_state_dict"),
        )
    if gradients and any(tensor.is_inference() for tensor in model.parameters()):
        raise UsageError(
            tr("this model was created in inference mode: it has no gradients"),
            todo=tr("create it outside torch.inference_mode, or trace it without gradients"),
        )


@contextmanager
def graph(gradients: bool) -> Iterator[None]:
    """Enable gradients, even in inference mode; or run without, in the current mode."""
    with torch.inference_mode(False) if gradients else nullcontext(), torch.set_grad_enabled(gradients):
        yield


def usable(value: object) -> object:
    """A tensor created in inference mode, converted to one usable in a graph."""
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


@contextmanager
def uncollected() -> Iterator[None]:
    """Disable garbage collection: each step adds a few objects, none of them cycles, but their number makes the
    collector scan all of torch's, which costs up to a sixth of a long loop."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode; restores every module's own mode afterwards. Spectral norm updates on each access to its
    weight in training mode, so the checks run in here, too."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training
