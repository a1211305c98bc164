"""Combines recurrent layers of other tools' files, converted to torch's names and layout, into cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor

from rnncli.cells import CELLS, CoreSpec, OptionValue, parameter_name
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr
from rnncli.weights.cores import FoundCore, check_cell, chosen_nonlinearity, named, refuse_tensor, whole

Block = TypeVar("Block")


@dataclass(frozen=True)
class Layer:
    """One recurrent layer, in one direction or both.

    name: its own in the file. directions: forward, then backward: torch's names (`weight_ih` ...) -> tensors.
    nonlinearity: None if the file does not record it. unlike: descriptions of differences from its cell here.
    backwards: whether it reads its sequence in reverse. reads: the layer whose whole output is its input.
    """

    name: str
    cell: str
    directions: Sequence[Mapping[str, Tensor]]
    nonlinearity: str | None = "tanh"
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    notes: Sequence[str] = ()
    unlike: Sequence[str] = ()
    backwards: bool = False
    reads: str | None = None

    @property
    def input_size(self) -> int:
        return self.directions[0]["weight_ih"].shape[1]


@dataclass(frozen=True)
class LayerFile:
    """The contents of another tool's file. origin: name of the tool. tables: embeddings, by name."""

    origin: str
    layers: Sequence[Layer]
    tables: Mapping[str, Tensor] = field(default_factory=dict)


def note_backwards(backwards: bool) -> list[str]:
    return (
        [tr("this layer reads its sequence backwards: step 0 here is the last row of the input")] if backwards else []
    )


def choose_layers(
    found: LayerFile, *, cell: str | None, nonlinearity: str | None, name: str | None, where: str
) -> FoundCore:
    """The core of that name, or the only one: a chain of layers is one core, as in torch.

    name: of a stack, or of one of its layers. cell: also accepts a layer that computes something else, ignoring that.
    Raises UsageError: no such core, or several; DataError: a layer is unsupported, or its tensors do not match.
    """
    if cell is not None:
        check_cell(cell)
    stacks = [[layer] for layer in found.layers if layer.name == name] or _stacks(found.layers)
    names = {"+".join(layer.name for layer in stack): stack for stack in stacks}
    chosen = named({key: str(_spec(stack, nonlinearity)) for key, stack in names.items()}, name, where)
    stack, place = names[chosen], f"{where}: {chosen}"
    if cell is not None and cell != stack[0].cell:
        raise UsageError(tr("according to the file this core is a {cell}", cell=stack[0].cell), where="--cell")
    unlike = [text for layer in stack for text in layer.unlike]
    if unlike and cell is None:
        raise DataError(
            tr("rnncli has no cell that computes {what}", what="; ".join(unlike)),
            where=place,
            todo=tr("to see its weights anyway, ignoring that: --cell {cell}", cell=stack[0].cell),
        )
    unlike = [tr("ignored here: {what}", what=text) for text in unlike]
    known = stack[0].nonlinearity
    if known is not None and nonlinearity not in (None, known):
        raise UsageError(
            tr("according to the file the nonlinearity is {nonlinearity}", nonlinearity=known), where="--nonlinearity"
        )
    _, unknown = chosen_nonlinearity(stack[0].cell, nonlinearity) if known is None else (known, [])
    spec = _spec(stack, nonlinearity)
    state, notes = whole(spec, _part(stack, place), place)
    remarks = dict.fromkeys([*unlike, *(note for layer in stack for note in layer.notes), *unknown, *notes])
    return FoundCore(chosen, spec, state, list(remarks), found.origin, stack[0].backwards)


def _stacks(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Layers in the file's order, grouped into chains where torch has such a core."""
    by_name, above = {layer.name: layer for layer in layers}, dict[str, Layer]()
    for layer in layers:
        below = by_name.get(layer.reads or "")
        if below is not None and below.name not in above and _stackable(below, layer):
            above[below.name] = layer
    fed = {layer.name for layer in above.values()}
    stacks = []
    for layer in layers:
        if layer.name not in fed:
            stack = [layer]
            while stack[-1].name in above:
                stack.append(above[stack[-1].name])
            stacks.append(stack)
    return stacks


def _stackable(below: Layer, layer: Layer) -> bool:
    one, other = _spec([below], None), _spec([layer], None)
    same = ("cell", "nonlinearity", "hidden_size", "bidirectional", "bias", "options")
    plain = not (below.unlike or layer.unlike or below.backwards or layer.backwards)
    return (
        plain and other.input_size == one.output_size and all(getattr(one, key) == getattr(other, key) for key in same)
    )


def _spec(stack: Sequence[Layer], nonlinearity: str | None) -> CoreSpec:
    first = stack[0]
    weights = first.directions[0]
    return CoreSpec(
        first.cell,
        first.nonlinearity or nonlinearity or CELLS[first.cell].nonlinearities[0],
        weights["weight_ih"].shape[1],
        weights["weight_hh"].shape[1],
        len(stack),
        len(first.directions) > 1,
        bias="bias_ih" in weights,
        options=tuple(first.options.items()),
    )


def _part(stack: Sequence[Layer], where: str) -> dict[str, Tensor]:
    part = {
        parameter_name(name, number, direction): tensor
        for number, layer in enumerate(stack)
        for direction, weights in enumerate(layer.directions)
        for name, tensor in weights.items()
    }
    for name, tensor in part.items():
        refuse_tensor(name, tensor, where)
    return part
