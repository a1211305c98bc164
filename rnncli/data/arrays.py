"""NumPy's .npy and .npz: only plain numbers, never unpickled, and never more memory than the file's own size
warrants."""

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
from rnncli.files import CHUNK, MAX_RATIO, open_binary, shown
from rnncli.locale import tr

UNPACKED = 512 << 20  # limit on the unpacked size, in bytes; black frames, too, compress very well
MAX_HEADER = 10_000  # bytes; numpy's own limit
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_FAULTS = (  # raised by numpy, zipfile and the decompressors for a damaged file
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

    Raises DataError: no such file, damaged, contains Python objects, or a decompression bomb; Missing: does not fit
    into memory.
    """
    path = Path(path)
    where = shown(path)
    with open_binary(path) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # numpy warns about headers that it had to repair
                if path.suffix.lower() == ".npy":
                    return {"array": _array(file, size, where)}
                with zipfile.ZipFile(file) as archive:
                    return _members(archive, size, where)
        except _FAULTS as error:
            why = str(error).splitlines()[0][:200] if str(error) else "?"
            raise DataError(tr("not a readable NumPy file: {why}", why=why), where=where) from error


def _members(archive: zipfile.ZipFile, packed: int, where: str) -> dict[str, npt.NDArray[np.generic]]:
    """Every .npy of an .npz. The archive states each member's size; zipfile yields no byte beyond it."""
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    whole = sum(member.file_size for member in members)
    if whole > max(UNPACKED, MAX_RATIO * packed):
        raise DataError(
            tr("unpacks to {n} times its size; refusing to unpack it", n=f"{whole // packed:,}"),
            where=where,
            todo=tr("if this is intended, save it uncompressed with numpy.savez"),
        )
    found = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        with archive.open(member) as file:
            found[name] = _array(file, member.file_size, f"{where} {name}")
    return found


def _array(file: IO[bytes], available: int, where: str) -> npt.NDArray[np.generic]:
    """One array. available: size in bytes of the file or the archive member."""
    version = np.lib.format.read_magic(file)
    if version not in _READERS:
        raise ValueError(tr("format {version}", version=version))
    field = 2 * version[0]  # width of the header-length field, in bytes
    length = int.from_bytes(file.read(field), "little")
    if length > MAX_HEADER:  # numpy would read it before checking
        raise ValueError(tr("a header of {n} bytes", n=f"{length:,}"))
    file.seek(-field, io.SEEK_CUR)
    shape, fortran, dtype = _READERS[version](file)
    if dtype.hasobject:
        raise DataError(
            tr("contains Python objects, which could run code when loaded"),
            where=where,
            todo=tr(
                "save plain numbers: pad sequences of unequal length, and store their lengths in an array `lengths`"
            ),
        )
    if any(isinstance(n, bool) or not 0 <= n < 1 << 62 for n in shape) or not dtype.itemsize:
        raise ValueError(tr("{kind} of shape {shape}", kind=dtype, shape=shape))
    size = math.prod(shape) * dtype.itemsize
    if size > available:  # checked before allocating
        raise EOFError(tr("truncated: {found} of {size} bytes", found=available, size=size))
    require_memory(size, tr("this array"), where=where)
    data = np.empty(size, np.uint8)
    start = 0
    while start < size:
        block = file.read(min(size - start, CHUNK))
        if not block:
            raise EOFError(tr("truncated: {found} of {size} bytes", found=start, size=size))
        data[start : start + len(block)] = np.frombuffer(block, np.uint8)
        start += len(block)
    return data.view(dtype).reshape(shape, order="F" if fortran else "C")
