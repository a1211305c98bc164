"""--explain: the sums of a step, every product with its numbers, added up in plain Python floats: not by torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from rnncli import records
from rnncli.cells import CELLS
from rnncli.demo.network import Network, Place, detached
from rnncli.demo.proofs import check, inputs_of, states_before, step_cost
from rnncli.demo.settings import Shown, choose
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Entry
from rnncli.replay import Trace, eps_of
from rnncli.replay.rounding import FACTOR, Found
from rnncli.report.numbers import EDGE, number

UNITS = 8  # units and samples explained without --units or --full
SAMPLES = 1
PRODUCTS = 12  # products of one sum written without --full
_ROWS = 20_000  # terms of one page: more would be no explanation


@dataclass(frozen=True)
class Term:
    """One line: `W_ih·x_1`, how it is made, and its value. result: name of the tensor it must equal, or "".

    blank: how it is made by the names of results, where a sheet must not give them away; None: as written.
    """

    name: str
    written: str
    value: float
    result: str = ""
    blank: str | None = None


def steps_asked(text: str, seq_len: int) -> list[int]:
    """`all`, or steps as --steps takes them."""
    return list(range(seq_len)) if text.strip().lower() == "all" else choose(text, seq_len, "--explain")


def explanations(net: Network, trace: Trace, shown: Shown) -> tuple[list[records.Record], records.Check]:
    """A table for every step, layer and direction asked for, and the check that its results are the shown numbers."""
    assert shown.explain is not None
    if net.settings.cell not in WRITTEN:
        raise UsageError(
            tr("the sums of {cell} are not written out", cell=net.settings.cell),
            where="--explain",
            todo=tr("there are those of {cells}", cells=", ".join(WRITTEN)),
        )
    steps = steps_asked(shown.explain, net.settings.seq_len)
    units = choose(shown.units, net.spec.hidden_size, "--units")
    samples = list(range(net.settings.batch_size))
    if not shown.full:
        units = units if shown.units else units[:UNITS]
        samples = samples[:SAMPLES]
    rows = len(steps) * len(samples) * len(units) * len(net.places()) * 6 * net.spec.num_gates
    if rows > _ROWS:
        raise UsageError(
            tr("--explain would write about {n} lines", n=f"{rows:,}"),
            todo=tr("choose fewer steps or units: --explain 0:3 --units 0-3"),
        )
    tables: list[records.Record] = []
    found: list[Found] = [(0.0, 0.0)]
    eps = eps_of(trace.core())
    costs = {place.name: step_cost(net, trace, place) for place in net.places()}  # (T, B, H) each
    for t in steps:
        for place in net.places():
            body: list[list[Entry]] = []
            for b in samples:
                by_hand = _Step(net, trace, place, t, b, shown.full)
                before = t + 1 if place.direction else t - 1
                if shown.blanks:
                    by_hand.hide(before in steps, place.layer > 0)
                for unit in units:
                    for term in by_hand.terms(unit):
                        written = term.blank if shown.blanks and term.blank is not None else term.written
                        body.append([*([b] if len(samples) > 1 else []), unit, term.name, written, term.value])
                        if term.result:
                            truth = float(trace[f"{place.name}{term.result}"][t, b, unit])
                            cost = sum(float(cost[t, b, unit]) for cost in costs[place.name]) + FACTOR * eps  # of gates
                            found.append((apart(term.value, truth), cost))
            tables.append(_table(net, place, t, samples, units, body))
    return tables, check("sums-by-hand", tr("these sums give the shown numbers"), found)


def explained_table(net: Network, name: str, title: str, rows: list[tuple[int, Term]]) -> records.Table:
    """A table of terms of the first sample."""
    body: list[list[Entry]] = [[unit, term.name, term.written, term.value] for unit, term in rows]
    table = records.Table(name, _columns(False), body, title=title)
    told = tr("sample 0 of {n}", n=net.settings.batch_size)
    return replace(table, caption=told) if net.settings.batch_size > 1 else table


def _columns(several: bool) -> list[records.Column]:
    return [
        *([records.Column("sample", "b", "count", once=True)] if several else []),
        records.Column("unit", tr("unit"), "count", once=True),
        records.Column("term", tr("term"), "text"),
        records.Column("written", tr("written out"), "text"),
        records.Column("value", tr("value")),
    ]


def _table(
    net: Network, place: Place, t: int, samples: list[int], units: list[int], body: list[list[Entry]]
) -> records.Table:
    columns = _columns(len(samples) > 1)
    title = tr("step {t}", t=t)
    if not net.settings.single:
        title += tr(", layer {k}", k=place.layer)
        if net.spec.bidirectional:
            title += tr(", backwards") if place.direction else tr(", forwards")
    left = []
    if len(samples) < net.settings.batch_size:
        left.append(tr("sample 0 of {n}", n=net.settings.batch_size))
    if len(units) < net.spec.hidden_size:
        left.append(tr("{k} of {n} units", k=len(units), n=net.spec.hidden_size))
    caption = tr("{what}   (--full shows all)", what=", ".join(left)) if left else ""
    return records.Table(f"explain.{place.name}{t}", columns, body, title=title, caption=caption)


class _Step:
    """The numbers that go into one step of one layer, for one sample."""

    def __init__(self, net: Network, trace: Trace, place: Place, t: int, b: int, full: bool) -> None:
        self.cell, self.nonlinearity = net.settings.cell, net.settings.nonlinearity
        self.H, self.full = net.spec.hidden_size, full
        self.before = t + 1 if place.direction else t - 1
        self.after = t
        self.reads = f"x_{t}" if place.layer == 0 else tr("below_{t}", t=t)
        last = net.settings.seq_len - 1
        first = (t == last) if place.direction else (t == 0)
        self.h_name, self.c_name = (
            (f"h_{tr('start')}", f"c_{tr('start')}") if first else (f"h_{self.before}", f"c_{self.before}")
        )
        self.x: list[float] = inputs_of(net, trace, place)[t, b].tolist()
        states = states_before(net, trace, place)
        self.h: list[float] = states[0][t, b].tolist()
        self.c: list[float] = states[1][t, b].tolist() if len(states) > 1 else []
        self.w = detached(net.weights(place))
        self.hidden: set[str] = set()  # vectors that are results of the same sheet

    def hide(self, before: bool, below: bool) -> None:
        """For a sheet with blanks: these vectors are its own results and stand by their names."""
        self.hidden = ({self.h_name} if before else set()) | ({self.reads} if below else set())

    def terms(self, unit: int) -> Iterator[Term]:
        """Every line for one unit, up to h_t."""
        return WRITTEN[self.cell](self, unit)

    def _rnn(self, unit: int) -> Iterator[Term]:
        a = yield from self._sum("", unit, 0)
        name, value = self.nonlinearity, _ACTIVATIONS[self.nonlinearity](a)
        written = f"{name}({number(a)})" if name != "none" else number(a)
        blank = f"{name}(a_{self.after})" if name != "none" else f"a_{self.after}"
        yield Term(f"h_{self.after}", written, value, "h", blank)

    def _lstm(self, unit: int) -> Iterator[Term]:
        gates = {}
        for k, (gate, name) in enumerate(CELLS[self.cell].gates.items()):
            a = yield from self._sum(gate, unit, k)
            gates[gate] = _ACTIVATIONS[name](a)
            written = f"{name}({number(a)})"
            yield Term(f"{gate}_{self.after}", written, gates[gate], f"gate.{gate}", f"{name}(a_{gate})")
        i, f, g, o = (gates[gate] for gate in "ifgo")
        c = f * self.c[unit] + i * g
        written = f"f·{self.c_name} + i·g = {_product(f, self.c[unit])} + {_product(i, g)}"
        yield Term(f"c_{self.after}", written, c, "c", written.partition(" = ")[0] + self._given_c(unit))
        h = o * math.tanh(c)
        blank = f"o·tanh(c_{self.after})"
        yield Term(f"h_{self.after}", f"{blank} = {_product(o, math.tanh(c))}", h, "h", blank)

    def _given_c(self, unit: int) -> str:
        """c of the step before is given, but where it is a result of the same sheet."""
        return "" if self.h_name in self.hidden else f",  {self.c_name} = {number(self.c[unit])}"

    def _gru(self, unit: int) -> Iterator[Term]:
        gates = {}
        for k, gate in enumerate("rz"):
            a = yield from self._sum(gate, unit, k)
            gates[gate] = _ACTIVATIONS["sigmoid"](a)
            written = f"sigmoid({number(a)})"
            yield Term(f"{gate}_{self.after}", written, gates[gate], f"gate.{gate}", f"sigmoid(a_{gate})")
        r, z = gates["r"], gates["z"]
        p = yield from self._half("ih", "n", unit, 2)
        q = yield from self._half("hh", "n", unit, 2)
        yield Term("q", f"W_hn·{self.h_name} + b_hn" if self.w.bias_hh is not None else f"W_hn·{self.h_name}", q, "q")
        a = p + r * q
        bias = " + b_in + r·q" if self.w.bias_ih is not None else " + r·q"
        yield Term("a_n", f"{number(p)} + r·q = {number(p)} + {_product(r, q)}", a, "", f"W_in·{self.reads}{bias}")
        n = math.tanh(a)
        yield Term(f"n_{self.after}", f"tanh({number(a)})", n, "gate.n", "tanh(a_n)")
        before = self.h[unit]
        h = (1 - z) * n + z * before
        written = f"(1-z)·n + z·{self.h_name} = {_product(1 - z, n)} + {_product(z, before)}"
        known = "" if self.h_name in self.hidden else f",  {self.h_name} = {number(before)}"
        yield Term(f"h_{self.after}", written, h, "h", written.partition(" = ")[0] + known)

    def _sum(self, gate: str, unit: int, k: int) -> Generator[Term, None, float]:
        """Both halves and their sum a. Returns a."""
        p = yield from self._half("ih", gate, unit, k)
        if self.w.weight_hh is None:
            q = yield from self._bias("hh", gate, unit, k)
        else:
            q = yield from self._half("hh", gate, unit, k)
        yield Term(f"a_{gate}" if gate else f"a_{self.after}", tr("the sum of these"), p + q)
        return p + q

    def _half(self, half: str, gate: str, unit: int, k: int) -> Generator[Term, None, float]:
        """W_ih·x + b_ih, or W_hh·h + b_hh, of gate number k. Returns its value."""
        matrix = self.w.weight_ih if half == "ih" else self.w.weight_hh
        assert matrix is not None
        row: list[float] = matrix[k * self.H + unit].tolist()
        vector, name = (self.x, self.reads) if half == "ih" else (self.h, self.h_name)
        dot = sum(w * v for w, v in zip(row, vector, strict=True))
        label = f"W_{half[0]}{gate or 'h'}" if gate else f"W_{half}"
        labels = [f"{name}[{k}]" for k in range(len(vector))]
        blank = products(row, labels, self.full) if name in self.hidden else None
        yield Term(f"{label}·{name}", products(row, vector, self.full), dot, "", blank)
        bias = yield from self._bias(half, gate, unit, k)
        return dot + bias

    def _bias(self, half: str, gate: str, unit: int, k: int) -> Generator[Term, None, float]:
        vector = self.w.bias_ih if half == "ih" else self.w.bias_hh
        if vector is None:
            return 0.0
        bias = float(vector[k * self.H + unit])
        yield Term(f"b_{half[0]}{gate}" if gate else f"b_{half}", "", bias)
        return bias


# The cells whose sums are written out here.
WRITTEN: dict[str, Callable[[_Step, int], Iterator[Term]]] = {
    "rnn": _Step._rnn,
    "feedforward": _Step._rnn,
    "lstm": _Step._lstm,
    "gru": _Step._gru,
}


def products(row: Sequence[float], vector: Sequence[float | str], full: bool) -> str:
    """`0.1·0.2 + ...`; the second factors may be names."""
    written = [_product(w, v) for w, v in zip(row, vector, strict=True)]
    if len(written) > PRODUCTS and not full:
        skipped = tr("... {n} more ...", n=len(written) - 2 * EDGE)
        written = [*written[:EDGE], skipped, *written[-EDGE:]]
    return " + ".join(written)


def _product(a: float, b: float | str) -> str:
    """`0.1234·(-0.5678)`: a number of more than four decimals is rounded, and the sums use all of it."""
    if isinstance(b, str):
        return f"{_short(a)}·{b}"
    return f"{_short(a)}·({_short(b)})" if b < 0 else f"{_short(a)}·{_short(b)}"


def _short(value: float) -> str:
    """0.5 and -1 as a person writes them."""
    return f"{value:g}" if abs(value) < 1e4 and value * 2 % 1 == 0 else number(value)


def _sigmoid(a: float) -> float:
    if a != a:
        return a
    if a >= 0:
        return 1 / (1 + math.exp(-a))
    e = math.exp(a)  # of a negative number: it cannot overflow
    return e / (1 + e)


_ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "tanh": math.tanh,
    "relu": lambda a: a if a != a or a > 0 else 0.0,
    "none": lambda a: a,
    "sigmoid": _sigmoid,
}


def apart(a: float, b: float) -> float:
    if a == b or (a != a and b != b):
        return 0.0
    return abs(a - b)
