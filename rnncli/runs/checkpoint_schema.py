"""Whether what a checkpoint holds fits the run's recipe: measured by what the recipe itself makes, so that no kernel of
torch's ever works on tensors of another shape or type than it is made for. Whatever does not fit is a ValueError."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

import torch
from torch import Tensor

from rnncli.training.job import Job
from rnncli.training.loop import TrainState, epoch_batches

Kind = TypeVar("Kind")

MOST = 1 << 53  # of any whole number


def fitting(fresh: Kind, value: Any, name: str) -> Kind:
    """The value, where it is of the same kind as the fresh one: keys, lengths, shapes and types."""
    if isinstance(fresh, Tensor):
        fits = isinstance(value, Tensor) and (value.shape, value.dtype) == (fresh.shape, fresh.dtype)
    elif isinstance(fresh, Mapping):
        fits = isinstance(value, Mapping) and value.keys() == fresh.keys()
        if fits:
            for key in fresh:
                fitting(fresh[key], value[key], f"{name}.{key}")
    elif isinstance(fresh, list | tuple):
        fits = isinstance(value, list | tuple) and len(value) == len(fresh)
        if fits:
            for i, (one, other) in enumerate(zip(fresh, value, strict=True)):
                fitting(one, other, f"{name}.{i}")
    elif isinstance(fresh, int | float) and not isinstance(fresh, bool):
        fits = number(value)
    else:
        fits = type(value) is type(fresh)
    if not fits:
        raise ValueError(f"{name} is {_what(value)}, and {_what(fresh)} belongs there")
    found: Kind = value
    return found


def number(value: object) -> TypeGuard[float]:
    """Whether it is a number, and no larger than a count can be."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST)


def _what(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(map(str, value))}}}"[:60]
    return f"{value!r:.40}"


def after_a_step(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The state_dict of a fresh optimizer after an update without gradients: every key, shape and type of it. Its
    parameters may change, and must be put back."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return copy.deepcopy(optimizer.state_dict())


def check_carry(job: Job, state: TrainState) -> None:
    """What the next batch is given from the batch before has the shapes that the model gives on. Computed with
    gradients, as in training: without, another engine may run, which under autocast gives another type on."""
    batch = next(epoch_batches(job, state), None)
    if state.carry is None or batch is None:
        return
    with torch.random.fork_rng(), job.autocast():
        wanted = job.task.loss(job.config, job.model.eval(), batch.to(job.device), None).carry
    fitting(_listed(wanted), _listed(state.carry), "carry")


def _listed(carry: Sequence[Tensor] | None) -> list[Tensor]:
    return list(carry or ())
