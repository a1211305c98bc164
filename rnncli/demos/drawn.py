"""--draw: the network of a demo as a picture, and one of its cells opened."""

from __future__ import annotations

from rnncli import records
from rnncli.demos.network import Network
from rnncli.demos.screen import predictions
from rnncli.demos.settings import Shown, choose, letters
from rnncli.demos.words import formulas, title
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.render.boxes import vector
from rnncli.render.symbols import token
from rnncli.replay import Trace
from rnncli.replay.unrolled import around, unrolled


def drawing(net: Network, made: Trace, shown: Shown) -> list[records.Record]:
    """The picture, its equations, and the check of its numbers. Raises UsageError: no such step, layer or unit."""
    s, spec = net.settings, net.spec
    T, B = s.seq_len, s.batch_size
    step = _within(shown.step, T, "--step", min(1, T - 1))
    layer = _within(shown.layer, spec.num_layers, "--layer", spec.num_layers - 1)
    unit = _within(shown.unit, spec.hidden_size, "--unit", 0)
    if shown.direction == "bwd" and not spec.bidirectional:
        raise UsageError(tr("this core reads in one direction: fwd"), where="--direction")
    steps = choose(shown.steps, T, "--steps") if shown.steps else around(step, T)
    if step not in steps:
        if shown.step is not None:
            raise UsageError(tr("--step {t} is not among --steps {steps}", t=step, steps=shown.steps))
        step = steps[0]
    inputs, heads = [vector(net.x[t, 0].tolist()) for t in steps], [""] * len(steps)
    if s.input is not None:
        inputs = [token(s.input[t]) for t in steps]
        best = predictions(net, made)[:, 0].max(1)
        names = letters(s.input)
        heads = [f"{token(names[int(best.indices[t])])} {float(best.values[t]):.4f}" for t in steps]
    notes = [tr("sample 0 of {n}", n=B)] if B > 1 else []
    record, check = unrolled(
        made,
        made.core(),
        layer=layer,
        direction=int(shown.direction == "bwd"),
        unit=unit,
        step=step,
        steps=steps,
        inputs=inputs,
        heads=heads,
        moving=shown.moving,
        title=title(net),
        notes=notes,
    )
    return [record, formulas(net), records.Checks([check, *made.checks[:1]])]


def _within(value: int | None, size: int, flag: str, default: int) -> int:
    if value is not None and not 0 <= value < size:
        raise UsageError(tr("{flag} {text}: there are 0 to {last}", flag=flag, text=value, last=size - 1))
    return default if value is None else value
