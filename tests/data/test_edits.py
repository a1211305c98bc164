from hypothesis import given
from hypothesis import strategies as st

from rnncli.data.edits import edit_distance, error_rates


def by_table(a: str, b: str) -> int:
    """Levenshtein's table, row by row."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y)))
        row = new
    return row[-1]


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_bits_agree_with_the_table(a: str, b: str) -> None:
    assert edit_distance(a, b) == by_table(a, b)


def test_words_and_long_texts() -> None:
    assert edit_distance(["one", "two"], ["one", "three", "two"]) == 1
    assert edit_distance("x" * 300, "y" * 200) == 300
    assert edit_distance("", "") == 0


def test_error_rates_weigh_by_length() -> None:
    cer, wer = error_rates([("ab", "ab"), ("", "one two"), ("one two x", "one two")])
    assert cer == (0 + 7 + 2) / 16
    assert wer == (0 + 2 + 1) / 5
