"""Languages and groups as tables, against words read one by one, and the smallest table against a brute force."""

from itertools import product

import numpy as np
import pytest

from rnncli.data.batch import generator
from rnncli.data.made.algorithms import KEYS, PROBLEMS
from rnncli.data.made.automata import Automaton, cyclic, difference
from rnncli.tasks.inputs.made import MOST_PAIRS

REGULAR = {name: problem.automaton for name, problem in PROBLEMS.items() if problem.automaton is not None}


def test_sums_are_sums() -> None:
    word = generator(0).randint(7, size=50)
    assert cyclic(7).answers_to(word.tolist()).tolist() == (word.cumsum() % 7).tolist()


@pytest.mark.parametrize(("name", "order", "sign"), [("s3", 6, 0), ("a5", 60, 1)])
def test_a_group_s_answers_are_products_of_permutation_matrices(name: str, order: int, sign: int) -> None:
    group = REGULAR[name]
    assert len(group.symbols) == order

    def matrix(element: str) -> np.ndarray:
        rows = [int(digit) - 1 for digit in element]
        return np.eye(len(rows), dtype=int)[rows]

    if sign:
        assert all(round(np.linalg.det(matrix(element))) == sign for element in group.symbols)
    word = generator(1).randint(order, size=60).tolist()
    value = matrix(group.symbols[0])
    for symbol, answer in zip(word, group.answers_to(word), strict=True):
        value = value @ matrix(group.symbols[symbol])
        assert np.array_equal(matrix(group.answers[answer]), value)


def test_a5_is_simple_and_s3_is_not() -> None:
    """Its commutators make all of A5 (Barrington 1989 needs that); those of S3 make A3 alone."""
    for name, size in (("a5", 60), ("s3", 3)):
        table = np.array(REGULAR[name].transitions)
        inverse = (table == 0).argmax(axis=1)
        found = {int(table[table[a, b], table[inverse[a], inverse[b]]]) for a, b in np.ndindex(table.shape)}
        while (more := found | {int(table[a, b]) for a in found for b in found}) != found:
            found = more
        assert len(found) == size


def _padded(automaton: Automaton, copies: int, seed: int) -> Automaton:
    """The same function with every state several times over, and with states that nothing reaches."""
    random, n = generator(seed), len(automaton.transitions)
    table = [
        [after + n * random.randint(copies) for after in row] for _ in range(copies) for row in automaton.transitions
    ]
    table.append([0] * len(automaton.symbols))
    return Automaton(
        automaton.symbols, automaton.answers, tuple(map(tuple, table)), (*(automaton.answer_of * copies), 0)
    )


def _classes(automaton: Automaton, longest: int) -> int:
    """Myhill and Nerode by brute force: words told apart by how the answers go on, over all endings up to `longest`."""
    endings = [word for n in range(longest + 1) for word in product(range(len(automaton.symbols)), repeat=n)]
    return len(
        {
            tuple(automaton.answer_of[[0, *automaton.states([*start, *end])][-1]] for end in endings)
            for start in automaton.access_words().values()
        }
    )


@pytest.mark.parametrize("name", [name for name in REGULAR if name != "a5"])
def test_the_minimal_automaton_has_as_many_states_as_there_are_futures(name: str) -> None:
    wasteful = _padded(REGULAR[name], 3, seed=2)
    small = wasteful.minimal()
    assert len(small.transitions) == len(REGULAR[name].minimal().transitions) == _classes(REGULAR[name], 3)
    assert small.minimal() == small
    assert difference(small, wasteful) is None
    assert len(wasteful.access_words()) > len(small.transitions)


def test_the_minimal_automaton_of_random_tables_by_brute_force() -> None:
    for seed in range(20):
        random = generator(3, seed)
        table = tuple(tuple(row) for row in random.randint(6, size=(6, 2)).tolist())
        automaton = Automaton(("a", "b"), ("no", "yes"), table, tuple(random.randint(2, size=6).tolist()))
        small = automaton.minimal()
        assert len(small.transitions) == _classes(automaton, 6)
        assert small.answer_of[0] == automaton.answer_of[0]
        assert difference(small, automaton) is None


def test_the_word_that_tells_two_languages_apart_is_the_shortest() -> None:
    one = Automaton(("a", "b"), ("no", "yes"), ((1, 0), (2, 0), (3, 0), (3, 3)), (0, 0, 0, 1))  # aaa inside
    two = Automaton(("a", "b"), ("no", "yes"), ((1, 0), (2, 0), (2, 0)), (0, 0, 0))
    word = difference(one, two)
    assert word is not None
    assert [one.symbols[symbol] for symbol in word] == ["a", "a", "a"]
    halves = Automaton(tuple("0123"), ("a", "b"), ((0, 1, 0, 1), (1, 0, 1, 0)), (0, 1))
    assert difference(cyclic(4, ("a", "b", "a", "b")), halves) is not None  # its answers have numbers of their own
    fourths = Automaton(tuple("0123"), ("a", "b"), cyclic(4).transitions, (0, 1, 0, 1))
    assert difference(fourths, halves) is None
    assert len(fourths.minimal().transitions) == 2


def test_every_key_that_is_asked_for_has_its_value() -> None:
    problem = PROBLEMS["mqar"]
    assert len(KEYS) == MOST_PAIRS
    for seed, (T, pairs) in enumerate([(1, 4), (9, 4), (11, 4), (12, 4), (40, 4), (40, 16)]):
        row = problem.make(T, generator(seed), pairs)
        text = "".join(problem.symbols[i] for i in row.inputs)
        T = max(T, 2 * pairs + 1)
        assert len(text) == T
        known = dict(zip(text[0 : 2 * pairs : 2], text[1 : 2 * pairs : 2], strict=True))
        assert len(known) == pairs
        rest = text[2 * pairs :]
        assert sorted(rest.replace("_", "")) == sorted(set(rest) - {"_"})  # each once
        assert len(rest.replace("_", "")) == min(pairs, T - 2 * pairs)
        assert not row.counted[: 2 * pairs].any()
        for symbol, answer, counted in zip(rest, row.targets[2 * pairs :], row.counted[2 * pairs :], strict=True):
            assert counted == (symbol != "_")
            assert not counted or problem.answers[answer] == known[symbol]
