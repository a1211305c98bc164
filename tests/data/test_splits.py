from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rnncli.data.splits import Split, split_by_class, split_by_group, split_in_order, split_random
from rnncli.errors import DataError

FRACTIONS = st.fixed_dictionaries(
    {"validation": st.sampled_from([0.05, 0.1, 0.25, 0.4]), "test": st.sampled_from([0, 0.1, 0.2, 0.33])}
)


def whole(split: Split, n: int) -> None:
    rows = [row for part in split.parts.values() for row in part]
    assert sorted(rows) == list(range(n))
    assert all(split.parts.values())
    assert next(iter(split.parts)) == "train"
    for name, part in split.parts.items():
        assert list(part) == sorted(part)
        assert f"{len(part):,} {name}" in split.how


@given(st.integers(0, 300), FRACTIONS, st.integers(0, 9))
@example(2, {"validation": 0.25, "test": 0.33}, 0)
def test_random_and_in_order(n: int, fractions: dict[str, float], seed: int) -> None:
    ways: tuple[Callable[[], Split], ...] = (
        lambda: split_random(n, fractions, seed),
        lambda: split_in_order(n, fractions),
    )
    why = ""
    if min(n * f for f in fractions.values() if f) < 0.499999:
        why = "too few"
    elif sum(int(n * f + 0.500001) for f in fractions.values()) >= n:
        why = "leave none for training"
    for split_of in ways:
        if why:
            with pytest.raises(DataError, match=why):
                split_of()
            continue
        split = split_of()
        whole(split, n)
        for name, fraction in fractions.items():
            assert abs(len(split.parts.get(name, [])) - n * fraction) <= 0.5 + 1e-6


def test_in_order_is_in_order() -> None:
    split = split_in_order(10, {"validation": 0.1, "test": 0.2})
    assert split.parts == {"train": range(7), "validation": range(7, 8), "test": range(8, 10)}


def test_seeds_decide() -> None:
    parts = [split_random(100, {"test": 0.1}, seed).parts["test"] for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]


@given(st.lists(st.sampled_from("aaaabbbcd"), min_size=30, max_size=300), FRACTIONS, st.integers(0, 9))
def test_classes_keep_their_shares(labels: list[str], fractions: dict[str, float], seed: int) -> None:
    split = split_by_class(labels, fractions, seed)
    whole(split, len(labels))
    total = Counter(labels)
    for name, fraction in fractions.items():
        counts = Counter(labels[row] for row in split.parts.get(name, []))
        for label, n in total.items():
            assert abs(counts[label] - n * fraction) < 2
    assert {labels[row] for row in split.parts["train"]} == set(labels)


def test_a_class_too_small_is_said() -> None:
    split = split_by_class("a" * 50 + "b", {"test": 0.1}, 0)
    assert "too small to be in test: 1" in split.how
    with pytest.raises(DataError, match="every class keeps one row"):
        split_by_class("abcdefghijklmnop", {"test": 0.1}, 0)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=200), FRACTIONS, st.integers(0, 9))
def test_no_group_in_two_parts(groups: list[int], fractions: dict[str, float], seed: int) -> None:
    assume(any(fractions.values()))
    try:
        split = split_by_group(groups, fractions, seed, by="speaker")
    except DataError:
        parts = 1 + sum(f > 0 for f in fractions.values())
        assert len(set(groups)) < parts or min(len(groups) * f for f in fractions.values() if f) < 0.5
        return
    whole(split, len(groups))
    seen = [{groups[row] for row in part} for part in split.parts.values()]
    assert sum(map(len, seen)) == len(set(groups))
    assert "speaker" in split.how


def test_groups_of_one_row_give_the_sizes_asked_for() -> None:
    split = split_by_group(list(range(50)), {"validation": 0.1, "test": 0.2}, 3)
    assert [len(part) for part in split.parts.values()] == [35, 5, 10]


@pytest.mark.parametrize("fractions", [{"test": 1.0}, {"test": -0.1}, {"validation": 0.5, "test": 0.5}, {"train": 0.8}])
def test_shares_that_are_none(fractions: dict[str, float]) -> None:
    with pytest.raises(DataError, match="split"):
        split_random(100, fractions, 0)


def test_advice_works() -> None:
    with pytest.raises(DataError, match=r"data\.split\.validation=0\.25") as caught:
        split_random(4, {"validation": 0.1}, 0)
    assert "4 rows are too few" in str(caught.value)
    assert split_random(4, {"validation": 0.25}, 0).parts["validation"]


SPEAKERS = ["ann"] * 3 + ["bob"] * 3 + ["eve"] * 2 + ["joe"] * 2


def test_which_groups_are_held_out_is_said() -> None:
    split = split_by_group(SPEAKERS, {"validation": 0.2, "test": 0.3}, 0, by="speaker")
    said = {part: sorted({SPEAKERS[row] for row in split.parts[part]}) for part in ("validation", "test")}
    wanted = "".join(f"; {part}: {', '.join(names)}" for part, names in said.items())
    assert split.how.endswith(f"by speaker, 4 values, each in one split only (seed 0){wanted}")
    many = split_by_group([f"{i:02}\tx" for i in range(40)], {"test": 0.5}, 0)
    assert many.how.endswith(" x and 8 more")


@pytest.mark.parametrize(
    ("chosen", "shares", "parts"),
    [
        ({"test": ["bob"]}, {}, {"train": ["ann", "eve", "joe"], "test": ["bob"]}),
        ({"test": ["bob", "eve"], "validation": ["joe"]}, {}, {"train": ["ann"], "test": ["bob", "eve"]}),
        ({"test": ["ann", "ann"]}, {"validation": 0.1, "test": 0.9}, {"test": ["ann"]}),
    ],
)  # fmt: skip
def test_groups_are_chosen(chosen: dict[str, list[str]], shares: dict[str, float], parts: dict[str, list[str]]) -> None:
    """A part's share says nothing where its groups are named; other parts are drawn from what is left."""
    for seed in range(5):
        split = split_by_group(SPEAKERS, shares, seed, by="speaker", chosen=chosen)
        found = {part: sorted({SPEAKERS[row] for row in rows}) for part, rows in split.parts.items()}
        assert found | parts == found
        assert sorted(name for names in found.values() for name in names) == sorted(set(SPEAKERS))
        assert set(found) == {"train", *chosen, *shares}


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"test": ["anne"]}, "no row has speaker 'anne'"),
        ({"test": ["ann"], "validation": ["ann"]}, "'ann' is assigned to two splits"),
        ({"test": ["ann", "bob"], "validation": ["eve", "joe"]}, "cannot be divided into 3 splits"),
    ],
)
def test_groups_that_cannot_be_chosen(chosen: dict[str, list[str]], says: str) -> None:
    with pytest.raises(DataError, match=says):
        split_by_group(SPEAKERS, {}, 0, by="speaker", chosen=chosen)
