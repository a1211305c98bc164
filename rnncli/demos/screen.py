"""The tables of a demo: states and gates at every step, several layers as a grid, each step's gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

import torch
from torch import Tensor
from torch.nn import functional as F

from rnncli import records
from rnncli.cells import CELLS, recurrent_matrices
from rnncli.demos.network import Network, Place, is_linear
from rnncli.demos.proofs import Shares, states_before
from rnncli.demos.settings import Shown, characters_of, choose
from rnncli.demos.words import grid_words, memory_term
from rnncli.locale import tr, trn
from rnncli.records import Entry
from rnncli.render.numbers import number
from rnncli.render.symbols import token
from rnncli.replay import Trace

WIDE_ROWS = 4  # the same for long vectors
ROWS = 7  # rows of a table before truncation, so that the screen has 23 lines
SMALL = 9  # size of a matrix that is shown in full
TOP = 3  # predicted characters shown by --input


class Rows(Sequence[Sequence[Entry]]):
    """A table's rows, computed on access: a screen shows eight of a hundred thousand."""

    def __init__(self, length: int, make: Callable[[int], list[Entry]]) -> None:
        self.length, self.make = length, make

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, k: int) -> Sequence[Entry]: ...
    @overload
    def __getitem__(self, k: slice) -> Sequence[Sequence[Entry]]: ...
    def __getitem__(self, k: int | slice) -> Sequence[Entry] | Sequence[Sequence[Entry]]:
        if isinstance(k, slice):
            return [self.make(row) for row in range(*k.indices(self.length))]
        if not -self.length <= k < self.length:
            raise IndexError(k)
        return self.make(k % self.length)


def tables(net: Network, trace: Trace, shown: Shown) -> list[records.Record]:
    """Every step: x_t, the memory term, h_t; gates in a separate table; several layers as a grid."""
    s = net.settings
    steps = choose(shown.steps, s.seq_len, "--steps")
    units = choose(shown.units, s.hidden_size, "--units")
    made = Tables(net, trace, steps, units)
    found: list[records.Record] = [made.states()] if s.single else [made.grid()]
    for place in net.places() if s.single or shown.full else []:
        found += made.gates(place)
    if not s.single:
        found.append(grid_words(net))
    return found


class Tables:
    """Tables of a demo's chosen steps and units."""

    def __init__(self, net: Network, trace: Trace, steps: list[int], units: list[int]) -> None:
        self.net, self.trace, self.steps, self.units = net, trace, steps, units
        self.B = net.settings.batch_size
        self.all_units = len(units) == net.spec.hidden_size
        self.caption = (
            "" if self.all_units else tr("units {units} of {n}", units=_ranges(units), n=net.spec.hidden_size)
        )
        # On a narrow screen wide vectors take a line each, so show fewer rows.
        wide = net.spec.input_size > 6 or len(units) > 6
        self.cut_rows = WIDE_ROWS if wide else ROWS

    def table(self, name: str, columns: list[tuple[records.Column, Tensor | None]], title: str = "") -> records.Table:
        """Rows are steps, or steps and samples; each column is a (T, B, size) tensor or the result of `special`."""
        lead = [records.Column("t", "t", "count", once=self.B > 1)]
        lead += [records.Column("b", "b", "count")] * (self.B > 1)

        def make(row: int) -> list[Entry]:
            t, b = self.steps[row // self.B], row % self.B
            cells: list[Entry] = [t, b] if self.B > 1 else [t]
            for column, values in columns:
                cells.append(self.special(column.name, t) if values is None else values[t, b].tolist())
            return cells

        all_columns, rows = [*lead, *(column for column, _ in columns)], Rows(len(self.steps) * self.B, make)
        return records.Table(name, all_columns, rows, title, caption=self.caption, cut_rows=self.cut_rows)

    def vector(
        self, name: str, label: str, values: Tensor, *, units: bool = True, optional: bool = False, group: str = ""
    ) -> tuple[records.Column, Tensor]:
        """A column of vectors, with the shape in its header."""
        label = f"{label} ({self.B},{values.shape[2]})"
        values = values[:, :, self.units] if units and not self.all_units else values
        return records.Column(name, label, "vector", optional, group), values

    def states(self) -> records.Table:
        """Columns x_t, W_hh·h_(t-1) for an rnn, every other state (an lstm's c_t), and h_t."""
        net, place = self.net, self.net.places()[0]
        text = net.settings.input
        columns: list[tuple[records.Column, Tensor | None]] = []
        if text is not None:
            columns.append((records.Column("in", tr("in"), "code"), None))
            columns.append((records.Column("x", "x_t", "text", optional=True), None))
        else:
            columns.append(self.vector("x", "x_t", net.x, units=False))
        if memory_term(net) and text is None:
            with torch.no_grad():
                (weight,) = recurrent_matrices(net.spec, net.weights(place)).values()
                term = F.linear(states_before(net, self.trace, place)[0], weight)  # (T, B, H)
            columns.append(self.vector("memory", "W_hh·h_(t-1)", term))
        for state in reversed(net.spec.states):
            columns.append(self.state(state, f"{place.name}{state}"))
        if text is not None:
            columns.append((records.Column("top", tr("top {n}, before training", n=TOP), "text"), None))
        return self.table("steps", columns)

    def state(self, state: str, name: str) -> tuple[records.Column, Tensor]:
        """A small matrix row by row; for a larger one the norm of each row."""
        whole = self.trace[name]  # (T, B, H) or (T, B, H, H)
        if whole.dim() == 3:
            return self.vector(state, f"{state}_t", whole)
        if self.all_units and whole[0, 0].numel() <= SMALL:
            label = f"{state}_t ({self.B},{whole.shape[2]},{whole.shape[3]})"
            return records.Column(state, label, "vector"), whole.flatten(2)
        return self.vector(state, tr("row norms of {state}_t", state=state), self.trace.vectors(name))

    def gates(self, place: Place) -> list[records.Table]:
        """The gates and other named values of one layer and direction; None for a cell without gates."""
        cell = CELLS[self.net.settings.cell]
        if not cell.gates:
            return []
        columns: list[tuple[records.Column, Tensor | None]] = [
            self.vector(name, name, self.trace[f"{place.name}gate.{name}"]) for name in cell.gates
        ]
        for name in (name for name in cell.records if name in cell.about):
            values = self.trace[f"{place.name}{name}"]
            columns.append(self.vector(name, name, values, units=values.shape[2] == self.net.spec.hidden_size))
        single = self.net.settings.single
        where = "" if single else tr("layer {k} {direction}", k=place.layer, direction=_arrow(place))
        return [self.table("gates" if single else f"gates.{place.name}"[:-1], columns, title=where)]

    def grid(self) -> records.Table:
        """T rows and a column for each layer and direction."""
        net = self.net
        columns: list[tuple[records.Column, Tensor | None]] = []
        if net.settings.input is not None:
            columns.append((records.Column("in", tr("in"), "code"), None))
        else:
            columns.append(self.vector("x", "x_t", net.x, units=False, optional=True))
        for place in net.places():
            group = tr("layer {k}", k=place.layer)
            label = f"h {_arrow(place)}" if net.spec.bidirectional else "h"
            columns.append(self.vector(f"{place.name}h", label, self.trace[f"{place.name}h"], group=group))
        if net.settings.input is not None:
            columns.append((records.Column("top", tr("top {n}, before training", n=TOP), "text", optional=True), None))
        return self.table("steps", columns)

    def special(self, name: str, t: int) -> str:
        """The table cells of --input: the character, its one-hot vector, the most likely next characters."""
        text = self.net.settings.input
        assert text is not None
        if name == "in":
            return text[t]
        if name == "x":
            return " ".join(str(int(value)) for value in self.net.x[t, 0].tolist())
        vocabulary = characters_of(text)
        p = predictions(self.net, self.trace)[t, 0]
        best = p.topk(min(TOP, len(vocabulary)))
        pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        return "  ".join(f"{token(vocabulary[k])} {number(value)}" for value, k in pairs)


def predictions(net: Network, trace: Trace) -> Tensor:
    """Probabilities from the untrained head of --input at each step, (T, B, V)."""
    assert net.head is not None
    with torch.no_grad():
        return net.head(trace["output"]).softmax(dim=2)  # type: ignore[no-any-return]


def _arrow(place: Place) -> str:
    return "←" if place.direction else "→"


def _ranges(units: list[int]) -> str:
    """[0, 1, 2, 5] -> 0-2,5."""
    parts: list[list[int]] = []
    for unit in units:
        if parts and unit == parts[-1][-1] + 1:
            parts[-1].append(unit)
        else:
            parts.append([unit])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def shares_table(net: Network, shares: Shares) -> records.Table:
    """Each step's contribution to the gradient of the recurrent weights."""
    T = net.settings.seq_len

    def make(t: int) -> list[Entry]:
        return [t, shares.by_step[t].flatten().tolist(), shares.share(t)]

    where = "" if net.settings.single else tr(" of layer 0, forward")
    size = ",".join(map(str, shares.shared.shape))
    columns = [
        records.Column("t", "t", "count"),
        records.Column("gradient", tr("dL/d{name} by step t ({size})", name=shares.name, size=size), "vector"),
        records.Column("share", tr("share"), "percent"),
    ]
    total = [None, shares.shared.flatten().tolist(), round(sum(shares.share(t) for t in range(T)), 9)]
    title = trn(
        "one {name}{where}, used once; L is the sum of the last h",
        "one {name}{where}, used {n} times; L is the sum of the last h",
        name=shares.name,
        where=where,
        n=T,
    )
    return records.Table("shares", columns, Rows(T, make), title=title, total=total, cut_rows=ROWS)


def collapse(net: Network) -> list[records.Record]:
    """For an rnn without nonlinearity: the matrix from each x_k to the last h."""
    s = net.settings
    if not is_linear(net.spec) or not s.single:
        return []
    w = net.weights(net.places()[0])
    assert w.weight_hh is not None
    T = s.seq_len
    rows: list[list[Entry]] = []
    with torch.no_grad():
        effective = w.weight_ih
        for lag in range(min(T, ROWS)):
            name = "W_ih" if lag == 0 else "W_hh·W_ih" if lag == 1 else f"W_hh^{lag}·W_ih"
            rows.append([f"x_{T - 1 - lag}", name, effective.flatten().tolist()])
            effective = w.weight_hh @ effective
    columns = [
        records.Column("of", tr("of"), "text"),
        records.Column("power", "W_eff", "text"),
        records.Column("matrix", tr("row by row ({shape})", shape=f"{s.hidden_size},{s.input_size}"), "vector"),
    ]
    title = tr("no nonlinearity: h_{t} is the sum of W_eff·x_k, one linear map", t=T - 1)
    left = tr("and so on, one more W_hh for each step back") if T > ROWS else ""
    return [records.Table("collapse", columns, rows, title=title, caption=left)]
