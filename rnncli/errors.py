"""Everything that can go wrong for a person, as one tree; each kind carries the exit code of its family.

    RnncliError
    ├── CheckFailed      1  a proof, a check or a --require did not hold
    ├── UsageError       2  wrong usage; a refused resume; a locked run
    │   └── RecipeError  2  a recipe with faults, all of them at once
    ├── DataError        3  data or a file that cannot be used
    ├── Diverged         4  training went to NaN or infinity
    ├── Missing          5  an extra, a device or memory that is not there
    └── CannotWrite      6  disk full, read-only, folder gone

An error says what happened, where (file:line and dotted key), and what to do next. Nothing else is ever shown to a
person without --debug. 130 (interrupted) and 143 (terminated) are the shell's own codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf, nan
from operator import index
from typing import SupportsFloat, SupportsIndex, TypeVar

from rnncli.locale import tr

T = TypeVar("T")


class RnncliError(Exception):
    """What went wrong, where, and what to do next.

    what: one sentence. where: `file:line` or `file:line key`, or "". todo: the next thing to do, or "".
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.todo = todo

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n{self.todo}" if self.todo else text


class CheckFailed(RnncliError):
    exit_code = 1


class UsageError(RnncliError):
    exit_code = 2


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a recipe. where: `hello.yaml:12`, or `--set`; key: dotted; todo: expected, nearest name."""

    where: str
    key: str
    what: str
    todo: str = ""

    def __str__(self) -> str:
        place = " ".join(part for part in (self.where, self.key) if part)
        return f"{place}: {self.what}" + (f" ({self.todo})" if self.todo else "")


class RecipeError(UsageError):
    """A recipe with faults: all that were found, in the order of the file."""

    def __init__(self, what: str, faults: list[Fault], *, where: str = "", todo: str = "") -> None:
        super().__init__(what, where=where, todo=todo)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {fault}" for fault in self.faults)])


def reject_unused(flag: str, given: object, others: Mapping[str, object]) -> None:
    """Raise UsageError for an option that has no effect with `flag`."""
    for name, value in others.items():
        if given and value:
            raise UsageError(
                tr("{other} has no effect with {flag}", flag=flag, other=name), todo=tr("omit {other}", other=name)
            )


def checked_number(name: str, value: T, least: float = -inf, most: float = inf, *, whole: bool = True) -> T:
    """An option's value as a plain int or float; None if it is not given. Raises UsageError for what the command line
    would not take: not a number, or out of range."""
    if value is None:
        return value
    number: float = nan
    with suppress(TypeError, ValueError, RuntimeError, OverflowError):  # an array, or a tensor, of several
        if whole and isinstance(value, SupportsIndex):
            number = index(value)
        elif not whole and isinstance(value, SupportsFloat):
            number = float(value)
    if number != number:
        expected = tr("an integer") if whole else tr("a number")
        raise UsageError(tr("{name} takes {expected}, got {value!r}", name=name, expected=expected, value=value))
    limit = f">= {least}" if number < least else f"<= {most}" if number > most else ""
    if limit:
        raise UsageError(tr("{name} takes a number {limit}, got {value!r}", name=name, limit=limit, value=value))
    return number  # type: ignore[return-value]  # of the kind that was asked for


class DataError(RnncliError):
    exit_code = 3


class Diverged(RnncliError):
    exit_code = 4


class Missing(RnncliError):
    exit_code = 5


class CannotWrite(RnncliError):
    exit_code = 6
