"""Hostile input: how it is made and counted, and bounds of time and memory. What passes a bound is stopped; nothing is
judged by its speed."""

from __future__ import annotations

import faulthandler
import json
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rnncli.cli import run
from tests.narrowed import some

EVIDENCE = Path(__file__).parent / "evidence" / "hostile-input.json"
SECONDS = 30.0  # of the processor: under coverage and beside other work ten were too few
GIB = 1 << 30


class TooSlow(BaseException):
    """Not an Exception: no code under test may take it for a fault of the input."""


@contextmanager
def bounded(memory: int = 2 * GIB, seconds: float = SECONDS) -> Iterator[None]:
    """At most so many more bytes of address space (then MemoryError), and at most so many seconds of processor time
    (then TooSlow; inside a loop in C, or waiting for ever, where that cannot be raised, the process is ended)."""

    def stop(number: int, frame: Any) -> None:
        raise TooSlow(f"more than {seconds} s")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _address_space() + memory
    handler = signal.signal(signal.SIGPROF, stop)
    faulthandler.dump_traceback_later(10 * seconds, exit=True, file=some(sys.__stderr__))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, handler)


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def counts(fast: int, whole: int) -> pytest.MarkDecorator:
    """So many inputs with a fixed seed in the fast tier, so many as evidence."""
    return pytest.mark.parametrize("count", [fast, pytest.param(whole, marks=pytest.mark.evidence)])


def slices(fast: int, each: int, many: int) -> pytest.MarkDecorator:
    """So many inputs in the fast tier; as evidence many times so many, each slice with a seed of its own."""
    whole = [pytest.param(each, number, marks=pytest.mark.evidence) for number in range(1, many + 1)]
    return pytest.mark.parametrize(("count", "slice_number"), [(fast, 0), *whole])


class Tally:
    """Runs command lines in this process and counts their exit codes. What is no exit code of ours, a traceback, a
    failure without a word, or a passed bound, fails the test."""

    CODES = frozenset({0, 1, 2, 3, 4, 5, 6})

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.codes: Counter[int] = Counter()

    def __call__(self, words: list[str]) -> int:
        with bounded():
            code = run(words)
        found = self.capsys.readouterr()
        said = self.said = found.err
        assert code in self.CODES, (words, code)
        assert "Traceback" not in said, (words, said)
        assert "internal error" not in said, (words, said)
        assert code == 0 or said.strip() or found.out.strip(), words  # on stdout: a check that failed, --json
        self.codes[code] += 1
        return code

    def figures(self) -> dict[str, Any]:
        counted = {str(code): n for code, n in sorted(self.codes.items())}
        return {"inputs": sum(self.codes.values()), "exit codes": counted}


def record(group: str, name: str, figures: Any) -> None:
    """Keep what the evidence tier found."""
    found = json.loads(EVIDENCE.read_text()) if EVIDENCE.exists() else {}
    found.setdefault(group, {})[name] = figures
    EVIDENCE.write_text(json.dumps(found, indent=1) + "\n")


def mutated(seed: bytes, rng: random.Random, pieces: list[bytes]) -> bytes:
    """Between one and five changes: pieces put in, runs of bytes taken out, repeated or overwritten."""
    data = bytearray(seed)
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            data[place:place] = rng.choice(pieces)
        elif kind == 1:
            del data[place : place + rng.randrange(1, 30)]
        elif kind == 2 and place < len(data):
            data[place] = rng.randrange(256)
        elif kind == 3:
            data[place:place] = data[place : place + rng.randrange(40)] * rng.randrange(4)
        else:
            piece = rng.choice(pieces)
            data[place : place + rng.choice([1, len(piece)])] = piece
    return bytes(data)
