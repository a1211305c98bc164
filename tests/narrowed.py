"""A value as the type that it must have here."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def some(value: T | None) -> T:
    """What is not None."""
    assert value is not None
    return value


def of_kind(kind: type[T], value: object) -> T:
    """What is of that kind: a record that is a Table, a config that is this task's own."""
    assert isinstance(value, kind)
    return value
