"""draw: the network over time as a picture, and one cell of it opened: gates, products and sums with their numbers."""

from __future__ import annotations

from collections.abc import Sequence

from rnncli.errors import UsageError
from rnncli.locale import tr, trn
from rnncli.records import Checks, Message, Record
from rnncli.render import symbols
from rnncli.render.boxes import vector
from rnncli.replay import CoreTrace, Trace
from rnncli.replay.unrolled import around, unrolled
from rnncli.views._show import about, answer, places, replay_check, step_numbers
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "what it does"
ABOUT = "the network over time as a picture, one cell opened with its numbers"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"step", "unit", "steps", "layer", "direction", "core", "animate"}
ROWS = 1


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    made = subject.trace()
    core = subject.main(made) if options.core is None else made.core(options.core)
    layer, direction = places(core.spec, options, top=True)[0]
    T = subject.length(core, 0)
    step = min(1, T - 1) if options.step is None else options.step
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
    heads, once = _heads(subject, made, core, steps)
    record, check = unrolled(
        made,
        core,
        layer=layer,
        direction=direction,
        unit=unit,
        step=step,
        steps=steps,
        inputs=_inputs(subject, made, core, steps),
        heads=heads,
        answer=once,
        moving=bool(options.animate),
        title=f"{subject.title}: {core.spec}",
    )
    told = Message(about(subject, core), name="about")
    equation = Message(core.spec.equation, "formula", name="equation")
    rows = core.spec.num_layers * core.spec.num_directions
    text = trn("Each of {T} steps is a column: the same cell with the same {p} parameters.",
               "Each of {T} steps is a column: the same {n} cells with the same {p} parameters.",
               n=rows, T=T, p=f"{core.spec.num_parameters():,}")  # fmt: skip
    return [*answer({"": text}), told, record, equation, Checks([check, replay_check(made)])]


def _steps(options: Options, T: int, step: int) -> list[int]:
    """Those that were chosen, else some around the one that is opened."""
    if options.steps is not None:
        chosen = step_numbers(options, T)
        if options.step is not None and step not in chosen:
            raise UsageError(tr("step {t} is not among those of --steps", t=step), where="--step")
        return chosen
    return around(step, T)


def _inputs(subject: Subject, made: Trace, core: CoreTrace, steps: Sequence[int]) -> list[str]:
    """The token of each step; of numbers the numbers."""
    labels = subject.labels(core)
    if labels is not None:
        return [symbols.token(labels[t]) for t in steps]
    x = made[f"{made.prefix(core)}x"][:, 0]
    return [vector(x[t].double().tolist()) for t in steps]


def _heads(subject: Subject, made: Trace, core: CoreTrace, steps: Sequence[int]) -> tuple[list[str], str]:
    """What the model answers at each of these steps, or once: with its probability."""
    scores, names = subject.outputs.scores.detach(), subject.names.answers
    nothing = [""] * len(steps)
    if names is None or scores.shape[-1] != len(names):
        return nothing, ""
    if scores.dim() == 2:
        p, best = scores[0].double().softmax(0).max(0)
        return nothing, tr("answers {answer}, p {p}", answer=symbols.token(names[int(best)]), p=f"{float(p):.4f}")
    if scores.dim() != 3 or scores.shape[0] != core.num_steps:
        return nothing, ""
    p, best = scores[:, 0].double().softmax(1).max(1)
    return [f"{symbols.token(names[int(best[t])])} {float(p[t]):.4f}" for t in steps], ""
