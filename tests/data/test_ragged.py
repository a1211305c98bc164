"""Rows kept as numbers against the rows themselves."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data import ragged, stored
from rnncli.data.ragged import Few, Gathering, GatheringPlaces, GatheringTexts, Numbering, Ragged
from rnncli.errors import CannotWrite

ROWS = st.lists(st.lists(st.sampled_from(["a", "b", "cc", None, ""]), max_size=6), max_size=12)


def gathered(rows: list[list[str | None]]) -> Ragged[str | None]:
    gathering = Gathering[str | None]()
    for row in rows:
        gathering.add(row)
    return gathering.done()


@given(rows=ROWS, data=st.data())
def test_rows_lengths_and_counts(rows: list[list[str | None]], data: st.DataObject) -> None:
    found = gathered(rows)
    assert list(found) == rows
    assert found.lengths.tolist() == [len(row) for row in rows]
    assert found.counts() == Counter(value for row in rows for value in row)
    numbers = data.draw(st.lists(st.integers(0, len(rows) - 1), unique=True)) if rows else []
    chosen = found.chosen(numbers)
    assert list(chosen) == [rows[i] for i in numbers]
    assert chosen.lengths.tolist() == [len(rows[i]) for i in numbers]
    assert chosen.counts() == Counter(value for i in numbers for value in rows[i])
    assert list(chosen[1:4]) == [rows[i] for i in numbers][1:4]
    assert list(chosen.as_values([repr(kind) for kind in found.types])) == [
        [repr(value) for value in rows[i]] for i in numbers
    ]


def test_rows_in_a_scratch_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same rows, whether their values are in memory or in a file, and in pieces of different widths."""
    draw = random.Random(0)
    rows: list[list[str | None]] = [
        [f"w{draw.randrange(1 + 3 * i)}" for _ in range(draw.randrange(9))] for i in range(300)
    ]
    held = gathered(rows)
    monkeypatch.setenv("RNNCLI_CACHE", str(tmp_path))
    monkeypatch.setattr(ragged, "BLOCK", 50)
    monkeypatch.setattr(stored, "HELD", 100)
    found = gathered(rows)
    assert isinstance(found._numbers, stored.InScratchFile)
    assert {dtype.itemsize for dtype in found._numbers._dtypes} == {1, 2}
    assert not list(tmp_path.iterdir())  # it has no name
    assert list(found) == rows
    assert found.counts() == held.counts()
    some = draw.sample(range(300), 80)
    assert list(found.chosen(some)) == [rows[i] for i in some]
    assert found.chosen(some).counts() == held.chosen(some).counts()
    assert found.chosen(some)[::-3].lengths.tolist() == [len(rows[i]) for i in some[::-3]]
    assert len(found._numbers.read(7, 7)) == 0


def test_no_room_for_a_scratch_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("RNNCLI_CACHE", str(blocked / "cache"))
    monkeypatch.setattr(stored, "HELD", 0)
    with pytest.raises(CannotWrite):
        gathered([["a"]])


def test_a_value_for_every_type() -> None:
    with pytest.raises(ValueError, match="1 values for 2 types"):
        gathered([["a", "b"]]).as_values([1])


PLACES = ["a:1", "a:27", "b", "b:0", "b:007", ":3", "c:x", "d:" + "9" * 30, "a:b:4", "12"]


@given(names=st.lists(st.sampled_from(PLACES)))
def test_places(names: list[str]) -> None:
    gathering = GatheringPlaces()
    for name in names:
        gathering.add(name)
    places = gathering.done()
    assert list(places) == names
    assert list(places[::-1]) == names[::-1]
    assert list(places.chosen(range(1, len(names)))) == names[1:]


@pytest.mark.parametrize("kinds", [3, 300, 70_000])
def test_numbers_take_no_more_bytes_than_they_need(monkeypatch: pytest.MonkeyPatch, kinds: int) -> None:
    monkeypatch.setattr("rnncli.data.ragged.BLOCK", 100)
    numbering = Numbering[int]()
    values = [i % kinds for i in range(2 * kinds + 9)]
    for value in values:
        numbering.extend((value,))
    few = numbering.done()
    assert list(few) == values
    assert few[7] == values[7]
    assert list(few[3:9]) == values[3:9]
    assert few.numbers.itemsize == {3: 1, 300: 2, 70_000: 4}[kinds]


@given(texts=st.lists(st.text(max_size=8)))
def test_texts(texts: list[str]) -> None:
    gathering = GatheringTexts()
    texts = [text for text in texts if text.isprintable()]
    for text in texts:
        gathering.add(text)
    found = gathering.done()
    assert list(found) == texts
    assert list(found[::2]) == texts[::2]
    assert list(found.chosen(range(len(texts) - 1, -1, -1))) == texts[::-1]


def test_an_empty_descending_slice_is_empty() -> None:
    found = Few(["a", "b", "c"], np.array([0, 1, 2]))
    assert list(found[-10::-1]) == []
    assert list(found[::-1]) == ["c", "b", "a"]
