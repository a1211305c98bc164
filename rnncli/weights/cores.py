"""Finds recurrent cores in any state_dict by torch's parameter names, at any nesting.

Sizes, layers, directions, projection and biases are inferred from names and shapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, product

import torch
from torch import Tensor

from rnncli.cells import CELLS, CoreSpec, checked_options, parameter_name
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr, trn
from rnncli.names import Option, OptionValue, option_text
from rnncli.weights.rebuild import rebuild
from rnncli.weights.record import KnownCell, Record, known_cell

_PLACE = re.compile(r"^(?:_l(?P<layer>\d+)(?P<reverse>_reverse)?)?$")


@dataclass(frozen=True)
class FoundCore:
    """A recurrent core of a file. name: its prefix in the file, "" if none. state: torch's parameter names -> tensors,
    as in nn.RNN, nn.GRU and nn.LSTM. unknown: notes on properties that the file does not record, and on conversions.
    origin: description of the file type. backwards: whether it reads its sequence in reverse."""

    name: str
    spec: CoreSpec
    state: Mapping[str, Tensor]
    unknown: Sequence[str] = ()
    origin: str = ""
    backwards: bool = False


def find_cores(
    tensors: Mapping[str, Tensor],
    *,
    cell: str | None = None,
    nonlinearity: str | None = None,
    options: Mapping[str, object] = {},
    name: str | None = None,
    where: str = "",
    record: Record = lambda core: None,
) -> list[FoundCore]:
    """All recurrent cores among named tensors, one per prefix of a cell's parameters; with `name`, only that one.

    Rewritten weights (weight drop, weight norm, pruning ...) are rebuilt. cell, nonlinearity, options: override the
    inferred ones. record: what the file records of a core. Where several are found, what the user says applies to those
    that it fits. Raises DataError: no core, missing or unsupported tensors, or a record that is not understood, unless
    `cell` is given; UsageError: a cell, nonlinearity or option that contradicts the shapes or the record.
    """
    if cell is not None:
        check_cell(cell)
    pattern = _parameters()
    tensors, rebuilt = rebuild(tensors, lambda full: _split(pattern, full) is not None, where)
    parts: dict[str, dict[str, Tensor]] = {}
    for full, tensor in tensors.items():
        if found := _split(pattern, full):
            parts.setdefault(found[0], {})[found[1]] = tensor
    parts = {prefix: part for prefix, part in parts.items() if {"weight_ih_l0", "weight_hh_l0"} & part.keys()}
    if not parts:
        raise DataError(
            tr("no recurrent weights in this file: no name ends in weight_ih_l0 or weight_ih"),
            where=where,
            todo=tr("the file contains: {names}", names=some(tensors)),
        )
    user, cores, refused = KnownCell(cell, nonlinearity, options), list[FoundCore](), list[UsageError]()
    alone = name in parts or (name is None and len(parts) == 1)
    for prefix, part in parts.items():
        if name is None or name == prefix or name not in parts:
            others = _not_understood(tensors, prefix, parts, pattern)
            notes = [note for full, note in rebuilt.items() if full.startswith(f"{prefix}." if prefix else "")]
            try:
                core = _core(prefix, part, known_cell(user, record, prefix, alone), where)
            except UsageError as error:
                if alone:
                    raise
                refused.append(error)
                core = _core(prefix, part, known_cell(KnownCell(), record, prefix, alone), where)
            left_out = _left_out(prefix, others, cell, where)
            cores.append(FoundCore(prefix, core.spec, core.state, [*notes, *core.unknown, *left_out]))
    if name is None and len(refused) == len(cores):
        listed = ", ".join(f"{core.name or repr('')} ({core.spec})" for core in cores)
        hint = tr("choose one with --core: {names}", names=listed)
        raise UsageError(refused[0].what, where=f"{where}: {cores[0].name}" if cores[0].name else where, todo=hint)
    return cores


def check_cell(cell: str) -> None:
    """Raises UsageError: no such cell."""
    if cell not in CELLS:
        known = ", ".join(CELLS)
        raise UsageError(tr("expected one of {names}, got {value}", names=known, value=repr(cell)), where="--cell")


def _split(pattern: re.Pattern[str], full: str) -> tuple[str, str] | None:
    """`encoder.weight_ih` -> ("encoder", "weight_ih_l0"); None for other tensors."""
    found = pattern.match(full)
    place = _PLACE.match(found["place"]) if found else None
    if found is None or place is None:
        return None
    return found["prefix"].removesuffix("."), found["name"] + (found["place"] or "_l0")


def _not_understood(
    tensors: Mapping[str, Tensor], prefix: str, parts: Mapping[str, object], pattern: re.Pattern[str]
) -> dict[str, Tensor]:
    """Tensors under a core's prefix that are neither a cell's parameters nor part of a nested core."""
    start = f"{prefix}." if prefix else ""
    nested = tuple(f"{other}." for other in parts if other != prefix and other.startswith(start))
    return {
        full.removeprefix(start): tensor
        for full, tensor in tensors.items()
        if full.startswith(start) and not full.startswith(nested) and _split(pattern, full) is None
    }


def _left_out(prefix: str, others: Mapping[str, Tensor], cell: str | None, where: str) -> list[str]:
    """A note on tensors under a core's prefix that its equations do not use.

    Raises DataError if they affect a step: tensors of the core itself (peepholes), or modules with only vectors (layer
    norm). A module with a matrix may equally be before or after the core. With `cell`, they are ignored.
    """
    matrices = {name.rpartition(".")[0] for name, tensor in others.items() if tensor.dim() > 1}
    inner = [name for name in others if name.rpartition(".")[0] not in matrices - {""}]
    if inner and cell is None:
        raise DataError(
            tr("this is not a plain recurrent core: unsupported tensors {names}", names=some(inner)),
            where=f"{where}: {prefix}" if prefix else where,
            todo=tr("to ignore them, specify the cell: --cell lstm"),
        )
    return [tr("not used: {names}", names=some(others))] if others else []


def _parameters() -> re.Pattern[str]:
    """Matches a parameter of some cell: prefix, name, layer and direction."""
    known = {"weight_hr", "bias_ih", "bias_hh"}
    for cell in CELLS:
        switches = [name for name, option in CELLS[cell].options.items() if isinstance(option.default, bool)]
        options = ((), tuple((name, True) for name in switches))
        known |= {
            name for chosen in options for name in CoreSpec(cell, "tanh", 1, 1, options=chosen).parameter_shapes(0)
        }
    either = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
    return re.compile(rf"^(?P<prefix>(?:.*\.)?)(?P<name>{either})(?P<place>.*)$")


def choose_core(cores: Sequence[FoundCore], name: str | None, where: str = "") -> FoundCore:
    """The core of that name; without one, the only one. Raises UsageError."""
    by_name = {core.name: core for core in cores}
    return by_name[named({core.name: str(core.spec) for core in cores}, name, where)]


def named(cores: Mapping[str, str], name: str | None, where: str) -> str:
    """The name of the core to use. cores: name -> description. Raises UsageError: no such core, or several."""
    if name is None and len(cores) == 1:
        return next(iter(cores))
    if name is not None and name in cores:
        return name
    listed = ", ".join(f"{core or repr('')} ({about})" for core, about in cores.items())
    if name is None:
        what = tr("this file contains {n} recurrent cores", n=len(cores))
        raise UsageError(what, where=where, todo=tr("choose one with --core: {names}", names=listed))
    raise UsageError(
        tr("no core {name!r} in this file", name=name), where=where, todo=tr("the file contains: {names}", names=listed)
    )


def embeddings(tensors: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    """Embedding tables (V, size), recognized by name; by name."""
    return {
        name: tensor
        for name, tensor in tensors.items()
        if tensor.dim() == 2 and tensor.shape[1] == size and re.search(r"emb|wte|lookup", name, re.IGNORECASE)
    }


def _core(prefix: str, part: Mapping[str, Tensor], given: KnownCell, where: str) -> FoundCore:
    place, cell = f"{where}: {prefix}" if prefix else where, given.cell
    for name, tensor in part.items():
        refuse_tensor(name, tensor, place)
    for name in ["weight_ih_l0", *(["weight_hh_l0"] if cell is None or CELLS[cell].recurrent_weight else [])]:
        if name not in part:
            raise _missing(name, place, part)
    rows = len(part["weight_ih_l0"])
    hidden_size = part["weight_hh_l0"].shape[-1] if "weight_hh_l0" in part else rows
    fitting = {name: spec for name in CELLS if (spec := _as_layer(name, part, asked=name == cell)) is not None}
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
        raise (DataError if given.recorded else UsageError)(
            trn(
                "these weights do not belong to {cell}: {n} row is {gates}·H",
                "these weights do not belong to {cell}: {n} rows are {gates}·H",
                n=rows,
                cell=cell,
                gates=rows // hidden_size,
            ),
            where=place,
            todo=tr("they fit {cells}", cells=", ".join(fitting)),
        )
    found = cell or min(fitting, key=lambda name: (name not in CELLS.files, CELLS[name].torch_class is None))
    options = checked_options(found, given.options)
    one = _as_layer(found, part, asked=True, options=options) if options else fitting[found]
    if one is None:
        text = ", ".join(f"{name} {option_text(value)}" for name, value in options.items())
        raise (DataError if given.recorded else UsageError)(
            tr("these weights do not belong to {cell} with {options}", cell=found, options=text), where=place
        )
    taken, unasked = chosen_nonlinearity(found, given.nonlinearity)
    layers = next(k for k in count() if parameter_name("weight_ih", k, 0) not in part)
    both = "weight_ih_l0_reverse" in part
    spec = replace(one, nonlinearity=taken, num_layers=layers, bidirectional=both)
    unknown = [*given.notes]
    others = [name for name in fitting if name != found]
    if cell is None and others:
        unknown.append(
            tr("assuming {cell}; the shapes also fit {others}: --cell", cell=found, others=", ".join(others))
        )
    unknown += unasked
    for name, option in CELLS[found].options.items():
        if option.choices and name not in options:
            text = option_text(option.default)
            unknown.append(
                tr("{name} is not recorded in this file: assuming {value}; use --set model.{name}=VALUE otherwise",
                   name=name, value=text)
            )  # fmt: skip
    state, notes = whole(spec, part, place)
    return FoundCore(prefix, spec, state, [*unknown, *notes])


def chosen_nonlinearity(cell: str, given: str | None) -> tuple[str, list[str]]:
    """(the nonlinearity of weights that do not record it, notes). given: by the user.

    Raises UsageError: not supported by the cell.
    """
    known = CELLS[cell].nonlinearities
    if given is not None and given not in known:
        raise UsageError(tr("{cell} has its own nonlinearities", cell=cell), where="--nonlinearity", todo=tr("omit it"))
    if given is not None or len(known) == 1:
        return given or known[0], []
    return known[0], [tr("a file does not record tanh or relu: assuming tanh; use --nonlinearity relu otherwise")]


def refuse_tensor(name: str, tensor: Tensor, where: str) -> None:
    """Raises DataError: not a matrix or vector of distinct values."""
    dense = tensor.layout == torch.strided
    matrix = name.startswith(("weight_ih", "weight_hr"))  # other names may be vectors
    if not tensor.is_floating_point() or not dense or not 1 + matrix <= tensor.dim() <= 2 or not tensor.numel():
        raise not_a_weight(name, tensor.shape, tensor.dtype if dense else tensor.layout, where)
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise fewer_values(name, tensor.shape, where, todo=tr("save it in full: tensor.contiguous()"))
    if bad := int((~tensor.isfinite()).sum()):
        raise DataError(
            trn(
                "{name} contains NaN or infinity: {n} value of {total}",
                "{name} contains NaN or infinity: {n} values of {total}",
                n=bad,
                name=name,
                total=tensor.numel(),
            ),
            where=where,
        )


def not_a_weight(name: str, shape: Iterable[int], dtype: object, where: str) -> DataError:
    what = tr("{name} is not a weight: {shape} of {dtype}", name=name, shape=tuple(shape), dtype=dtype)
    return DataError(what, where=where)


def fewer_values(name: str, shape: Iterable[int], where: str, todo: str = "") -> DataError:
    what = tr("{name} is {shape}, but the file contains fewer values", name=name, shape=tuple(shape))
    return DataError(what, where=where, todo=todo)


def _missing(name: str, where: str, part: Mapping[str, Tensor] = {}) -> DataError:
    """part: the core's tensors, for the cells that they fit without W_hh."""
    plain = [cell for cell in CELLS if not CELLS[cell].recurrent_weight] if "weight_ih_l0" in part else []
    fitting = [cell for cell in plain if _as_layer(cell, part, asked=True) is not None]
    if re.search(r"-\d+-of-\d+\.", where):
        todo = tr("this is one of several files: give the index, for example model.safetensors.index.json")
    elif name == "weight_hh_l0" and fitting:
        choices = ", ".join(f"--cell {cell}" for cell in fitting)
        todo = tr("if the cell has no W_hh, name it; these fit: {choices}", choices=choices)
    else:
        todo = ""
    return DataError(tr("{name} is missing", name=name), where=where, todo=todo)


def _as_layer(
    name: str, part: Mapping[str, Tensor], *, asked: bool, options: Mapping[str, OptionValue] = {}
) -> CoreSpec | None:
    """One layer of that cell that matches such weights, with the options that their names and shapes imply; None: no
    match. asked: the caller specified this cell; otherwise a name that only an option explains is required. options:
    those that are known.
    """
    cell = CELLS[name]
    own = {full.removesuffix("_l0") for full in part if full.endswith("_l0")}
    if "weight_hr" in own and not cell.projected:
        return None
    rows = len(part["weight_ih_l0"])
    values = [[options[key]] if key in options else _candidates(one, rows) for key, one in cell.options.items()]
    plain = CoreSpec(name, "tanh", 1, 1, proj_size=int("weight_hr" in own)).parameter_shapes(0)
    explained = not own <= plain.keys()
    for chosen in product(*values):
        spec = _of_sizes(name, part, own, tuple(zip(cell.options, chosen, strict=True)))
        if spec is not None and (asked or explained or not spec.options):
            return spec
    return None


def _candidates(option: Option, rows: int) -> Sequence[OptionValue]:
    """Values to try against the shapes, the default first."""
    if isinstance(option.default, bool):
        return (option.default, not option.default)
    if isinstance(option.default, int) and not option.choices:
        return [option.default, *(n for n in range(option.least, rows + 1) if n != option.default)]
    return (option.default,)


def _of_sizes(
    name: str, part: Mapping[str, Tensor], own: set[str], options: tuple[tuple[str, OptionValue], ...]
) -> CoreSpec | None:
    """The cell with these options and the weights' sizes; None if names or shapes differ."""
    (rows, inputs), weight_hr = part["weight_ih_l0"].shape, part.get("weight_hr_l0")
    gates = CoreSpec(name, "tanh", 1, 1, options=options).num_gates
    H, P = (rows // gates, 0) if weight_hr is None else (weight_hr.shape[1], weight_hr.shape[0])
    if not H or H * gates != rows or CELLS[name].fits(dict(options), H):
        return None
    bias = any(key.startswith("bias") for key in own)
    spec = CoreSpec(name, "tanh", inputs, H, proj_size=P, bias=bias, options=options)
    shapes = spec.parameter_shapes(0)
    needed = {key for key in shapes if not key.startswith("bias")}
    own_matrices = own & {"weight_ih", "weight_hh", "weight_hr"}
    if not needed <= own <= shapes.keys() or any(tuple(part[f"{key}_l0"].shape) != shapes[key] for key in own_matrices):
        return None
    return spec


def whole(spec: CoreSpec, part: Mapping[str, Tensor], where: str) -> tuple[dict[str, Tensor], list[str]]:
    """All parameters of the spec, with the right shapes, in one dtype supported by CPUs."""
    state: dict[str, Tensor] = {}
    notes: list[str] = []
    first = part["weight_ih_l0"].dtype
    dtype = torch.float32 if first in (torch.float16, torch.bfloat16) else first
    if dtype not in (torch.float32, torch.float64):
        raise DataError(tr("{dtype} weights are not supported", dtype=first), where=where)
    if dtype != first:
        notes.append(tr("{dtype} weights, computed in float32", dtype=str(first).removeprefix("torch.")))
    wanted = spec.all_shapes()
    for name, shape in wanted.items():
        tensor = part.get(name)
        if tensor is None and name.startswith("bias"):
            notes.append(tr("{name} is missing: assuming 0", name=name))
            tensor = torch.zeros(shape, dtype=dtype)
        if tensor is None:
            raise _missing(name, where)
        if tuple(tensor.shape) != shape:
            found = tuple(tensor.shape)
            what = tr("{name} is {shape}; the others require {wanted}", name=name, shape=found, wanted=shape)
            raise DataError(what, where=where)
        state[name] = tensor.detach().to(dtype)
    extra = sorted(set(part) - set(wanted))
    if extra:
        raise DataError(tr("{names} do not belong to any layer or direction", names=", ".join(extra)), where=where)
    return state, notes


def some(tensors: Iterable[str], most: int = 6) -> str:
    names = list(tensors)
    shown = names[:most]
    more = len(names) - len(shown)
    return ", ".join(shown) + (tr(" and {n} more", n=more) if more else "")
