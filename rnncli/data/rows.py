"""Sequences of rows: a slice of one, like a choice of its rows, has the same type."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar, overload

T = TypeVar("T")


class Rows(Sequence[T]):
    @abstractmethod
    def row(self, i: int) -> T:
        """Row i, from 0."""

    @abstractmethod
    def chosen(self, rows: Sequence[int]) -> Self:
        """The selected rows, in this order."""

    @overload
    def __getitem__(self, i: int) -> T: ...
    @overload
    def __getitem__(self, i: slice) -> Self: ...
    def __getitem__(self, i: int | slice) -> T | Self:
        places = range(len(self))[i]
        return self.chosen(places) if isinstance(places, range) else self.row(places)


@dataclass(frozen=True, eq=False)
class ColumnRows(Rows[T]):
    """Rows whose values are kept in columns of the same length, the fields of a subclass."""

    def __len__(self) -> int:
        return len(next(iter(vars(self).values())))

    def chosen(self, rows: Sequence[int]) -> Self:
        return replace(self, **{name: column.chosen(rows) for name, column in vars(self).items()})
