"""Steps through a Trace: one time step, unit, layer and direction at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from rnncli.cells import CELLS, CoreSpec
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Check, Column, Entry, Position, Record, Stop, Table, Unrolled
from rnncli.render.boxes import equations_table
from rnncli.replay.loop import DIRECTIONS, CoreTrace
from rnncli.replay.rounding import checked, ratio
from rnncli.replay.tracing import Trace
from rnncli.replay.unrolled import around, cell_inputs, drawn_off, grid_rows, open_cell, start_label

WINDOW = 80  # steps around the current one; a screen shows as many as fit


class CellOptions(Protocol):
    """Options that choose a cell to open; None is the default."""

    @property
    def layer(self) -> int | None: ...
    @property
    def direction(self) -> str | None: ...
    @property
    def step(self) -> int | None: ...
    @property
    def unit(self) -> int | None: ...


def in_range(value: int | None, size: int, flag: str, default: int = 0) -> int:
    """The value, or its default. Raises UsageError outside 0 to size - 1."""
    if value is not None and not 0 <= value < size:
        raise UsageError(tr("{flag} {text} is out of range: 0 to {last}", flag=flag, text=value, last=size - 1))
    return default if value is None else value


def check_direction(spec: CoreSpec, direction: str | None) -> None:
    """Raises UsageError for the reverse direction of a network that has none."""
    if direction == "bwd" and not spec.bidirectional:
        raise UsageError(tr("this network has only one direction, fwd"), where="--direction")


def cell_to_open(
    options: CellOptions, spec: CoreSpec, T: int, steps: list[int] | None, first: int
) -> tuple[Position, list[int]]:
    """The cell to open, by default at step `first` of the top layer, and the steps to show around it.

    steps: those of --steps, or None. Raises UsageError for a step, layer, direction or unit out of range.
    """
    step = in_range(options.step, T, "--step", min(first, T - 1))
    layer = in_range(options.layer, spec.num_layers, "--layer", spec.num_layers - 1)
    unit = in_range(options.unit, spec.hidden_size, "--unit")
    check_direction(spec, options.direction)
    shown = around(step, T) if steps is None else steps
    if step not in shown:
        if options.step is not None:
            raise UsageError(tr("--step {t} is not in --steps", t=step), where="--steps")
        step = shown[0]
    return Position(0, layer, int(options.direction == "bwd"), step, unit), shown


@dataclass(frozen=True)
class StepTexts:
    """Inputs of some steps, the model's outputs at each ("" for none), and its single answer."""

    inputs: Sequence[str]
    heads: Sequence[str] = ()
    answer: str = ""


@dataclass(frozen=True)
class Walk:
    """A trace to step through. say: inputs and outputs at some steps of a core. notes: of every picture.

    checks: that the trace matches the model.
    """

    made: Trace
    say: Callable[[CoreTrace, Sequence[int]], StepTexts]
    title: str
    checks: Sequence[Check]
    notes: Sequence[str] = ()

    def sizes(self, core: int) -> Position:
        """The number of cores, and of layers, directions, steps and units of this one."""
        found = self.made.cores[core]
        length = found.num_steps if found.lengths is None else int(found.lengths[0])
        spec = found.spec
        return Position(len(self.made.cores), spec.num_layers, spec.num_directions, length, spec.hidden_size)

    def picture(self, at: Position, steps: Sequence[int], *, moving: bool = False) -> tuple[Unrolled, Check]:
        """Draw these steps, with the cell at `at` opened, or with `moving` its cell at every step; and the check that
        the drawn values equal the trace's."""
        core, (layer, direction) = self.made.cores[at.core], (at.layer, at.direction)
        said = self.say(core, steps)
        opened = {t: open_cell(core, layer, direction, t, at.unit) for t in (steps if moving else [at.step])}
        record = Unrolled(
            "draw",
            list(steps),
            self.sizes(at.core).step,
            list(said.inputs),
            list(said.heads) or [""] * len(steps),
            list(grid_rows(self.made, core, at.unit, steps)),
            f"l{layer}.{DIRECTIONS[direction]}",
            opened,
            at.step,
            said.answer,
            moving,
            self.title,
            list(self.notes),
        )
        found = [pair for cell in opened.values() for pair in drawn_off(self.made, core, layer, direction, cell)]
        return record, checked("drawn", tr("the drawn states and gates equal the trace's"), *found)

    def stop(self, at: Position, window: int = WINDOW) -> tuple[Stop, Check]:
        """The stop at this position, and the check of `picture`. window: steps shown around it."""
        core, sizes = self.made.cores[at.core], self.sizes(at.core)
        picture, check = self.picture(at, around(at.step, sizes.step, window))
        home = f"{self.made.prefix(core)}l{at.layer}.{DIRECTIONS[at.direction]}."
        h = self.made.step_tensors(f"{home}h")[at.step][0].double().tolist()
        about = f"{core.path}: {core.spec}" if len(self.made.cores) > 1 else str(core.spec)
        return Stop(at, sizes, self.title, about, picture, h, self._changes(core, at)), check

    def _changes(self, core: CoreTrace, at: Position) -> Table:
        """States and gates of the unit, before and after the step."""
        label, first = start_label(core, at.direction, at.step)
        home = f"{self.made.prefix(core)}l{at.layer}.{DIRECTIONS[at.direction]}."
        _, states, _ = cell_inputs(core, at.layer, at.direction, at.step)
        earlier = at.step + 1 if at.direction else at.step - 1
        rows: list[list[Entry]] = []
        known = CELLS[core.spec.cell]
        gates = [*(f"gate.{gate}" for gate in known.gates), *(name for name in known.records if name in known.about)]
        for name in (*reversed(core.spec.states), *gates):
            found = self.made.step_tensors(home + name)
            now = _of_unit(found[at.step][0], at.unit)
            if name in core.spec.states:
                before = _of_unit(states[list(core.spec.states).index(name)][0], at.unit)
            else:
                before = None if first else _of_unit(found[earlier][0], at.unit)
            if now is not None:
                shown = f"|{name}|" if len(core.spec.states.get(name, (1,))) > 1 else name.removeprefix("gate.")
                rows.append([shown, before, now, None if before is None else now - before])
        columns = [
            Column("name", tr("name"), "text"),
            Column("before", tr("start") if first else tr("step {t}", t=label)),
            Column("now", tr("step {t}", t=at.step)),
            Column("change", tr("change")),
        ]
        return Table("changes", columns, rows, title=tr("what step {t} changed", t=at.step))


def _of_unit(values: torch.Tensor, unit: int) -> float | None:
    """A unit's value in one batch row: for a matrix the norm of its row; None if there are fewer units."""
    vector = values.detach().double() if values.dim() == 1 else values.detach().double().flatten(1).norm(dim=1)
    return float(vector[unit]) if unit < len(vector) else float(vector[0]) if len(vector) == 1 else None


def stepped(walk: Walk, at: Position, steps: Sequence[int]) -> tuple[list[Record], Check]:
    """Records for every step, one after the other, and the check of all of them."""
    found: list[Record] = []
    checks: list[Check] = []
    for t in steps:
        stop, check = walk.stop(replace(at, step=t), len(around(t, walk.sizes(at.core).step)))
        cell = stop.picture.opened[t]
        found.append(replace(stop.picture, name=f"step{t}"))
        found.append(equations_table(cell, f"equations{t}", tr("the sums of step {t}, unit {unit}", t=t, unit=at.unit)))
        found.append(replace(stop.changes, name=f"changes{t}"))
        checks.append(check)
    return found, max(checks, key=lambda check: ratio((check.diff or 0.0, check.tol or 0.0)))
