"""The characters a screen can carry: one table of symbols with ASCII twins, and what becomes of all other text.

Whatever is printed passes through `fit`: control characters are written out (data must not command a terminal), and a
character the stream cannot encode becomes its twin or an escape such as \\u00e9. Nothing here can fail on any text.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

TWINS = {
    "·": "*",  # W_ih·x_t; between blanks it parts words, see fit
    "…": "...",
    "→": "->",
    "←": "<-",
    "↔": "<->",
    "↑": "^",
    "↓": "v",
    "─": "-",
    "│": "|",
    "┤": "|",
    "┼": "+",
    "└": "+",
    "├": "+",
    "┌": "+",
    "┐": "+",
    "┘": "+",
    "┬": "+",
    "┴": "+",
    "═": "=",
    "║": "#",
    "╔": "#",
    "╗": "#",
    "╚": "#",
    "╝": "#",
    "█": "#",
    "▓": "#",
    "▒": "+",
    "░": ".",
    "×": "x",
    "⊙": "*",
    "⊕": "+",
    "√": "sqrt ",
    "∞": "inf",
    "≈": "~",
    "≠": "!=",
    "≤": "<=",
    "≥": ">=",
    "±": "+-",
    "²": "^2",
    "³": "^3",
    "ᵀ": "^T",
    "°": " deg",
    "µ": "u",
    "μ": "mu",
    "σ": "sigma",
    "Σ": "sum",
    "∑": "sum",
    "∂": "d",
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "Δ": "delta",
    "ε": "eps",
    "ρ": "rho",
    "λ": "lambda",
    "π": "pi",
    "θ": "theta",
    "–": "-",
    "—": "--",
    "−": "-",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "✓": "ok",
    "␣": "\\s",
    "↵": "\\n",
    "⇥": "\\t",
    "\u00a0": " ",
    "�": "?",
}

SPARK = " ▁▂▃▄▅▆▇█"  # nothing, then eight heights

# White space of a token, made visible.
_WHITE = {" ": "␣", "\n": "↵", "\t": "⇥"}


def fit(text: str, encoding: str = "utf-8", keep: str = "") -> str:
    """`text` as a stream of this encoding can carry it. keep: control characters that stay, such as a line break."""
    if " · " in text and _fit("·", encoding) != "·":
        text = text.replace(" · ", " | ")
    return "".join(character if character in keep else _fit(character, encoding) for character in text)


def token(text: str, encoding: str = "utf-8", blanks: bool = False) -> str:
    """A piece of the user's data with its white space visible; an empty one is two quotes.

    blanks: blanks stay blank, for running text whose tokens are marked in another way.
    """
    if not text:
        return "''"
    visible = "".join(
        character if blanks and character == " " else _WHITE.get(character, character) for character in text
    )
    return fit(visible, encoding)


@lru_cache(maxsize=4096)
def _fit(character: str, encoding: str) -> str:
    # Controls, invisible characters (among them those that turn the writing direction), halves of surrogate pairs, line
    # separators, and what has no width that everybody agrees on. All kinds of blanks (Zs) stay.
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
