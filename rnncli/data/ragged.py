"""Rows of a file stored as integers: one, two or four bytes per value, however long the words are.

With many rows, the values are kept in a file (`data.stored`); only a few bytes per row stay in memory.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from rnncli.data.rows import Rows, T
from rnncli.data.stored import Numbers, Stored, Storing, compact

Indices = range | Numbers  # row indices

Other = TypeVar("Other")
Kind = TypeVar("Kind", bound=Hashable)

BLOCK = 1 << 20  # values numbered before they are packed


class Ragged(Rows[list[T]]):
    """Rows of values with few distinct ones. Row i is a list, built on demand; a slice has the same type."""

    def __init__(self, types: Sequence[T], numbers: Stored, ends: Numbers, rows: Indices) -> None:
        """types: the value of each index. numbers: indices of all rows, concatenated; row i of the file ends at ends[i
        + 1], with ends (R + 1,). rows: which rows of the file these are, in order."""
        self.types = types
        self._numbers, self._ends, self._rows = numbers, ends, rows

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, i: int) -> list[T]:
        row = int(self._rows[i])
        return [self.types[number] for number in self._read(row, row + 1).tolist()]

    def _read(self, first: int, stop: int) -> Numbers:
        """The indices of rows first ... stop of the file."""
        return self._numbers.read(int(self._ends[first]), int(self._ends[stop]))

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """(rows,)."""
        return np.diff(self._ends).astype(np.int32)[_index(self._rows)]

    def chosen(self, rows: Sequence[int]) -> Ragged[T]:
        return Ragged(self.types, self._numbers, self._ends, _chosen(self._rows, rows))

    def as_values(self, values: Sequence[Other]) -> Ragged[Other]:
        """The same rows with values[k] in place of types[k]."""
        if len(values) != len(self.types):
            raise ValueError(f"{len(values)} values for {len(self.types)} types")
        return Ragged(values, self._numbers, self._ends, self._rows)

    def counts(self) -> Mapping[T, int]:
        """How often each type occurs in these rows, in the order of types; types that do not occur are omitted."""
        inside = np.zeros(len(self._ends) - 1, bool)
        inside[_index(self._rows)] = True
        found = np.zeros(len(self.types), np.int64)
        for first, stop in self._blocks():
            here = np.repeat(inside[first:stop], np.diff(self._ends[first : stop + 1]))
            found += np.bincount(self._read(first, stop)[here], minlength=len(found))
        return {kind: n for kind, n in zip(self.types, found.tolist(), strict=True) if n}

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Consecutive row ranges of the file with about BLOCK values each."""
        first, rows = 0, len(self._ends) - 1
        while first < rows:
            end = min(int(self._ends[first]) + BLOCK, int(self._ends[-1]))
            after = np.searchsorted(self._ends, self._ends.dtype.type(end), "right")
            stop = max(first + 1, int(after) - 1)
            yield first, stop
            first = stop


def _index(rows: Sequence[int] | Numbers) -> slice | Numbers:
    """As an array index; for an ascending range, a slice, which needs no memory."""
    if isinstance(rows, range) and rows.step > 0:
        return slice(rows.start, rows.stop, rows.step)
    return np.asarray(rows, np.int64)


def _chosen(rows: Indices, chosen: Sequence[int]) -> Indices:
    """rows[i] for each i of chosen."""
    places = _index(chosen)
    if isinstance(places, slice):
        return rows[places]
    return compact(rows.start + rows.step * places if isinstance(rows, range) else rows[places])


class Few(Rows[T]):
    """One value per row, with few distinct ones."""

    def __init__(self, types: Sequence[T], numbers: Numbers) -> None:
        """numbers: (rows,), indices into types."""
        self.types, self.numbers = types, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def row(self, i: int) -> T:
        return self.types[int(self.numbers[i])]

    def __iter__(self) -> Iterator[T]:
        for start in range(0, len(self.numbers), BLOCK):
            yield from (self.types[number] for number in self.numbers[start : start + BLOCK].tolist())

    def chosen(self, rows: Sequence[int]) -> Few[T]:
        return Few(self.types, self.numbers[_index(rows)])


class Places(Rows[str]):
    """Locations of rows, `file:line` or `file`."""

    def __init__(self, files: Few[str], lines: Numbers) -> None:
        """lines: (rows,), 0 for no line."""
        self._files, self._lines = files, lines

    def __len__(self) -> int:
        return len(self._files)

    def row(self, i: int) -> str:
        file, line = self._files[i], int(self._lines[i])
        return f"{file}:{line}" if line else file

    def chosen(self, rows: Sequence[int]) -> Places:
        return Places(self._files.chosen(rows), self._lines[_index(rows)])


class Texts(Rows[str]):
    """Texts of rows, concatenated in UTF-8."""

    def __init__(self, data: bytes | bytearray, ends: Numbers, rows: Indices) -> None:
        """Text i of the file ends at data[ends[i + 1]]. rows: which texts of the file these are, in order."""
        self._data, self._ends, self._rows = data, ends, rows

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, i: int) -> str:
        row = int(self._rows[i])
        return self._data[self._ends[row] : self._ends[row + 1]].decode("utf-8")

    def chosen(self, rows: Sequence[int]) -> Texts:
        return Texts(self._data, self._ends, _chosen(self._rows, rows))


class Numbering(Generic[Kind]):
    """Collects values one after the other as indices of their distinct values, in as few bytes as possible."""

    def __init__(self) -> None:
        self._number: dict[Kind, int] = {}
        self._packed = Storing()
        self._open = array("i")

    def extend(self, values: Iterable[Kind]) -> None:
        known = self._number
        self._open.extend([known.setdefault(value, len(known)) for value in values])
        if len(self._open) > BLOCK:
            self._pack()

    def _pack(self) -> None:
        self._packed.add(np.array(self._open, np.min_scalar_type(len(self._number))))
        self._open = array("i")

    def stored(self) -> tuple[list[Kind], Stored]:
        """The distinct values, and each value's index among them."""
        self._pack()
        return list(self._number), self._packed.done()

    def done(self) -> Few[Kind]:
        """The same in memory, for one value per row."""
        types, numbers = self.stored()
        return Few(types, numbers.read(0, len(numbers)))


class GatheringTexts:
    """Collects texts one after the other."""

    def __init__(self) -> None:
        self._data, self._ends = bytearray(), array("q", [0])

    def add(self, text: str) -> None:
        self._data += text.encode("utf-8")
        self._ends.append(len(self._data))

    def done(self) -> Texts:
        ends = compact(np.frombuffer(self._ends, np.int64))
        return Texts(self._data, ends, range(len(ends) - 1))


class GatheringPlaces:
    """Collects the locations of rows one after the other."""

    def __init__(self) -> None:
        self._files: Numbering[str] = Numbering()
        self._lines = array("q")

    def add(self, place: str) -> None:
        file, _, line = place.rpartition(":")
        named = file and re.fullmatch("[1-9][0-9]{0,17}", line)
        self._files.extend((file if named else place,))
        self._lines.append(int(line) if named else 0)

    def done(self) -> Places:
        return Places(self._files.done(), compact(np.frombuffer(self._lines, np.int64)))


class Gathering(Generic[Kind]):
    """Collects rows of values one after the other."""

    def __init__(self) -> None:
        self._values: Numbering[Kind] = Numbering()
        self._ends = array("q", [0])

    def add(self, row: Sequence[Kind]) -> None:
        self._values.extend(row)
        self._ends.append(self._ends[-1] + len(row))

    def done(self) -> Ragged[Kind]:
        types, numbers = self._values.stored()
        ends = compact(np.frombuffer(self._ends, np.int64))
        return Ragged(types, numbers, ends, range(len(ends) - 1))
