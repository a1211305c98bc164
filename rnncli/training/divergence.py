"""Non-finite losses and gradients: finds and names their origin."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from rnncli.cells import State
from rnncli.data.batch import Batch
from rnncli.errors import Diverged
from rnncli.locale import tr
from rnncli.training.job import Job
from rnncli.training.state import TrainState


def require_finite(job: Job, state: TrainState) -> None:
    """Raise Diverged if the weights or the epoch's loss are not finite: such a state is never saved."""
    bad = bad_tensor(job.model)
    if not math.isfinite(float(state.total)):
        what = tr("the loss became {loss}", loss=float(state.total))
        raise diverged(job, state, what, bad or tr("the loss"))
    if bad:
        raise diverged(job, state, tr("weights became NaN or infinite"), bad)


def bad_tensor(model: nn.Module) -> str:
    """The name of the first weight that contains NaN or infinity; "" if all are finite."""
    return next((name for name, tensor in model.named_parameters() if not torch.isfinite(tensor).all()), "")


def require_an_update(job: Job, state: TrainState) -> None:
    """Raise Diverged if the epoch's loss is not finite or, with on_nan: skip, if every step was skipped."""
    if not state.count:
        raise diverged(job, state, tr("every batch of this epoch had a NaN or infinite loss or gradient"), "")
    require_finite(job, state)


def first_bad(job: Job, carry: State | None, batch: Batch) -> str:
    """The origin of a non-finite loss: a weight, the input, or the first module with non-finite output."""
    here = _first_bad_here(job, carry, batch) if batch.size else ""
    found = [text.decode() for text in job.group.all_gather(here.encode())]  # the rows to blame belong to one process
    return next(filter(None, found), tr("the loss"))


def _first_bad_here(job: Job, carry: State | None, batch: Batch) -> str:
    """The same for the rows of this process; "" if everything is finite."""
    bad = bad_tensor(job.model)
    if bad:
        return bad
    if batch.inputs.is_floating_point() and not torch.isfinite(batch.inputs).all():
        return tr("the input")
    found: list[str] = []

    def look(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not all(torch.isfinite(tensor).all() for tensor in _tensors(output)):
                found.append(tr("the output of {name}", name=name))

        return hook

    hooks = [module.register_forward_hook(look(name)) for name, module in job.model.named_modules() if name]
    try:
        with torch.no_grad():
            job.task.loss(job.config, job.model, batch, carry)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)


def first_bad_gradient(model: nn.Module) -> str:
    """Gradients flow from the loss to the input: the last parameter with a non-finite gradient was the first to become
    non-finite."""
    names = [name for name, p in model.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    # Every gradient may be finite while their norm is not.
    return tr("the gradient of {name}", name=names[-1]) if names else tr("the norm of all gradients")


def diverged(job: Job, state: TrainState, what: str, first: str) -> Diverged:
    norms = ", ".join(f"{float(norm):.4g}" for norm in state.norms)
    parts = [tr("{what} at step {step}", what=what, step=state.step + 1)]
    if first:
        parts.append(tr("first non-finite: {name}", name=first))
    if norms:
        parts.append(tr("previous gradient norms: {norms}", norms=norms))
    train = job.config.train
    return Diverged(
        "; ".join(parts),
        where=tr("epoch {epoch}", epoch=state.epoch),
        todo=tr("try a smaller train.lr, or train.clip_grad_norm: 1.0")
        if train.on_nan == "skip"
        else tr("try a smaller train.lr, or train.clip_grad_norm: 1.0; --on-nan skip ignores such batches"),
    )
