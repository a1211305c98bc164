"""Reads the arrays of HDF5 files, by path: numbers only. Rejects links to other files and places, external arrays, and
arrays declared far larger than their stored data."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import torch
from torch import Tensor

from rnncli.errors import DataError, Missing
from rnncli.locale import tr
from rnncli.weights.cores import fewer_values, not_a_weight

if TYPE_CHECKING:
    import h5py

EXPANSION, FLOOR = 20, 1 << 24  # maximum ratio of data read to bytes stored, beyond 16 MiB
# What libraries raise for a damaged file.
FLAWS = ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError, zlib.error
_DEEPEST, _MOST = 100, 200_000  # maximum nesting of groups, maximum number of groups


@dataclass(frozen=True)
class Stored:
    """A group. label: its attribute `name`, "" if none. arrays: those directly in it."""

    label: str
    arrays: dict[str, h5py.Dataset] = field(default_factory=dict)


@contextmanager
def opened(content: IO[bytes], where: str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading. Raises Missing: h5py is not installed; DataError: damaged, on opening or while
    reading."""
    try:
        import h5py
    except ImportError as error:
        raise Missing(
            tr("Keras files need h5py, which is not installed"), where=where, todo="pip install 'rnncli[keras]'"
        ) from error
    try:
        with h5py.File(content, "r") as file:
            yield file
    except FLAWS as error:
        why = " ".join(str(error).split())[:200]
        raise DataError(tr("not a complete HDF5 file: {why}", why=why), where=where) from error


def groups(file: h5py.File, where: str) -> dict[str, Stored]:
    """Path -> group, for groups with arrays or a label. Raises DataError: a link to another file or place."""
    import h5py

    found: dict[str, Stored] = {}
    seen, waiting = set[object](), [("", file["/"], 0)]
    while waiting:
        path, group, depth = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue  # another name of the same group
        seen.add(address)
        if depth > _DEEPEST or len(seen) > _MOST:
            raise DataError(tr("this file has too many or too deeply nested groups"), where=where)
        arrays: dict[str, h5py.Dataset] = {}
        for name in group:
            full = f"{path}/{name}" if path else name
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                what = tr("{name} is a link; links are not followed", name=full)
                raise DataError(what, where=where, todo=tr("save the weights themselves, without links"))
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append((full, item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                arrays[name] = item
        label = text(group, "name")
        if arrays or label:
            found[path] = Stored(label, arrays)
    return found


def text(item: h5py.Group, name: str) -> str:
    """A text attribute, or ""."""
    value: Any = item.attrs.get(name)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


class Reader:
    """Reads arrays as tensors, up to the amount that a file of that size can contain. size: of the file, in bytes."""

    def __init__(self, size: int, where: str) -> None:
        self.left, self.where = FLOOR + EXPANSION * size, where

    def tensor(self, name: str, array: h5py.Dataset) -> Tensor:
        """The values of an array. Raises DataError: external, not numeric, or not completely stored."""
        half = array.dtype.kind == "V" and array.dtype.itemsize == 2 and array.attrs.get("dtype") == "bfloat16"
        if array.external or array.is_virtual:
            raise DataError(
                tr("{name} is stored in another file; external files are not opened", name=name), where=self.where
            )
        if not half and (array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8)):
            raise not_a_weight(name, array.shape or (), array.dtype, self.where)
        size, stored = array.size * array.dtype.itemsize, array.id.get_storage_size()
        self.left -= size
        if self.left < 0 or (array.chunks is None and stored < size) or size > FLOOR + EXPANSION * stored:
            raise fewer_values(name, array.shape, self.where)
        numbers = array[()]
        if half:
            return torch.from_numpy(numbers.view("uint16").astype("int32")).to(torch.int16).view(torch.bfloat16)
        return torch.from_numpy(numbers.astype(numbers.dtype.newbyteorder("="), copy=False))
