"""Replaces a value inside a cell's step at the moment it is computed, so that everything computed from it changes, too.

A step computes gates and states together and returns them at the end, along with many intermediate tensors. The step
runs twice. The first time, every torch function call is recorded (`torch.overrides.TorchFunctionMode`), and the call
that produced the memory of a returned gate or state is looked up. The second time, that call's result is replaced. This
works on memory, not on tensor objects: two gates that are halves of one product, or a gate read through several views,
are replaced wherever they are read.

Unsound changes are rejected: a value modified in place after it was computed, one not produced by a torch function (a
compiled step), one that the states do not depend on (a gate returned for display only), and a step that takes a
different path when a value changes. With a graph, also a value from inside a torch.autograd.Function, whose backward
would ignore the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from rnncli.cells import CoreSpec, Gates, State, Step, Weights
from rnncli.errors import UsageError
from rnncli.locale import tr

Edit = Callable[[Tensor], Tensor]  # a value computed by the step, (B, ...) -> its replacement, of the same shape
GIVEN = -1  # instead of a call's index: x, an input of the step


def edited_step(
    step: Step, x: Tensor, state: State, w: Weights, edits: Mapping[str, Edit], names: Sequence[str]
) -> tuple[State, Gates]:
    """One step with some values replaced. edits: state or gate, as named by the step -> its replacement.

    names: of the states, in order. Gradients flow through the replacement, and to the original value only as far as the
    edit reads it. Raises UsageError: a value cannot be replaced soundly.
    """
    with torch.no_grad(), _Recorder() as noted:
        after, gates = step(x, state, w)
    made = dict(zip(names, after, strict=True)) | gates
    places: list[_Place] = []
    for name in edits:
        if name in names and any(_same_memory(made[name], tensor) for tensor in (x, *state)):
            continue  # returned unchanged: replaced on return
        places.append(_found(name, made[name], noted, x, [*state, *w.values()]))
    edited = _Edited(noted, places, edits)
    given = edited.given(x)  # outside the mode, which would count its calls as the step's
    with edited:
        after, gates = step(given, state, w)
    edited.require_all(dict(zip(names, after, strict=True)), gates)
    late = {name for name in edits if not any(place.name == name for place in places)}
    return tuple(edits[n](t) if n in late else t for n, t in zip(names, after, strict=True)), gates


@dataclass
class _Call:
    """A torch function call of the step: its results, copies of them, and its inputs."""

    func: Callable[..., Any]
    made: list[Tensor]
    then: list[Tensor]
    read: list[Tensor]  # kept, so that no memory is reused


class _Recorder(TorchFunctionMode):
    """Records every torch function call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        made = _tensors(result)
        self.calls.append(_Call(func, made, [t.detach().clone() for t in made], _tensors((args, kwargs))))
        return result


@dataclass(frozen=True)
class _Place:
    """Where a value is computed: the index of the call, which of its results, and the value's position in it.

    into: shaped like the result, for each of its elements the index of the value's element that replaces it, -1 for
    none. out: (numel,), for each element of the value its position in the result. like: the value's shape.
    """

    name: str
    call: int
    which: int
    into: Tensor
    out: Tensor
    like: torch.Size


def _found(name: str, value: Tensor, noted: _Recorder, x: Tensor, others: Sequence[Tensor]) -> _Place:
    """The call that computed a returned value. Raises UsageError."""
    if any(_same_memory(value, tensor) for tensor in others):
        raise CannotChange(name, tr("it is a state or a weight passed to the step"))
    if _same_memory(value, x):
        return _place(name, value, GIVEN, [x], 0)
    for number, call in enumerate(noted.calls):
        sharing = [k for k, tensor in enumerate(call.made) if _same_memory(tensor, value)]
        if not sharing:
            continue
        if any(_same_memory(tensor, value) for tensor in call.read):
            break  # a view of an unknown tensor
        own = _offsets(value)
        holding = [k for k in sharing if bool(torch.isin(_offsets(call.made[k]), own).any())]
        place = _place(name, value, number, call.made, holding[0]) if len(holding) == 1 else None
        if place is None or bool((place.out < 0).any()):
            raise CannotChange(name, tr("its elements are in several tensors"))
        if not _equal(call.then[holding[0]].reshape(-1)[place.out].view_as(value), value):
            raise CannotChange(name, tr("the step modifies it in place after computing it"))
        return place
    raise CannotChange(name, tr("it is not computed by a traceable torch function"))


def _place(name: str, value: Tensor, number: int, made: Sequence[Tensor], which: int) -> _Place:
    mine, its = _offsets(value).flatten(), _offsets(made[which])
    if mine.unique().numel() < mine.numel():
        raise CannotChange(name, tr("several of its elements share memory"))
    size = int(max(mine.max(), its.max())) + 1
    into, out = torch.full((size,), -1), torch.full((size,), -1)
    into[mine] = torch.arange(mine.numel())
    out[its.flatten()] = torch.arange(its.numel())
    device = value.device
    return _Place(name, number, which, into[its].to(device), out[mine].to(device), value.shape)


class _Edited(TorchFunctionMode):
    """Runs the same calls again, replacing values as soon as they are computed. Everything computed from them is
    tracked by memory, to determine whether the states depend on them."""

    def __init__(self, noted: _Recorder, places: Sequence[_Place], edits: Mapping[str, Edit]) -> None:
        super().__init__()
        self.noted, self.places, self.edits = noted, places, edits
        self.number, self.graph = 0, torch.is_grad_enabled()
        self.last = max((place.call for place in places), default=GIVEN)
        self.wanted: dict[str, Tensor] = {}
        self.regions: dict[int, list[tuple[str, Tensor]]] = {}  # memory -> replaced values, and their positions
        self.follows: dict[int, set[str]] = {}  # other memory -> the values it was computed from
        self.kept: list[Tensor] = []

    def given(self, x: Tensor) -> Tensor:
        """x, if a value is part of it."""
        return self._replaced(GIVEN, [x])[0]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        number, self.number = self.number, self.number + 1
        if number <= self.last and (number >= len(self.noted.calls) or self.noted.calls[number].func != func):
            raise CannotChange(self.places[0].name, tr("the step takes a different path when a value changes"))
        result = func(*args, **(kwargs or {}))
        read = _tensors((args, kwargs))
        from_ = {name for tensor in read for name in self._from(tensor)}
        leaves, structure = tree_flatten(result)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        replaced = any(place.call == number for place in self.places)
        if replaced:
            tensors = self._replaced(number, tensors)
            rest = iter(tensors)
            result = tree_unflatten([next(rest) if isinstance(leaf, Tensor) else leaf for leaf in leaves], structure)
        for tensor in (tensors or read) if from_ else ():
            if replaced or _memory(tensor) not in self.regions:  # a gate counts where it led to a value now replaced
                self.follows.setdefault(_memory(tensor), set()).update(from_)
        self.kept += [*read, *tensors]
        return result

    def _replaced(self, number: int, tensors: list[Tensor]) -> list[Tensor]:
        made = list(tensors)
        for place in self.places:
            if place.call != number:
                continue
            if self.graph and not torch.is_grad_enabled():
                raise CannotChange(place.name, tr("it is computed in a function with its own backward"))
            whole = made[place.which]
            value = whole.reshape(-1)[place.out].view(place.like)
            wanted = self.edits[place.name](value)
            made[place.which] = torch.where(place.into >= 0, wanted.reshape(-1)[place.into.clamp(min=0)], whole)
            self.kept.append(made[place.which])
        for place in self.places:
            if place.call == number:  # when all are replaced: two names can be one tensor
                self.wanted[place.name] = made[place.which].detach().reshape(-1)[place.out].view(place.like)
                its = _offsets(made[place.which])[(place.into >= 0).cpu()]
                self.regions.setdefault(_memory(made[place.which]), []).append((place.name, its))
        return made

    def _from(self, tensor: Tensor) -> set[str]:
        """The replaced values that a tensor is a view of or was computed from."""
        found = set(self.follows.get(_memory(tensor), ()))
        if _memory(tensor) in self.regions:
            here = _offsets(tensor)
            found |= {name for name, its in self.regions[_memory(tensor)] if bool(torch.isin(its, here).any())}
        return found

    def require_all(self, states: dict[str, Tensor], gates: Gates) -> None:
        """Raise UsageError if a value does not have its new value in the end, or no state depends on it."""
        reached = {name for state in states.values() for name in self._from(state)}
        for name, wanted in self.wanted.items():
            if not _equal((states | gates)[name], wanted):
                raise CannotChange(name, tr("the step takes a different path when a value changes"))
            if name not in reached:
                raise CannotChange(name, tr("the states do not depend on it"))


class CannotChange(UsageError):
    """A state or gate that cannot be replaced inside its cell's step. name: as named by the step."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            tr("{name} cannot be changed in this cell: {why}", name=name, why=why),
            todo=tr("rnncli inspect TARGET what-if lists what can be changed"),
        )
        self.name = name


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _same_memory(a: Tensor, b: Tensor) -> bool:
    return _memory(a) == _memory(b)


def _offsets(tensor: Tensor) -> Tensor:
    """The memory offset of each element, shaped like the tensor, on the CPU."""
    found = torch.full(tensor.shape, int(tensor.storage_offset()))
    for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        found += (torch.arange(size) * stride).view(-1, *[1] * (tensor.dim() - axis - 1))
    return found


def _equal(a: Tensor, b: Tensor) -> bool:
    """Elementwise equality; NaN equals NaN."""
    return bool(((a == b) | ((a != a) & (b != b))).all())


def changeable(spec: CoreSpec, w: Weights) -> list[str]:
    """The values of a cell's step that can be changed, as named by the step. w: of its first layer."""
    like = w.weight_ih if "weight_ih" in w else next(iter(w.values()))
    x = torch.ones(1, spec.input_size).to(like)
    state = tuple(torch.full((1, *shape), 0.5).to(like) for shape in spec.states.values())
    with torch.no_grad():
        _, gates = spec.step(x, state, w)
        found = []
        for name in (*spec.states, *gates):
            try:
                edited_step(spec.step, x, state, w, {name: torch.clone}, list(spec.states))
            except CannotChange:
                continue
            found.append(name)
    return found
