"""Regular languages and finite groups as tables: state and symbol -> next state, with an answer in every state.

A running sum, a group's word problem and any language of a finite automaton are tables of this one kind; the smallest
table of the same function is computed from any of them.
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
    """A deterministic finite automaton that answers in every state (a Moore machine). A word begins in state 0.

    symbols, answers: their names. transitions[state][symbol]: the next state; of an automaton that was observed, UNSEEN
    where nothing was. answer_of[state]: the answer's number.
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
        """The number of the answer after each symbol of a word, (T,)."""
        return np.array(self.answer_of, dtype=np.int64)[self.states(word)]

    def access_words(self) -> dict[int, tuple[int, ...]]:
        """State -> the first of the shortest words that lead there, of every state that can be reached."""
        found: dict[int, tuple[int, ...]] = {0: ()}
        queue = [0]
        for state in queue:
            for symbol, after in enumerate(self.transitions[state]):
                if after != UNSEEN and after not in found:
                    found[after] = (*found[state], symbol)
                    queue.append(after)
        return found

    def minimal(self) -> Automaton:
        """The smallest automaton with the same answers, its states in the order in which words reach them.

        Moore 1956, "Gedanken-experiments on sequential machines": states of equal answers are told apart for as long as
        a symbol leads from them to states that are told apart already.
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
    """The first of the shortest words, one symbol at least, that two automata over the same symbols answer differently;
    None where there is none. No word is followed where one of them was not seen to go."""
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
    """The sum modulo n of the digits read so far. answers: names of its values; the digits themselves if ()."""
    digits = tuple(map(str, range(n)))
    table = tuple(tuple((state + digit) % n for digit in range(n)) for state in range(n))
    return Automaton(digits, answers or digits, table, tuple(range(n)))


def permutation_group(n: int, *, even: bool = False) -> Automaton:
    """The word problem of S_n, even: of A_n: which permutation do those read so far make, one after the other?

    A permutation is named by where it takes 1 2 ... n: 231 takes 1 to 2, 2 to 3 and 3 to 1. Merrill, Petty and
    Sabharwal 2024 (arXiv:2404.08819); those of S5 and A5 are complete for NC1 (Barrington 1989).
    """
    elements = [p for p in permutations(range(n)) if not even or _swaps(p) % 2 == 0]  # the identity is the first
    numbers = {p: number for number, p in enumerate(elements)}
    table = tuple(tuple(numbers[tuple(after[i] for i in p)] for after in elements) for p in elements)
    names = tuple("".join(str(i + 1) for i in p) for p in elements)
    return Automaton(names, names, table, tuple(range(len(elements))))


def _swaps(p: tuple[int, ...]) -> int:
    return sum(p[i] > p[j] for i in range(len(p)) for j in range(i + 1, len(p)))


# Is the number of ab and ba together even? Just when the last letter is the first one. The states: nothing read; after
# that the first letter and the last, aa, ab, bb, ba.
EVEN_PAIRS = Automaton(("a", "b"), ("even", "odd"), ((1, 3), (1, 2), (1, 2), (4, 3), (4, 3)), (0, 0, 1, 0, 1))
