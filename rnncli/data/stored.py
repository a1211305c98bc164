"""Whole numbers that need not be held in memory: as an array while there are few, else in a file, read where needed.

A file is read with pread, whose pages are the system's and not this process's (through a memory map 700 MB showed as
732 MB resident, through pread as 24 MB). What is gathered while a table or a treebank is read goes into a file that has
no name and ends with its process, however that ends.
"""

from __future__ import annotations

import os
import sys
import tempfile
import weakref
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rnncli.files import cache_folder, cannot_write

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.integer]  # of as few bytes as will do

HELD = 32 << 20  # bytes of gathered numbers that stay in memory


class Stored(Protocol):
    """Numbers in order."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> Numbers:
        """Numbers start ... stop, (stop - start,), of whatever integers hold them."""
        ...


class InArray:
    """Numbers as an array, (N,)."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, start: int, stop: int) -> Numbers:
        return self.numbers[start:stop]


class _Scratch:
    """A file without a name. Raises OSError."""

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
    """Numbers in a file without a name, piece after piece, each of as few bytes as it needs."""

    def __init__(self, scratch: _Scratch, pieces: list[tuple[np.dtype[np.integer], int]]) -> None:
        """pieces: of each, its dtype and how many numbers it has."""
        self._scratch = scratch
        self._starts, self._places = [0], [0]  # of each piece and the end: its first number, and its place in the file
        self._dtypes = [dtype for dtype, _ in pieces]
        for dtype, n in pieces:
            self._starts.append(self._starts[-1] + n)
            self._places.append(self._places[-1] + n * dtype.itemsize)

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, start: int, stop: int) -> Numbers:
        import numpy as np

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
    """Takes arrays of numbers one after the other: in memory up to HELD bytes, beyond that in a file."""

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
        try:
            scratch = self._scratch = self._scratch or _Scratch(folder)
            for numbers in self._waiting:
                scratch.write(numbers.tobytes())
                self._pieces.append((numbers.dtype, len(numbers)))
        except OSError as error:
            raise cannot_write(folder, error) from error
        self._waiting = []

    def done(self) -> Stored:
        import numpy as np

        if self._scratch is None:
            return InArray(np.concatenate(self._waiting) if self._waiting else np.zeros(0, np.uint8))
        self._write()
        return InScratchFile(self._scratch, self._pieces)


def pread(file: int, length: int, offset: int) -> bytes:
    """length bytes from there, fewer at the file's end. One call of the system may give less than it is asked for."""
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
    """The same numbers, none negative, in as few bytes as they need."""
    import numpy as np

    return numbers.astype(np.min_scalar_type(int(numbers.max()))) if len(numbers) else numbers
