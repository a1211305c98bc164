"""Algorithmic sequences, for tasks that probe memory: each row is a pure function of a few integers.

A problem generates one row of a given size: inputs, the target at every step, and the step from which targets are
scored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncli.data.made.automata import EVEN_PAIRS, Automaton, cyclic, permutation_group

Random = np.random.RandomState


class Row(NamedTuple):
    """inputs: symbols (T,) int64, or numbers (T, F) float32. targets: (T,) int64 classes, (T, C) float32 sets or (T,)
    float32 numbers. counted: (T,) bool, steps that have a target. scored: the metrics use targets from this step on."""

    inputs: npt.NDArray[np.int64 | np.float32]
    targets: npt.NDArray[np.int64 | np.float32]
    counted: npt.NDArray[np.bool_]
    scored: int


@dataclass(frozen=True)
class Problem:
    """kind: a target is a class, a set of symbols, or a number. symbols, answers: names of inputs and targets; () for
    numbers.

    size: the name of the length parameter. fixed: there is only one row of each size. source: citation. keeps: `make`
    also takes how many symbols, or pairs, must be remembered. automaton: the automaton that defines the targets.
    """

    kind: Literal["class", "set", "number"]
    symbols: tuple[str, ...]
    answers: tuple[str, ...]
    size: str
    source: str
    make: Callable[..., Row]
    fixed: bool = False
    keeps: bool = False
    automaton: Automaton | None = None

    @property
    def has_words(self) -> bool:
        """Whether symbols are words, with white space between them in a text."""
        return any(len(symbol) > 1 for symbol in self.symbols)


def _all(T: int) -> npt.NDArray[np.bool_]:
    return np.ones(T, dtype=bool)


def adding(T: int, random: Random) -> Row:
    """T pairs (number from [0, 1), mark); one mark in each half. The target, at the end: the sum of the marked numbers.

    Hochreiter and Schmidhuber 1997, experiment 4, as Arjovsky et al. 2016 (arXiv:1511.06464), section 4.2, draw it.
    The target's variance is 1/6: always predicting 1 has a mean squared error of 0.167. T is at least 2.
    """
    T = max(T, 2)
    inputs = np.zeros((T, 2), dtype=np.float32)
    inputs[:, 0] = random.random_sample(T)
    marks = [random.randint(T // 2), random.randint(T // 2, T)]
    inputs[marks, 1] = 1
    targets = np.full(T, inputs[marks, 0].sum(), dtype=np.float32)
    counted = np.zeros(T, dtype=bool)
    counted[-1] = True
    return Row(inputs, targets, counted, T - 1)


COPY_SYMBOLS = 8


def copy(wait: int, random: Random, symbols: int = 10) -> Row:
    """K symbols, each one of eight, wait - 1 blanks, a cue, K blanks: after the cue, the symbols must be repeated.

    Arjovsky et al. 2016 (arXiv:1511.06464), section 4.1, where K is 10; wait + 2 K steps. Every step has a target
    (blank until the cue has passed); the last K are scored. Without memory the loss is K log(8) / (wait + 2 K).
    """
    blank, cue = COPY_SYMBOLS, COPY_SYMBOLS + 1
    kept = random.randint(COPY_SYMBOLS, size=symbols)
    T = wait + 2 * symbols
    inputs = np.full(T, blank, dtype=np.int64)
    inputs[:symbols] = kept
    inputs[symbols + wait - 1] = cue
    targets = np.full(T, blank, dtype=np.int64)
    targets[-symbols:] = kept
    return Row(inputs, targets, _all(T), T - symbols)


def _regular(automaton: Automaton, source: str) -> Problem:
    """Symbols, drawn uniformly; the target after each is the output of the state it leads to."""

    def make(T: int, random: Random) -> Row:
        word = random.randint(len(automaton.symbols), size=T)
        return Row(word, automaton.answers_to(word.tolist()), _all(T), T - 1)

    return Problem("class", automaton.symbols, automaton.answers, "T", source, make, automaton=automaton)


KEYS, VALUES = "abcdefghijklmnop", "01234567"


def mqar(T: int, random: Random, pairs: int = 10) -> Row:
    """Key-value pairs with distinct keys; then, at random steps among blanks, each key again: the target is its value.

    Multi-query associative recall, Arora et al. 2023 (arXiv:2312.04927); there the query positions follow a power law,
    here they are uniform. T is at least 2 pairs + 1; if there is little room left, some keys are not queried.
    """
    T = max(T, 2 * pairs + 1)
    blank = len(KEYS) + len(VALUES)
    keys = random.permutation(len(KEYS))[:pairs]
    values = random.randint(len(VALUES), size=pairs)
    asked = random.permutation(pairs)[: T - 2 * pairs]
    steps = 2 * pairs + np.sort(random.permutation(T - 2 * pairs)[: len(asked)])
    inputs, targets = np.full(T, blank, dtype=np.int64), np.zeros(T, dtype=np.int64)
    inputs[0 : 2 * pairs : 2], inputs[1 : 2 * pairs : 2] = keys, len(KEYS) + values
    inputs[steps], targets[steps] = keys[asked], values[asked]
    counted = np.zeros(T, dtype=bool)
    counted[steps] = True
    return Row(inputs, targets, counted, 0)


MODULUS = 5


def modular_arithmetic(T: int, random: Random) -> Row:
    """Digits below 5 with + - * between them, * before + and -; the target at each digit: the value so far, modulo 5.

    Deletang et al. 2023 (arXiv:2207.02098), without brackets. An even T is reduced by one.
    """
    T -= 1 - T % 2
    inputs = random.randint(MODULUS, size=T)
    operators = random.randint(3, size=T // 2)
    inputs[1::2] = MODULUS + operators  # + - *
    targets = np.zeros(T, dtype=np.int64)
    total, product = 0, int(inputs[0])  # the value is total + product; * changes product only
    targets[0] = product
    for i, (operator, digit) in enumerate(zip(operators.tolist(), inputs[2::2].tolist(), strict=True)):
        if operator == 2:
            product = product * digit % MODULUS
        else:
            total, product = (total + product) % MODULUS, digit if operator == 0 else -digit
        targets[2 * i + 2] = (total + product) % MODULUS
    counted = np.zeros(T, dtype=bool)
    counted[::2] = True
    return Row(inputs, targets, counted, T - 1)


def _blocks(n: int, symbols: int) -> Row:
    """A start symbol, then each other symbol n times in turn; the targets: which symbols may come next, the end symbol
    included."""
    start, end = symbols, symbols
    inputs = np.concatenate([[start], np.repeat(np.arange(symbols), n)])
    T = len(inputs)
    targets = np.zeros((T, symbols + 1), dtype=np.float32)
    targets[0, 0] = 1
    targets[1 : n + 1, :2] = 1  # after an a: another, or the first b
    targets[np.arange(n + 1, T), np.append(inputs[n + 2 :], end)] = 1  # after that all is known
    return Row(inputs, targets, _all(T), 0)


def anbn(n: int, random: Random) -> Row:
    """a^n b^n, n at least 1: at every step, which symbols may come next? A row counts as correct only if all its sets
    are.

    Gers and Schmidhuber 2001, "LSTM recurrent networks learn simple context-free and context-sensitive languages";
    Weiss, Goldberg and Yahav 2018 (arXiv:1805.04908) show which cells can count.
    """
    return _blocks(n, 2)


def anbncn(n: int, random: Random) -> Row:
    """a^n b^n c^n, in the same form as `anbn`."""
    return _blocks(n, 3)


def dyck(T: int, random: Random) -> Row:
    """Balanced brackets of one kind, all of T steps equally likely: at every step, may a bracket close?

    ( may always come next, ) only if a bracket is open; Suzgun et al. 2019 (arXiv:1906.03648), section 3.1. An odd T is
    increased by one. Drawn by the cycle lemma: of the turns of T/2 steps up and T/2 + 1 down, exactly one never falls
    below 0.
    """
    half = (T + 1) // 2
    steps = np.ones(2 * half + 1, dtype=np.int64)
    steps[: half + 1] = -1
    random.shuffle(steps)
    turn = int(np.argmin(steps.cumsum())) + 1
    steps = np.roll(steps, -turn)[:-1]
    depth = steps.cumsum()
    targets = np.stack([np.ones(len(steps)), depth > 0], axis=1).astype(np.float32)
    return Row((steps < 0).astype(np.int64), targets, _all(len(steps)), 0)


_DIGITS = tuple(str(digit) for digit in range(MODULUS))
_COPY = (*"abcdefgh"[:COPY_SYMBOLS], "_")

PROBLEMS: dict[str, Problem] = {
    "adding": Problem("number", (), (), "T", "Hochreiter and Schmidhuber 1997", adding),
    "copy": Problem("class", (*_COPY, "?"), _COPY, "wait", "Arjovsky et al. 2016", copy, keeps=True),
    "parity": _regular(cyclic(2, ("even", "odd")), "Deletang et al. 2023"),
    "sum-mod-3": _regular(cyclic(3), "Grazzi et al. 2024"),
    "even-pairs": _regular(EVEN_PAIRS, "Deletang et al. 2023"),
    "s3": _regular(permutation_group(3), "Grazzi et al. 2024"),
    "a5": _regular(permutation_group(5, even=True), "Merrill et al. 2024"),
    "mqar": Problem("class", (*KEYS, *VALUES, "_"), tuple(VALUES), "T", "Arora et al. 2023", mqar, keeps=True),
    "modular-arithmetic": Problem(
        "class", (*_DIGITS, "+", "-", "*"), _DIGITS, "T", "Deletang et al. 2023", modular_arithmetic
    ),
    "anbn": Problem("set", ("a", "b", "^"), ("a", "b", "$"), "n", "Weiss, Goldberg, Yahav 2018", anbn, fixed=True),
    "anbncn": Problem(
        "set", ("a", "b", "c", "^"), ("a", "b", "c", "$"), "n", "Weiss, Goldberg, Yahav 2018", anbncn, fixed=True
    ),
    "dyck": Problem("set", ("(", ")"), ("(", ")"), "T", "Suzgun et al. 2019", dyck),
}
