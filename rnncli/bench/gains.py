"""The speedup that the extra `fast` would bring if it is not installed, from the table of measurements. No torch
here."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from rnncli.locale import tr
from rnncli.ratios import RATIOS

COMMAND = "pip install 'rnncli[fast]'"


def is_missing() -> bool:
    return find_spec("numba") is None


def gain(cell: str, kind: str) -> tuple[float, float] | None:
    """Speedup of `engine: auto` with numba over without: minimum and maximum over the measured sizes; None if there are
    none. kind: train or forward."""
    rows = RATIOS.get((cell, kind))
    if not rows:
        return None
    without = [max(1.0, bptt) if kind == "train" else 1.0 for *_, bptt, _ in rows]
    found = [max(other, compiled) / other for other, (*_, compiled) in zip(without, rows, strict=True)]
    return min(found), max(found)


def gain_text(cells: Sequence[str], kind: str) -> str:
    """The gains for these cells in words, "" if there are none."""
    parts = []
    for cell in cells:
        found = gain(cell, kind)
        if found is not None:
            low, high = f"{found[0]:.1f}", f"{found[1]:.1f}"
            parts.append(f"{cell} " + (low if low == high else tr("{low} to {high}", low=low, high=high)))
    return ", ".join(parts)
