"""Symbols with ASCII equivalents, and escaping of other text that the output cannot display.

All printed text passes through `fit`: control characters are escaped (data must not control a terminal), and a
character that the stream cannot encode becomes its ASCII equivalent or an escape such as \\u00e9. Never fails on any
text.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# ASCII equivalent -> the symbols it stands for. ·: W_ih·x_t; between spaces it separates words, see fit.
_SYMBOLS = {
    "*": "·⊙", "...": "…", "->": "→", "<-": "←", "<->": "↔", "^": "↑", "v": "↓", "-": "─–−", "--": "—", "|": "│┤",
    "+": "┼└├┌┐┘┬┴▒⊕", "=": "═", "#": "║╔╗╚╝█▓", ".": "░", "x": "×", "sqrt ": "√", "inf": "∞", "~": "≈", "!=": "≠",
    "<=": "≤", ">=": "≥", "+-": "±", "^2": "²", "^3": "³", "^T": "ᵀ", " deg": "°", "u": "µ", "mu": "μ", "sigma": "σ",
    "sum": "Σ∑", "d": "∂", "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δΔ", "eps": "ε", "rho": "ρ",
    "lambda": "λ", "pi": "π", "theta": "θ", "'": "‘’", '"': "“”", "ok": "✓", "\\s": "␣", "\\n": "↵", "\\t": "⇥",
    " ": "\u00a0", "?": "�",
}  # fmt: skip
TWINS = {symbol: twin for twin, symbols in _SYMBOLS.items() for symbol in symbols}

SPARK = " ▁▂▃▄▅▆▇█"  # empty, then eight heights

# Visible characters for whitespace in tokens.
_WHITE = {" ": "␣", "\n": "↵", "\t": "⇥"}


def fit(text: str, encoding: str = "utf-8", keep: str = "") -> str:
    """`text` made printable in this encoding. keep: control characters to keep, such as a line break."""
    if " · " in text and _fit("·", encoding) != "·":
        text = text.replace(" · ", " | ")
    return "".join(character if character in keep else _fit(character, encoding) for character in text)


def token(text: str, encoding: str = "utf-8", blanks: bool = False) -> str:
    """A piece of the user's data with visible whitespace; empty text is shown as two quotes.

    blanks: keep spaces, for running text whose tokens are marked in another way.
    """
    if not text:
        return "''"
    visible = "".join(
        character if blanks and character == " " else _WHITE.get(character, character) for character in text
    )
    return fit(visible, encoding)


def in_plot(text: str) -> str:
    """Text for matplotlib, with dollar signs escaped: they would start math mode."""
    return fit(text).replace("$", r"\$")


@lru_cache(maxsize=4096)
def _fit(character: str, encoding: str) -> str:
    # Control characters, invisible characters (including bidirectional overrides), lone surrogates, line separators,
    # and characters of ambiguous width. All kinds of spaces (Zs) are kept.
    if not character.isprintable() and unicodedata.category(character) != "Zs":
        return _escape(character)
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return TWINS.get(character, _escape(character))
    return character


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0xA0:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
