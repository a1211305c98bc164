"""HDF5 files -> their arrays, by path: numbers only. What a file can hide is refused: links to other files and places,
arrays kept elsewhere, and arrays that are declared far larger than what is stored of them."""

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

if TYPE_CHECKING:
    import h5py

EXPANSION, FLOOR = 20, 1 << 24  # how many times larger than its stored bytes what is read may be, beyond 16 MiB
_DEEPEST, _MOST = 100, 200_000  # groups in each other, groups of a file


@dataclass(frozen=True)
class Stored:
    """A group. label: its attribute `name`, "" where it has none. arrays: what lies directly in it."""

    label: str
    arrays: dict[str, h5py.Dataset] = field(default_factory=dict)


@contextmanager
def opened(content: IO[bytes], where: str) -> Iterator[h5py.File]:
    """An HDF5 file for reading. Raises Missing: h5py is not installed; DataError: damaged, then or while it is read."""
    try:
        import h5py
    except ImportError as error:
        raise Missing(
            tr("Keras files need h5py, which is not installed"), where=where, todo="pip install 'rnncli[keras]'"
        ) from error
    try:
        with h5py.File(content, "r") as file:
            yield file
    except (
        OSError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        zlib.error,
    ) as error:
        why = " ".join(str(error).split())[:200]
        raise DataError(tr("not a complete HDF5 file: {why}", why=why), where=where) from error


def groups(file: h5py.File, where: str) -> dict[str, Stored]:
    """Path -> every group of a file that holds arrays or has a label. Raises DataError: a link that leads elsewhere."""
    import h5py

    found: dict[str, Stored] = {}
    seen, waiting = set[object](), [("", file["/"], 0)]
    while waiting:
        path, group, depth = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue  # a second name of the same group
        seen.add(address)
        if depth > _DEEPEST or len(seen) > _MOST:
            raise DataError(tr("this file has too many groups, or nests them too deeply"), where=where)
        arrays: dict[str, h5py.Dataset] = {}
        for name in group:
            full = f"{path}/{name}" if path else name
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                what = tr("{name} is a link, which is not followed", name=full)
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
    """An attribute that is a text, or ""."""
    value: Any = item.attrs.get(name)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


class Reader:
    """Arrays as tensors, as many as a file of that size can hold. size: of the file, in bytes."""

    def __init__(self, size: int, where: str) -> None:
        self.left, self.where = FLOOR + EXPANSION * size, where

    def tensor(self, name: str, array: h5py.Dataset) -> Tensor:
        """The numbers of an array. Raises DataError: kept in another file, of another kind, or not stored in whole."""
        half = array.dtype.kind == "V" and array.dtype.itemsize == 2 and array.attrs.get("dtype") == "bfloat16"
        if array.external or array.is_virtual:
            raise DataError(tr("{name} is stored in another file, which is not opened", name=name), where=self.where)
        if not half and (array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8)):
            shape = tuple(array.shape or ())
            raise DataError(
                tr("{name} is not a weight: {shape} of {dtype}", name=name, shape=shape, dtype=array.dtype),
                where=self.where,
            )
        size, stored = array.size * array.dtype.itemsize, array.id.get_storage_size()
        self.left -= size
        if self.left < 0 or (array.chunks is None and stored < size) or size > FLOOR + EXPANSION * stored:
            raise DataError(
                tr("{name} is {shape}, and the file holds fewer numbers", name=name, shape=tuple(array.shape)),
                where=self.where,
            )
        numbers = array[()]
        if half:
            return torch.from_numpy(numbers.view("uint16").astype("int32")).to(torch.int16).view(torch.bfloat16)
        return torch.from_numpy(numbers.astype(numbers.dtype.newbyteorder("="), copy=False))
