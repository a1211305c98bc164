"""--draw and --step-through: the network of a demo as a picture, and one of its cells opened."""

from __future__ import annotations

from collections.abc import Sequence

from rnncli import records
from rnncli.demos.network import Network
from rnncli.demos.screen import predictions
from rnncli.demos.settings import Shown, choose, letters
from rnncli.demos.words import formulas, title
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.render.boxes import vector
from rnncli.render.symbols import token
from rnncli.replay import CoreTrace, Trace
from rnncli.replay.unrolled import around
from rnncli.replay.walk import Said, Walk, stepped


def drawing(net: Network, made: Trace, shown: Shown) -> list[records.Record]:
    """The picture, its equations, and the check of its numbers. Raises UsageError: no such step, layer or unit."""
    at, steps = chosen(net, shown, min(1, net.settings.seq_len - 1))
    record, check = walk(net, made).picture(at, steps, moving=shown.moving)
    return [record, formulas(net), records.Checks([check, *made.checks[:1]])]


def walk(net: Network, made: Trace) -> Walk:
    """The demo's steps, to walk through."""

    s = net.settings

    def say(core: CoreTrace, steps: Sequence[int]) -> Said:
        return _said(net, made, steps)

    notes = [tr("sample 0 of {n}", n=s.batch_size)] if s.batch_size > 1 else []
    return Walk(made, say, title(net), made.checks[:1], notes)


def walked(net: Network, made: Trace, shown: Shown) -> list[records.Record]:
    """Every step of the walk, one after the other; else as `drawing`."""
    at, steps = chosen(net, shown, 0)
    if shown.steps is None:
        steps = list(range(net.settings.seq_len)) if shown.step is None else [at.step]
    way = walk(net, made)
    found, check = stepped(way, at, steps)
    return [*found, formulas(net), records.Checks([check, *way.checks])]


def chosen(net: Network, shown: Shown, first: int) -> tuple[records.Position, list[int]]:
    """The cell to open, at its step `first` unless another is asked for, and the steps to show. Raises UsageError."""
    spec, T = net.spec, net.settings.seq_len
    step = _within(shown.step, T, "--step", first)
    layer = _within(shown.layer, spec.num_layers, "--layer", spec.num_layers - 1)
    unit = _within(shown.unit, spec.hidden_size, "--unit", 0)
    if shown.direction == "bwd" and not spec.bidirectional:
        raise UsageError(tr("this core reads in one direction: fwd"), where="--direction")
    steps = choose(shown.steps, T, "--steps") if shown.steps else around(step, T)
    if step not in steps:
        if shown.step is not None:
            raise UsageError(tr("--step {t} is not among --steps {steps}", t=step, steps=shown.steps))
        step = steps[0]
    return records.Position(0, layer, int(shown.direction == "bwd"), step, unit), steps


def _said(net: Network, made: Trace, steps: Sequence[int]) -> Said:
    s = net.settings
    if s.input is None:
        return Said([vector(net.x[t, 0].tolist()) for t in steps], [""] * len(steps))
    best, names = predictions(net, made)[:, 0].max(1), letters(s.input)
    heads = [f"{token(names[int(best.indices[t])])} {float(best.values[t]):.4f}" for t in steps]
    return Said([token(s.input[t]) for t in steps], heads)


def _within(value: int | None, size: int, flag: str, default: int) -> int:
    if value is not None and not 0 <= value < size:
        raise UsageError(tr("{flag} {text}: there are 0 to {last}", flag=flag, text=value, last=size - 1))
    return default if value is None else value
