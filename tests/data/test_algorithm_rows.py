"""Rows made by rule, against the plainest computation of the same rule."""

import re

import numpy as np
import pytest

from rnncli.data.batch import generator
from rnncli.data.made.algorithms import MODULUS, PROBLEMS, adding, copy, dyck
from rnncli.tasks.inputs.made import Data


def _text(problem: str, inputs: np.ndarray) -> str:
    return "".join(PROBLEMS[problem].symbols[i] for i in inputs)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_row_is_a_function_of_its_integers_and_fits_itself(problem: str) -> None:
    made = PROBLEMS[problem]
    for size in (1, 2, 3, 7, 40):
        row, again = (made.make(size, generator(5, size)) for _ in range(2))
        assert row.scored == again.scored
        for a, b in zip(row[:3], again[:3], strict=True):
            assert np.array_equal(a, b)
        T = len(row.inputs)
        assert len(row.targets) == len(row.counted) == T <= Data.model_validate({"problem": problem}).steps(size)
        assert row.counted[row.scored :].any()
        assert made.fixed == (problem in ("anbn", "anbncn"))
        if made.kind == "class":
            assert row.targets.max() < len(made.answers)
        if made.kind == "set":
            assert row.targets.shape == (T, len(made.answers))
            assert row.targets.any(axis=1).all()


@pytest.mark.parametrize("seed", range(20))
def test_every_answer_is_what_counting_by_hand_gives(seed: int) -> None:
    random = generator(seed)
    T = 1 + seed
    row = PROBLEMS["parity"].make(T, random)
    assert [str(row.inputs[: t + 1].tolist().count(1) % 2) for t in range(T)] == [str(x) for x in row.targets]
    row = PROBLEMS["even-pairs"].make(T, random)
    text = _text("even-pairs", row.inputs)
    for t in range(T):
        pairs = sum(text[i : i + 2] in ("ab", "ba") for i in range(t))
        assert row.targets[t] == pairs % 2
    row = PROBLEMS["modular-arithmetic"].make(T, random)
    text = _text("modular-arithmetic", row.inputs)
    assert len(text) == T - (T + 1) % 2
    for t in range(0, len(text), 2):
        assert row.targets[t] == eval(text[: t + 1]) % MODULUS
    assert row.counted.tolist() == [t % 2 == 0 for t in range(len(text))]


def test_adding_sums_one_number_of_each_half_with_the_variance_of_two_uniform_numbers() -> None:
    random = generator(1)
    sums = []
    for _ in range(2000):
        row = adding(10, random)
        marked = np.flatnonzero(row.inputs[:, 1])
        assert len(marked) == 2
        assert marked[0] < 5 <= marked[1]
        assert row.targets[-1] == pytest.approx(row.inputs[marked, 0].sum())
        sums.append(float(row.targets[-1]))
    assert np.mean((np.array(sums) - 1) ** 2) == pytest.approx(1 / 6, abs=0.01)


def test_copy_is_laid_out_as_in_the_paper() -> None:
    row = copy(7, generator(0))
    assert len(row.inputs) == 7 + 20
    assert (row.inputs[10:16] == 8).all()
    assert row.inputs[16] == 9
    assert (row.inputs[17:] == 8).all()
    assert (row.targets[:17] == 8).all()
    assert row.targets[17:].tolist() == row.inputs[:10].tolist()
    assert row.scored == 17


@pytest.mark.parametrize("problem", ["anbn", "anbncn"])
def test_what_may_come_next_is_what_some_word_of_the_language_has_there(problem: str) -> None:
    """Brute force: over all words up to n = 12, which symbols follow each prefix?"""
    made = PROBLEMS[problem]
    letters = made.symbols[:-1]
    words = ["".join(letter * n for letter in letters) + "$" for n in range(1, 13)]
    for n in (1, 2, 5):
        row = made.make(n, generator(0))
        text = _text(problem, row.inputs).removeprefix("^")
        assert text + "$" in words
        for t in range(len(text) + 1):
            follow = {word[t] for word in words if word.startswith(text[:t])}
            assert {a for a, may in zip(made.answers, row.targets[t], strict=True) if may} == follow


def test_dyck_words_are_balanced_and_all_of_a_length_are_drawn_alike() -> None:
    seen: dict[str, int] = {}
    random = generator(3)
    for _ in range(5000):
        row = dyck(6, random)
        text = _text("dyck", row.inputs)
        seen[text] = seen.get(text, 0) + 1
        rest = text
        while "()" in rest:
            rest = rest.replace("()", "")
        assert rest == ""
        depths = [text[: t + 1].count("(") - text[: t + 1].count(")") for t in range(6)]
        assert row.targets[:, 1].tolist() == [depth > 0 for depth in depths]
    assert len(seen) == 5  # the Catalan number of 3
    assert max(abs(n - 1000) for n in seen.values()) < 5 * 1000**0.5
    assert all(re.fullmatch(r"[()]{6}", text) for text in seen)
