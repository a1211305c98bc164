"""Validates a checkpoint against the state that the run's recipe creates, so that torch's kernels never run on tensors
of a wrong shape or dtype. Raises ValueError for any mismatch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeGuard, TypeVar

import torch
from torch import Tensor

from rnncli.training.job import Job
from rnncli.training.loop import TrainState, epoch_batches

Kind = TypeVar("Kind")

MOST = 1 << 53  # limit for any integer


def require_same_shape(fresh: Kind, value: Any, name: str) -> Kind:
    """The value, if it matches the fresh one in keys, lengths, shapes and types."""
    if isinstance(fresh, Tensor):
        fits = isinstance(value, Tensor) and (value.shape, value.dtype) == (fresh.shape, fresh.dtype)
    elif isinstance(fresh, Mapping):
        fits = isinstance(value, Mapping) and value.keys() == fresh.keys()
        if fits:
            for key in fresh:
                require_same_shape(fresh[key], value[key], f"{name}.{key}")
    elif isinstance(fresh, list | tuple):
        fits = isinstance(value, list | tuple) and len(value) == len(fresh)
        if fits:
            for i, (one, other) in enumerate(zip(fresh, value, strict=True)):
                require_same_shape(one, other, f"{name}.{i}")
    elif isinstance(fresh, int | float) and not isinstance(fresh, bool):
        fits = number(value)
    else:
        fits = type(value) is type(fresh)
    if not fits:
        raise ValueError(f"{name} is {_what(value)}; expected {_what(fresh)}")
    found: Kind = value
    return found


def number(value: object) -> TypeGuard[float]:
    """Whether it is a float, or an integer of plausible size."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST)


def _what(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(map(str, value))}}}"[:60]
    return f"{value!r:.40}"


def state_after_step(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The state_dict of a fresh optimizer after a step with zero gradients: all its keys, shapes and types. Parameters
    may change and must be restored by the caller."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return copy.deepcopy(optimizer.state_dict())


def check_carry(job: Job, state: TrainState) -> None:
    """The expected carry between batches, with the shapes that the model produces. Computed with gradients, as in
    training: without them another engine may run, which under autocast may return another dtype."""
    batch = next(epoch_batches(job, state), None)
    if state.carry is None or batch is None:
        return
    with torch.random.fork_rng(), job.autocast():
        wanted = job.task.loss(job.config, job.model.eval(), batch.to(job.device), None).carry
    require_same_shape(list(wanted or ()), list(state.carry), "carry")
