"""The modes that a trace runs a model in, each undone afterwards, and models that cannot be traced at all."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from rnncli.errors import UsageError
from rnncli.locale import tr


def require_numbers(model: nn.Module, gradients: bool) -> None:
    """UsageError where a model has no numbers to trace, or none that a graph can be made of."""
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise UsageError(
            tr("this model is on the meta device: its weights have no numbers"),
            todo=tr("give it weights first: model.to_empty(device='cpu'), then load_state_dict"),
        )
    if gradients and any(tensor.is_inference() for tensor in model.parameters()):
        raise UsageError(
            tr("this model was made in inference mode: it has no gradients"),
            todo=tr("make it outside torch.inference_mode, or trace it without gradients"),
        )


@contextmanager
def graph(gradients: bool) -> Iterator[None]:
    """With a graph, in inference mode too; or without, in whatever mode this is."""
    with ExitStack() as stack:
        if gradients:
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(gradients))
        yield


def usable(value: object) -> object:
    """A tensor that was made in inference mode, as one that a graph can hold."""
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection meanwhile: each step adds a few objects and none are cycles, but their number makes the
    collector walk all of torch's, which costs as much as a sixth of a long loop."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode, every module's own mode afterwards. A spectral norm counts on each look at its weight in
    training mode, so the checks are in here too."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training
