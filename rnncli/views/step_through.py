"""step-through: one time step at a time: the opened cell, its sums with their numbers, and the changes.

In a terminal `rnncli inspect` opens an interactive screen, where keys select step, unit, gate and layer.
"""

from __future__ import annotations

from rnncli.locale import tr
from rnncli.records import Checks, Message, Record
from rnncli.replay.walk import stepped
from rnncli.views._opened import chosen, walk
from rnncli.views._show import about
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "what is in it"
ABOUT = "walk through time with the arrow keys: opened cell, sums, changes"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"step", "unit", "steps", "layer", "direction", "core"}
ROWS = 1


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    made = subject.trace()
    at, steps = chosen(subject, made, options, 0)
    steps = steps if options.steps is not None or options.step is None else [at.step]
    way = walk(subject, made)
    found, check = stepped(way, at, steps)
    core, T = made.cores[at.core], way.sizes(at.core).step
    told: list[Record] = [Message(about(subject, core), name="about"), *found]
    if len(steps) < T and options.steps is None:
        text = tr("steps {first} to {last} of {n}", first=steps[0], last=steps[-1], n=T)
        told.append(Message(f"{text}   --steps {steps[-1] + 1}:", "note", name="cut"))
    return [*told, Checks([check, *way.checks])]
