"""One step of a cell as a graph of tensor elements: the operation that produced each, and its operands.

The step runs unchanged, on real weights, and every torch operation is recorded. Each element of each tensor has an id;
an operation that only moves elements (a chunk, a view, a transpose) is applied to these ids, so that every element can
be traced. Nothing here depends on a cell or on names of weights.
"""

from __future__ import annotations

import inspect
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import FrameType

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from rnncli.cells import Gates, State, Step, Weights
from rnncli.errors import UsageError
from rnncli.locale import tr

# Operations that only move elements; those whose result shares memory with an operand are recognized by their schema.
MOVES = frozenset(
    ("clone", "_to_copy", "_unsafe_view", "lift_fresh", "cat", "stack", "index_select", "index", "gather", "repeat")
) | {"flip", "roll", "alias", "contiguous", "detach"}
# Pointwise, although torch does not tag them so.
POINTWISE = frozenset({"log_sigmoid_forward", "native_dropout"})
# Sums of products: positions of the two factors among the operands; an operand before them is added.
PRODUCTS = {"mm": 0, "bmm": 0, "mv": 0, "dot": 0, "addmm": 1, "baddbmm": 1, "addmv": 1, "linear": 0}


@dataclass(frozen=True)
class Source:
    """The source of elements: an operation, or an input of the step.

    name: of the torch operation, such as `addmm`, or of the input, such as `weight_ih`. start: id of the first element.
    value: its elements. operands: tensors as ids of their elements, everything else unchanged. named: keyword operands.
    """

    name: str
    kind: str  # op | x | state | weight | constant
    start: int
    value: Tensor
    operands: tuple[object, ...] = ()
    named: Mapping[str, object] = field(default_factory=dict)
    pointwise: bool = False

    @property
    def stop(self) -> int:
        return self.start + self.value.numel()


class StepRecord(TorchDispatchMode):
    """A recorded step. states, gates, locals: name -> ids of the elements, shaped like the tensor.

    x: (B, I); state: (B, ...) each; w: one layer in one direction. own: the function whose local variables name
    intermediate results. Raises UsageError: the step modifies part of a tensor in place.
    """

    def __init__(self, step: Step, own: Step, x: Tensor, state: State, names: Sequence[str], w: Weights) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sources: list[Source] = []
        self._starts: list[int] = []
        self._numbers: dict[int, Tensor] = {}
        self._kept: list[Tensor] = []  # so that no id() is reused
        self.locals: dict[str, Tensor] = {}
        weights = w.replaced(**{name: tensor.detach() for name, tensor in w.items()})
        given = x.detach(), tuple(tensor.detach() for tensor in state)
        for name, tensor in weights.items():
            self._give(name, "weight", tensor)
        for name, tensor in zip(names, given[1], strict=True):
            self._give(name, "state", tensor)
        self._give("x", "x", given[0])
        with torch.no_grad(), self:
            after, gates = _watched(lambda: step(*given, weights), own, self._see)
        self.after: State = after
        self.states: dict[str, Tensor] = {n: self.numbers(t) for n, t in zip(names, after, strict=True)}
        self.made: Gates = gates
        self.gates: dict[str, Tensor] = {name: self.numbers(gate) for name, gate in gates.items()}

    def source_of(self, number: int) -> Source:
        return self.sources[bisect_right(self._starts, number) - 1]

    def numbers(self, tensor: Tensor) -> Tensor:
        """The ids of a tensor's elements; an unknown tensor is a constant."""
        if id(tensor) not in self._numbers:
            self._give("", "constant", tensor)
        return self._numbers[id(tensor)]

    def _see(self, name: str, tensor: Tensor) -> None:
        if id(tensor) in self._numbers:
            self.locals[name] = self._numbers[id(tensor)]

    def _give(self, name: str, kind: str, tensor: Tensor) -> None:
        self._add(Source(name, kind, self._next, tensor.detach().clone()), tensor)

    @property
    def _next(self) -> int:
        return self.sources[-1].stop if self.sources else 0

    def _add(self, source: Source, tensor: Tensor) -> None:
        self.sources.append(source)
        self._starts.append(source.start)
        self._name(tensor, torch.arange(source.start, source.stop).view(source.value.shape))

    def _name(self, tensor: Tensor, numbers: Tensor) -> None:
        self._kept.append(tensor)
        self._numbers[id(tensor)] = numbers

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        named = dict(kwargs or {})
        if func._schema.is_mutable and (named.get("out") is not None or not _is_whole(args[0])):
            raise UsageError(
                tr("this cell modifies part of a tensor in place: its step cannot be drawn"),
                where=str(func),
                todo=tr("create a new tensor instead"),
            )
        operands = tuple(map(self._numbered, args))
        made = func(*args, **named)
        name = func._schema.name.removeprefix("aten::")
        moves = name in MOVES or any(one.alias_info and not one.alias_info.is_write for one in func._schema.returns)
        if moves:
            self._move(func, made, operands, named)
        else:
            for tensor in made if isinstance(made, tuple | list) else [made]:
                if isinstance(tensor, Tensor):
                    pointwise = torch.Tag.pointwise in func.tags or name in POINTWISE
                    source = Source(
                        name.rstrip("_") or name, "op", self._next, tensor.detach().clone(), operands, named, pointwise
                    )
                    self._add(source, tensor)
        return made

    def _move(
        self, func: Callable[..., object], made: object, operands: tuple[object, ...], named: Mapping[str, object]
    ) -> None:
        """The same operation on the ids of the elements."""
        moved = func(*operands, **{k: v for k, v in named.items() if k not in ("dtype", "device", "layout")})
        if isinstance(made, Tensor) and isinstance(moved, Tensor):
            self._name(made, moved)
        elif isinstance(made, tuple | list) and isinstance(moved, tuple | list):
            for tensor, numbers in zip(made, moved, strict=True):
                self._name(tensor, numbers)

    def _numbered(self, value: object) -> object:
        if isinstance(value, Tensor):
            if not value.is_floating_point() and id(value) not in self._numbers:
                return value  # an index
            return self.numbers(value)
        if isinstance(value, tuple | list):
            return [self._numbered(item) for item in value]
        return value


def is_product(source: Source) -> bool:
    """Whether its elements are pure sums of products."""
    return source.name in PRODUCTS and not source.named


def _is_whole(value: object) -> bool:
    return isinstance(value, Tensor) and not value._is_view()


def _watched(
    run: Callable[[], tuple[State, Gates]], own: Step, see: Callable[[str, Tensor], None]
) -> tuple[State, Gates]:
    """Run it, and collect the local tensors of each function in the file of `own` when it returns."""
    file = own.__code__.co_filename if inspect.isfunction(own) else None

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event == "return" and frame.f_code.co_filename == file:
            for name, value in frame.f_locals.items():
                alone = value[0] if isinstance(value, list) and len(value) == 1 else value
                if isinstance(alone, Tensor):
                    see(name, alone)

    if file is None or sys.getprofile() is not None:  # a profiler is active: only names are lost
        return run()
    sys.setprofile(profile)
    try:
        return run()
    finally:
        sys.setprofile(None)


@dataclass(eq=False)
class Node:
    """Elements of one source that are read together. reads: for each tensor operand, the elements read."""

    source: Source
    numbers: tuple[int, ...]
    reads: list[Read] = field(default_factory=list)

    @property
    def values(self) -> list[float]:
        return list(self.positions.values())

    @cached_property
    def positions(self) -> dict[int, float]:
        """Id -> value of its elements."""
        flat = self.source.value.flatten()[[number - self.source.start for number in self.numbers]]
        return dict(zip(self.numbers, flat.double().tolist(), strict=True))


@dataclass(frozen=True)
class Read:
    """The elements read of one operand: for each element of the reader, ids (one, or for a sum of products all
    factors). nodes: that contain them. operand: its position among the operands."""

    operand: int
    numbers: Sequence[Sequence[int]]
    nodes: Sequence[Node]


def graph(record: StepRecord, wanted: Sequence[Sequence[int]]) -> list[Node]:
    """The nodes that lead to the requested elements, in topological order. wanted: elements that are shown together."""
    requests: dict[int, list[frozenset[int]]] = {}

    def ask(numbers: Sequence[int]) -> None:
        by_source: dict[int, set[int]] = {}
        for number in numbers:
            by_source.setdefault(record.source_of(number).start, set()).add(number)
        for start, some in by_source.items():
            requests.setdefault(start, []).append(frozenset(some))

    for together in wanted:
        ask(together)
    plans: list[tuple[Node, list[tuple[int, list[list[int]]]]]] = []
    for source in reversed(record.sources):
        for some in _largest(requests.get(source.start, [])):
            node = Node(source, tuple(sorted(some)))
            plan = list(_reads(node)) if source.kind == "op" else []
            plans.append((node, plan))
            for _, numbers in plan:
                ask([number for each in numbers for number in each])
    nodes = [node for node, _ in plans]
    homes: dict[int, list[Node]] = {}
    for node in nodes:
        for number in node.numbers:
            homes.setdefault(number, []).append(node)
    for node, plan in plans:
        for operand, numbers in plan:
            node.reads.append(Read(operand, numbers, _homes(numbers, homes)))
    return nodes[::-1]


def _homes(numbers: Sequence[Sequence[int]], homes: Mapping[int, Sequence[Node]]) -> list[Node]:
    """The nodes that contain these elements: for each source the largest that contains all elements read."""
    every = dict.fromkeys(number for each in numbers for number in each)
    found: list[Node] = []
    while every:
        first = next(iter(every))
        node = max(homes[first], key=lambda one: sum(number in every for number in one.numbers))
        found.append(node)
        for number in node.numbers:
            every.pop(number, None)
        every.pop(first, None)
    return found


def _largest(some: Sequence[frozenset[int]]) -> list[frozenset[int]]:
    """The sets not contained in another one, in order."""
    kept = [one for one in dict.fromkeys(some) if not any(one < other for other in some)]
    return sorted(kept, key=lambda one: (min(one), len(one)))


def _reads(node: Node) -> list[tuple[int, list[list[int]]]]:
    """(position of an operand, the ids read of it for each element)."""
    source = node.source
    places = [number - source.start for number in node.numbers]
    tensors = [(k, operand) for k, operand in enumerate(source.operands) if isinstance(operand, Tensor)]
    if is_product(source):
        return _products(source, places)
    if source.pointwise:
        wide = [(k, operand.expand(source.value.shape).flatten()) for k, operand in tensors]
        return [(k, [[int(flat[place])] for place in places]) for k, flat in wide]
    rows = source.value.shape[0] if source.value.dim() else 0
    found = []
    for k, operand in tensors:
        shares_rows = bool(rows) and operand.dim() > 1 and operand.shape[0] == rows
        row = source.value.numel() // rows if rows else 1
        each = [operand[place // row] if shares_rows else operand for place in places]
        found.append((k, [one.flatten().tolist() for one in each]))
    return found


def _products(source: Source, places: Sequence[int]) -> list[tuple[int, list[list[int]]]]:
    first = PRODUCTS[source.name]
    a, b = source.operands[first], source.operands[first + 1]
    assert isinstance(a, Tensor)
    assert isinstance(b, Tensor)
    if source.name == "linear":
        b = b.transpose(0, 1)
    a_rows = a.unsqueeze(0) if a.dim() == 1 else a  # (..., n, k)
    b_rows = b.unsqueeze(-1) if b.dim() == 1 else b  # (..., k, m)
    shape = (*a_rows.shape[:-1], b_rows.shape[-1])
    left: list[list[int]] = []
    right: list[list[int]] = []
    for place in places:
        above, j = divmod(place, shape[-1])
        left.append(a_rows.flatten(0, -2)[above].tolist())
        right.append(
            b_rows.flatten(0, -3)[above // shape[-2]][:, j].tolist() if b_rows.dim() > 2 else b_rows[:, j].tolist()
        )
    found = [(first, left), (first + 1, right)]
    added = source.operands[0] if first else (source.operands[2] if len(source.operands) > 2 else None)
    if isinstance(added, Tensor):
        flat = added.expand(shape).flatten()
        found.append((0 if first else 2, [[int(flat[place])] for place in places]))
    return found
