"""--explain: the sums of a time step with every product's numbers, computed in plain Python floats, without torch."""

from __future__ import annotations

from dataclasses import replace

from rnncli import records
from rnncli.cells import CELLS
from rnncli.demos.network import Network, Place, detached
from rnncli.demos.proofs import inputs_of, states_before, step_cost
from rnncli.demos.settings import Shown, choose
from rnncli.demos.written import StepInputs, Term, Written, equations_of
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Entry
from rnncli.replay import Trace, eps_of
from rnncli.replay.rounding import FACTOR, Found, checked

UNITS = 8  # units and samples shown without --units or --full
SAMPLES = 1
_ROWS = 20_000  # maximum number of terms on a page


def selected_steps(text: str, seq_len: int) -> list[int]:
    """`all`, or steps in the syntax of --steps."""
    return list(range(seq_len)) if text.strip().lower() == "all" else choose(text, seq_len, "--explain")


def explanations(net: Network, trace: Trace, shown: Shown) -> tuple[list[records.Record], records.Check]:
    """A table for every selected step, layer and direction, and the check that its results equal the shown numbers."""
    assert shown.explain is not None
    if not equations_of(net.spec):
        available = [cell for cell in CELLS.files if CELLS[cell].written is not None]
        raise UsageError(
            tr("sums are not available for {cell}", cell=net.spec),
            where="--explain",
            todo=tr("available for: {cells}", cells=", ".join(available)),
        )
    steps = selected_steps(shown.explain, net.settings.seq_len)
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
                by_hand = Written(_step_inputs(net, trace, place, t, b, shown, steps))
                for unit in units:
                    for term in by_hand.terms(unit):
                        written = term.blank if shown.blanks and term.blank is not None else term.written
                        body.append([*([b] if len(samples) > 1 else []), unit, term.name, written, term.value])
                        if term.result:
                            tensor = trace[f"{place.name}{term.result}"][t, b]  # (H,), or a scalar for all units
                            truth = float(tensor[min(unit, len(tensor) - 1)])
                            cost = sum(float(cost[t, b, unit].max()) for cost in costs[place.name])
                            cost += FACTOR * eps * max(1.0, abs(truth))  # for gates
                            found.append((apart(term.value, truth), cost))
            tables.append(_table(net, place, t, samples, units, body))
    return tables, checked("sums-by-hand", tr("these sums equal the shown numbers"), *found)


def explained_table(net: Network, name: str, title: str, rows: list[tuple[int, Term]]) -> records.Table:
    """A table of terms of the first sample."""
    body: list[list[Entry]] = [[unit, term.name, term.written, term.value] for unit, term in rows]
    table = records.Table(name, _columns(False), body, title=title)
    caption = tr("sample 0 of {n}", n=net.settings.batch_size)
    return replace(table, caption=caption) if net.settings.batch_size > 1 else table


def _columns(several: bool) -> list[records.Column]:
    return [
        *([records.Column("sample", "b", "count", once=True)] if several else []),
        records.Column("unit", tr("unit"), "count", once=True),
        records.Column("term", tr("term"), "formula"),
        records.Column("written", tr("written out"), "formula"),
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


def _step_inputs(
    net: Network, trace: Trace, place: Place, t: int, b: int, shown: Shown, steps: list[int]
) -> StepInputs:
    """The inputs of one step. On a worksheet, results to fill in appear as names."""
    before, last = (t + 1 if place.direction else t - 1), net.settings.seq_len - 1
    first = (t == last) if place.direction else (t == 0)
    times = (str(t), tr("start") if first else str(before))
    reads = f"x_{t}" if place.layer == 0 else tr("below_{t}", t=t)
    states = zip(net.spec.states, states_before(net, trace, place), strict=True)
    hidden = [f"h_{before}"] * (before in steps) + [reads] * (place.layer > 0)
    return StepInputs(
        spec=net.spec,
        weights=detached(net.weights(place)),
        x=inputs_of(net, trace, place)[t, b].tolist(),
        states={name: tensor[t, b].tolist() for name, tensor in states},
        reads=reads,
        times=times,
        full=shown.full,
        hidden=frozenset(hidden) if shown.blanks else frozenset(),
    )


def apart(a: float, b: float) -> float:
    if a == b or (a != a and b != b):
        return 0.0
    return abs(a - b)
