"""The cell that a view opens, and what its steps read and answer."""

from __future__ import annotations

from collections.abc import Sequence

from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Position
from rnncli.render import symbols
from rnncli.render.boxes import vector
from rnncli.replay import CoreTrace, Trace
from rnncli.replay.unrolled import around
from rnncli.replay.walk import Said, Walk
from rnncli.views._show import places, replay_check, step_numbers
from rnncli.views._subject import Subject
from rnncli.views._view import Options


def chosen(subject: Subject, made: Trace, options: Options, first: int) -> tuple[Position, list[int]]:
    """The cell to open, at its step `first` unless another is asked for, and the steps to show.

    Raises UsageError: no such step, unit, layer or direction.
    """
    core = subject.main(made) if options.core is None else made.core(options.core)
    layer, direction = places(core.spec, options, top=True)[0]
    T = subject.length(core, 0)
    step = min(first, T - 1) if options.step is None else options.step
    if step >= T:
        raise UsageError(tr("there are steps 0 to {last}", last=T - 1), where="--step")
    unit = options.unit or 0
    if unit >= core.spec.hidden_size:
        raise UsageError(
            tr("there is no unit {n}", n=unit),
            where="--unit",
            todo=tr("units go from 0 to {last}", last=core.spec.hidden_size - 1),
        )
    steps = _steps(options, T, step)
    step = step if step in steps else steps[0]
    return Position(made.cores.index(core), layer, direction, step, unit), steps


def _steps(options: Options, T: int, step: int) -> list[int]:
    """Those that were chosen, else some around the one that is opened."""
    if options.steps is not None:
        chosen = step_numbers(options, T)
        if options.step is not None and step not in chosen:
            raise UsageError(tr("step {t} is not among those of --steps", t=step), where="--step")
        return chosen
    return around(step, T)


def walk(subject: Subject, made: Trace, titled: CoreTrace | None = None) -> Walk:
    """The subject's trace, to walk through. titled: the core that the title names; default: the main one."""

    def say(core: CoreTrace, steps: Sequence[int]) -> Said:
        return said(subject, made, core, steps)

    titled = titled or subject.main(made)
    return Walk(made, say, f"{subject.title}: {titled.spec}", [replay_check(made)])


def said(subject: Subject, made: Trace, core: CoreTrace, steps: Sequence[int]) -> Said:
    """The token of each step, of numbers the numbers; and what the model answers at each, or once, with its
    probability."""
    labels = subject.labels(core)
    if labels is not None:
        inputs = [symbols.token(labels[t]) for t in steps]
    else:
        x = made.step_tensors(f"{made.prefix(core)}x")
        inputs = [vector(x[t][0].double().tolist()) for t in steps]
    return Said(inputs, *_heads(subject, core, steps))


def _heads(subject: Subject, core: CoreTrace, steps: Sequence[int]) -> tuple[list[str], str]:
    scores, names = subject.outputs.scores.detach(), subject.names.answers
    nothing = [""] * len(steps)
    if names is None or scores.shape[-1] != len(names):
        return nothing, ""
    if scores.dim() == 2:
        p, best = scores[0].double().softmax(0).max(0)
        return nothing, tr("answers {answer}, p {p}", answer=symbols.token(names[int(best)]), p=f"{float(p):.4f}")
    if scores.dim() != 3 or scores.shape[0] != core.num_steps:
        return nothing, ""
    p, best = scores[list(steps), 0].double().softmax(1).max(1)
    return [f"{symbols.token(names[int(k)])} {float(one):.4f}" for one, k in zip(p, best, strict=True)], ""
