"""Cells side by side: the same width and sign column for the numbers of each, where the terminal has room."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from rnncli.records import Column, Page, Table
from rnncli.render import to_text

COLUMNS = [Column("t", "t", "count")] + [Column(f"{cell}.h", "h_t", "vector", group=cell) for cell in ("a", "b")]
PAGE = Page("", "", [Table("compared", COLUMNS, [[0, [0.5, 0.25], [0.5, -0.25]], [1, [0.125, 1.0], [2.0, 1.0]]])])


@pytest.mark.parametrize(("width", "same"), [(80, True), (35, True), (34, False)])
def test_numbers_of_compared_cells_line_up(width: int, same: bool) -> None:
    lines = [line for line in to_text(PAGE, width=width).splitlines() if re.match(r"\d ", line)]
    starts = [match.start() for match in re.finditer(r"\d\.", lines[0])]
    gaps = [after - before for before, after in pairwise(starts)]
    assert (gaps[0] == gaps[2]) == same
    assert [match.start() for match in re.finditer(r"\d\.", lines[1])] == starts
