"""gradients: how much of a loss reaches each earlier step through time, compared with `output.grad`."""

from __future__ import annotations

import math

from torch import Tensor

from rnncli.cells import CELLS
from rnncli.locale import tr, trn
from rnncli.records import Checks, Column, Message, Record, Series
from rnncli.render.numbers import number
from rnncli.replay import CoreTrace
from rnncli.views._losses import Question, ask
from rnncli.views._show import (
    about,
    answer,
    name_of,
    place,
    places,
    replay_check,
    step_numbers,
    step_parts,
    table_of,
)
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "how far back"
ABOUT = "how much of a loss reaches each earlier step"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"steps", "layer", "direction", "core", "loss"}
ROWS = 1

STABLE = (0.95, 1.05)  # growth per step considered stable
SHOWN = 12
CHART_FROM = 8  # minimum number of steps for a chart


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    asked = ask(subject, options.loss)
    said: dict[str, str] = {}
    records: list[Record] = []
    header = tr("loss: {text} = {value}", text=asked.text, value=number(float(asked.loss.detach())))
    B = subject.batch.size
    if B > 1 and asked.summed:
        header += trn(" (sum over {n} example)", " (sum over {n} examples)", n=B)
    for core in subject.cores(asked.trace, options.core):
        records.append(Message(f"{about(subject, core)}\n{header}", name=f"{name_of(core)}.about"))
        for layer, direction in places(core.spec, options, top=True):
            text, shown = _place(subject, asked, core, layer, direction, options)
            said[f"{name_of(core)} {place(layer, direction)}"] = text
            records += shown
    trap = tr("direct only: output.grad of torch's module, without the paths through later steps")
    return [*answer(said), *records, Message(trap, "note", name="trap"), Checks([replay_check(asked.trace)])]


def _place(
    subject: Subject, asked: Question, core: CoreTrace, layer: int, direction: int, options: Options
) -> tuple[str, list[Record]]:
    """(the verdict, the records that show it)."""
    made, loss = asked.trace, asked.loss
    prefix, home = made.prefix(core), place(layer, direction)
    H = core.spec.state_size
    T = subject.length(core, 0)
    curves: dict[str, list[float]] = {}
    for state in core.spec.states:
        curves[state] = norms(made.gradient(loss, f"{prefix}{home}.{state}"), T)
    curves["x"] = norms(made.gradient(loss, f"{prefix}x"), T)
    if layer == core.spec.num_layers - 1:
        direct = made.direct_gradient(loss, core)  # (T, B, D·H)
        curves["direct"] = norms(direct[:, :, direction * H : (direction + 1) * H], T)
    steps = step_numbers(options, T)
    heads = {key: f"|dL/d{key}_t|" for key in curves} | {"direct": tr("direct only")}
    largest = max((v for v in curves["h"] if math.isfinite(v)), default=0.0)
    parts = step_parts(subject, core, steps)
    for key, values in curves.items():
        parts.append((Column(key, heads[key], optional=key in ("x", "direct")), [values[t] for t in steps]))
    shares = [curves["h"][t] / largest if largest else 0.0 for t in steps]
    parts.append((Column("share", tr("share of max"), "bar", optional=True), shares))
    title = f"{name_of(core)} {home}"
    records: list[Record] = []
    if T >= CHART_FROM:
        lines = {heads[key]: [values[t] for t in steps] for key, values in curves.items() if key in core.spec.states}
        records.append(Series(f"{name_of(core)}.{home}.curve", steps, lines, "t", title=title, log_y=True))
        title = ""
    records.append(table_of(f"{name_of(core)}.{home}", parts, title, SHOWN))
    if "direct" in curves and not any(curves["direct"]):
        note = tr("direct only is 0 at every step: the prediction is read from h_n, not from output")
        records.append(Message(note, "note", name=f"{name_of(core)}.{home}.direct"))
    carrier = "c" if "c" in curves else "h"
    text = verdict(curves[carrier], heads[carrier], direction == 1, core)
    return text, records


def norms(gradient: Tensor, T: int) -> list[float]:
    """(T', B, size) -> norm over batch and units at each of the first T steps."""
    return [float(norm) for norm in gradient[:T].double().flatten(1).norm(dim=1)]


def growth(values: list[float], backward: bool) -> float | None:
    """The mean factor by which the gradient changes per step back (in reading order).

    From the last step that the loss reaches to the first; None if it reaches fewer than two.
    """
    ordered = values if backward else values[::-1]  # from the last step read to the first
    reached = [k for k, value in enumerate(ordered) if value > 0 and math.isfinite(value)]
    if len(reached) < 2:
        return None
    first, last = reached[0], reached[-1]
    return float((ordered[last] / ordered[first]) ** (1 / (last - first)))


def verdict(values: list[float], name: str, backward: bool, core: CoreTrace) -> str:
    """vanishing, stable or exploding, with its number."""
    unfinite = sum(not math.isfinite(value) for value in values)
    if unfinite:
        return trn("They explode: {name} is not finite at {n} step.",
                   "They explode: {name} is not finite at {n} steps.",
                   name=name, n=unfinite)  # fmt: skip
    if not CELLS[core.spec.cell].stateful:
        return tr("No gradient flows back: this cell has no memory.")
    factor = growth(values, backward)
    if factor is None:
        return tr("Too short to tell: the loss reaches only one step.")
    low, high = STABLE
    gone = sum(value == 0 for value in values)
    if factor < low:
        steps = math.ceil(math.log(0.01) / math.log(factor))
        text = tr(
            "Yes, they vanish: {name} is multiplied by {f} per step back, leaving 1% after {n}",
            name=name,
            f=number(factor),
            n=steps,
        )
    elif factor > high:
        steps = math.ceil(math.log(100) / math.log(factor))
        text = tr(
            "No, they explode: {name} is multiplied by {f} per step back, growing 100-fold after {n}",
            name=name,
            f=number(factor),
            n=steps,
        )
    else:
        text = tr("No, they are stable: {name} is multiplied by {f} per step back", name=name, f=number(factor))
    if gone:
        text += trn("; exactly 0 at {n} step", "; exactly 0 at {n} steps", n=gone)
    return text + tr(" (stable: {low} to {high}).", low=low, high=high)
