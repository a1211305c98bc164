"""Integers that need not be held in memory: an array while there are few, else a file, read on demand.

A file is read with pread, whose pages belong to the system and not to this process (700 MB read through a memory map
showed as 732 MB resident, through pread as 24 MB). What is collected while reading a table or treebank goes into an
anonymous file, which disappears with the process, however that ends.
"""

from __future__ import annotations

import os
import sys
import tempfile
import weakref
from bisect import bisect_right
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rnncli.files import cache_folder, write_errors

Numbers = npt.NDArray[np.integer]  # of the smallest sufficient width

HELD = 32 << 20  # bytes of collected numbers that stay in memory


class Stored(Protocol):
    """A sequence of integers."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> Numbers:
        """Numbers start ... stop, (stop - start,), of some integer type."""
        ...


class InArray:
    """Integers in an array, (N,)."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, start: int, stop: int) -> Numbers:
        return self.numbers[start:stop]


class InScratchFile:
    """Integers in an anonymous file, in chunks, each in the smallest sufficient dtype. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)
        self._starts, self._places = [0], [0]  # of each chunk and the end: first index, file offset
        self._dtypes: list[np.dtype[np.integer]] = []  # of each chunk

    def append(self, numbers: Numbers) -> None:
        rest = memoryview(numbers.tobytes())
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._starts.append(self._starts[-1] + len(numbers))
        self._places.append(self._places[-1] + numbers.nbytes)
        self._dtypes.append(numbers.dtype)

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, start: int, stop: int) -> Numbers:
        found: list[Numbers] = []
        piece = bisect_right(self._starts, start) - 1
        while start < stop:
            end = min(stop, self._starts[piece + 1])
            dtype = self._dtypes[piece]
            place = self._places[piece] + (start - self._starts[piece]) * dtype.itemsize
            raw = pread(self._file, (end - start) * dtype.itemsize, place)
            found.append(np.frombuffer(raw, dtype))
            start, piece = end, piece + 1
        return found[0] if len(found) == 1 else np.concatenate(found) if found else np.zeros(0, np.uint8)


class Storing:
    """Collects arrays of integers: in memory up to HELD bytes, beyond that in a file."""

    def __init__(self) -> None:
        self._waiting: list[Numbers] = []
        self._file: InScratchFile | None = None
        self._size = 0

    def add(self, numbers: Numbers) -> None:
        """Raises CannotWrite."""
        self._waiting.append(numbers)
        self._size += numbers.nbytes
        if self._size > HELD:
            self._write()

    def _write(self) -> None:
        folder = cache_folder()
        with write_errors(folder):
            if self._file is None:
                self._file = InScratchFile(folder)
            for numbers in self._waiting:
                self._file.append(numbers)
        self._waiting = []

    def done(self) -> Stored:
        if self._file is None:
            return InArray(np.concatenate(self._waiting) if self._waiting else np.zeros(0, np.uint8))
        self._write()
        return self._file


def pread(file: int, length: int, offset: int) -> bytes:
    """Read `length` bytes from an offset, fewer at the end of the file. A single system call may return fewer."""
    data = b""
    while len(data) < length:
        if sys.platform == "win32":
            os.lseek(file, offset + len(data), os.SEEK_SET)
            piece = os.read(file, length - len(data))
        else:
            piece = os.pread(file, length - len(data), offset + len(data))
        if not piece:
            break
        data = data + piece if data else piece
    return data


def compact(numbers: Numbers) -> Numbers:
    """The same non-negative numbers in the smallest sufficient dtype."""
    return numbers.astype(np.min_scalar_type(int(numbers.max()))) if len(numbers) else numbers
