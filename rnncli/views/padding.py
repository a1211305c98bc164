"""padding: the same sequences alone, padded and packed: how padding changes outputs and last states."""

from __future__ import annotations

import torch
from torch import Tensor

from rnncli.cells import CELLS, CoreSpec
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.nn.recurrent import Core, PlainCore, run
from rnncli.records import Check, Checks, Column, Entry, Message, Record, Table
from rnncli.render.numbers import number
from rnncli.replay import CoreTrace, eps_of, initial_state
from rnncli.replay.rounding import (
    TELLING,
    checked,
    flat,
    largest,
    most_apart,
    off_by_first,
    sequence_rounding,
    worst_of,
)
from rnncli.views._show import about, answer, cut_note, name_of, replay_check
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

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
    said: dict[str, str] = {}
    for core in subject.cores(made, options.core):
        if len(core.calls) > 1 or not isinstance(core.module, (torch.nn.RNNBase, PlainCore)):
            if options.core is not None:
                raise UsageError(tr("{core} runs step by step, without padding", core=core.path), where="--core")
            continue
        records.append(Message(about(subject, core), name=f"{name_of(core)}.about"))
        said[name_of(core)], shown, found = _core(core, core.module)
        records += shown
        checks += found
    if not checks:
        raise UsageError(tr("no RNN module of this model reads whole sequences, so there is no padding"))
    return [*answer(said), *records, Checks([*checks, replay_check(made)])]


def lengths_for(core: CoreTrace) -> tuple[Tensor, bool]:
    """The rows' lengths if they differ, otherwise shortened ones, and whether they were shortened: (B,), bool."""
    T, B = core.calls[0].x.shape[:2]
    if core.lengths is not None and len(set(core.lengths.tolist())) > 1:
        return core.lengths.cpu(), False
    return torch.tensor([max(1, T - b * T // max(B, 2)) for b in range(B)]), True


def _core(core: CoreTrace, module: Core) -> tuple[str, list[Record], list[Check]]:
    """(the answer, records that show it, checks)."""
    spec, name = core.spec, name_of(core)
    x, lengths, invented = _batch(core)
    T, costs = _costs(core, module, x, lengths)
    x, lengths = x[:T], lengths.clamp(max=T)
    B, H = x.shape[1], spec.state_size
    with torch.no_grad():
        padded, padded_last = run(module, x)
        packed, packed_last = run(module, x, lengths)
        alone = [run(module, x[: int(n), b : b + 1]) for b, n in enumerate(lengths)]
    rows: list[list[Entry]] = []
    outputs, states = [], []
    for b, n in enumerate(lengths.tolist()):
        output, last = alone[b]
        outputs.append(worst_of(off_by_first(packed[:n, b], output[:, 0]), costs[0][:n]))
        ends = [off_by_first(one[:, b], own[:, 0]) for own, one in zip(last, packed_last, strict=True)]  # (L·D,) each
        states += [worst_of(end, cost) for end, cost in zip(ends, costs[1:], strict=True)]
        rows.append([b, n, T - n])
        for whole, states_of_all in ((packed, packed_last), (padded, padded_last)):
            rows[-1].append(most_apart(whole[:n, b], output[:, 0]))
            rows[-1] += [most_apart(one[:, b], own[:, 0]) for own, one in zip(last, states_of_all, strict=True)]
    forward, index = (spec.num_layers - 1) * spec.num_directions, torch.arange(B)
    at_end_packed, at_end_padded = (
        most_apart(output[lengths - 1, index, :H], last[0][forward])
        for output, last in ((packed, packed_last), (padded, padded_last))
    )
    same = tr("{core}: packed rows give the same outputs as each row alone", core=name)
    same_states = tr("{core}: packed rows give the same last states as each row alone", core=name)
    end = tr("{core}: packed, out[len_b-1] = forward h_n", core=name)
    checks = [
        checked(f"{name}-outputs", same, *outputs),
        checked(f"{name}-states", same_states, *states),
        checked(f"{name}-end", end, (at_end_packed, 0.0)),
    ]
    text = tr("Yes, unless packed: reading the padding changes h_n by up to {d}; packed, by {e}.",
              d=number(at_end_padded), e=number(at_end_packed))  # fmt: skip
    if at_end_padded == 0:
        text = tr("No: these rows have equal lengths, and h_n is out[len_b-1], packed or not.")
    elif not CELLS[spec.cell].stateful:
        text = tr("Yes, unless packed: h_n is that of a padding step, up to {d} from out[len_b-1]; packed, {e}.",
                  d=number(at_end_padded), e=number(at_end_packed))  # fmt: skip
    shown = [*cut_note(core, T), Table(f"{name}.padding", _columns(spec), rows, cut_rows=SHOWN)]
    if invented:
        shown.append(Message(tr("rows are truncated here to different lengths"), "note", name=f"{name}.cut"))
    return text, shown, checks


def _batch(core: CoreTrace) -> tuple[Tensor, Tensor, bool]:
    """x (T, B, I) with zeros as padding; lengths (B,); and whether they were shortened."""
    x = core.calls[0].x.detach()
    lengths, invented = lengths_for(core)
    if x.shape[1] == 1:  # one row: add a longer copy, so that there is something to pad
        x, lengths = torch.cat([x, x], dim=1), torch.tensor([int(lengths[0]), max(1, int(lengths[0]) // 2)])
        invented = True
    inside = torch.arange(x.shape[0]).unsqueeze(1) < lengths.unsqueeze(0)
    return x * inside.unsqueeze(2).to(x.device), lengths, invented


def _costs(core: CoreTrace, module: Core, x: Tensor, lengths: Tensor) -> tuple[int, list[Tensor]]:
    """The number of steps to compare, and the rounding tolerance of outputs, (T,), and of each last state, (L·D,).
    Fewer than all steps if rounding alone would change the results."""
    T, eps = x.shape[0], eps_of(core)
    state = initial_state(core.spec, x.shape[1], x)
    while True:
        costs = sequence_rounding(module, core.spec, x[:T], state, lengths.clamp(max=T), eps)
        with torch.no_grad():
            sizes = [largest(tensor) for tensor in flat(run(module, x[:T], lengths.clamp(max=T)))]
        if T == 1 or all(float(cost.max()) <= TELLING * size for cost, size in zip(costs, sizes, strict=True)):
            return T, costs
        T //= 2


def _columns(spec: CoreSpec) -> list[Column]:
    columns = [
        Column("row", tr("row"), "count"),
        Column("steps", tr("steps"), "count"),
        Column("padding", tr("padding"), "count"),
    ]
    for key, group in (("packed", tr("packed - alone")), ("padded", tr("padded - alone"))):
        columns.append(Column(f"{key}_output", tr("output"), "diff", group=group))
        columns += [Column(f"{key}_{s}_n", f"{s}_n", "diff", group=group) for s in spec.states]
    return columns
