"""states: the layer and direction of each row of h_n, and its place in `output`."""

from __future__ import annotations

import torch
from torch import Tensor

from rnncli.locale import tr, trn
from rnncli.records import Check, Checks, Column, Entry, Message, Record, Table
from rnncli.render.numbers import number
from rnncli.replay import CoreTrace, Trace
from rnncli.views._show import about, answer, name_of, place, replay_check, unit_numbers
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "what it does"
ABOUT = "layer and direction of each row of h_n, and its place in output"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"units", "core"}
ROWS = 1


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    made = subject.trace()
    records: list[Record] = []
    checks: list[Check] = []
    said: dict[str, str] = {}
    for core in subject.cores(made, options.core):
        said[name_of(core)] = _answer(made, core, subject.length(core, 0))
        records.append(Message(about(subject, core), name=f"{name_of(core)}.about"))
        records.append(_table(core, options))
        checks += _identities(made, core)
    rule = tr("h_n row k is layer k // D, direction k % D: directions vary fastest")
    records.append(Message(rule, "formula", name="rule"))
    if any(getattr(core.module, "batch_first", False) for core in subject.cores(made, options.core)):
        text = tr("output is (T, B, .) here: with batch_first=True, output[-1] is output[:, -1] of the module")
        records.append(Message(text, "note", name="batch_first"))
    return [*answer(said), *records, Checks([*checks, replay_check(made)])]


def _answer(made: Trace, core: CoreTrace, steps: int) -> str:
    """Whether the last output equals h_n, and the order of the rows of h_n. steps: length of the first row."""
    spec, last = core.spec, core.calls[-1].last[0].detach()  # (L·D, B, H)
    output, B = made[f"{made.prefix(core)}output"], last.shape[1]  # (T, B, D·H)
    ends = torch.full((B,), core.num_steps) if core.lengths is None else core.lengths.cpu()
    at_end = output[ends - 1, torch.arange(B)]
    end = "output[-1]" if core.lengths is None else "output[len_b-1]"
    apart = _apart(at_end, torch.cat(list(last[-spec.num_directions :]), dim=1))
    if spec.num_layers > 1:
        order = ", ".join(f"h_n[{k}] {place(*one)}" for k, one in enumerate(spec.places))
        if not spec.bidirectional:
            return tr("Only for the top layer: h_n[-1] is {end} (difference {d}); layers are in order, {order}.",
                      end=end, order=order, d=number(apart))  # fmt: skip
        return tr("Layers first, then directions: {order}; {end} is not the last two concatenated (up to {d} off).",
                  order=order, end=end, d=number(apart))  # fmt: skip
    if spec.bidirectional:
        return trn(
            "No: {end} concatenates forward after {n} step, h_n[0], and backward after 1; backward's last, "
            "h_n[1], is in output[0] (up to {d} off).",
            "No: {end} concatenates forward after {n} steps, h_n[0], and backward after 1; backward's last, "
            "h_n[1], is in output[0] (up to {d} off).",
            n=steps, end=end, d=number(apart),
        )  # fmt: skip
    if apart == 0:
        return tr("Yes, for one layer and direction: h_n[0] equals {end} exactly.", end=end)
    return tr("No: h_n[0] and {end} differ by up to {d}.", end=end, d=number(apart))


def _table(core: CoreTrace, options: Options) -> Table:
    spec = core.spec
    H, D, L = spec.state_size, spec.num_directions, spec.num_layers
    h_n = core.calls[-1].last[0].detach()  # (L·D, B, H)
    rows: list[list[Entry]] = []
    for k, (layer, direction) in enumerate(spec.places):
        size = "P" if spec.proj_size else "H"
        part = "" if D == 1 else (f", {size}:" if direction else f", :{size}")
        where = f"output[{'0' if direction else '-1'}, :{part}]" if layer == L - 1 else tr("not in output")
        if core.lengths is not None and layer == L - 1 and not direction:
            where = f"output[len_b-1, b{part}]"
        units = unit_numbers(options, H)
        rows.append([f"h_n[{k}]", layer, "bwd" if direction else "fwd", where, h_n[k, 0, units].double().tolist()])
    columns = [
        Column("row", tr("row"), "text"),
        Column("layer", tr("layer"), "count"),
        Column("direction", tr("direction"), "text"),
        Column("where", tr("location"), "text"),
        Column("h_n", "h_n[k, 0]", "vector"),
    ]
    return Table(f"{name_of(core)}.states", columns, rows)


def _identities(made: Trace, core: CoreTrace) -> list[Check]:
    """Checks of true statements and common misconceptions on this model's numbers."""
    spec = core.spec
    H, D, L, T = spec.state_size, spec.num_directions, spec.num_layers, core.num_steps
    prefix, name = made.prefix(core), name_of(core)
    output = made[f"{prefix}output"]  # (T, B, D·H)
    last = core.calls[-1].last
    h_n = last[0].detach()  # (L·D, B, H)
    B = output.shape[1]
    rows = torch.arange(B)
    ends = torch.full((B,), T - 1) if core.lengths is None else core.lengths.cpu() - 1  # (B,)
    end_name = "output[-1]" if core.lengths is None else "output[len_b-1]"
    forward = output[ends, rows, :H]  # (B, H)
    checks: list[Check] = []

    def equal(key: str, text: str, a: Tensor, b: Tensor) -> None:
        diff = _apart(a, b)
        checks.append(Check(f"{name}-{key}", diff == 0, f"{name}: {text}", diff, 0.0))

    if D == 1:
        equal("last", f"{end_name} = h_n[-1]", forward, h_n[-1])
    else:
        equal("forward", f"{end_name}[:, :H] = h_n[-2]", forward, h_n[-2])
        equal("backward", "output[0][:, H:] = h_n[-1]", output[0, :, H:], h_n[-1])
    for k, (layer, direction) in enumerate(spec.places):
        home, step = f"{place(layer, direction)}.h", "0" if direction else "T-1"
        h = made[f"{prefix}{home}"]
        text = f"h_n[{k}] = " + tr("{name} at t={step}", name=home, step=step)
        equal(f"row-{k}", text, h_n[k], h[0] if direction else h[ends, rows])
    for k, state in enumerate(list(spec.states)[1:], 1):
        at_end = made[f"{prefix}{place(L - 1, 0)}.{state}"][ends, rows]
        text = tr("{name} at t={step}", name=f"{place(L - 1, 0)}.{state}", step="T-1")
        equal(f"{state}_n", f"{state}_n[{(L - 1) * D}] = {text}", last[k].detach()[(L - 1) * D], at_end)
    if D == 2 and bool((ends > 0).any()):
        joined = torch.cat([h_n[-2], h_n[-1]], dim=1)
        apart = _apart(output[ends, rows], joined)
        text = tr("{end} is not cat(h_n[-2], h_n[-1]): its second half has read only one step", end=end_name)
        checks.append(Check(f"{name}-not-cat", apart > 0, f"{name}: {text}", apart))
    return checks


def _apart(a: Tensor, b: Tensor) -> float:
    """The largest difference; NaN equals NaN."""
    return float((a - b).abs().masked_fill(a.isnan() & b.isnan() | (a == b), 0.0).max())
