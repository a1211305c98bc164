"""Opens a cell at one step: its operations as boxes of lines, for one unit, from the cell's own definition.

The graph of `elements` is cut at named values (states and gates) and at values read twice; everything between belongs
to the box it leads to, one line per operation, the terms of a sum one below the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from rnncli.cells import CELLS, CoreSpec, State, Weights
from rnncli.locale import tr
from rnncli.records import Box, BoxLine, OpenedCell
from rnncli.render.boxes import vector
from rnncli.replay.elements import Node, Read, StepRecord, graph, is_product
from rnncli.replay.formulas import ATOM, PRODUCT, SUM, Formula, bracketed, formula

LONGEST = 22  # maximum characters of an inlined formula; longer ones get a name
COMPARISONS = frozenset({"eq", "ne", "gt", "lt", "ge", "le"})
# Operations that are inlined into the formula reading them.
INLINE = frozenset({"neg", "rsub", "relu", "clamp", "clamp_min", "clamp_max", "logical_not"}) | COMPARISONS
# Operations whose numeric operands are part of the formula.
COUNTED = frozenset({"add", "sub", "rsub", "mul", "div", "pow", "clamp", "clamp_min", "clamp_max"}) | COMPARISONS


Kind = Literal["input", "between", "gate", "state"]
_RANKS = ("input", "state", "gate", "between")  # which name to use if there are several


@dataclass(frozen=True)
class Place:
    """Which cell of an unrolled network. step, before: labels of the time steps. row: of the batch. reads: description
    of x."""

    spec: CoreSpec
    unit: int
    step: int
    before: str
    row: int = 0
    reads: str = ""


def open_step(place: Place, x: Tensor, state: State, w: Weights) -> OpenedCell:
    """Open the step from x (B, I) and state, (B, ...) each, traced back from unit `place.unit` of every new state."""
    spec = place.spec
    record = StepRecord(spec.step, CELLS[spec.cell].step, x, state, list(spec.states), w)
    return _Opening(place, record).cell()


@dataclass(frozen=True)
class _Name:
    """numbers: ids of the drawn row, shaped like the tensor."""

    name: str
    title: str
    kind: Kind
    numbers: Tensor

    @cached_property
    def every(self) -> frozenset[int]:
        return frozenset(self.numbers.flatten().tolist())


class _Opening:
    def __init__(self, place: Place, record: StepRecord) -> None:
        self.place, self.record = place, record
        self.names = sorted(self._names(), key=lambda one: (_RANKS.index(one.kind), one.numbers.numel()))
        self.nodes = graph(record, list(self._wanted()))
        self.readers: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for giver in dict.fromkeys(giver for read in node.reads for giver in read.nodes):
                self.readers[giver].append(node)
        self.named = {node: name for node in self.nodes if (name := self._name_of(node)) is not None}
        self.home = self._homes()
        self.titles: dict[Node, str] = {}  # of unnamed values
        self.sums = Counter[tuple[Node, str]]()
        self.box_names: dict[Node, str] = {}
        for node in dict.fromkeys(self.home.values()):
            self.box_names[node] = self._box_name(node)

    # --- names and requested values

    def _names(self) -> Iterator[_Name]:
        place, record, row = self.place, self.record, self.place.row
        known = CELLS[place.spec.cell]
        for name, numbers in record.states.items():
            yield _Name(name, f"{name}_{place.step}", "state", numbers[row])
        for name, numbers in record.gates.items():
            full = name if name in known.records else f"gate.{name}"
            yield _Name(full, name, "gate", numbers[row] if numbers.dim() else numbers)
        for name, numbers in record.locals.items():
            if name not in record.states and numbers.dim() and numbers.shape[0] == record.after[0].shape[0]:
                yield _Name(f"between.{name}", name, "between", numbers[row])

    def _wanted(self) -> Iterator[list[int]]:
        for numbers in (*self.record.states.values(), *self.record.gates.values()):
            mine = numbers[self.place.row] if numbers.dim() > 1 else numbers
            if mine.dim():
                if self.place.unit >= len(mine) > 1:
                    continue  # different size: a projection has fewer units
                mine = mine[min(self.place.unit, len(mine) - 1)]
            yield mine.flatten().tolist()

    def _name_of(self, node: Node) -> _Name | None:
        source = node.source
        if source.kind in ("x", "state"):
            label = f"x_{self.place.step}" if source.kind == "x" else f"{source.name}_{self.place.before}"
            name = "x" if source.kind == "x" else f"before.{source.name}"
            row = source.value[0].numel()
            start = source.start + (node.numbers[0] - source.start) // row * row
            return _Name(name, label, "input", torch.arange(start, start + row).view(source.value.shape[1:]))
        if source.kind != "op":
            return None
        own = set(node.numbers)
        return next((one for one in self.names if own <= one.every), None)

    def _homes(self) -> dict[Node, Node]:
        """For every node, the last node of its box: itself if named by the cell, or read in several boxes."""
        home: dict[Node, Node] = {}
        for node in reversed(self.nodes):
            if node.source.kind in ("weight", "constant"):
                continue
            readers = {home[reader] for reader in self.readers[node]}
            named = node in self.named and self.named[node].kind != "between"
            home[node] = node if named or len(readers) != 1 else readers.pop()
        return home

    def _box_name(self, node: Node) -> str:
        name = self.named[node].name if node in self.named else f"between.s{len(self.box_names)}"
        taken = set(self.box_names.values())
        return name if name not in taken else f"{name}.{sum(one.startswith(name) for one in taken) + 1}"

    # --- boxes

    def cell(self) -> OpenedCell:
        boxes = [self._box(root) for root in self.nodes if self.home.get(root) is root]
        return OpenedCell(self.place.step, self.place.unit, boxes)

    def _box(self, root: Node) -> Box:
        kind: Kind = self.named[root].kind if root in self.named else "between"
        if root.source.kind != "op":
            lines = [BoxLine("", root.values, role="result")]
        else:
            mine = [node for node in self.nodes if self.home.get(node) is root]
            lines = [line for node in mine for line in self._lines(node, root)]
        return Box(self.box_names[root], self._title(root), kind, lines, self._about(root))

    def _about(self, root: Node) -> str:
        named, about = self.named.get(root), CELLS[self.place.spec.cell].about
        if root.source.kind == "x":
            return self.place.reads
        if named is None or root.source.kind != "op":
            return ""
        key = named.name.removeprefix("gate.")
        return tr(about[key]) if key in about else ""

    def _lines(self, node: Node, root: Node) -> Iterator[BoxLine]:
        """The lines of one node: none if it is inlined."""
        if node is not root and (self._is_inline(node) or self._is_term(node)):
            return
        if self._adds(node):
            yield from self._terms(node)
            yield BoxLine(self._title(node), node.values, role="result" if node is root else "sum")
            return
        role: Literal["result", "step"] = "result" if node is root else "step"
        if is_product(node.source):
            (line,) = self._terms(node)
            yield replace(line, role=role)
            return
        text, title = self._formula(node)[0], self._title(node)
        if role == "step" and title != text:
            text = f"{title} = {text}"
        yield BoxLine(text, node.values, self._sources(node), self._factors(node), role, self._in_numbers(node))

    def _title(self, node: Node) -> str:
        """Its name, else its formula; for a sum, or a formula too long to inline, a number."""
        if node in self.named:
            return self.named[node].title + self._index(node, node.numbers)
        if node not in self.titles:
            adds = self._adds(node)
            text = "" if adds else self._formula(node)[0]
            if adds or len(text) > LONGEST:
                text = tr("sum") if adds else "s"
                self.sums[self.home[node], text] += 1
                count = self.sums[self.home[node], text]
                text = text if count == 1 else f"{text} {count}"
            self.titles[node] = text
        return self.titles[node]

    # --- sums

    def _adds(self, node: Node) -> bool:
        source = node.source
        if source.kind != "op":
            return False
        if is_product(source):
            return len(node.reads) > 2  # an addend
        return (source.name == "add" and len(node.reads) == 2 and not source.named) or source.name == "lerp"

    def _is_term(self, node: Node) -> bool:
        """Whether it is a line of the sum reading it."""
        readers = self.readers[node]
        if len(readers) != 1 or not self._adds(readers[0]) or self.home[readers[0]] is not self.home[node]:
            return False
        if is_product(readers[0].source) or readers[0].source.name == "lerp":
            return False
        return all(set(read.nodes) == {node} for read in readers[0].reads if node in read.nodes)

    def _terms(self, node: Node) -> Iterator[BoxLine]:
        if is_product(node.source):
            yield replace(self._product(node), role="term")
            for read in node.reads[2:]:
                yield self._leaf(read)
        elif node.source.name == "lerp":
            yield from self._between(node)
        else:
            for read in node.reads:
                inner = read.nodes[0]
                if len(read.nodes) == 1 and inner in self.home and self._is_term(inner):
                    if self._adds(inner) or is_product(inner.source):
                        yield from (replace(line, role="term") for line in self._terms(inner))
                        continue
                    line = BoxLine(self._formula(inner)[0], inner.values, self._sources(inner), role="term")
                    yield replace(line, products=self._factors(inner), numbers=self._in_numbers(inner))
                    continue
                yield self._leaf(read)

    def _leaf(self, read: Read) -> BoxLine:
        return BoxLine(self._ref(read)[0], self._values(read), self._boxes(read), role="term")

    def _between(self, node: Node) -> Iterator[BoxLine]:
        """The two products of (1 - w)·a + w·b."""
        a, b, w = node.reads
        (start, end), weight = (self._ref(a), self._ref(b)), self._ref(w)
        shares = self._values(w)
        for text, read, factors in (
            (formula("mul", [formula("rsub", [weight, ("1", ATOM)]), start])[0], a, [1 - share for share in shares]),
            (formula("mul", [weight, end])[0], b, shares),
        ):
            values = self._values(read)
            products = list(zip(factors, values, strict=True)) if len(values) == 1 else []
            made = [factor * value for factor, value in zip(factors, values, strict=True)]
            yield BoxLine(text, made, [*self._boxes(w), *self._boxes(read)], products, "term")

    def _product(self, node: Node) -> BoxLine:
        """W·x: the factors and, for a single number, each product."""
        left, right = node.reads[:2]
        if all(one.source.kind == "weight" for one in right.nodes):
            left, right = right, left
        values, pairs = [], []
        for ours, theirs in zip(left.numbers, right.numbers, strict=True):
            pairs = [(self._value(left, a), self._value(right, b)) for a, b in zip(ours, theirs, strict=True)]
            values.append(sum(a * b for a, b in pairs))
        text = "·".join(bracketed(self._ref(read)) for read in (left, right))
        products = pairs if len(values) == 1 else []
        return BoxLine(text, values, [*self._boxes(left), *self._boxes(right)], products)

    def _factors(self, node: Node) -> list[tuple[float, float]]:
        """The two factors of a product."""
        if node.source.name != "mul" or len(node.reads) != 2 or len(node.numbers) != 1:
            return []
        (a,), (b,) = (self._values(read) for read in node.reads)
        return [(a, b)]

    def _values(self, read: Read) -> list[float]:
        return [self._value(read, numbers[0]) for numbers in read.numbers]

    def _value(self, read: Read, number: int) -> float:
        return next(node.positions[number] for node in read.nodes if number in node.positions)

    # --- formulas

    def _is_inline(self, node: Node) -> bool:
        source = node.source
        if node in self.named and self.named[node].kind != "between":
            return False
        if len(node.reads) != 1 or is_product(source) or len(self._formula(node)[0]) > LONGEST:
            return False
        constant = len(source.operands) == 2 and source.name in ("add", "sub", "mul", "div")
        return source.name in INLINE or constant

    def _formula(self, node: Node, say: Callable[[Read], Formula] | None = None) -> Formula:
        """say: how operands are written, by default by name."""
        source, say = node.source, say or self._ref
        if is_product(source):
            return self._product(node).text, PRODUCT
        reads = {read.operand: read for read in node.reads}
        found: list[Formula] = []
        for k, operand in enumerate(source.operands):
            if k in reads:
                found.append(say(reads[k]))
            elif isinstance(operand, int | float) and not isinstance(operand, bool) and source.name in COUNTED:
                found.append((f"{operand:g}", ATOM if operand >= 0 else SUM))
        upper = source.name == "clamp" and source.operands[1] is None  # clamp(max=1)
        return formula("clamp_max" if upper else source.name, found)

    def _in_numbers(self, node: Node) -> str:
        """The formula of a single number, with numbers instead of names."""
        return self._formula(node, self._number_of)[0] if len(node.numbers) == 1 and not is_product(node.source) else ""

    def _number_of(self, read: Read) -> Formula:
        node = read.nodes[0]
        if len(read.nodes) == 1 and self.home.get(node, node) is not node and self._is_inline(node):
            return self._formula(node, self._number_of)
        values = [self._value(read, number) for numbers in read.numbers for number in numbers]
        text = vector(values)
        return (text, SUM if text.startswith("-") else ATOM) if len(values) == 1 else (f"[{text}]", ATOM)

    def _ref(self, read: Read) -> Formula:
        """An operand by its name, or else its formula."""
        parts = [self._part(node, read) for node in read.nodes]
        if len(parts) == 1:
            return parts[0]
        return f"[{'; '.join(text for text, _ in parts)}]", ATOM

    def _part(self, node: Node, read: Read) -> Formula:
        if node.source.kind == "weight":
            return self._weight(node, read), ATOM
        if node.source.kind == "constant":
            values = node.values
            return (f"{values[0]:g}", ATOM) if len(set(values)) == 1 else (tr("a constant"), ATOM)
        mine = [number for each in read.numbers for number in each if number in node.positions]
        if node in self.named:
            return self.named[node].title + self._index(node, mine), ATOM
        if self.home[node] is node or len(node.numbers) != len(set(mine)):
            return self._title(node), ATOM
        text, level = self._formula(node)
        short = not self._adds(node) and len(text) <= LONGEST
        return (text, level) if short else (self._title(node), ATOM)

    def _index(self, node: Node, mine: Sequence[int]) -> str:
        """Which elements of a named value: "" for all of it, or for the drawn unit."""
        numbers = self.named[node].numbers
        chosen = set(mine)
        if len(chosen) == numbers.numel() or not numbers.dim():
            return ""
        if numbers.dim() == 1:
            where = [k for k, number in enumerate(numbers.tolist()) if number in chosen]
            if len(where) == 1:
                return f"[{where[0]}]" if len(node.numbers) > 1 or where[0] != self.place.unit < len(numbers) else ""
            return f"[{where[0]}:{where[-1] + 1}]" if where and where[-1] - where[0] + 1 == len(where) else ""
        rows = [k for k, row in enumerate(numbers.flatten(1).tolist()) if chosen & set(row)]
        return f"[{rows[0]}]" if len(rows) == 1 else ""

    def _weight(self, node: Node, read: Read) -> str:
        """W_ii, b_hf: a parameter's name with the gate whose rows are read."""
        source, spec = node.source, self.place.spec
        first, _, rest = source.name.partition("_")
        label = {"weight": "W", "bias": "b"}.get(first, first) + (f"_{rest}" if rest else "")
        shape = source.value.shape
        width = source.value[0].numel() if len(shape) else 1
        rows = sorted(
            {(number - source.start) // width for each in read.numbers for number in each if number in node.positions}
        )
        gates = {row // spec.hidden_size for row in rows}
        if rest in ("ih", "hh") and shape[0] == spec.num_gates * spec.hidden_size and len(gates) == 1:
            gate = spec.rows[gates.pop()]
            return f"{label[:-1]}{gate}" if gate else label
        return f"{label}[{rows[0]}]" if len(shape) == 1 and len(rows) == 1 and shape[0] > 1 else label

    def _sources(self, node: Node) -> list[str]:
        """The boxes that a line reads, in order, including through inlined values."""
        found: list[str] = []
        for read in node.reads:
            found += self._boxes(read)
        return list(dict.fromkeys(found))

    def _boxes(self, read: Read) -> list[str]:
        found: list[str] = []
        for node in read.nodes:
            if node not in self.home:
                continue
            if self.home[node] is node:
                found.append(self.box_names[node])
            elif self._is_inline(node):
                found += self._sources(node)
        return list(dict.fromkeys(found))
