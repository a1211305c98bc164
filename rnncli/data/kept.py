"""What a source lists (clips, image sequences) as arrays, each (T, ...): up to KEEP bytes of them stay in memory, the
rest is loaded again whenever a batch needs it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, Self, TypeVar

from rnncli.data.rows import Rows, T
from rnncli.data.skipped import Skipped
from rnncli.errors import DataError

KEEP = 512 << 20  # bytes


class Listed(Protocol):
    @property
    def where(self) -> str:
        """Location for error messages."""
        ...


ListedT = TypeVar("ListedT", bound=Listed)
ArrayT = TypeVar("ArrayT", bound=Any)  # of numpy or torch


@dataclass
class Kept(Generic[ListedT, ArrayT]):
    """listed: where the arrays come from. lengths: T of each. fingerprint: sha256 of all of them."""

    listed: list[ListedT] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    fingerprint: str = ""
    _kept: list[ArrayT] = field(default_factory=list)  # of the first
    _size: int = 0  # bytes of all

    @abstractmethod
    def load(self, one: ListedT) -> ArrayT:
        """Its array. Raises DataError."""

    def add(self, one: ListedT, array: ArrayT) -> None:
        self._size += array.nbytes
        if self._size <= KEEP:
            self._kept.append(array)
        self.listed.append(one)
        self.lengths.append(len(array))

    def __getitem__(self, row: int) -> ArrayT:
        return self._kept[row] if row < len(self._kept) else self.load(self.listed[row])


@dataclass(frozen=True)
class Chosen(Rows[ArrayT], Generic[ListedT, ArrayT]):
    """Some rows of `whole`, read on demand."""

    whole: Kept[ListedT, ArrayT]
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, i: int) -> ArrayT:
        return self.whole[self.rows[i]]

    def chosen(self, rows: Sequence[int]) -> Self:
        return replace(self, rows=[self.rows[row] for row in rows])

    @property
    def lengths(self) -> list[int]:
        return [self.whole.lengths[row] for row in self.rows]

    @property
    def listed(self) -> list[ListedT]:
        return [self.whole.listed[row] for row in self.rows]


def usable(
    listed: Iterable[ListedT], load: Callable[[ListedT], T], fault: Callable[[ListedT, T], str], skipped: Skipped
) -> Iterator[tuple[ListedT, T]]:
    """Each with what `load` finds. One that cannot be read, or has a fault, is a bad record."""
    for one in listed:
        try:
            found = load(one)
        except DataError as error:
            skipped.bad(error.where or one.where, error.what)
            continue
        if why := fault(one, found):
            skipped.bad(one.where, why)
        else:
            skipped.good()
            yield one, found
