"""padding: the same sequences alone, padded and packed: what filling up a batch does to outputs and last states."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rnncli.cells import CELLS, State
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.recurrent import Core, PlainCore, run
from rnncli.records import Check, Checks, Column, Message, Record, Table
from rnncli.replay import CoreTrace, tolerance
from rnncli.views import BATCH, Options
from rnncli.views._show import about, name_of
from rnncli.views._subject import Subject

GROUP = "is it right"
ABOUT = "the same sequences alone, padded and packed"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"core"}
ROWS = 4

SHOWN = 8


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    made = subject.trace()
    records: list[Record] = []
    checks: list[Check] = []
    for core in subject.cores(made, options.core):
        if len(core.calls) > 1 or not isinstance(core.module, (torch.nn.RNNBase, PlainCore)):
            if options.core is not None:
                raise UsageError(tr("{core} runs step by step: nothing is padded", core=core.path), where="--core")
            continue
        records.append(Message(about(subject, core), name=f"{name_of(core)}.about"))
        shown, found = _core(core, core.module)
        records += shown
        checks += found
    if not checks:
        raise UsageError(tr("no core of this model reads whole sequences: nothing is padded"))
    return [*records, Checks(checks)]


def lengths_for(core: CoreTrace) -> tuple[Tensor, bool]:
    """The rows' own lengths where they differ, else some made shorter, and whether they were made: (B,), bool."""
    T, B = core.calls[0].x.shape[:2]
    if core.lengths is not None and len(set(core.lengths.tolist())) > 1:
        return core.lengths.cpu(), False
    return torch.tensor([max(1, T - b * T // max(B, 2)) for b in range(B)]), True


def _core(core: CoreTrace, module: Core) -> tuple[list[Record], list[Check]]:
    spec, name = core.spec, name_of(core)
    x = core.calls[0].x.detach()  # (T, B, I)
    lengths, invented = lengths_for(core)
    if x.shape[1] == 1:  # one row: a longer twin beside it, so that there is something to pad
        x, lengths = torch.cat([x, x], dim=1), torch.tensor([int(lengths[0]), max(1, int(lengths[0]) // 2)])
        invented = True
    T, B = x.shape[:2]
    H = spec.state_size
    x = x * (torch.arange(T).unsqueeze(1) < lengths.unsqueeze(0)).unsqueeze(2)  # what padding looks like: zeros
    with torch.no_grad():
        padded, padded_last = run(module, x)
        packed, packed_last = run(module, x, lengths)
        alone = [run(module, x[: int(n), b : b + 1]) for b, n in enumerate(lengths)]
    rows: list[list[Any]] = []
    worst = {"packed": 0.0, "packed_h": 0.0}
    forward = (spec.num_layers - 1) * spec.num_directions
    for b, n in enumerate(lengths.tolist()):
        output, last = alone[b]
        values = [
            _apart(packed[:n, b], output[:, 0]),
            _states_apart(packed_last, last, b),
            _apart(padded[:n, b], output[:, 0]),
            _states_apart(padded_last, last, b),
        ]
        worst["packed"] = max(worst["packed"], values[0])
        worst["packed_h"] = max(worst["packed_h"], values[1])
        rows.append([b, n, T - n, *values])
    columns = [
        Column("row", tr("row"), "count"),
        Column("steps", tr("steps"), "count"),
        Column("padding", tr("padding"), "count"),
        Column("packed_output", tr("output"), "diff", group=tr("packed - alone")),
        Column("packed_h_n", "h_n", "diff", group=tr("packed - alone")),
        Column("padded_output", tr("output"), "diff", group=tr("padded - alone")),
        Column("padded_h_n", "h_n", "diff", group=tr("padded - alone")),
    ]
    tol = tolerance(x.dtype, spec.hidden_size + spec.input_size)
    ends = lengths - 1
    index = torch.arange(B)
    h_packed = packed_last[0][forward]
    h_padded = padded_last[0][forward]
    at_end_packed = _apart(packed[ends, index, :H], h_packed)
    at_end_padded = _apart(padded[ends, index, :H], h_padded)
    checks = [
        Check(
            f"{name}-outputs",
            worst["packed"] <= tol,
            tr("{core}: packed rows give the outputs of each alone", core=name),
            worst["packed"],
            tol,
        ),
        Check(
            f"{name}-states",
            worst["packed_h"] <= tol,
            tr("{core}: packed rows give the last states of each alone", core=name),
            worst["packed_h"],
            tol,
        ),
        Check(
            f"{name}-end",
            at_end_packed == 0,
            tr("{core}: packed, out[len_b-1] = forward h_n", core=name),
            at_end_packed,
            0.0,
        ),
    ]
    text = tr(
        "Unpacked, out[len_b-1] and forward h_n are up to {d} apart: h_n has read the padding too.",
        d=f"{at_end_padded:.4f}",
    )
    if not CELLS[spec.cell].stateful:
        text = tr("Unpacked, h_n is that of a padding step: up to {d} from out[len_b-1].", d=f"{at_end_padded:.4f}")
    shown: list[Record] = [
        Table(f"{name}.padding", columns, rows, cut_rows=SHOWN),
        Message(text, name=f"{name}.unpacked"),
    ]
    if invented:
        shown.append(Message(tr("rows cut short here to differ in length"), "note", name=f"{name}.cut"))
    return shown, checks


def _apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().masked_fill(a.isnan() & b.isnan() | (a == b), 0.0).max()) if a.numel() else 0.0


def _states_apart(batch: State, alone: State, b: int) -> float:
    return max(_apart(one[:, b], two[:, 0]) for one, two in zip(batch, alone, strict=True))
