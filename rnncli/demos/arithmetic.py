"""Functions available in a demo's equations, in plain Python floats, and how products are written."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence

from rnncli.locale import tr
from rnncli.render.numbers import EDGE, number

PRODUCTS = 12  # products of a sum that are written without --full


def products(row: Sequence[float], vector: Sequence[float | str], full: bool) -> str:
    """`0.1·0.2 + ...`; the second factors may be names."""
    written = [product(w, v) for w, v in zip(row, vector, strict=True)]
    if len(written) > PRODUCTS and not full:
        skipped = tr("... {n} more ...", n=len(written) - 2 * EDGE)
        written = [*written[:EDGE], skipped, *written[-EDGE:]]
    return " + ".join(written)


def product(a: float, b: float | str) -> str:
    """`0.1234·(-0.5678)`: numbers are rounded to four decimals for display; the sums use full precision."""
    if isinstance(b, str):
        return f"{short(a)}·{b}"
    return f"{short(a)}·({short(b)})" if b < 0 else f"{short(a)}·{short(b)}"


def short(value: float) -> str:
    """Format 0.5 and -1 as in handwriting."""
    return f"{value:g}" if abs(value) < 1e4 and value * 2 % 1 == 0 else number(value)


def _sigmoid(a: float) -> float:
    if a != a:
        return a
    if a >= 0:
        return 1 / (1 + math.exp(-a))
    e = math.exp(a)  # a is negative here, so exp cannot overflow
    return e / (1 + e)


def _divided(a: float, b: float) -> float:
    return a / b if b else math.nan if a == 0 else math.copysign(math.inf, a)


OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: _divided,
}
FUNCTIONS: dict[str, Callable[..., float]] = {
    "tanh": math.tanh,
    "relu": lambda a: a if a != a or a > 0 else 0.0,
    "sigmoid": _sigmoid,
    "silu": lambda a: a * _sigmoid(a),
    "exp": lambda a: math.exp(a) if a < 700 else math.inf,
    "log": lambda a: math.log(a) if a > 0 else -math.inf,
    "sqrt": lambda a: math.sqrt(a) if a >= 0 else math.nan,
    "max": max,
    "min": min,
}
VECTORS: dict[str, Callable[[Sequence[float]], float]] = {
    "length": lambda v: math.sqrt(sum(a * a for a in v)),
    "mean": lambda v: sum(v) / len(v),
    "var": lambda v: sum((a - sum(v) / len(v)) ** 2 for a in v) / len(v),
}
