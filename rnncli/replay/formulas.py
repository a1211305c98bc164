"""Formulas of torch operations: `mul` of f and c_1 is `f·c_1`."""

from __future__ import annotations

from collections.abc import Sequence

# Precedence: below 2 a formula is bracketed inside a product, below 3 inside anything that binds tighter.
SUM, PRODUCT, ATOM = 1, 2, 3
Formula = tuple[str, int]  # text, precedence

_FUNCTIONS = {
    "sigmoid": "σ({0})",
    "log_sigmoid_forward": "log σ({0})",
    "linalg_vector_norm": "length({0})",
    "clamp_min": "max({0}, {1})",
    "clamp_max": "min({0}, {1})",
    "maximum": "max({0}, {1})",
    "minimum": "min({0}, {1})",
    "reciprocal": "1/{0}",
    "abs": "|{0}|",
    "native_layer_norm": "layer norm({0})",
    "native_group_norm": "group norm({0})",
    "_softmax": "softmax({0})",
    "_log_softmax": "log softmax({0})",
}
_INFIX = {
    "sub": ("{0} - {1}", SUM),
    "rsub": ("{1} - {0}", SUM),
    "mul": ("{0}·{1}", PRODUCT),
    "div": ("{0}/{1}", PRODUCT),
    "add": ("{0} + {1}", SUM),
    "eq": ("{0} = {1}", SUM),
    "ne": ("{0} ≠ {1}", SUM),
    "gt": ("{0} > {1}", SUM),
    "lt": ("{0} < {1}", SUM),
    "ge": ("{0} ≥ {1}", SUM),
    "le": ("{0} ≤ {1}", SUM),
}


def formula(name: str, operands: Sequence[Formula]) -> Formula:
    """The formula of the torch operation `name` on its operands, with operators where they exist."""
    if name == "mul" and len(operands) == 2 and operands[1][0][:1].isdigit():
        operands = operands[::-1]  # 2·f
    if name in _INFIX and len(operands) == 2:
        text, level = _INFIX[name]
        # a - (b - c) and a/(b·c): the right operand needs higher precedence
        right = level + (name in ("sub", "div"))
        left = level + (name == "rsub")
        return text.format(_bound(operands[0], left), _bound(operands[1], right)), level
    texts = [text for text, _ in operands]
    if name == "neg":
        return f"-{_bound(operands[0], PRODUCT)}", SUM
    if name == "pow" and len(operands) == 2:
        return f"{_bound(operands[0], ATOM)}^{_bound(operands[1], ATOM)}", PRODUCT
    if name == "clamp" and len(operands) >= 2:
        named = "max({0}, {1})" if len(operands) == 2 else "min(max({0}, {1}), {2})"
        return named.format(*texts), ATOM
    if name == "lerp" and len(operands) == 3:  # start, end, weight
        start, end, weight = (_bound(operand, PRODUCT) for operand in operands)
        return f"(1 - {weight})·{start} + {weight}·{end}", SUM
    known = _FUNCTIONS.get(name)
    if known is not None and known.count("{") <= len(operands):
        return known.format(*texts), ATOM
    return f"{name.strip('_').replace('_', ' ')}({', '.join(texts)})", ATOM


def _bound(operand: Formula, level: int) -> str:
    text, own = operand
    return text if own >= level else f"({text})"


def bracketed(operand: Formula) -> str:
    """Bracketed unless it is just a name."""
    return _bound(operand, ATOM)
