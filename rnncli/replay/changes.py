"""Patches: which states and gates to change, for which units, at which steps, and to which values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch
from torch import Tensor

from rnncli.cells import Gates, State, Step, Weights
from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.names import did_you_mean
from rnncli.replay.intercept import Edit, edited_step
from rnncli.replay.loop import DIRECTIONS, CoreTrace, StepPatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

Value: TypeAlias = "float | Tensor | NDArray[Any] | Sequence[Any] | Callable[[Tensor], Tensor]"
Usable: TypeAlias = "float | Tensor | Callable[[Tensor], Tensor]"  # an array or a list is a tensor by then
Home = tuple[CoreTrace, int, int, str]  # core, layer, direction, name of the state or gate

_KEY = re.compile(r"(?P<name>[^\[\]@=]+?)(?:\[(?P<units>[^\[\]]*)\])?(?:@(?P<steps>[^@\[\]]+))?")


@dataclass(frozen=True)
class Change:
    """One entry of a patch, resolved against an unpatched trace.

    key: as typed. name: in the trace. place: core, layer, direction. part: `h`, `c`, `gate.f`. start, stop: steps, stop
    exclusive, None for an open end. units: None for all.
    """

    key: str
    name: str
    place: tuple[str, int, int]
    part: str
    start: int
    stop: int | None
    units: tuple[int, ...] | None
    value: Usable

    def holds(self, t: int) -> bool:
        return t >= self.start and (self.stop is None or t < self.stop)

    def edit(self, t: int, now: Tensor) -> Tensor:
        """The value at step t, (B, ...), with this change applied."""
        units = list(range(now.shape[1])) if self.units is None else list(self.units)
        chosen = now[:, units]
        if isinstance(self.value, Tensor):
            new = self.value.to(now)
            if new.dim() > now.dim():
                if len(new) > 1 and t - self.start >= len(new):
                    return now  # a generating model may have more steps now than without the change
                new = new[t - self.start if len(new) > 1 else 0]
        elif callable(self.value):
            new = self.value(chosen)
            if not isinstance(new, Tensor) or new.shape != chosen.shape:
                raise UsageError(
                    tr("a function in a patch must keep the shape {shape}", shape=tuple(chosen.shape)), where=self.key
                )
        else:
            new = torch.full_like(chosen, self.value)
        return now.index_copy(1, torch.tensor(units, device=now.device), new.expand_as(chosen).contiguous().to(now))


@dataclass
class LayerPatch:
    """The changes of one layer and direction. offset: the step of the sequence at which the current call starts."""

    states: Sequence[str]
    changes: Sequence[Change]
    offset: int = 0

    def run(self, t: int, step: Step, x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
        """Step t of the current call."""
        t += self.offset
        edits: dict[str, Edit] = {}
        for change in self.changes:
            if change.holds(t):
                name = change.part.removeprefix("gate.")
                edits[name] = _after(edits.get(name), change, t)
        return edited_step(step, x, state, w, edits, self.states) if edits else step(x, state, w)


def _after(before: Edit | None, change: Change, t: int) -> Edit:
    def edit(now: Tensor) -> Tensor:
        return change.edit(t, now if before is None else before(now))

    return edit


def patches_of(core: CoreTrace, changes: Sequence[Change], offset: int) -> dict[tuple[int, int], StepPatch]:
    """(layer, direction) -> its changes, in a call of a core. core: named as its sequence, `decoder#2` for the second;
    offset: the step of the sequence at which the call starts."""
    found: dict[tuple[int, int], list[Change]] = {}
    for change in changes:
        if change.place[0] == core.path:
            found.setdefault(change.place[1:], []).append(change)
    return {place: LayerPatch(tuple(core.spec.states), own, offset).run for place, own in found.items()}


def parse_key(key: str) -> tuple[str, str | None, str | None]:
    """`h[0:4]@5:` -> name, units, steps. Raises UsageError."""
    found = _KEY.fullmatch(key.strip())
    if found is None:
        raise UsageError(
            tr("not a change: {text!r}", text=key),
            todo=tr("NAME[UNITS]@STEPS, for example h[3]@5, gate.f[0:4] or c@2:7"),
        )
    return found["name"].strip(), found["units"], found["steps"]


def changes_of(patch: Mapping[str, Value], homes: Mapping[str, Home]) -> list[Change]:
    """The entries of a patch, resolved against the names and sizes of an unpatched trace. homes: its states and gates.

    Raises UsageError: unknown or ambiguous name (with the nearest or the candidates); units or steps out of range; a
    tensor of a wrong shape, or another kind of value.
    """
    if not isinstance(patch, Mapping):
        kind = type(patch).__name__
        raise UsageError(tr("a patch is a dict of names and values, not {kind}", kind=kind), where="patch")
    usable = {str(key): _usable(str(key), value) for key, value in patch.items()}
    return [_change(key, value, homes) for key, value in usable.items()]


def _usable(key: str, value: Value) -> Usable:
    """Numbers in arrays and lists as a tensor. Raises UsageError: not a value of a patch."""
    found: object = value
    if not isinstance(value, Tensor | Real | str) and (isinstance(value, Sequence) or hasattr(value, "__array__")):
        import numpy as np

        try:
            found = torch.as_tensor(np.array(value))  # a copy: torch accepts neither read-only nor reversed arrays
        except (TypeError, ValueError, RuntimeError):
            found = None
    if isinstance(found, Real) or callable(found) or (isinstance(found, Tensor) and not found.is_complex()):
        return cast(Usable, found)
    what = tr("the value of a patch is a number, a tensor, numbers in an array or a list, or a function, not {value}",
              value=short(value))  # fmt: skip
    raise UsageError(what, where=key)


def _change(key: str, value: Usable, homes: Mapping[str, Home]) -> Change:
    typed, units, steps = parse_key(key)
    name = resolve(typed, homes)
    core, layer, direction, part = homes[name]
    now = next(iter(core.step_tensors(layer, direction, part).values()))
    chosen = None if units is None else _units(units, now.shape[1], key)
    start, stop = (0, None) if steps is None else _steps(steps, core.num_steps, key)
    made = Change(key, name, (core.path, layer, direction), part, start, stop, chosen, value)
    if isinstance(value, Tensor):
        count = (core.num_steps if stop is None else stop) - start
        _require_shape(value, count, (len(now), now.shape[1] if chosen is None else len(chosen), *now.shape[2:]), key)
    return made


def resolve(typed: str, homes: Mapping[str, Home]) -> str:
    """The full name in a trace for: the name itself, the name with its core's path (`rnn.l0.fwd.h`), or an unambiguous
    short form with parts omitted (`h`, `encoder.h`, `f` for `l0.fwd.gate.f`). Raises UsageError."""
    if typed in homes:
        return typed
    parts = typed.split(".")
    full = {name: _parts(home) for name, home in homes.items()}
    found = [name for name, known in full.items() if parts[-1] == known[-1] and _within(parts, known)]
    exact = [name for name in found if homes[name][3] == parts[-1]]  # a state n before a gate n
    found = exact if len(exact) == 1 else found
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(tr("{name!r} is ambiguous", name=typed), todo=tr("use one of {names}", names=", ".join(found)))
    short = {".".join(known[-k:]): name for name, known in full.items() for k in range(len(known), 0, -1)}
    known = list(dict.fromkeys(home[3] for home in homes.values()))
    raise UsageError(
        tr("no state or gate {name!r} in this model", name=typed),
        todo=did_you_mean(typed, short, tr("available: {names}", names=", ".join(known))),
    )


def _parts(home: Home) -> list[str]:
    core, layer, direction, part = home
    path = core.path.split(".") if core.path else []
    return [*path, f"l{layer}", DIRECTIONS[direction], *part.split(".")]


def _within(parts: Sequence[str], known: Sequence[str]) -> bool:
    """Whether the parts are a subsequence of the known ones."""
    rest = iter(known)
    return all(part in rest for part in parts)


def _units(text: str, size: int, key: str) -> tuple[int, ...]:
    """`3`, `0:4`, `0,3,5:8` -> indices below size."""
    found: list[int] = []
    for part in text.split(","):
        first, colon, last = (piece.strip() for piece in part.partition(":"))
        if not all(re.fullmatch(r"(-?\d+)?", piece) for piece in (first, last)) or not (first or colon):
            raise UsageError(
                tr("not valid units: {text!r}", text=text), where=key, todo=tr("for example [3], [0:4] or [0,3,5:8]")
            )
        if colon:
            found += range(size)[slice(int(first) if first else None, int(last) if last else None)]
        elif not -size <= int(first) < size:
            raise UsageError(tr("no unit {n}", n=first), where=key, todo=tr("units go from 0 to {last}", last=size - 1))
        else:
            found.append(int(first) % size)
    if not found:
        raise UsageError(
            tr("not valid units: {text!r}", text=text), where=key, todo=tr("units go from 0 to {last}", last=size - 1)
        )
    return tuple(dict.fromkeys(found))


def _steps(text: str, T: int, key: str) -> tuple[int, int | None]:
    """`5`, `5:`, `2:7`, `-1` -> first step and stop (exclusive), None for an open end."""
    first, colon, last = (piece.strip() for piece in text.partition(":"))
    if not all(re.fullmatch(r"(-?\d+)?", piece) for piece in (first, last)) or not (first or colon):
        raise UsageError(
            tr("not a valid step range: {text!r}", text=text), where=key, todo=tr("for example @5, @5: or @2:7")
        )
    if not colon:
        start = int(first) + (T if int(first) < 0 else 0)
        stop = start + 1
    else:
        chosen = range(T)[slice(int(first) if first else None, int(last) if last else None)]
        start, stop = chosen.start, chosen.stop
    if not 0 <= start < min(stop, T) or stop > T:
        raise UsageError(
            tr("not a valid step range: {text!r}", text=text),
            where=key,
            todo=tr("steps go from 0 to {last}", last=T - 1),
        )
    return start, None if colon and not last else stop


def _require_shape(value: Tensor, steps: int, shape: tuple[int, ...], key: str) -> None:
    """shape: of one step, (B, units, ...)."""
    wanted = (steps, *shape) if value.dim() > len(shape) else shape
    try:
        fits = torch.broadcast_shapes(value.shape, wanted) == wanted
    except RuntimeError:
        fits = False
    if not fits:
        raise UsageError(
            tr("a tensor of shape {shape} does not fit", shape=tuple(value.shape)),
            where=key,
            todo=tr("expected (units,), (B, units) or (T, B, units) with T={T}, B={B}, units={units}",
                    T=steps, B=shape[0], units=shape[1]),
        )  # fmt: skip
