"""The view automaton: planted machines are found, whatever their clusters look like, and what is no machine is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rnncli import render, views
from rnncli.data.batch import generator
from rnncli.data.made.algorithms import PROBLEMS
from rnncli.data.made.automata import EVEN_PAIRS, Automaton, cyclic, difference, permutation_group
from rnncli.errors import UsageError
from rnncli.records import Message, Table
from rnncli.render.lines import cells as width_of
from rnncli.tasks import load_recipe
from rnncli.views import automaton
from rnncli.views._extraction import START, Extracted, Visits, extract

THREE_A = Automaton(("a", "b"), ("no", "yes"), ((1, 0), (2, 0), (3, 0), (3, 3)), (0, 0, 0, 1))  # aaa is in the word
MACHINES = {
    "parity": cyclic(2),
    "sum-mod-3": cyclic(3),
    "even-pairs": EVEN_PAIRS,
    "s3": permutation_group(3),
    "aaa": THREE_A,
}


def visits(machine: Automaton, *, blobs: int = 2, noise: float = 0.1, wrong: float = 0.0, seed: int = 0) -> Visits:
    """100 random words through a machine. Each of its states has several blobs in a space of 8 dimensions, by the
    symbol read last; blobs of different states lie in no order. wrong: the share of answers, and moves, by chance."""
    random, words = generator(seed), 100
    places = random.standard_normal((len(machine.transitions), blobs, 8))
    h: list[np.ndarray] = []
    before, symbols, answers = [], [], []
    for _ in range(words):
        state = 0
        for t in range(random.randint(4, 20)):
            symbol = int(random.randint(len(machine.symbols)))
            state = machine.transitions[state][symbol]
            if random.random_sample() < wrong:
                state = int(random.randint(len(machine.transitions)))
            before.append(len(h) - 1 if t else START)
            h.append(places[state, symbol % blobs] + noise * random.standard_normal(8))
            symbols.append(symbol)
            answers.append(machine.answer_of[state])
    return Visits(torch.from_numpy(np.stack(h)), torch.tensor(before), torch.tensor(symbols), torch.tensor(answers))


def found(machine: Automaton, language: Automaton | None = None, **options: Any) -> tuple[Extracted, str]:
    language = (language or machine).minimal()
    extracted = extract(visits(machine, **options), language, 2 * len(language.transitions) + automaton.MORE)
    return extracted, automaton.verdict(extracted, language)


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("blobs", [1, 2])
def test_a_planted_machine_is_found(name: str, blobs: int) -> None:
    extracted, said = found(MACHINES[name], blobs=blobs)
    assert said.startswith("Yes: ")
    assert len(extracted.automaton.transitions) == len(MACHINES[name].minimal().transitions)
    assert extracted.following == 1.0


def test_a_few_wrong_moves_do_not_hide_it() -> None:
    extracted, said = found(cyclic(3), wrong=0.01)
    assert said.startswith("Yes: ")
    assert 0.98 < extracted.following < 1


def test_where_nothing_follows_it_says_so() -> None:
    _, said = found(cyclic(3), wrong=0.5)
    assert said.startswith("No: with ")


def test_another_language_is_told_by_its_shortest_word() -> None:
    """A machine that takes 'aa' for 'aaa': the network is sound, and does not know the language."""
    two_a = Automaton(("a", "b"), ("no", "yes"), ((1, 0), (2, 0), (2, 2)), (0, 0, 1))
    _, said = found(two_a, THREE_A)
    assert said == "No: after aa it predicts yes, but the language has no"


def test_moves_that_were_not_seen_are_no_moves() -> None:
    group = permutation_group(4)
    extracted, said = found(group)
    assert said.startswith("As far as observed, yes: ")
    assert difference(extracted.automaton, group) is None
    table = torch.tensor(extracted.automaton.transitions)
    assert 0 < int((table < 0).sum()) < table.numel() / 2


def exact_parity(words: list[str]) -> views.Subject:
    """A relu RNN of two units that computes parity: u = relu(p - x), v = relu(x - p), p = u + v."""
    settings = ["model.cell=rnn", "model.nonlinearity=relu", "model.hidden_size=2"]
    subject = views.subject_of_recipe(load_recipe("parity", settings), inputs=words)
    weights = {
        "rnn.weight_ih_l0": [[0, -1], [0, 1]],  # x is one-hot
        "rnn.weight_hh_l0": [[1, 1], [-1, -1]],
        "rnn.bias_ih_l0": [0, 0],
        "rnn.bias_hh_l0": [0, 0],
        "head.weight": [[-1, -1], [1, 1]],
        "head.bias": [0.5, -0.5],
    }
    subject.model.load_state_dict({name: torch.tensor(values, dtype=torch.float32) for name, values in weights.items()})
    return subject


def test_a_network_that_computes_parity_is_its_automaton() -> None:
    words = ["".join(map(str, generator(5, n).randint(2, size=4 + n))) for n in range(12)]
    page = views.page("automaton", exact_parity(words))
    said = [record.text for record in page.records if isinstance(record, Message) and record.name == "verdict"]
    assert said == ["Yes: it equals the minimal automaton of the language, which has 2 states"]
    states, moves = (record for record in page.records if isinstance(record, Table))
    assert [row[:3] for row in states.rows] == [["A", "ε", "even"], ["B", "1", "odd"]]
    ones = [word[: t + 1].count("1") % 2 for word in words for t in range(len(word))]
    assert [row[3] for row in states.rows] == [ones.count(0), ones.count(1)]
    assert [row[-1] for row in states.rows] == [1.0, 1.0]
    assert [row[:3] for row in moves.rows] == [["A", "0", "A"], ["A", "1", "B"], ["B", "0", "B"], ["B", "1", "A"]]
    assert sum(int(str(row[3])) for row in moves.rows) == sum(map(len, words))
    assert page.ok()


@pytest.mark.parametrize("problem", ["s3", "a5"])
def test_every_screen_and_file_of_an_untrained_network(problem: str) -> None:
    recipe = load_recipe("parity", [f"data.problem={problem}", "data.test_lengths=[8]"])
    page = views.page("automaton", views.subject_of_recipe(recipe, rows=4))
    for width in (80, 120):
        for ascii in (False, True):
            lines = render.to_text(page, width=width, ascii=ascii).splitlines()
            assert all(width_of(line) <= width for line in lines)
            assert not ascii or "".join(lines).isascii()
    for suffix in (".json", ".csv", ".npz", ".md", ".svg"):
        assert render.render_file(page, suffix)


def test_what_reads_no_regular_language_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a regular language, but counting does not read one"):
        views.page("automaton", views.subject_of_recipe(load_recipe("counting")))


def test_every_state_of_the_largest_group_has_a_name() -> None:
    language = PROBLEMS["a5"].automaton
    assert language is not None
    names = automaton.state_names(len(language.transitions) + 1)
    assert len(set(names)) == 61
    assert automaton.state_names(100)[-1] == "99"
