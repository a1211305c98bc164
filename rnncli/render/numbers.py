"""Number formats: one per kind of value.

Four decimals as torch prints them, scientific below 1e-4 and from 1e4, exact zero as `0`, and `nan` and `inf`. Numbers
are never shortened to fit; the layout of a table decides what to omit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from rnncli.locale import trn

EDGE = 3  # numbers kept at either end of a truncated vector


def number(value: float) -> str:
    """0.3815, -1.0712, 1.2346e-05, 2.0000e+04, 0, nan, inf, -inf."""
    if not math.isfinite(value):
        return _word(value)
    if value == 0:
        return "0"
    text = f"{value:.4f}"
    # Decided by magnitude before rounding below (0.00009999 is below 1e-4) and after rounding above (9999.99999 rounds
    # to 1e4).
    if abs(value) < 1e-4 or abs(float(text)) >= 1e4:
        return f"{value:.4e}"
    return text


def sign(value: float) -> Literal[-1, 0, 1]:
    """0 for zero and nan."""
    return 1 if value > 0 else -1 if value < 0 else 0


def diff(value: float, decimals: int = 0) -> str:
    """A difference with one digit: 9e-08; exact zero is 0."""
    if not math.isfinite(value):
        return _word(value)
    return "0" if value == 0 else f"{value:.{decimals}e}"


def beside(value: float | None, tolerance: float | None) -> tuple[str, str]:
    """A difference and its tolerance, 2.1e-06 and 8.0e-06: two digits, or more if unequal ones look equal."""
    for decimals in range(1, 17):
        texts = ["" if number is None else diff(number, decimals) for number in (value, tolerance)]
        if texts[0] != texts[1] or value == tolerance:
            break
    return texts[0], texts[1]


def count(value: float) -> str:
    """16; 1,193,920; a rate is rounded to an integer."""
    if not math.isfinite(value):
        return _word(value)
    return f"{value:z,.0f}" if abs(value) < 1e15 else f"{value:.4e}"


def percent(value: float) -> str:
    """A share: 0.12 is 12%. 0% and 100% are exact: 0.001 is <1%, 0.999 is >99%."""
    if not math.isfinite(value):
        return _word(value)
    if abs(value) >= 1e4:
        return f"{value:.4e} x"  # not a share but a multiple
    whole = round(value * 100)
    if whole == 0 and value != 0:
        return "<1%" if value > 0 else ">-1%"
    if whole == 100 and value != 1:
        return ">99%" if value < 1 else f"{value * 100:.1f}%"
    return f"{whole}%"


def seconds(value: float) -> str:
    """0 s, 45 us, 3.2 ms, 0.15 s, 12.3 s, 2:05 (minutes), 1:02:05 (hours)."""
    if not math.isfinite(value):
        return _word(value)
    length = abs(value)
    if length == 0:
        return "0 s"
    if length < 1e-3:
        return f"{value * 1e6:.3g} us"
    if length < 0.1:
        return f"{value * 1e3:.3g} ms"
    if length < 0.995:
        return f"{value:.2f} s"
    if length < 59.95:
        return f"{value:.1f} s"
    if length >= 1e7:
        return f"{value:.4e} s"
    minutes, rest = divmod(round(length), 60)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if value < 0 else ""
    return f"{sign}{hours}:{minutes:02}:{rest:02}" if hours else f"{sign}{minutes}:{rest:02}"


def size(value: float) -> str:
    """240 bytes, 1.5 KiB, 3.2 GiB."""
    if not math.isfinite(value):
        return _word(value)
    if abs(value) < 1024:
        return trn("{n} byte", "{n} bytes", n=round(value))
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if abs(value) < 1023.95:
            return f"{value:.1f} {unit}"
    return f"{value:,.1f} TiB" if abs(value) < 1e9 else f"{value:.4e} TiB"


def interval(value: Sequence[float]) -> str:
    """(value, low, high): 1.52 [1.48 1.54]."""
    middle, low, high = (f"{part:.2f}" if math.isfinite(part) else _word(part) for part in value)
    return f"{middle} [{low} {high}]"


def shape(**axes: int) -> str:
    """shape(T=3, B=1, I=4) is `(T=3, B=1, I=4)`."""
    return "(" + ", ".join(f"{name}={length}" for name, length in axes.items()) + ")"


def vector(values: Sequence[float], width: int = 0, edge: int | None = None) -> str:
    """Numbers side by side, each right-aligned to `width`. edge: how many to keep at either end if truncated."""
    cut = edge is not None and len(values) > 2 * edge
    kept = [*values[:edge], *values[len(values) - edge :]] if cut and edge is not None else list(values)
    texts = [number(value) for value in kept]
    width = max([width, *(len(text) for text in texts)])
    texts = [text.rjust(width) for text in texts]
    if cut and edge is not None:
        texts.insert(edge, "...")
    return " ".join(texts)


def _word(value: float) -> str:
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
