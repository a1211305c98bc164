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


class _Scratch:
    """An anonymous file. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            self.file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self.file)

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.file, rest) :]


class InScratchFile:
    """Integers in an anonymous file, in chunks, each in the smallest sufficient dtype."""

    def __init__(self, scratch: _Scratch, pieces: list[tuple[np.dtype[np.integer], int]]) -> None:
        """pieces: (dtype, count) of each chunk."""
        self._scratch = scratch
        self._starts, self._places = [0], [0]  # of each chunk and the end: first index, file offset
        self._dtypes = [dtype for dtype, _ in pieces]
        for dtype, n in pieces:
            self._starts.append(self._starts[-1] + n)
            self._places.append(self._places[-1] + n * dtype.itemsize)

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, start: int, stop: int) -> Numbers:
        found: list[Numbers] = []
        piece = bisect_right(self._starts, start) - 1
        while start < stop:
            end = min(stop, self._starts[piece + 1])
            dtype = self._dtypes[piece]
            place = self._places[piece] + (start - self._starts[piece]) * dtype.itemsize
            raw = pread(self._scratch.file, (end - start) * dtype.itemsize, place)
            found.append(np.frombuffer(raw, dtype))
            start, piece = end, piece + 1
        return found[0] if len(found) == 1 else np.concatenate(found) if found else np.zeros(0, np.uint8)


class Storing:
    """Collects arrays of integers: in memory up to HELD bytes, beyond that in a file."""

    def __init__(self) -> None:
        self._waiting: list[Numbers] = []
        self._pieces: list[tuple[np.dtype[np.integer], int]] = []
        self._scratch: _Scratch | None = None
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
            scratch = self._scratch = self._scratch or _Scratch(folder)
            for numbers in self._waiting:
                scratch.write(numbers.tobytes())
                self._pieces.append((numbers.dtype, len(numbers)))
        self._waiting = []

    def done(self) -> Stored:
        if self._scratch is None:
            return InArray(np.concatenate(self._waiting) if self._waiting else np.zeros(0, np.uint8))
        self._write()
        return InScratchFile(self._scratch, self._pieces)


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
