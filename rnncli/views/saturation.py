"""saturation: closed and open gates, saturated tanh, dead and duplicate units, NaN."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rnncli.cells import CELLS, Range
from rnncli.locale import tr
from rnncli.records import Check, Checks, Column, Entry, HeatMap, Message, Record, Table
from rnncli.replay import CoreTrace, Trace
from rnncli.views._show import Part, about, name_of, place, places, replay_check, step_numbers, table_of, unit_numbers
from rnncli.views._subject import Subject
from rnncli.views._view import BATCH, Options

GROUP = "what it does"
ABOUT = "closed and open gates, saturated tanh, dead units, NaN"
NEEDS: frozenset[str] = frozenset()
OPTIONS = BATCH | {"steps", "units", "layer", "direction", "core"}
ROWS = 8

SHUT, OPEN, FLAT = 0.1, 0.9, 0.9  # a gate below is closed, above is open; |tanh| above is saturated
SAME = 1e-6  # a unit that varies less is dead; two units that never differ more are duplicates
SHOWN = 8


@dataclass(frozen=True)
class Signal:
    """A gate or state over all steps within the sequences. values: (N, H), N = total steps of all rows.

    at: (T, B) bool, whether a step is within its sequence; kind: sigmoid, tanh, or free (relu, an LSTM's c: unbounded).
    """

    name: str
    values: Tensor
    at: Tensor
    kind: Range

    @property
    def bad(self) -> int:
        """How many values are NaN or infinite."""
        return int((~self.values.isfinite()).sum())

    @property
    def low(self) -> Tensor:
        """(N, H) bool: closed."""
        return self.values < SHUT if self.kind == "sigmoid" else torch.zeros_like(self.values, dtype=torch.bool)

    @property
    def high(self) -> Tensor:
        """(N, H) bool: open, or saturated tanh."""
        if self.kind == "sigmoid":
            return self.values > OPEN
        return self.values.abs() > FLAT if self.kind == "tanh" else torch.zeros_like(self.values, dtype=torch.bool)

    def dead(self) -> list[int]:
        """Units with the same value at every step of every row."""
        if len(self.values) < 2:
            return []
        spread = self.values.amax(0) - self.values.amin(0)
        return [int(unit) for unit in (spread <= SAME).nonzero().flatten()]

    def doubles(self) -> list[tuple[int, int]]:
        """Pairs of units, not dead, that never differ by more than SAME, each with the first of its kind."""
        if len(self.values) < 2:
            return []
        apart = torch.cdist(self.values.T.contiguous(), self.values.T.contiguous(), p=float("inf"))  # (H, H)
        dead = set(self.dead())
        found: list[tuple[int, int]] = []
        taken: set[int] = set()
        for a, b in ((apart <= SAME).triu(1)).nonzero().tolist():
            if a not in dead and a not in taken and b not in taken:
                found.append((a, b))
                taken.add(b)
        return found


def signals(made: Trace, core: CoreTrace, layer: int, direction: int, options: Options) -> list[Signal]:
    """Every gate and state of a place, in float64."""
    prefix, gates = made.prefix(core), CELLS[core.spec.cell].gates
    x = made[f"{prefix}x"]
    T, B = x.shape[:2]
    lengths = torch.full((B,), T) if core.lengths is None else core.lengths.cpu()
    chosen = torch.isin(torch.arange(T), torch.tensor(step_numbers(options, T)))
    at = (torch.arange(T).unsqueeze(1) < lengths) & chosen.unsqueeze(1)
    found = []
    kinds: dict[str, Range] = {f"gate.{gate}": kind for gate, kind in gates.items()}
    kinds |= dict.fromkeys(reversed(core.spec.states), "free")
    if core.spec.is_bounded:
        kinds["h"] = "tanh"
    for name, kind in kinds.items():
        values = made.vectors(f"{prefix}{place(layer, direction)}.{name}").double()
        found.append(Signal(name.removeprefix("gate."), values[at], at, kind))
    return found


def compute(subject: Subject, options: Options = Options()) -> list[Record]:
    made = subject.trace()
    records: list[Record] = []
    checks: list[Check] = []
    for core in subject.cores(made, options.core):
        records.append(Message(about(subject, core, rows=True), name=f"{name_of(core)}.about"))
        for layer, direction in places(core.spec, options):
            found = signals(made, core, layer, direction, options)
            records += _shown(core, layer, direction, found, options)
            name, home = name_of(core), place(layer, direction)
            text = tr("{core} {home}: every gate and state is finite", core=name, home=home)
            checks.append(Check(f"{name}-{home}-finite", not any(signal.bad for signal in found), text))
    return [*records, Checks([*checks, replay_check(made)])]


def _shown(core: CoreTrace, layer: int, direction: int, found: list[Signal], options: Options) -> list[Record]:
    home = f"{name_of(core)} {place(layer, direction)}"
    rows: list[list[Entry]] = []
    for signal in found:
        low = float(signal.low.double().mean()) if signal.kind == "sigmoid" else None
        high = float(signal.high.double().mean()) if signal.kind != "free" else None
        doubled = len(signal.dead()), len(signal.doubles())
        rows.append([signal.name, float(signal.values.mean()), low, high, *doubled, signal.bad])
    columns = [
        Column("signal", tr("gate, state"), "text"),
        Column("mean", tr("mean")),
        Column("low", "< 0.1", "bar"),
        Column("high", tr("magnitude > 0.9"), "bar"),
        Column("dead", tr("dead"), "count"),
        Column("double", tr("double"), "count"),
        Column("nan", "NaN/Inf", "count"),
    ]
    size = found[-1].values.shape[1]
    caption = tr("dead: constant over all steps; double: equal to another unit; of {H} units", H=size)
    key = home.replace(" ", ".")
    units = unit_numbers(options, min(signal.values.shape[1] for signal in found))
    table = Table(key, columns, rows, title=home, caption=caption)
    return [table, *_per_step(key, found), _per_unit(key, found, units)]


def _per_step(key: str, found: list[Signal]) -> list[Record]:
    """Share of saturated units at each step, the mean over rows."""
    shown = [signal for signal in found if signal.kind != "free"]
    if not shown:
        return []
    steps = [t for t in range(len(shown[0].at)) if bool(shown[0].at[t].any())]
    values = []
    for signal in shown:
        saturated = (signal.low | signal.high).double().mean(1)  # (N,)
        by_step = torch.zeros(signal.at.shape, dtype=torch.double)
        by_step[signal.at] = saturated
        values.append([float(by_step[t].sum() / signal.at[t].sum()) for t in steps])
    title = tr("share of saturated units at each step")
    return [HeatMap(f"{key}.by_step", values, [s.name for s in shown], [str(t) for t in steps], "", "t", title)]


def _per_unit(key: str, found: list[Signal], units: list[int]) -> Table:
    """How often each unit is saturated, and whether it is dead or a duplicate."""
    dead, doubles = set(found[-1].dead()), {b: a for a, b in found[-1].doubles()}
    notes = [tr("dead") if k in dead else tr("= unit {n}", n=doubles[k]) if k in doubles else "" for k in units]
    parts: list[Part] = [(Column("unit", tr("unit"), "count"), units)]
    for signal in found:
        if signal.kind != "free":
            column = Column(f"{signal.name}.saturated", signal.name, "percent", group=tr("saturated"))
            parts.append((column, (signal.low | signal.high).double().mean(0)[units].tolist()))
    h = found[-1].values[:, units]
    parts += [(Column("min", tr("min h")), h.amin(0).tolist()), (Column("max", tr("max h")), h.amax(0).tolist())]
    return table_of(f"{key}.units", [*parts, (Column("note", "", "text"), notes)], cut_rows=SHOWN)
