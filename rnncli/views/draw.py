"""draw: a drawing of the network over time, with one cell opened: gates, products and sums with their numbers."""

from __future__ import annotations

from rnncli.locale import trn
from rnncli.records import Checks, Message, Record
from rnncli.views._opened import chosen, walk
from rnncli.views._show import about, answer, replay_check
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "what it does"
ABOUT = "a drawing of the network over time, with one cell opened"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"step", "unit", "steps", "layer", "direction", "core", "animate"}
ROWS = 1


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    made = subject.trace()
    at, steps = chosen(subject, made, options, 1)
    core = made.cores[at.core]
    record, check = walk(subject, made, core).picture(at, steps, moving=bool(options.animate))
    first = Message(about(subject, core), name="about")
    equation = Message(core.spec.equation, "formula", name="equation")
    text = trn("Each of {T} steps is a column: the same cell with the same {p} parameters.",
               "Each of {T} steps is a column: the same {n} cells with the same {p} parameters.",
               n=len(core.spec.places), T=subject.length(core, 0), p=f"{core.spec.num_parameters():,}")  # fmt: skip
    return [*answer({"": text}), first, record, equation, Checks([check, replay_check(made)])]
