"""Sizes to measure, the tiers of standard sizes, and the number of operations of a row. No torch here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rnncli import cells
from rnncli.errors import UsageError
from rnncli.locale import tr

Pass = Literal["forward", "train", "step"]
PASSES: tuple[Pass, ...] = ("forward", "train", "step")
CELLS = ("rnn", "gru", "lstm")
Axis = Literal["T", "H", "B"]
AXES: tuple[Axis, ...] = ("T", "H", "B")


@dataclass(frozen=True)
class Row:
    """One benchmark row: one layer, one direction, input size H, all sequences T steps long."""

    cell: str
    H: int
    B: int
    T: int

    @property
    def inputs(self) -> int:
        """I"""
        return self.H

    @property
    def sizes(self) -> str:
        return f"{self.H}/{self.B}/{self.T}"

    def flops(self, what: Pass) -> float:
        """FLOPs of the products: forward 2·B·G·H·(I+H) per step, without H if there is no W_hh; training takes 3 times
        that."""
        cell = cells.CELLS[self.cell]
        read = self.inputs + (self.H if cell.recurrent_weight else 0)
        forward = 2.0 * self.B * cell.num_gates * self.H * read * self.T
        return 3 * forward if what == "train" else forward

    def memory(self, itemsize: int) -> int:
        """Approximate bytes for training in the engine that keeps most: every intermediate result of every step."""
        gates = cells.CELLS[self.cell].num_gates
        weights = 4 * gates * self.H * (self.inputs + self.H)
        return itemsize * (weights + self.T * self.B * (4 * self.inputs + self.H * (6 * gates + 8)))


# Three sizes of three cells: dominated by calls, in between, dominated by products.
DEFAULT = ((2, 1, 20), (32, 32, 100), (256, 32, 100))
# The sizes of Baidu's DeepBench, for which published figures exist.
STANDARD = {
    "rnn": ((1760, 16, 50),),
    "lstm": ((256, 16, 150), (512, 16, 25), (512, 64, 25), (1024, 64, 25), (1536, 8, 50)),
    "gru": ((512, 32, 1), (1024, 32, 1500), (1536, 32, 187)),
}
TEACHING = tuple((H, B, T) for H in (2, 8, 32, 64) for B in (1, 32) for T in (20, 100))
TIERS = ("teaching", "quick", "standard", "full")
CHARACTER = (50, 50, 65)  # B, T, V of the character model
CHARACTER_HIDDEN = (32, 128, 512)


def parse_size(text: str) -> tuple[int, int, int]:
    """`H/B/T`. Raises UsageError."""
    found = re.fullmatch(r"([0-9]+)/([0-9]+)/([0-9]+)", text, re.ASCII)
    sizes = tuple(int(part) for part in found.groups()) if found else ()
    if len(sizes) != 3 or min(sizes) < 1 or max(sizes) >= 2**31:
        raise UsageError(
            tr("--size takes H/B/T, three positive integers, got {value!r}", value=text),
            where="--size",
            todo=tr("for example --size 256/32/100: hidden size, batch size, steps"),
        )
    return sizes[0], sizes[1], sizes[2]


def rows_of(tier: str, cells: tuple[str, ...]) -> list[Row]:
    """The rows of a tier, cell by cell. quick: the nine rows that `rnncli bench` measures by default."""
    found = []
    for cell in cells:
        sizes: tuple[tuple[int, int, int], ...] = ()
        if tier in ("teaching", "full"):
            sizes += TEACHING
        if tier in ("quick", "full"):
            sizes += tuple(size for size in DEFAULT if size not in sizes)
        if tier in ("standard", "full"):
            sizes += STANDARD.get(cell, ())
        found += [Row(cell, *size) for size in sizes]
    return found


def scaled(row: Row, axis: Axis) -> list[Row]:
    """The row at five sizes along one axis: 1/4, 1/2, 1, 2 and 4 times (at least 1)."""
    sizes = {"T": row.T, "H": row.H, "B": row.B}
    values = sorted({max(1, round(sizes[axis] * factor)) for factor in (0.25, 0.5, 1, 2, 4)})
    return [Row(row.cell, **{**sizes, axis: value}) for value in values]
