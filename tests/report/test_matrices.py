"""Confusion matrices as text and pictures: every count itself, or shares of each row."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rnncli.data.pictures import Confusion
from rnncli.records import Column, Entry, Page, Table
from rnncli.render import render_file, to_text

SMALL = Confusion([[9, 5], [0, 1234]], ["negative", "positive"])


def screen(found: Confusion, width: int = 80, percent: bool = False) -> str:
    return to_text(Page("", "", [found.shown(percent)]), width=width)


def test_counts() -> None:
    lines = screen(SMALL).splitlines()
    assert lines[0] == "confusion matrix (rows: true class)"
    assert [line.split() for line in lines[1:]] == [
        ["true", "class", "a", "b"],
        ["a", "negative", "(14)", "9", "5"],
        ["b", "positive", "(1234)", "0", "1,234"],
    ]


def test_percent() -> None:
    text = screen(SMALL, percent=True)
    assert "%" in text.splitlines()[0]
    assert re.findall(r"\S+%", text.partition("\n")[2]) == ["64%", "36%", "0%", "100%"]


def test_short_names_are_their_own_headings() -> None:
    lines = screen(Confusion([[11, 0], [3, 40]], ["A", "B"])).splitlines()
    assert lines[1].split() == ["true", "class", "A", "B"]
    assert lines[2].startswith("A (11)")


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("classes", [2, 18, 24, 60])
def test_every_count_is_there_at_every_width(classes: int, width: int) -> None:
    counts = np.random.default_rng(classes).integers(0, 10_000, (classes, classes)).tolist()
    text = screen(Confusion(counts, [f"class number {k}" for k in range(classes)]), width)
    assert max(map(len, text.splitlines())) <= width
    rows: dict[int, list[int]] = {}
    for line in text.splitlines():
        found = re.search(r"class number (\d+) *\([\d]+\)|class number (\d+)\D*?\.\.\.", line)
        if found is None:
            continue
        name = int(found[1] or found[2])
        rows.setdefault(name, []).extend(int(n.replace(",", "")) for n in line[found.end() :].split())
    assert [rows[k] for k in range(classes)] == counts


def test_pictures_show_the_numbers() -> None:
    for suffix in (".svg", ".html"):
        text = render_file(Page("", "", [SMALL.shown()]), suffix).decode("utf-8")
        assert all(f">{n}<" in text for n in ("9", "5", "1,234"))
    assert ">64%<" in render_file(Page("", "", [SMALL.shown(percent=True)]), ".html").decode("utf-8")


def test_a_few_rows_stand_side_by_side_as_columns() -> None:
    """`key | A | B`; many go back to a row each."""
    columns = [Column("run", "run", "text"), Column("loss", "loss"), Column("cell", "cell", "text")]
    few = Table("t", columns, [["one", 0.5, "gru"], ["two", -0.25, "lstm"]], turned=True)
    lines = [line.split() for line in to_text(Page("", "", [few])).splitlines()]
    assert lines == [["one", "two"], ["loss", "0.5000", "-0.2500"], ["cell", "gru", "lstm"]]
    many = Table("t", columns, [[f"a run with a long name {k}", 0.5, "gru"] for k in range(9)], turned=True)
    lines = [line.split() for line in to_text(Page("", "", [many])).splitlines()]
    assert lines[0] == ["run", "loss", "cell"]


def test_vectors_below_each_other_are_aligned() -> None:
    """Signs included: the same unit's numbers are in the same column, whatever their signs."""
    columns = [Column("t", "t", "count"), *(Column(name, name, "vector") for name in "ifg")]
    rows: list[list[Entry]] = [[t, [0.5] * 9, [0.25] * 9, [-0.125] * 9] for t in range(2)]
    lines = to_text(Page("", "", [Table("t", columns, rows)])).splitlines()
    places = {tuple(found.start() for found in re.finditer(r"\.", line)) for line in lines if "." in line}
    assert len(places) == 1
    assert len(places.pop()) == 9
