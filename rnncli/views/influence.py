"""influence: change one input and see which outputs change: the same row from that step on, and nothing else.

A model that swaps the batch and time axes raises no error but trains badly; shapes do not reveal it, this view does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from rnncli.cells import CELLS
from rnncli.data.batch import Batch
from rnncli.errors import UsageError
from rnncli.locale import sentences, tr
from rnncli.records import Check, Checks, HeatMap, Message, Record
from rnncli.replay import CoreTrace, Trace, run_core, trace
from rnncli.replay.rounding import apart
from rnncli.views._inputs import with_rows
from rnncli.views._layout import Layout
from rnncli.views._show import about, answer, first_not_finite, name_of, replay_check
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "is it right"
ABOUT = "change one input and see which rows and steps change"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"core", "variant"}
ROWS = 4

SHOWN = 8


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    if options.variant not in (None, "swapped"):
        raise UsageError(
            tr("unknown variant {name!r}", name=options.variant),
            where="--variant",
            todo=tr("swapped: batch and time axes exchanged"),
        )
    # leaks between rows need at least two rows
    alone = subject.layout.batch is None
    batch = subject.batch if subject.batch.size > 1 or alone else with_rows(subject.batch, ROWS)
    records: list[Record] = []
    answers: dict[str, str] = {}
    said = [tr("The cores are the model's RNN modules: nn.RNN, nn.LSTM, nn.GRU.")]
    if batch is not subject.batch:
        said.append(
            tr("The single example is repeated {n} times as a batch, to reveal leaks between rows.", n=batch.size)
        )
    records.append(Message(sentences(said), "note", name="about"))
    checks: list[Check] = []
    before = subject.trace() if batch is subject.batch else trace(subject.model, batch)
    swapped, places = options.variant == "swapped", _places(batch)
    tried = {place: _changed(subject, batch, *place) for place in (places[:1] if swapped else places)}
    for one in subject.cores(before, options.core):
        name, rows = name_of(one), one.calls[0].x.shape[1]
        if rows != batch.size and subject.task is not None:  # such as one row per word
            text = tr("{core}: reads {n} rows, not the batch's {B}; not compared", core=name, n=rows, B=batch.size)
            records.append(Message(text, "note", name=f"{name}.rows"))
            continue
        moved: dict[tuple[int, int], Tensor] = {}  # place -> (T, B)
        found: dict[tuple[int, int], list[Check]] = {}
        for place, after in tried.items():
            two = _same(one, after)
            if two is not None:
                moved[place] = _swapped(one, two) if swapped else moves(_whole(one), _whole(two))
                x_moved = moves(_whole(one, "x"), _whole(two, "x"))
                found[place] = [] if swapped else _checks(one, moved[place], x_moved, place[1])
        if not moved:
            continue
        failed = (place for place, some in found.items() if not all(check.ok for check in some))
        t, b = shown = next(failed, next(iter(moved)))
        answers[name] = _answer(moved[shown], b, t, swapped=swapped)
        if not swapped and not _leaked(moved[shown], b) and _reads_batch_first(subject):
            answers[name] = _other_reading(moved) or answers[name]
        records.append(Message(about(subject, one), name=f"{name}.about"))
        if (broken := first_not_finite(one)) is not None:
            what = tr("{core}: {what} is NaN or infinite, first at t={t}; NaN that stays NaN is unchanged",
                      core=name, what=broken[0], t=broken[1])  # fmt: skip
            records.append(Message(what, "warning", name=f"{name}.not_finite"))
        values = moved[shown].T.tolist()
        labels, steps = [f"b={k}" for k in range(len(values))], [str(step) for step in range(len(moved[shown]))]
        title = tr("{core}: largest change of the output", core=name)
        records.append(HeatMap(f"{name}.moved", values, labels, steps, "", "t", title, cut_rows=SHOWN))
        checks += found[shown]
    return [*answer(answers), *records, Checks([*checks, replay_check(before)])]


def _places(batch: Batch) -> list[tuple[int, int]]:
    """The (t, b) to change, one at a time: a model that mixes up its axes may leave a single one in its row by
    chance."""
    b = (batch.size - 1) // 2
    t = _steps(batch, b) // 2
    other = (b + 1) % batch.size
    return list(dict.fromkeys([(t, b), (max(t - 1, 0), b), (min(t, _steps(batch, other) - 1), other)]))


def _steps(batch: Batch, b: int) -> int:
    return len(batch.inputs) if batch.lengths is None else int(batch.lengths[b])


def _changed(subject: Subject, batch: Batch, t: int, b: int) -> Trace:
    """The model on the batch with one input changed."""
    inputs = perturbed(batch.inputs, t, b, subject.names.inputs)
    return trace(subject.model, replace(batch, inputs=inputs), check=False)


def _same(core: CoreTrace, after: Trace) -> CoreTrace | None:
    """The same core in another trace, None if its output has another shape."""
    two = next((other for other in after.cores if other.path == core.path), None)
    return two if two is not None and _whole(two).shape == _whole(core).shape else None


def _reads_batch_first(subject: Subject) -> bool:
    """Whether a module reads its input as (B, T, .) although no core in it has batch_first=True."""
    modules = subject.model.modules()
    return subject.layout == Layout(1, 0) and not any(getattr(module, "batch_first", False) for module in modules)


def _leaked(moved: Tensor, b: int) -> list[str]:
    """The other rows that changed."""
    return [str(k) for k in range(moved.shape[1]) if k != b and bool((moved[:, k] != 0).any())]


def _other_reading(moved: Mapping[tuple[int, int], Tensor]) -> str:
    """What the changes mean if the input is (T, B, .), where as (B, T, .) they change no other row: step and row
    exchanged. "" if no place tells the two apart."""
    if any(_leaked(one, b) for (_, b), one in moved.items()):
        return ""
    for (row, step), one in moved.items():
        if row < one.shape[1] and (leaked := _leaked(one, row)):
            return tr("If x is (T, B, .), the axes are wrong: a change of row b={b} at t={t} also changes b={rows}. If "
                      "it is (B, T, .), they are right.", b=row, t=step, rows=", ".join(leaked))  # fmt: skip
    return ""


def _answer(moved: Tensor, b: int, t: int, *, swapped: bool) -> str:
    """A sentence on the rows that changed. moved: (T, B), after a change of row b at step t."""
    leaked = _leaked(moved, b)
    if leaked and swapped:
        return tr("Yes: swapped axes raise no error, but a change of row b={b} at t={t} also changes b={rows}.",
                  b=b, t=t, rows=", ".join(leaked))  # fmt: skip
    if leaked:
        return tr("The axes are wrong: a change of row b={b} at t={t} also changes b={rows}.",
                  b=b, t=t, rows=", ".join(leaked))  # fmt: skip
    if moved.shape[1] == 1:
        return tr("There is one row, without a batch axis: a change at t={t} can change no other row.", t=t)
    return tr("A change of row b={b} at t={t} changes no other row.", b=b, t=t)


def perturbed(inputs: Tensor, t: int, b: int, tokens: object) -> Tensor:
    """The batch with one input changed: another token, or other numbers."""
    changed = inputs.clone()
    if inputs.is_floating_point():
        changed[t, b] = changed[t, b] + 1.0
    else:
        size = len(tokens) if isinstance(tokens, (list, tuple)) else int(inputs.max()) + 1
        changed[t, b] = (changed[t, b] + 1) % max(2, size)
    return changed


def moves(before: Tensor, after: Tensor) -> Tensor:
    """Two (T, B, .) -> (T, B): the largest change at each step of each row; NaN and infinity equal themselves."""
    return apart(after, before).flatten(2).amax(2)


def _whole(core: CoreTrace, part: str = "output") -> Tensor:
    """All calls of a module as one sequence: its output or its x."""
    return torch.cat([getattr(call, part).detach() for call in core.calls])


def _swapped(one: CoreTrace, two: CoreTrace) -> Tensor:
    """Changes if x (T, B, I) is passed as if it were (B, T, I)."""
    if len(one.calls) > 1:
        raise UsageError(tr("this module runs step by step: its axes cannot be swapped"), where="--variant swapped")
    with torch.no_grad():
        before, _ = run_core(one.module, one.calls[0].x.detach().transpose(0, 1))
        after, _ = run_core(two.module, two.calls[0].x.detach().transpose(0, 1))
    return moves(before.transpose(0, 1), after.transpose(0, 1))


def _checks(core: CoreTrace, moved: Tensor, x_moved: Tensor, b: int) -> list[Check]:
    """Correct if only the same row changes, from the first step at which the module's x changed; all of it if
    bidirectional. (A front end may spread one input over several x: a convolution, a scale computed from the whole
    row.)"""
    name, found = name_of(core), []

    def still(key: str, text: str, part: Tensor) -> None:
        diff = float(part.max()) if part.numel() else 0.0
        found.append(Check(f"{name}-{key}", diff == 0, f"{name}: {text}", diff, 0.0))

    if moved.shape[1] != x_moved.shape[1] or moved.shape[1] <= b:
        return []
    others = [row for row in range(moved.shape[1]) if row != b]
    if others:
        still("rows", tr("no other row of the batch changed"), moved[:, others])
    row, steps = moved[:, b], x_moved[:, b].nonzero().flatten().tolist()
    if steps and not core.spec.bidirectional:
        still("past", tr("no step before t={t} changed", t=steps[0]), row[: steps[0]])
    if steps and not CELLS[core.spec.cell].stateful:
        elsewhere = [t for t in range(len(row)) if t not in steps]
        still("alone", tr("without memory, only steps whose x changed"), row[elsewhere])
    if core.lengths is not None and int(core.lengths[b]) < len(row):
        still("padding", tr("nothing after the row's end changed"), row[int(core.lengths[b]) :])
    return found
