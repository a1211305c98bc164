"""How far a long reading is. Readers yield it and print nothing; whoever wants to show it listens."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

Found = TypeVar("Found")


@dataclass(frozen=True)
class Reading:
    """what: a few words, such as "encoding big.txt". done of total: bytes or tokens; total 0: not known. said: a
    sentence that should stay on the screen: where a file is written; with what "", that is all there is to show."""

    what: str
    done: int
    total: int
    said: str = ""


Listener = Callable[[Reading | None], None]
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell `listener` of every reading inside, and None whenever one has come to its end."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def say(sentence: str) -> None:
    """Tell the listener, if there is one, of something that takes its time and of which nothing is counted."""
    listener = _listener.get()
    if listener is not None:
        listener(Reading("", 0, 0, sentence))


def follow(steps: Generator[Reading, None, Found]) -> Found:
    """Run a reading to its end, telling the listener; what it returned. An interrupt ends it at once; the listener
    then hears no None."""
    listener = _listener.get()
    try:
        while True:
            reading = next(steps)
            if listener is not None:
                listener(reading)
    except StopIteration as end:
        found: Found = end.value
    except Exception:
        if listener is not None:
            listener(None)
        raise
    finally:
        steps.close()
    if listener is not None:
        listener(None)
    return found
