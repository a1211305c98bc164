"""What a demo draws: the header's lines, the tables of states and gates, what to type next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import torch
from torch import Tensor
from torch.nn import functional as F

from rnncli import records
from rnncli.cells import CELLS
from rnncli.demo.network import Network, Place, is_linear
from rnncli.demo.proofs import Memory, Shares, linear_parameters, states_before
from rnncli.demo.settings import Settings, Shown, choose, letters
from rnncli.locale import tr, trn
from rnncli.records import Entry
from rnncli.replay import Trace
from rnncli.report.numbers import number

WIDE_ROWS = 4  # the same where vectors are long
ROWS = 7  # of a table before it is cut: the screen then has 23 lines
LONGEST = 44  # command that stands beside what it does in 80 columns
LETTERS = 12  # of the vocabulary of --input in the header
TOP = 3  # letters that --input shows of every prediction


class Rows(Sequence[Sequence[Entry]]):
    """A table's rows, made when they are read: a screen shows eight of a hundred thousand."""

    def __init__(self, length: int, make: Callable[[int], list[Entry]]) -> None:
        self.length, self.make = length, make

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, k: int) -> Sequence[Entry]: ...
    @overload
    def __getitem__(self, k: slice) -> Sequence[Sequence[Entry]]: ...
    def __getitem__(self, k: int | slice) -> Any:
        if isinstance(k, slice):
            return [self.make(row) for row in range(*k.indices(self.length))]
        if not -self.length <= k < self.length:
            raise IndexError(k)
        return self.make(k % self.length)


def title(net: Network) -> str:
    if not net.settings.single:
        return str(net.spec)
    core = str(net.spec) if CELLS[net.settings.cell].torch_class is None else str(net.spec).replace("(", "Cell(", 1)
    return trn("{core}, {n} parameter", "{core}, {n} parameters", core=core, n=net.spec.num_parameters())


def head_lines(net: Network) -> records.Message:
    """The shapes, where h starts, and the count written out."""
    s = net.settings
    first = "" if s.single else f"L·D={len(net.places())}, "
    zeros = not any(bool(tensor.any()) for tensor in net.state)
    start = tr("h starts at zeros") if zeros else tr("h starts as given")
    lines = [
        f"x (T={s.seq_len}, B={s.batch_size}, I={s.input_size})   "
        f"h ({first}B={s.batch_size}, H={s.hidden_size}), {start}",
        trn("{n} parameter = {sum}", "{n} parameters = {sum}", n=net.spec.num_parameters(), sum=_count(net)),
    ]
    if s.input is not None:
        vocabulary = letters(s.input)
        listed = " ".join(_letter(letter) for letter in vocabulary[:LETTERS])
        lines[0] += "   " + tr("letters: {letters}", letters=listed + (" ..." if len(vocabulary) > LETTERS else ""))
    if net.drawn:
        names = ", ".join(net.drawn)
        lines.append(tr("drawn by seed {seed}, not in {file}: {names}", file=s.source, seed=s.seed, names=names))
    return records.Message("\n".join(lines), name="shapes")


def _count(net: Network) -> str:
    """`W_ih 2·4 + W_hh 2·2 + b_ih 2 + b_hh 2`; several layers as D·(G·H·(in + H) + 2·G·H) each."""
    s, spec = net.settings, net.spec
    rows = f"{spec.num_gates}·{s.hidden_size}" if spec.num_gates > 1 else f"{s.hidden_size}"
    if s.single:
        names = {"weight_ih": "W_ih", "weight_hh": "W_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}
        counts = []
        for name, (first, *more) in spec.parameter_shapes(0).items():
            head = rows if first == spec.num_gates * s.hidden_size else str(first)
            counts.append(f"{names.get(name, name)} {'·'.join([head, *map(str, more)])}")
        return " + ".join(counts)
    parts: list[str] = []
    for layer in range(s.num_layers):
        columns: list[str] = []
        others: list[str] = []
        biases = 0
        for shape in spec.parameter_shapes(layer).values():
            if shape[0] != spec.num_gates * s.hidden_size or len(shape) > 2:
                others.append("·".join(map(str, shape)))
            elif len(shape) == 2:
                columns.append(str(shape[1]))
            else:
                biases += 1
        one = f"{rows}·({' + '.join(columns)})" + (f" + {biases}·{rows}" if biases else "")
        one = " + ".join([one, *others])
        parts.append(f"2·({one})" if s.bidirectional else one)
    if s.num_layers > 2:  # all layers but the first are alike
        parts = [parts[0], f"{s.num_layers - 1}·({parts[1]})"]
    return " + ".join(parts)


def formulas(net: Network) -> records.Message:
    """The equations of one step."""
    s, cell = net.settings, CELLS[net.settings.cell]
    text = net.spec.equation if cell.formulas is None else cell.formulas(s.bias, s.nonlinearity)
    if not cell.stateful:
        text += "   " + tr("no W_hh: no memory")
    elif _memory_term(net) and s.single and s.input is None:
        text += "   " + tr("W_hh·h_(t-1): the memory")
    if is_linear(net.spec) and s.single:
        text += "\n" + tr("= the sum of W_hh^(t-k)·W_ih·x_k: one linear map, however many steps (--proofs)")
    return records.Message(text, "formula", "equations")


def _memory_term(net: Network) -> bool:
    """Whether the past comes in by one product, W_hh·h_(t-1)."""
    cell = CELLS[net.settings.cell]
    return cell.recurrent_weight and not cell.gates


def tables(net: Network, trace: Trace, shown: Shown) -> list[records.Record]:
    """Every step: x_t, the memory term, h_t; gates in a table of their own; several layers as a grid."""
    s = net.settings
    steps = choose(shown.steps, s.seq_len, "--steps")
    units = choose(shown.units, s.hidden_size, "--units")
    made = _Tables(net, trace, steps, units)
    found: list[records.Record] = [made.states()] if s.single else [made.grid()]
    for place in net.places() if s.single or shown.full else []:
        found += made.gates(place)
    if not s.single:
        found.append(_grid_words(net))
    return found


class _Tables:
    def __init__(self, net: Network, trace: Trace, steps: list[int], units: list[int]) -> None:
        self.net, self.trace, self.steps, self.units = net, trace, steps, units
        self.B = net.settings.batch_size
        self.all_units = len(units) == net.spec.hidden_size
        self.caption = (
            "" if self.all_units else tr("units {units} of {n}", units=_ranges(units), n=net.spec.hidden_size)
        )
        # Wide vectors make a line each on a narrow screen: fewer rows then.
        wide = net.spec.input_size > 6 or len(units) > 6
        self.cut_rows = WIDE_ROWS if wide else ROWS

    def table(self, name: str, columns: list[tuple[records.Column, Tensor | None]], title: str = "") -> records.Table:
        """Rows are steps, or steps and samples; each column a (T, B, size) tensor, or what `special` gives."""
        lead = [records.Column("t", "t", "count", once=self.B > 1)]
        lead += [records.Column("b", "b", "count")] * (self.B > 1)
        all_columns = [*lead, *(column for column, _ in columns)]

        def make(row: int) -> list[Entry]:
            t, b = self.steps[row // self.B], row % self.B
            cells: list[Entry] = [t, b] if self.B > 1 else [t]
            for column, values in columns:
                cells.append(self.special(column.name, t) if values is None else values[t, b].tolist())
            return cells

        return records.Table(
            name,
            all_columns,
            Rows(len(self.steps) * self.B, make),
            title=title,
            caption=self.caption,
            cut_rows=self.cut_rows,
        )

    def vector(
        self, name: str, label: str, values: Tensor, *, units: bool = True, **more: Any
    ) -> tuple[records.Column, Tensor]:
        """A column of vectors, its shape beside its name."""
        label = f"{label} ({self.B},{values.shape[2]})"
        values = values[:, :, self.units] if units and not self.all_units else values
        return records.Column(name, label, "vector", **more), values

    def states(self) -> records.Table:
        """x_t, for an rnn W_hh·h_(t-1), every other state, such as an lstm's c_t, and h_t."""
        net, place = self.net, self.net.places()[0]
        text = net.settings.input
        columns: list[tuple[records.Column, Tensor | None]] = []
        if text is not None:
            columns.append((records.Column("in", tr("in"), "code"), None))
            columns.append((records.Column("x", "x_t", "text", optional=True), None))
        else:
            columns.append(self.vector("x", "x_t", net.x, units=False))
        weight_hh = net.weights(place).weight_hh
        if _memory_term(net) and text is None and weight_hh is not None:
            with torch.no_grad():
                term = F.linear(states_before(net, self.trace, place)[0], weight_hh)  # (T, B, H)
            columns.append(self.vector("memory", "W_hh·h_(t-1)", term))
        for state in reversed(net.spec.states):
            columns.append(self.vector(state, f"{state}_t", self.trace.vectors(f"{place.name}{state}")))
        if text is not None:
            columns.append((records.Column("top", tr("top {n}, before training", n=TOP), "text"), None))
        return self.table("steps", columns)

    def gates(self, place: Place) -> list[records.Table]:
        """The gates of one layer and direction; none for a cell without gates."""
        names = list(CELLS[self.net.settings.cell].gates)
        if not names:
            return []
        columns: list[tuple[records.Column, Tensor | None]] = [
            self.vector(name, name, self.trace[f"{place.name}gate.{name}"]) for name in names
        ]
        single = self.net.settings.single
        where = "" if single else tr("layer {k} {direction}", k=place.layer, direction=_arrow(place))
        return [self.table("gates" if single else f"gates.{place.name}"[:-1], columns, title=where)]

    def grid(self) -> records.Table:
        """T rows, and a column for each layer and direction."""
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
        """The cells of --input: the letter, its one-hot row, the likeliest letters."""
        text = self.net.settings.input
        assert text is not None
        if name == "in":
            return text[t]
        if name == "x":
            return " ".join(str(int(value)) for value in self.net.x[t, 0].tolist())
        vocabulary = letters(text)
        p = predictions(self.net, self.trace)[t, 0]
        best = p.topk(min(TOP, len(vocabulary)))
        pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        return "  ".join(f"{_letter(vocabulary[k])} {number(value)}" for value, k in pairs)


def predictions(net: Network, trace: Trace) -> Tensor:
    """What the untrained head of --input says of each step: (T, B, V) probabilities."""
    assert net.head is not None
    with torch.no_grad():
        return net.head(trace["output"]).softmax(dim=2)  # type: ignore[no-any-return]


def _letter(character: str) -> str:
    from rnncli.report.symbols import token

    return token(character)


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


def _grid_words(net: Network) -> records.Message:
    s, D = net.settings, net.spec.num_directions
    sizes = f"{s.seq_len}·{s.num_layers}·{D}"
    n = s.seq_len * s.num_layers * D
    lines = [
        trn(
            "T·L·D = {sizes} = {n} cell step: num_layers stacks cells, T is the length",
            "T·L·D = {sizes} = {n} cell steps: num_layers stacks cells, T is the length",
            sizes=sizes,
            n=n,
        )
    ]
    more = []
    if s.num_layers > 1:
        more.append(tr("layer 1 reads both h of layer 0") if s.bidirectional else tr("layer 1 reads the h of layer 0"))
    if s.bidirectional:
        more.append(tr("← starts at the last step"))
    if CELLS[s.cell].gates:
        more.append(tr("gates: --full"))
    return records.Message("\n".join([*lines, "; ".join(more)]), "note", "grid")


def shares_table(net: Network, shares: Shares) -> records.Table:
    """Each step's part of the gradient of the recurrent weights."""
    T = net.settings.seq_len

    def make(t: int) -> list[Entry]:
        return [t, shares.by_step[t].flatten().tolist(), shares.share(t)]

    where = "" if net.settings.single else tr(" of layer 0, forwards")
    size = ",".join(map(str, shares.shared.shape))
    columns = [
        records.Column("t", "t", "count"),
        records.Column("gradient", tr("dL/d{name} by step t ({size})", name=shares.name, size=size), "vector"),
        records.Column("share", tr("share"), "percent"),
    ]
    total = [None, shares.shared.flatten().tolist(), round(sum(shares.share(t) for t in range(T)), 9)]
    title = trn(
        "one {name}{where}, used once; L = the sum of the last h",
        "one {name}{where}, used {n} times; L = the sum of the last h",
        name=shares.name,
        where=where,
        n=T,
    )
    return records.Table("shares", columns, Rows(T, make), title=title, total=total, cut_rows=ROWS)


def proof_words(net: Network, memory: Memory | None) -> records.Message:
    """What the proofs mean, where a number alone does not say it."""
    found = []
    if net.settings.bias and linear_parameters(net) < net.spec.num_parameters():
        n, m = net.spec.num_parameters(), linear_parameters(net)
        found.append(
            tr(
                "{n} parameters, and {m} would do: b_ih and b_hh are only added. cuDNN has two, so torch has.",
                n=f"{n:,}",
                m=f"{m:,}",
            )
        )
        if CELLS[net.settings.cell].two_biases:
            found.append(tr("In n both are needed: r multiplies b_hn and not b_in."))
    if memory is not None and CELLS[net.settings.cell].stateful:
        found.append(
            tr(
                "An ordinary network has no W_hh: after another past, x_{t} gives it the same h_{t}. Here h_{t} "
                "moves by {moved}.",
                t=net.settings.seq_len - 1,
                moved=number(memory.moved),
            )
        )
    return records.Message(" ".join(found), name="meaning")


def explain_words(net: Network) -> records.Message:
    """What the article leaves open, a sentence each."""
    s = net.settings
    lines = [
        tr(
            "x_t is a column of {numbers} on paper and prints as [{B}, {I}]: torch keeps a row for every sample, so "
            "it computes x_t·W^T, the same numbers lying down.",
            numbers=trn("{n} number", "{n} numbers", n=s.input_size),
            I=s.input_size,
            B=s.batch_size,
        ),
        tr(
            "The article calls h the output because a recurrent cell has no other: what leaves step t is what step t+1 "
            "remembers. A layer after it (a Linear) makes the answer."
        ),
    ]
    if s.bias:
        lines.append(
            tr("Two biases: b_ih and b_hh are only added, one would do; cuDNN keeps two, and torch follows it.")
            if not CELLS[s.cell].two_biases
            else tr("Two biases: in r and z they are only added; in n, r multiplies b_hn and not b_in.")
        )
    lines.append(tr("Shared: every step uses the same W and b; only x_t and h_(t-1) change from step to step."))
    return records.Message("\n".join(lines), "note", "open-questions")


def collapse(net: Network) -> list[records.Record]:
    """An rnn without a nonlinearity: the matrix by which each x_k reaches the last h."""
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
    title = tr("no nonlinearity: h_{t} = the sum of W_eff·x_k, one linear map", t=T - 1)
    left = tr("and so on, one W_hh more for each step back") if T > ROWS else ""
    return [records.Table("collapse", columns, rows, title=title, caption=left)]


def warnings_of(net: Network) -> list[records.Record]:
    """Given numbers that are nan or infinite, by their places."""
    if not net.not_finite:
        return []
    places = ", ".join(net.not_finite[:3]) + (", ..." if len(net.not_finite) > 3 else "")
    return [
        records.Message(
            tr("nan or inf is given in {places}: whatever reads it becomes nan or inf", places=places),
            "warning",
            "not-finite",
        )
    ]


def next_commands(net: Network) -> records.Commands:
    """What to type next: all of it where the screen has room, else the first."""
    s = net.settings
    step = min(1, s.seq_len - 1)
    found = [(s.command("--explain", str(step)), tr("the sums of step {t} in full", t=step))]
    room = s.single and not CELLS[s.cell].gates and s.seq_len * s.batch_size <= 5 and len(found[0][0]) <= LONGEST
    if room:
        if s.input is None and s.source is None and not s.nice:
            found.append((s.command("--code"), tr("this as a plain PyTorch script")))
        if s.command() == Settings().command():
            found.append((s.command("--classic"), tr("exactly what the article's script prints")))
        found.append((s.command("--proofs"), tr("every proof in detail")))
        found.append(("rnncli train hello", tr("teach a cell something")))
    return records.Commands(tr("next"), found)
