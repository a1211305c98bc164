"""A value as the type that it must have here."""

from __future__ import annotations

import json
from typing import Any, TypeVar

T = TypeVar("T")


def some(value: T | None) -> T:
    """What is not None."""
    assert value is not None
    return value


def of_kind(kind: type[T], value: object) -> T:
    """What is of that kind: a record that is a Table, a config that is this task's own."""
    assert isinstance(value, kind)
    return value


def as_read(document: object) -> Any:
    """What a program that reads this document gets: JSON has no types."""
    return json.loads(json.dumps(document))
