"""How computed numbers are written into a table that continues a user's file. Exported scripts contain this code."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, log10

ALL = 9  # decimals from which on a column is not rounded
NEWEST = 200  # values of a column that are looked at


def decimals_of(values: Iterable[float]) -> int:
    """With how many decimals to continue a column: as many as its newest values have, and enough for four digits of the
    largest; ALL if that is many, as in columns that were computed."""
    newest = [float(value) for value in values][-NEWEST:]
    texts = [repr(value).removesuffix(".0") for value in newest]
    found = max((ALL if "e" in text else len(text.partition(".")[2]) for text in texts), default=ALL)
    largest = max(map(abs, newest), default=0.0)
    return min(ALL, max(found, 3 - floor(log10(largest)) if largest else 0))


def as_cell(value: float, decimals: int) -> str:
    """The number with these decimals. ALL: with nine significant digits (float32 precision), at least two decimals, and
    no exponent unless needed."""
    if decimals < ALL:
        return f"{value:.{decimals}f}"
    if value and not 1e-12 < abs(value) < 1e15:
        return f"{value:.9g}"
    decimals = max(2, 8 - floor(log10(abs(value)))) if value else 0
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text
