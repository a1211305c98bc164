"""What a state_dict does not tell about its cores (cell, nonlinearity, options), in the metadata of a .safetensors file
that rnncli wrote: JSON, under one key, because safetensors writes several in any order, and weights of equal runs are
equal to the last byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from safetensors import SafetensorError, safe_open
from torch import nn

from rnncli.cells import CELLS, checked_options, cores_of
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr
from rnncli.names import OptionValue, option_text
from rnncli.records import json_object
from rnncli.version import __version__
from rnncli.weights.read import utf8_path

KEY = "rnncli"  # its text is the version if there is nothing to record


@dataclass(frozen=True)
class RecordedCell:
    """options: all of the cell's."""

    cell: str
    nonlinearity: str
    options: Mapping[str, OptionValue]


Record: TypeAlias = Callable[[str], RecordedCell | None]  # of a core, by its path in the model; raises DataError


def metadata_of(model: nn.Module) -> dict[str, str]:
    """The metadata that records the cores of a model, as in evaluation.

    Cores of torch's classes with tanh, the default without a record, are left out: the files of such models are those
    of version 0.1, to the last byte.
    """
    specs = {path: spec.in_evaluation for path, spec in cores_of(model).items()}
    cores = {
        path: {"cell": spec.cell, "nonlinearity": spec.nonlinearity, "options": dict(spec.options)}
        for path, spec in specs.items()
        if spec.torch_class is None or spec.nonlinearity != "tanh"
    }
    return {KEY: json.dumps({"version": __version__, "cores": cores}) if cores else __version__}


def read_record(path: str, core: str) -> RecordedCell | None:
    """What a readable weight file records of the core of that path in the model; None: nothing.

    Raises DataError: damaged, or a cell or option that is not known here. Records of other cores are not read.
    """
    if not path.endswith(".safetensors"):
        return None
    where = f"{path}: {core}" if core else path
    try:
        with utf8_path(Path(path)) as name, safe_open(name, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
        text = metadata.get(KEY, "")
        found = json_object(json.loads(text)).get("cores", {}) if text.startswith("{") else {}
        value = json_object(found).get(core)
        return None if value is None else _recorded(json_object(value), where)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError, UsageError) as error:
        why = error.what if isinstance(error, UsageError) else error
        raise DataError(
            tr("the cell that this file records cannot be read: {why}", why=why),
            where=where,
            todo=tr("if you know the cell, specify it with --cell"),
        ) from error


def _recorded(value: Mapping[str, object], where: str) -> RecordedCell:
    cell, nonlinearity = str(value["cell"]), str(value["nonlinearity"])
    if cell not in CELLS:
        raise DataError(
            tr("according to the file this core is a {cell}, which is not among the installed cells", cell=cell),
            where=where,
            todo=tr("install the package that provides it, or specify another cell with --cell"),
        )
    if nonlinearity not in CELLS[cell].nonlinearities:
        raise ValueError(nonlinearity)
    defaults = {name: option.default for name, option in CELLS[cell].options.items()}
    return RecordedCell(cell, nonlinearity, defaults | checked_options(cell, json_object(value["options"])))


class KnownCell(NamedTuple):
    """What is known of a core besides its tensors: from the user, or recorded in the file. options: those that are
    known. recorded: whether the file says it. notes: on what is not known."""

    cell: str | None = None
    nonlinearity: str | None = None
    options: Mapping[str, object] = {}
    recorded: bool = False
    notes: Sequence[str] = ()


def known_cell(user: KnownCell, record: Record, core: str, alone: bool) -> KnownCell:
    """What the user says and what the file records of a core. alone: this core is the one to open.

    Raises UsageError: they contradict each other; DataError: the record of the core to open is not understood, and the
    user does not say which cell it is.
    """
    try:
        recorded = record(core)
    except DataError as error:
        if alone and user.cell is None:
            raise
        return user._replace(notes=[tr("what the file records of this core is ignored: {why}", why=error.what)])
    if recorded is None:
        return user
    if user.cell not in (None, recorded.cell):
        raise UsageError(tr("according to the file this core is a {cell}", cell=recorded.cell), where="--cell")
    if user.nonlinearity not in (None, recorded.nonlinearity):
        raise UsageError(
            tr("according to the file the nonlinearity is {nonlinearity}", nonlinearity=recorded.nonlinearity),
            where="--nonlinearity",
        )
    for name, value in checked_options(recorded.cell, user.options).items():
        if value != recorded.options[name]:
            text = option_text(recorded.options[name])
            raise UsageError(tr("according to the file {name} is {value}", name=name, value=text), where="--set")
    return KnownCell(recorded.cell, recorded.nonlinearity, recorded.options, True)
