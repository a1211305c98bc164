"""Rows of different lengths, their values kept as numbers: 4 bytes a value, however long the words of a file are."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any


class Ragged(Sequence[list[Any]]):
    """Rows of values out of few different ones. Row i is a list, made when asked for; a slice is the same kind."""

    def __init__(self, types: Sequence[Any], numbers: Any, ends: Any, rows: Any) -> None:
        """types: what each number stands for. numbers: (N,), all rows one after the other; row i of the file ends at
        ends[i + 1], ends being (R + 1,). rows: which rows of the file these are, in order."""
        self.types = types
        self._numbers, self._ends, self._rows = numbers, ends, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return Ragged(self.types, self._numbers, self._ends, self._rows[i])
        row = self._rows[i]
        return [self.types[number] for number in self._numbers[self._ends[row] : self._ends[row + 1]].tolist()]

    @property
    def lengths(self) -> Any:
        """(rows,) int64."""
        return (self._ends[1:] - self._ends[:-1])[self._rows]

    def chosen(self, rows: Sequence[int]) -> Ragged:
        """These rows of it, in this order."""
        import numpy as np

        return Ragged(self.types, self._numbers, self._ends, self._rows[np.asarray(rows, np.int64)])

    def as_values(self, values: Sequence[Any]) -> Ragged:
        """The same rows, values[k] in place of types[k]."""
        if len(values) != len(self.types):
            raise ValueError(f"{len(values)} values for {len(self.types)} types")
        return Ragged(values, self._numbers, self._ends, self._rows)

    def counts(self) -> Mapping[Any, int]:
        """How often each type stands in these rows, for those that do, in the order of types."""
        import numpy as np

        inside = np.zeros(len(self._ends) - 1, bool)
        inside[self._rows] = True
        numbers = self._numbers[np.repeat(inside, np.diff(self._ends))]
        found = np.bincount(numbers, minlength=len(self.types)).tolist()
        return {kind: n for kind, n in zip(self.types, found, strict=True) if n}


class Gathering:
    """Takes rows one after the other, and keeps of each only the numbers of its values."""

    def __init__(self) -> None:
        self._number: dict[Hashable, int] = {}
        self._numbers, self._ends = array("i"), array("q", [0])

    def add(self, row: Iterable[Hashable]) -> None:
        known = self._number
        self._numbers.extend([known.setdefault(value, len(known)) for value in row])
        self._ends.append(len(self._numbers))

    def done(self) -> Ragged:
        import numpy as np

        ends = np.array(self._ends, np.int64)
        return Ragged(list(self._number), np.array(self._numbers, np.int32), ends, np.arange(len(ends) - 1))
