"""--draw and --step-through: the network of a demo as a drawing, with one cell opened."""

from __future__ import annotations

from collections.abc import Sequence

from rnncli import records
from rnncli.demos.network import Network
from rnncli.demos.screen import predictions
from rnncli.demos.settings import Shown, characters_of, choose
from rnncli.demos.words import formulas, title
from rnncli.locale import tr
from rnncli.render.boxes import vector
from rnncli.render.symbols import token
from rnncli.replay import CoreTrace, Trace
from rnncli.replay.walk import StepTexts, Walk, cell_to_open, stepped


def drawing(net: Network, made: Trace, shown: Shown) -> list[records.Record]:
    """The drawing, its equations, and the check of its numbers. Raises UsageError for a step, layer or unit out of
    range."""
    at, steps = chosen(net, shown, min(1, net.settings.seq_len - 1))
    record, check = walk(net, made).picture(at, steps, moving=shown.moving)
    s = net.settings
    given = {name: vars(shown)[name] for name in ("step", "unit", "layer", "direction")}
    place = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    commands = [
        (s.command("--draw", *place, "--save", f"{s.cell}.svg"), tr("to print or to project")),
        (s.command("--step-through", *place), tr("walk through it with the arrow keys")),
    ]
    checks = records.Checks([check, *made.checks[:1]])
    return [record, formulas(net), checks, records.Commands(tr("next"), commands)]


def walk(net: Network, made: Trace) -> Walk:
    """The walk through the demo's steps."""
    s = net.settings

    def say(core: CoreTrace, steps: Sequence[int]) -> StepTexts:
        if s.input is None:
            return StepTexts([vector(net.x[t, 0].tolist()) for t in steps], [""] * len(steps))
        best, names = predictions(net, made)[:, 0].max(1), characters_of(s.input)
        heads = [f"{token(names[int(best.indices[t])])} {float(best.values[t]):.4f}" for t in steps]
        return StepTexts([token(s.input[t]) for t in steps], heads)

    notes = [tr("sample 0 of {n}", n=s.batch_size)] if s.batch_size > 1 else []
    return Walk(made, say, title(net), made.checks[:1], notes)


def walked(net: Network, made: Trace, shown: Shown) -> list[records.Record]:
    """Like `drawing`, for every step of the walk."""
    at, steps = chosen(net, shown, 0)
    if shown.steps is None:
        steps = list(range(net.settings.seq_len)) if shown.step is None else [at.step]
    way = walk(net, made)
    found, check = stepped(way, at, steps)
    return [*found, formulas(net), records.Checks([check, *way.checks])]


def chosen(net: Network, shown: Shown, first: int) -> tuple[records.Position, list[int]]:
    """The cell to open, at step `first` by default, and the steps to show. Raises UsageError."""
    T = net.settings.seq_len
    return cell_to_open(shown, net.spec, T, choose(shown.steps, T, "--steps") if shown.steps else None, first)
