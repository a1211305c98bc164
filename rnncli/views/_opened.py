"""The cell that a view opens, and the inputs and predictions of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnncli.locale import tr
from rnncli.records import Position
from rnncli.render import symbols
from rnncli.render.boxes import vector
from rnncli.replay import CoreTrace, Trace
from rnncli.replay.walk import StepTexts, Walk, cell_to_open
from rnncli.views._show import replay_check, step_numbers
from rnncli.views._subject import Subject
from rnncli.views._view import Options


def chosen(subject: Subject, made: Trace, options: Options, first: int) -> tuple[Position, list[int]]:
    """The cell to open, at step `first` by default, and the steps to show. Raises UsageError."""
    core = subject.main(made) if options.core is None else made.core(options.core)
    T = subject.length(core, 0)
    at, steps = cell_to_open(options, core.spec, T, None if options.steps is None else step_numbers(options, T), first)
    return replace(at, core=made.cores.index(core)), steps


def walk(subject: Subject, made: Trace, titled: CoreTrace | None = None) -> Walk:
    """The walk through the subject's trace. titled: the RNN module named in the title; default: the main one."""

    def say(core: CoreTrace, steps: Sequence[int]) -> StepTexts:
        return said(subject, made, core, steps)

    titled = titled or subject.main(made)
    return Walk(made, say, f"{subject.title}: {titled.spec}", [replay_check(made)])


def said(subject: Subject, made: Trace, core: CoreTrace, steps: Sequence[int]) -> StepTexts:
    """The token or numbers of each step, and the model's predictions, at each step or once, with their
    probabilities."""
    labels = subject.labels(core)
    if labels is not None:
        inputs = [symbols.token(labels[t]) for t in steps]
    else:
        x = made.step_tensors(f"{made.prefix(core)}x")
        inputs = [vector(x[t][0].double().tolist()) for t in steps]
    return StepTexts(inputs, *_heads(subject, core, steps))


def _heads(subject: Subject, core: CoreTrace, steps: Sequence[int]) -> tuple[list[str], str]:
    scores, names = subject.outputs.scores.detach(), subject.names.answers
    nothing = [""] * len(steps)
    if names is not None and scores.dim() == 2 and scores.shape[1] == len(names):
        p, best = scores[0].double().softmax(0).max(0)
        return nothing, tr("predicts {answer}, p {p}", answer=symbols.token(names[int(best)]), p=f"{float(p):.4f}")
    predictions = subject.step_predictions(core.num_steps)
    if predictions is None:
        return nothing, ""
    return [f"{symbols.token(answer)} {p:.4f}" for answer, p in (predictions[t] for t in steps)], ""
