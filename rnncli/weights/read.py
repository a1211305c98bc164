"""Reads weight files into named tensors: safetensors, .pt, and the index of a model saved in several files.

Files never run code: safetensors contain only tensors, and .pt files are read with weights_only.
"""

from __future__ import annotations

import re
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from rnncli.errors import DataError
from rnncli.files import inside, open_binary, read_json, require_regular
from rnncli.locale import tr
from rnncli.weights.damage import why_not_pickled, why_not_safetensors

INDEX = ".index.json"  # suffix of an index: model.safetensors.index.json, pytorch_model.bin.index.json
# Keys under which training programs store a state_dict, and prefixes that wrappers add to its names.
_ENVELOPES = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params")
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:module|_orig_mod)\.")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Dotted name -> tensor on the CPU, for a .safetensors or .pt file, or all files of an index.

    Envelopes (`state_dict`, `model` ...) and wrappers (`module.`, `_orig_mod.`) are removed from names, unless two
    names would then be equal. Raises DataError: no such file, damaged, a file or tensor of the index is missing, or a
    pickle contains more than tensors and plain values (it is not executed).
    """
    path = Path(path)
    found = dict(_indexed(path) if path.name.endswith(INDEX) else _flat(_content(path), ""))
    if not found:
        raise DataError(
            tr("this file contains no tensors"),
            where=str(path),
            todo=tr("save a state_dict: torch.save(model.state_dict(), ...)"),
        )
    plain = [re.sub(_WRAPPERS, "", name) for name in found]
    return dict(zip(plain if len(set(plain)) == len(plain) else found, found.values(), strict=True))


def _content(path: Path) -> object:
    with open_binary(path):  # raises for an invalid name, or if it is not a file
        return _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)


def _indexed(path: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors listed in an index, each from its file; all names are checked first."""
    names = read_json(path).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(file, str) for file in names.values()):
        raise DataError(tr("this index has no weight_map (tensor name -> file)"), where=str(path))
    for file in sorted(set(names.values())):
        shard = inside(path.parent, file)
        held = dict(_flat(_content(shard), ""))
        for name in (name for name, own in names.items() if own == file):
            if name not in held:
                raise DataError(tr("{name} is missing here, although {index} lists it", name=name, index=path.name),
                                where=str(shard))  # fmt: skip
            yield name, held[name]


@contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """The same file under a name that safetensors can open: it supports only UTF-8. Raises OSError, and
    DataError for a pipe or a folder."""
    require_regular(path)
    try:
        name = path.as_posix()
        name.encode()
    except UnicodeEncodeError:
        with open(path, "rb") as file:
            yield f"/dev/fd/{file.fileno()}"
    else:
        yield name


def _safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with utf8_path(path) as name:
            return load_file(name)
    except SafetensorError as error:
        raise why_not_safetensors(path, error) from error


def _pickled(path: Path) -> object:
    """torch.load, which raises many kinds of errors for damaged files. torch never compresses its files."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                    raise ValueError(tr("its contents are compressed, which torch.save never does"))
        with warnings.catch_warnings():  # torch warns about archives that it then rejects
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError as error:  # torch raises RuntimeError for that: this is a wrong length in the file
        raise DataError(
            tr("not a complete weight file: {why}", why=tr("a length in it is wrong")), where=str(path)
        ) from error
    except (
        UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError, AssertionError,
        ArithmeticError, struct.error, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise why_not_pickled(path, error) from error


def _flat(value: object, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Dotted name -> tensor of everything under nested dicts with text keys; an envelope at the top adds no name."""
    if isinstance(value, Tensor):
        if prefix:
            yield prefix, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                envelope = not prefix and key in _ENVELOPES and isinstance(item, Mapping)
                yield from _flat(item, "" if envelope else f"{prefix}.{key}" if prefix else key)
