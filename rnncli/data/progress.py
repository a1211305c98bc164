"""Progress of long reads. Readers yield it and print nothing; a listener may show it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

Found = TypeVar("Found")


@dataclass(frozen=True)
class Reading:
    """what: a few words, such as "encoding big.txt". done of total: bytes or tokens; total 0: unknown. said: a sentence
    that should stay on the screen, such as where a file is written; if what is "", show only that."""

    what: str
    done: int
    total: int
    said: str = ""


Listener = Callable[[Reading | None], None]
_listener: ContextVar[Listener] = ContextVar("listener", default=lambda reading: None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Pass every Reading inside this context to `listener`, and None whenever a read ends."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def say(sentence: str) -> None:
    """Notify the listener, if any, of something slow whose progress is not counted."""
    _listener.get()(Reading("", 0, 0, sentence))


def follow(steps: Generator[Reading, None, Found]) -> Found:
    """Run a read to its end, notifying the listener, and return its result. An interrupt ends it at once; the listener
    then gets no None."""
    listener = _listener.get()
    try:
        while True:
            listener(next(steps))
    except StopIteration as end:
        found: Found = end.value
    except Exception:
        listener(None)
        raise
    finally:
        steps.close()
    listener(None)
    return found
