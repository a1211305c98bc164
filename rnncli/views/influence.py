"""influence: change one input and see what moves. The same row, from that step on, and nothing else.

A model that swaps the batch and time axes runs without an error and trains badly; shapes do not show it, this does.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rnncli.cells import CELLS
from rnncli.data.batch import Batch
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Check, Checks, HeatMap, Message, Record
from rnncli.replay import CoreTrace, run_core, trace
from rnncli.views import BATCH, Options
from rnncli.views._show import about, name_of
from rnncli.views._subject import Subject, with_rows

NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"core", "variant"}
ROWS = 4

SHOWN = 8


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    if options.variant not in (None, "swapped"):
        raise UsageError(
            tr("there is no variant {name!r}", name=options.variant),
            where="--variant",
            todo=tr("swapped: the batch and time axes taken for each other"),
        )
    # leaks between rows show from two rows on
    batch = subject.batch if subject.batch.size > 1 else with_rows(subject.batch, ROWS)
    b = (batch.size - 1) // 2
    t = _length(batch, b) // 2
    changed = replace(batch, inputs=perturbed(batch.inputs, t, b, subject.names.inputs))
    records: list[Record] = [
        Message(
            tr("changed: the input of row b={b} at step t={t}. Which outputs of each core move?", b=b, t=t),
            name="changed",
        )
    ]
    checks: list[Check] = []
    before = trace(subject.model, batch, check=False)
    after = trace(subject.model, changed, check=False)
    for one in subject.cores(before, options.core):
        two = next((core for core in after.cores if core.path == one.path), None)
        if two is None or two.calls[0].output.shape != one.calls[0].output.shape:
            continue
        if options.variant == "swapped":
            moved = _swapped(one, two)
        else:
            moved = moves(_whole(one), _whole(two))  # (T, B)
        records.append(Message(about(subject, one), name=f"{name_of(one)}.about"))
        records.append(
            HeatMap(
                f"{name_of(one)}.moved",
                moved.T.tolist(),
                [f"b={k}" for k in range(moved.shape[1])],
                [str(step) for step in range(moved.shape[0])],
                "",
                "t",
                tr("{core}: largest change of its output", core=name_of(one)),
                cut_rows=SHOWN,
            )
        )
        if options.variant == "swapped":
            leaked = [k for k in range(moved.shape[1]) if k != b and bool((moved[:, k] > 0).any())]
            text = tr(
                "swapped on purpose, as batch_first does with data of the other kind: rows {rows} moved too",
                rows=leaked,
            )
            records.append(Message(text, "warning", name=f"{name_of(one)}.leak"))
        else:
            checks += _checks(batch, one, moved, t, b)
    return [*records, Checks(checks)] if checks else records


def perturbed(inputs: Tensor, t: int, b: int, tokens: object) -> Tensor:
    """The same batch with one input changed: another token, or other numbers."""
    changed = inputs.clone()
    if inputs.is_floating_point():
        changed[t, b] = changed[t, b] + 1.0
    else:
        size = len(tokens) if isinstance(tokens, (list, tuple)) else int(inputs.max()) + 1
        changed[t, b] = (changed[t, b] + 1) % max(2, size)
    return changed


def moves(before: Tensor, after: Tensor) -> Tensor:
    """(T, B, .) twice -> (T, B): the largest change at each step of each row."""
    return (after - before).abs().flatten(2).amax(2).double()


def _whole(core: CoreTrace) -> Tensor:
    return torch.cat([call.output.detach() for call in core.calls])


def _length(batch: Batch, b: int) -> int:
    return batch.inputs.shape[0] if batch.lengths is None else int(batch.lengths[b])


def _swapped(one: CoreTrace, two: CoreTrace) -> Tensor:
    """What moves where x (T, B, I) is handed over as if it were (B, T, I)."""
    if len(one.calls) > 1:
        raise UsageError(tr("this core runs step by step: its axes cannot be swapped"), where="--variant swapped")
    with torch.no_grad():
        before, _ = run_core(one.module, one.calls[0].x.detach().transpose(0, 1))
        after, _ = run_core(two.module, two.calls[0].x.detach().transpose(0, 1))
    return moves(before.transpose(0, 1), after.transpose(0, 1))


def _checks(batch: Batch, core: CoreTrace, moved: Tensor, t: int, b: int) -> list[Check]:
    """Correct: the same row; its own step and later ones, or all of them where the core reads both ways."""
    name = name_of(core)
    others = torch.cat([moved[:, :b], moved[:, b + 1 :]], dim=1)
    found = []
    if moved.shape[1] > 1:
        diff = float(others.max())
        text = tr("{core}: no other row of the batch moved", core=name)
        found.append(Check(f"{name}-rows", diff == 0, text, diff, 0.0))
    same_steps = core.num_steps == batch.inputs.shape[0] and "decoder" not in core.path
    if not same_steps:
        return found
    T = _length(batch, b)
    row = moved[:, b]
    if not core.spec.bidirectional and t > 0:
        diff = float(row[:t].max())
        found.append(
            Check(f"{name}-past", diff == 0, tr("{core}: no step before t={t} moved", core=name, t=t), diff, 0.0)
        )
    if not CELLS[core.spec.cell].has_memory and t + 1 < T:
        rest = torch.cat([row[:t], row[t + 1 : T]])
        diff = float(rest.max())
        found.append(
            Check(
                f"{name}-alone",
                diff == 0,
                tr("{core}: without memory only step t={t} moved", core=name, t=t),
                diff,
                0.0,
            )
        )
    if len(row) > T:
        diff = float(row[T:].max())
        found.append(
            Check(f"{name}-padding", diff == 0, tr("{core}: nothing after the row's end moved", core=name), diff, 0.0)
        )
    return found
