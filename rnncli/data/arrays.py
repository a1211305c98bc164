"""NumPy's .npy and .npz: plain numbers, nothing is unpickled, and no more memory is taken than the file is worth."""

from __future__ import annotations

import io
import math
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from rnncli.device import require_memory
from rnncli.errors import DataError
from rnncli.files import CHUNK, MOST_TIMES, open_binary, shown
from rnncli.locale import tr

UNPACKED = 512 << 20  # bytes to which anything may unpack: films of black frames are packed tightly too
MAX_HEADER = 10_000  # bytes; numpy's own limit
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_FAULTS = (  # what numpy, zipfile and the decompressors raise for a damaged file
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RecursionError,
    SyntaxError,
    UserWarning,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
)


def read_arrays(path: str | Path) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of an .npz by name, or of an .npy as `array`. Nothing in it is unpickled.

    Raises DataError: no such file, damaged, Python objects inside, or packed so tightly that it can only be meant to
    fill the memory; Missing: more than the memory there is.
    """
    path = Path(path)
    where = shown(path)
    with open_binary(path) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # numpy warns of headers that it had to fix
                if path.suffix.lower() == ".npy":
                    return {"array": _array(file, size, where)}
                with zipfile.ZipFile(file) as archive:
                    return _members(archive, size, where)
        except _FAULTS as error:
            why = str(error).splitlines()[0][:200] if str(error) else "?"
            raise DataError(tr("is no NumPy file that can be read: {why}", why=why), where=where) from error


def _members(archive: zipfile.ZipFile, packed: int, where: str) -> dict[str, npt.NDArray[np.generic]]:
    """Every .npy of an .npz. A member's size is what the archive says: zipfile gives no byte beyond it."""
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    whole = sum(member.file_size for member in members)
    if whole > max(UNPACKED, MOST_TIMES * packed):
        raise DataError(
            tr("unpacks to {n} times its size, and such a file is not unpacked", n=f"{whole // packed:,}"),
            where=where,
            todo=tr("if it is meant so, save it unpacked: numpy.savez"),
        )
    found = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        with archive.open(member) as file:
            found[name] = _array(file, member.file_size, f"{where} {name}")
    return found


def _array(file: IO[bytes], available: int, where: str) -> npt.NDArray[np.generic]:
    """One array. available: bytes of the file, or of the archive's member."""
    version = np.lib.format.read_magic(file)
    if version not in _READERS:
        raise ValueError(tr("format {version}", version=version))
    field = 2 * version[0]  # bytes that say how long the header is
    length = int.from_bytes(file.read(field), "little")
    if length > MAX_HEADER:  # numpy would read it first
        raise ValueError(tr("a header of {n} bytes", n=f"{length:,}"))
    file.seek(-field, io.SEEK_CUR)
    shape, fortran, dtype = _READERS[version](file)
    if dtype.hasobject:
        raise DataError(
            tr("holds Python objects, which could run code when loaded"),
            where=where,
            todo=tr("save plain numbers: films of unequal lengths are padded, their lengths in an array `lengths`"),
        )
    if any(isinstance(n, bool) or not 0 <= n < 1 << 62 for n in shape) or not dtype.itemsize:
        raise ValueError(tr("{kind} of shape {shape}", kind=dtype, shape=shape))
    size = math.prod(shape) * dtype.itemsize
    if size > available:  # before it is taken
        raise EOFError(tr("cut short: {found} of {size} bytes", found=available, size=size))
    require_memory(size, tr("this array"), where=where)
    data = np.empty(size, np.uint8)
    start = 0
    while start < size:
        block = file.read(min(size - start, CHUNK))
        if not block:
            raise EOFError(tr("cut short: {found} of {size} bytes", found=start, size=size))
        data[start : start + len(block)] = np.frombuffer(block, np.uint8)
        start += len(block)
    return data.view(dtype).reshape(shape, order="F" if fortran else "C")
