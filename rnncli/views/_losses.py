"""Losses to differentiate: scalars in the graph of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.model import Outputs
from rnncli.replay import Trace, trace
from rnncli.views._subject import Subject


@dataclass(frozen=True)
class Question:
    """A scalar in the graph of a trace and its description. summed: whether it is a sum over the rows of the batch."""

    trace: Trace
    outputs: Outputs
    loss: Tensor
    text: str
    summed: bool = True


def ask(subject: Subject, which: Literal["last", "all"] | None) -> Question:
    """The loss to differentiate: at the last step only, or as in training.

    which: None selects the last step if possible. Raises UsageError if `last` is not possible.
    """
    if which == "all" and subject.task is not None and subject.batch.targets is not None:
        return _training_loss(subject)
    made = subject.graph()
    outputs = subject.read(made.result)
    if which == "all":
        found = _all_steps(subject, outputs)
    else:
        last = _last_step(subject, made, outputs)
        if last is None and which is None and subject.batch.targets is not None:
            return _training_loss(subject)
        if last is None:
            raise UsageError(
                tr("this task has no prediction at the last step"), where="--loss last", todo=tr("use --loss all")
            )
        found = last
    if not found[0].requires_grad:
        raise UsageError(
            tr("this model's output has no gradient"), todo=tr("return its scores, before argmax or detach")
        )
    return Question(made, outputs, *found)


def _training_loss(subject: Subject) -> Question:
    task, seen = subject.task, []
    assert task is not None
    hook = subject.model.register_forward_hook(lambda module, args, result: seen.append(result))
    try:
        made = trace(
            subject.model,
            gradients=True,
            check=False,
            call=lambda: task.loss(subject.config, subject.model, subject.batch, None),
        )
    finally:
        hook.remove()
    made.checks = subject.trace().checks
    loss = made.result.total / made.result.count
    return Question(made, subject.read(seen[-1]), loss, tr("training loss, the mean over all predictions"), False)


def _last_step(subject: Subject, made: Trace, outputs: Outputs) -> tuple[Tensor, str] | None:
    scores, targets, answers = outputs.scores, subject.batch.targets, subject.names.answers
    if subject.task is None:
        for core in reversed(made.cores):  # the one whose last state the module returns
            h_n = core.calls[-1].last[0]
            if outputs.state is not None and _same(outputs.state[0], h_n):
                return h_n[-core.spec.num_directions :].sum(), tr("sum of the top layer's last h")
        if scores.dim() == 2:
            return scores.sum(), tr("sum of the outputs")
        lengths = next((core.lengths for core in made.cores if core.num_steps == len(scores)), None)
        last = _last_steps(subject, outputs._replace(lengths=lengths))
        return scores[last, torch.arange(scores.shape[1])].sum(), tr("sum of the outputs at the last step")
    if answers is None or scores.shape[-1] != len(answers) or scores.dim() not in (2, 3):
        return None
    rows = torch.arange(scores.shape[-2])
    if scores.dim() == 2:
        chosen = scores
        wanted = targets if targets is not None and targets.dim() == 1 else None
    else:
        if targets is not None and tuple(targets.shape) != tuple(scores.shape[:2]):
            return None
        last = _last_steps(subject, outputs)
        chosen = scores[last, rows]  # (B, C)
        wanted = None if targets is None else targets[last, rows]
    if wanted is not None and not wanted.is_floating_point() and bool((wanted >= 0).all()):
        return F.cross_entropy(chosen, wanted, reduction="sum"), tr("-log p of the target at the last step")
    return (
        F.cross_entropy(chosen, chosen.detach().argmax(1), reduction="sum"),
        tr("-log p of the model's prediction at the last step"),
    )


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are the same memory, such as one and a view of all of it."""
    return a.shape == b.shape and a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def _last_steps(subject: Subject, outputs: Outputs) -> Tensor:
    """(B,): the last scored step of each row of scores (T, B, C)."""
    T, B = outputs.scores.shape[:2]
    targets = subject.batch.targets
    lengths = outputs.lengths if outputs.lengths is not None else subject.batch.lengths
    if targets is not None:
        steps = torch.arange(T).unsqueeze(1).expand(T, B)
        asked = targets >= 0  # (T, B); targets of padding are negative
        if lengths is not None:
            asked = asked & (steps < lengths.cpu())
        return steps.masked_fill(~asked, 0).amax(0)
    return torch.full((B,), T - 1) if lengths is None or bool((lengths > T).any()) else lengths - 1


def _all_steps(subject: Subject, outputs: Outputs) -> tuple[Tensor, str]:
    if subject.task is None:
        return outputs.scores.sum(), (
            tr("sum of all outputs of all steps") if outputs.scores.dim() > 2 else tr("sum of the outputs")
        )
    log_p = outputs.scores.log_softmax(-1).amax(-1)
    return -log_p.sum(), tr("-log p of the model's predictions at all steps")
