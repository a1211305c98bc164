"""The numbers in a table's cells, as spreadsheets and people write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from rnncli.locale import tr

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?", ".", "#n/a"})  # in lower case
Thousands = Literal["", ",", "."]

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_GROUPED = re.compile(  # 1,234,567.8 with any thousands separator
    r"([+-]?)([0-9]{1,3})(?:([ \u00a0\u2009\u202f'’,.])[0-9]{3})(?:\3[0-9]{3})*(?:([.,])[0-9]*)?"
)
_BLANKS = " \u00a0\u2009\u202f"


def number(cell: str, decimal: str = ".", thousands: Thousands = "") -> float | None:
    """The number in a cell, NaN for a missing marker (empty, NA, NaN, null, - ...), None for anything else.

    decimal: the decimal separator. thousands: the separator between groups of three digits; if it is not given, the
    cell must be unambiguous: 1,000.5 and 1,234,567 are numbers, 1,000 is rejected as ambiguous. Currency signs, per
    cent signs (0.5% reads as 0.5), the minus sign U+2212, blanks and apostrophes between groups, and parentheses for
    negative numbers are understood. Infinite and overflowing numbers, and 1_000, are not numbers.
    """
    cell = cell.strip()
    if decimal == "." and NUMBER.fullmatch(cell):
        return _finite(cell)
    if cell.lower() in MISSING:
        return float("nan")
    bare = _bare(cell)
    plain = bare if decimal == "." else "" if "." in bare else bare.replace(decimal, ".")
    return _finite(plain) if NUMBER.fullmatch(plain) else _grouped(bare, decimal, thousands)


def is_missing(cell: str, na_values: Collection[str] = ()) -> bool:
    """Whether a cell is a missing marker, built in or declared (compared as text or by numeric value)."""
    cell = cell.strip()
    if cell.lower() in MISSING or cell in na_values:
        return True
    if not na_values or not NUMBER.fullmatch(cell):
        return False
    return any(NUMBER.fullmatch(one) and float(one) == float(cell) for one in na_values)


def no_number(cell: str, column: str, decimal: str) -> str:
    """Why `number` rejects a cell, as a sentence."""
    shown, name = repr(cell[:40]), repr(column)
    bare = _bare(cell.strip())
    found = _GROUPED.fullmatch(bare)
    other = "," if decimal == "." else "."
    if found and found[4] == other != found[3]:
        return tr(
            "{cell} in column {name} has {mark} as decimal separator: set data.decimal",
            cell=shown,
            name=name,
            mark=other,
        )
    if found and found[3] == other and not found[4]:
        whole, part = bare.replace(other, ""), bare.replace(other, ".")
        return tr(
            "{cell} in column {name} may be {whole} (data.thousands: {mark!r}) or {part} (data.decimal: {mark!r})",
            cell=shown,
            name=name,
            whole=whole,
            part=part,
            mark=other,
        )
    return tr("{cell} in column {name} is not a number", cell=shown, name=name)


def _finite(text: str) -> float | None:
    value = float(text)
    return value if abs(value) != float("inf") else None


def _bare(cell: str) -> str:
    """Strip currency and per cent signs, and write - for U+2212 and for enclosing parentheses."""
    cell = cell.replace("\u2212", "-")
    if len(cell) > 2 and cell[0] == "(" and cell[-1] == ")":
        cell = "-" + cell[1:-1].strip()
    sign = cell[:1] if cell[:1] in ("-", "+") else ""
    rest = cell[len(sign) :].strip()
    if rest.endswith("%"):
        rest = rest[:-1].rstrip(_BLANKS)
    elif rest and unicodedata.category(rest[0]) == "Sc":
        rest = rest[1:].lstrip(_BLANKS)
    elif rest and unicodedata.category(rest[-1]) == "Sc":
        rest = rest[:-1].rstrip(_BLANKS)
    return sign + rest if rest[:1] not in ("-", "+") or not sign else cell


def _grouped(bare: str, decimal: str, thousands: Thousands) -> float | None:
    found = _GROUPED.fullmatch(bare)
    if found is None or found[3] == decimal or found[4] not in (None, decimal):
        return None
    mark, groups = found[3], bare.count(found[3])
    if mark in ",." and mark != thousands and groups < 2 and found[4] is None:
        return None
    return _finite(bare.replace(mark, "").replace(decimal, "."))


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written in a file. na_values: missing markers in addition to empty cells, NA, - ..."""

    decimal: str = "."
    thousands: Thousands = ""
    na_values: tuple[str, ...] = ()

    def number(self, cell: str) -> float | None:
        """Like the function of this name, with NaN for declared markers, too."""
        if self.na_values and is_missing(cell, self.na_values):
            return float("nan")
        return number(cell, self.decimal, self.thousands)
