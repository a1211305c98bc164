"""A Trace as the unrolled network: its cells over time, and one of them opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from rnncli.cells import CELLS, State, weights_of
from rnncli.locale import tr
from rnncli.records import GridRow, OpenedCell
from rnncli.replay.compare import eps_of
from rnncli.replay.loop import DIRECTIONS, Call, CoreTrace
from rnncli.replay.opened import Place, open_step
from rnncli.replay.rounding import FACTOR, Found, apart, largest, step_rounding
from rnncli.replay.tracing import Trace

STEPS = 8  # time steps drawn by default


def around(step: int, T: int, most: int = STEPS) -> list[int]:
    """Default steps to draw: `most` of them, or all, centered on `step` if possible."""
    first = min(max(0, step - most // 2), max(0, T - most))
    return list(range(first, min(T, first + most)))


def cell_inputs(core: CoreTrace, layer: int, direction: int, t: int) -> tuple[Tensor, State, bool]:
    """The input of a layer and direction at step t: x (B, I), the states before, (B, ...) each, and whether these are
    the initial ones of every row."""
    call, k = _call_of(core, t)
    record, T = call.layers[layer, direction], call.x.shape[0]
    if layer == 0:
        x = call.x[k]
    else:
        below = [call.layers[layer - 1, d].steps["h"][k] for d in range(core.spec.num_directions)]
        x = torch.cat(below, dim=1)
    before = k + 1 if direction else k - 1
    if not 0 <= before < T:
        return x, record.initial, core.calls[0] is call or bool(direction)
    return x, tuple(record.steps[name][before] for name in core.spec.states), False


def start_label(core: CoreTrace, direction: int, t: int, row: int = 0) -> tuple[str, bool]:
    """The label of the step before t, and whether t is the first step."""
    _, _, initial = cell_inputs(core, 0, direction, t)
    last = (core.num_steps if core.lengths is None else int(core.lengths[row])) - 1
    start = initial or (direction == 1 and t == last)
    return tr("start") if start else str(t + 1 if direction else t - 1), start


def _call_of(core: CoreTrace, t: int) -> tuple[Call, int]:
    for call in core.calls:
        if t < call.x.shape[0]:
            return call, t
        t -= call.x.shape[0]
    raise IndexError(t)


def open_cell(core: CoreTrace, layer: int, direction: int, t: int, unit: int, row: int = 0) -> OpenedCell:
    """The cell of that layer and direction at step t, traced back from one unit of one row of the batch."""
    x, before, _ = cell_inputs(core, layer, direction, t)
    label, _ = start_label(core, direction, t, row)
    reads = "" if layer == 0 else tr("h of layer {k}", k=layer - 1)
    place = Place(core.spec, unit, t, label, row, reads)
    return open_step(place, x, before, weights_of(core.module, layer, direction))


def grid_rows(made: Trace, core: CoreTrace, unit: int, steps: Sequence[int]) -> Iterator[GridRow]:
    """The cells over the steps, from the lowest layer up, with one unit's states."""
    spec = core.spec
    every = spec.num_layers * spec.num_directions <= 2
    for layer, direction in spec.places:
        home = f"l{layer}.{DIRECTIONS[direction]}"
        values: dict[str, list[float]] = {}
        for name, shape in spec.states.items():
            vectors = made.vectors(f"{made.prefix(core)}{home}.{name}")[:, 0]
            if unit < vectors.shape[1] and (every or name == "h"):
                label = name if len(shape) == 1 else f"|{name}|"
                values[label] = vectors[list(steps), unit].double().tolist()
        label = tr("layer {k}", k=layer) if spec.num_layers > 1 else tr("cell")
        label += "" if spec.num_directions == 1 else " ←" if direction else " →"
        yield GridRow(home, label, direction == 1, values)


def drawn_off(made: Trace, core: CoreTrace, layer: int, direction: int, cell: OpenedCell) -> Iterator[Found]:
    """Each drawn state and gate, the trace's, and the rounding error bound."""
    spec, eps = core.spec, eps_of(core)
    x, before, _ = cell_inputs(core, layer, direction, cell.step)
    w = weights_of(core.module, layer, direction)
    costs = step_rounding(spec, w, x.detach(), tuple(state.detach() for state in before), eps)
    home = f"{made.prefix(core)}l{layer}.{DIRECTIONS[direction]}."
    cost = max(float(one[0].max()) for one in costs)
    for box in cell.boxes:
        if box.name not in (*spec.states, *(f"gate.{g}" for g in CELLS[spec.cell].gates), *CELLS[spec.cell].records):
            continue
        truth = made[home + box.name][cell.step, 0]
        values = torch.tensor(box.lines[-1].values, dtype=torch.float64)
        whole = truth if values.numel() == truth.numel() else truth[min(cell.unit, len(truth) - 1)]
        yield float(apart(values, whole.flatten()).max()), cost + FACTOR * eps * max(1.0, largest(whole))
