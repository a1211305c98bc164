"""Anybody's state_dict -> recurrent cores: found by torch's names of their parameters, wherever they are nested.

Sizes, layers, directions, projection and biases follow from names and shapes. A file never runs code: safetensors hold
only numbers, and .pt files are read with weights_only.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from rnncli.cells import CELLS, CoreSpec, parameter_name
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr, trn

# Names under which training programs put a state_dict, and what wrappers put before every name of it.
_ENVELOPES = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params")
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod)\.")
_PLACE = re.compile(r"^(?:_l(?P<layer>\d+)(?P<reverse>_reverse)?)?$")


@dataclass(frozen=True)
class FoundCore:
    """A recurrent core of a file. name: its prefix there ("" where it has none). state: torch's parameter names ->
    tensors, as nn.RNN, nn.GRU and nn.LSTM take them. unknown: sentences on what no file says."""

    name: str
    spec: CoreSpec
    state: Mapping[str, Tensor]
    unknown: Sequence[str] = ()


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Every tensor of a .safetensors or .pt file, by its dotted name, on the CPU.

    Envelopes (`state_dict`, `model` ...) and wrappers (`module.`, `_orig_mod.`) are taken off the names. Raises
    DataError: no such file, damaged, or a pickle that holds more than tensors and plain values (it is not executed).
    """
    path = Path(path)
    where = str(path)
    try:
        content = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    except OSError as error:
        raise DataError(tr("this file cannot be read: {why}", why=error.strerror or error), where=where) from error
    tensors = {re.sub(_WRAPPERS, "", name): tensor for name, tensor in _flat(content, "")}
    if not tensors:
        raise DataError(
            tr("there is no tensor in this file"),
            where=where,
            todo=tr("save a state_dict: torch.save(model.state_dict(), ...)"),
        )
    return tensors


def _safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise DataError(tr("this is no whole safetensors file: {why}", why=error), where=str(path)) from error


def _pickled(path: Path) -> object:
    try:
        with warnings.catch_warnings():  # torch warns of archives that it then refuses
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise DataError(
            tr("this file holds more than tensors, and would have to run code to open; nothing was run"),
            where=str(path),
            todo=tr("save only the weights: torch.save(model.state_dict(), 'weights.pt'), or as safetensors"),
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        why = " ".join(str(error).split())[:200]
        raise DataError(tr("this is no whole file of weights: {why}", why=why), where=str(path)) from error


def _flat(value: object, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Dotted name -> tensor of everything under nested dicts with text keys; an envelope at the top leaves no name."""
    if isinstance(value, Tensor):
        if prefix:
            yield prefix, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                envelope = not prefix and key in _ENVELOPES and isinstance(item, Mapping)
                yield from _flat(item, "" if envelope else f"{prefix}.{key}" if prefix else key)


def find_cores(
    tensors: Mapping[str, Tensor], *, cell: str | None = None, nonlinearity: str | None = None, where: str = ""
) -> list[FoundCore]:
    """Every recurrent core among named tensors: one for each prefix of `weight_ih_l0` (or a cell's `weight_ih`).

    cell, nonlinearity: what the caller knows better. Raises DataError: none is there, or shapes that fit no cell;
    UsageError: a cell or nonlinearity that these shapes rule out.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    pattern = _parameters()
    for name, tensor in tensors.items():
        found = pattern.match(name)
        place = _PLACE.match(found["place"]) if found else None
        if found is None or place is None:
            continue
        own = found["name"] + (found["place"] or "_l0")
        parts.setdefault(found["prefix"].removesuffix("."), {})[own] = tensor
    parts = {prefix: part for prefix, part in parts.items() if "weight_ih_l0" in part}
    if not parts:
        raise DataError(
            tr("no recurrent weights in this file: no name ends in weight_ih_l0 or weight_ih"),
            where=where,
            todo=tr("it holds: {names}", names=_some(tensors)),
        )
    return [_core(prefix, part, cell, nonlinearity, where) for prefix, part in parts.items()]


def _parameters() -> re.Pattern[str]:
    """What is a parameter of some cell, with a prefix before its name and a place after it."""
    known = {"weight_hr", "bias_ih", "bias_hh"}
    for cell in CELLS:
        known |= CoreSpec(cell, "tanh", 1, 1).parameter_shapes(0).keys()
    either = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
    return re.compile(rf"^(?P<prefix>(?:.*\.)?)(?P<name>{either})(?P<place>.*)$")


def choose_core(cores: Sequence[FoundCore], name: str | None, where: str = "") -> FoundCore:
    """The core of that name; without one, the only one. Raises UsageError."""
    if name is None and len(cores) == 1:
        return cores[0]
    for core in cores:
        if name is not None and core.name == name:
            return core
    listed = ", ".join(f"{core.name or repr('')} ({core.spec})" for core in cores)
    if name is None:
        what = tr("this file holds {n} recurrent cores", n=len(cores))
        raise UsageError(what, where=where, todo=tr("choose one with --core: {names}", names=listed))
    raise UsageError(
        tr("no core {name!r} in this file", name=name), where=where, todo=tr("it holds: {names}", names=listed)
    )


def embeddings(tensors: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """Tables (V, size) whose name says that they are embeddings, by name."""
    return {
        name: tensor
        for name, tensor in tensors.items()
        if tensor.dim() == 2 and tensor.shape[1] == size and re.search(r"emb|wte|lookup", name, re.IGNORECASE)
    }


def _core(prefix: str, part: Mapping[str, Tensor], cell: str | None, nonlinearity: str | None, where: str) -> FoundCore:
    place = f"{where}: {prefix}" if prefix else where
    for name, tensor in part.items():
        if not tensor.is_floating_point() or tensor.dim() != (1 if name.startswith("bias") else 2):
            raise DataError(
                tr("{name} is no weight: {shape} of {dtype}", name=name, shape=_shape(tensor), dtype=tensor.dtype),
                where=place,
            )
    weight_ih, weight_hh, weight_hr = (part.get(f"{name}_l0") for name in ("weight_ih", "weight_hh", "weight_hr"))
    assert weight_ih is not None
    rows, input_size = weight_ih.shape
    hidden_size, proj_size = (rows, 0) if weight_hh is None else (weight_hh.shape[1], 0)
    if weight_hr is not None:
        proj_size, hidden_size = weight_hr.shape
    sizes = {name: _hidden_size(name, rows, hidden_size, weight_hh, weight_hr) for name in CELLS}
    fitting = {name: size for name, size in sizes.items() if size}
    if not fitting:
        raise DataError(
            trn(
                "weight_ih has {rows} rows and h has {n} number: rnn has H rows, gru 3·H, lstm 4·H",
                "weight_ih has {rows} rows and h has {n} numbers: rnn has H rows, gru 3·H, lstm 4·H",
                rows=rows,
                n=hidden_size,
            ),
            where=place,
        )
    if cell is not None and cell not in fitting:
        raise UsageError(
            trn(
                "these weights are no {cell}: {n} row is {gates}·H",
                "these weights are no {cell}: {n} rows are {gates}·H",
                n=rows,
                cell=cell,
                gates=rows // hidden_size,
            ),
            where=place,
            todo=tr("they fit {cells}", cells=", ".join(fitting)),
        )
    found = cell or min(fitting, key=lambda name: (name not in CELLS.files, CELLS[name].torch_class is None))
    if nonlinearity is not None and nonlinearity not in CELLS[found].nonlinearities:
        raise UsageError(
            tr("{cell} has its own nonlinearities", cell=found), where="--nonlinearity", todo=tr("leave it out")
        )
    layers = 0
    while parameter_name("weight_ih", layers, 0) in part:
        layers += 1
    spec = CoreSpec(
        cell=found,
        nonlinearity=nonlinearity or CELLS[found].nonlinearities[0],
        input_size=input_size,
        hidden_size=fitting[found],
        num_layers=layers,
        bidirectional="weight_ih_l0_reverse" in part,
        proj_size=proj_size,
        bias=any(name.startswith("bias") for name in part),
    )
    unknown = []
    others = [name for name in fitting if name != found]
    if cell is None and others:
        unknown.append(
            tr("taken for {cell}; the shapes fit {others} too: --cell", cell=found, others=", ".join(others))
        )
    if len(CELLS[found].nonlinearities) > 1 and nonlinearity is None:
        unknown.append(tr("tanh or relu is not in a file: tanh is taken; --nonlinearity relu for the other"))
    state, notes = _whole(spec, part, place)
    return FoundCore(prefix, spec, state, [*unknown, *notes])


def _hidden_size(name: str, rows: int, hidden_size: int, weight_hh: Tensor | None, weight_hr: Tensor | None) -> int:
    """H, where weights with so many rows can be that cell's, else 0. hidden_size: what W_hh or W_hr says."""
    cell = CELLS[name]
    if cell.recurrent_weight != (weight_hh is not None) or (weight_hr is not None and not cell.projected):
        return 0
    if weight_hh is None:
        hidden_size = rows // cell.num_gates
    return hidden_size if rows == cell.num_gates * hidden_size else 0


def _whole(spec: CoreSpec, part: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], list[str]]:
    """Every parameter of the spec, of the right shape, in one dtype that a CPU computes in."""
    state: dict[str, Tensor] = {}
    notes: list[str] = []
    first = part["weight_ih_l0"].dtype
    dtype = torch.float32 if first in (torch.float16, torch.bfloat16) else first
    if dtype not in (torch.float32, torch.float64):
        raise DataError(tr("{dtype} weights cannot be computed with", dtype=first), where=where)
    if dtype != first:
        notes.append(tr("{dtype} weights, computed in float32", dtype=str(first).removeprefix("torch.")))
    wanted = {
        parameter_name(name, layer, direction): shape
        for layer in range(spec.num_layers)
        for direction in range(spec.num_directions)
        for name, shape in spec.parameter_shapes(layer).items()
    }
    for name, shape in wanted.items():
        tensor = part.get(name)
        if tensor is None and name.startswith("bias"):
            notes.append(tr("{name} is not there: taken as 0", name=name))
            tensor = torch.zeros(shape, dtype=dtype)
        if tensor is None:
            raise DataError(tr("{name} is missing", name=name), where=where)
        if tuple(tensor.shape) != shape:
            raise DataError(
                tr("{name} is {shape}, and the others want {wanted}", name=name, shape=_shape(tensor), wanted=shape),
                where=where,
            )
        state[name] = tensor.detach().to(dtype)
    extra = sorted(set(part) - set(wanted))
    if extra:
        raise DataError(tr("{names} fit no layer or direction", names=", ".join(extra)), where=where)
    return state, notes


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _some(tensors: Mapping[str, Tensor], most: int = 6) -> str:
    shown = list(tensors)[:most]
    more = len(tensors) - len(shown)
    return ", ".join(shown) + (tr(" and {n} more", n=more) if more else "")
