"""Regular languages and finite groups as tables: state and symbol -> next state, with an output for every state.

A running sum, a group's word problem and any language of a finite automaton are all tables of this kind; any table can
be minimized.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt

UNSEEN = -1


@dataclass(frozen=True)
class Automaton:
    """A deterministic finite automaton with an output in every state (a Moore machine). State 0 is the initial state.

    symbols, answers: their names. transitions[state][symbol]: the next state; UNSEEN where an automaton extracted from
    observations has no data. answer_of[state]: index of the output.
    """

    symbols: tuple[str, ...]
    answers: tuple[str, ...]
    transitions: tuple[tuple[int, ...], ...]
    answer_of: tuple[int, ...]

    def states(self, word: Sequence[int]) -> npt.NDArray[np.int64]:
        """The state after each symbol of a word, (T,)."""
        found, state = np.empty(len(word), dtype=np.int64), 0
        for t, symbol in enumerate(word):
            state = found[t] = self.transitions[state][symbol]
        return found

    def answers_to(self, word: Sequence[int]) -> npt.NDArray[np.int64]:
        """The index of the output after each symbol of a word, (T,)."""
        return np.array(self.answer_of, dtype=np.int64)[self.states(word)]

    def access_words(self) -> dict[int, tuple[int, ...]]:
        """Reachable state -> the first of the shortest words that lead to it."""
        found: dict[int, tuple[int, ...]] = {0: ()}
        queue = [0]
        for state in queue:
            for symbol, after in enumerate(self.transitions[state]):
                if after != UNSEEN and after not in found:
                    found[after] = (*found[state], symbol)
                    queue.append(after)
        return found

    def minimal(self) -> Automaton:
        """The minimal automaton with the same outputs, its states in breadth-first order.

        Moore 1956, "Gedanken-experiments on sequential machines": blocks of states with equal outputs are split as long
        as some symbol leads from them to different blocks.
        """
        reached = list(self.access_words())
        block = {UNSEEN: UNSEEN} | {state: self.answer_of[state] for state in reached}
        while True:
            seen = {state: (block[state], *(block[after] for after in self.transitions[state])) for state in reached}
            numbers = {signature: number for number, signature in enumerate(dict.fromkeys(seen.values()))}
            done = len(numbers) == len({block[state] for state in reached})
            block |= {state: numbers[seen[state]] for state in reached}
            if done:
                break
        first = {block[state]: state for state in reversed(reached)}  # a state of each block, in the order reached
        return Automaton(
            self.symbols,
            self.answers,
            tuple(tuple(block[after] for after in self.transitions[first[number]]) for number in sorted(first)),
            tuple(self.answer_of[first[number]] for number in sorted(first)),
        )


def difference(a: Automaton, b: Automaton) -> tuple[int, ...] | None:
    """The first of the shortest non-empty words for which two automata over the same symbols have different outputs;
    None if they agree. Words that leave the observed part of either automaton are not considered."""
    words: dict[tuple[int, int], tuple[int, ...]] = {(0, 0): ()}
    queue = [(0, 0)]
    for pair in queue:
        for symbol in range(len(a.symbols)):
            after = a.transitions[pair[0]][symbol], b.transitions[pair[1]][symbol]
            word = (*words[pair], symbol)
            if UNSEEN in after:
                continue
            if a.answer_of[after[0]] != b.answer_of[after[1]]:
                return word
            if after not in words:
                words[after] = word
                queue.append(after)
    return None


def cyclic(n: int, answers: tuple[str, ...] = ()) -> Automaton:
    """The sum modulo n of the digits read so far. answers: names of the outputs; the digits themselves if ()."""
    digits = tuple(map(str, range(n)))
    table = tuple(tuple((state + digit) % n for digit in range(n)) for state in range(n))
    return Automaton(digits, answers or digits, table, tuple(range(n)))


def permutation_group(n: int, *, even: bool = False) -> Automaton:
    """The word problem of S_n (even: A_n): the product of the permutations read so far.

    A permutation is named by the images of 1 2 ... n: 231 takes 1 to 2, 2 to 3 and 3 to 1. Merrill, Petty and
    Sabharwal 2024 (arXiv:2404.08819); the word problems of S5 and A5 are complete for NC1 (Barrington 1989).
    """
    elements = [p for p in permutations(range(n)) if not even or _swaps(p) % 2 == 0]  # the identity is the first
    numbers = {p: number for number, p in enumerate(elements)}
    table = tuple(tuple(numbers[tuple(after[i] for i in p)] for after in elements) for p in elements)
    names = tuple("".join(str(i + 1) for i in p) for p in elements)
    return Automaton(names, names, table, tuple(range(len(elements))))


def _swaps(p: tuple[int, ...]) -> int:
    return sum(p[i] > p[j] for i in range(len(p)) for j in range(i + 1, len(p)))


# Is the number of ab and ba together even? If and only if the last letter equals the first. The states: nothing read;
# then (first, last) letter: aa, ab, bb, ba.
EVEN_PAIRS = Automaton(("a", "b"), ("even", "odd"), ((1, 3), (1, 2), (1, 2), (4, 3), (4, 3)), (0, 0, 1, 0, 1))
