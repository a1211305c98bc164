"""Contents of the boxes of an opened cell: rows of text and numbers, the same in a terminal and in a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rnncli.locale import tr
from rnncli.records import Box, BoxLine, Column, Entry, OpenedCell, Table
from rnncli.render.lines import cells, clip
from rnncli.render.numbers import number
from rnncli.render.numbers import sign as sign_of

EDGE = 2  # numbers kept at either end of a truncated vector
ONE_LINE = 28  # maximum characters of a vector and its text
PRODUCTS = 4  # products of a sum that are written out


@dataclass(frozen=True)
class Row:
    """text: its computation. value: its number or numbers. sign: of the value, 0 for a vector. line: line of the box;
    None for a product of the line above."""

    text: str
    value: str
    sign: Literal[-1, 0, 1]
    role: str
    line: int | None


def rows(box: Box, fit: Callable[[str], str], products: int) -> list[Row]:
    """The rows of a box. products: number of products of a sum shown in rows below it; 0 for none."""
    found: list[Row] = []
    for k, line in enumerate(box.lines):
        text = "" if line.text == box.title and len(box.lines) == 1 else fit(line.text)
        value = vector(line.values)
        if text and len(line.values) > 1 and cells(text) + cells(value) + 1 > ONE_LINE:
            found.append(Row(text, "", 0, line.role, k))
            found.append(Row("", value, 0, line.role, None))
        else:
            found.append(Row(text, value, sign(line), line.role, k))
        if products and line.role != "result":
            texts = [fit(text) for text in factors(line)]
            for first in range(0, len(texts), products):
                found.append(Row(" " + "  ".join(texts[first : first + products]), "", 0, "product", None))
    return found


@dataclass(frozen=True)
class Equation:
    """A line of a box with numbers substituted: `σ(a_i)`, `σ(-0.1635)`, `0.4592`. numbers: parts between which a line
    may break; empty if there is nothing to substitute."""

    text: str
    numbers: tuple[str, ...]
    value: str
    line: BoxLine


def equations(box: Box) -> list[Equation]:
    """Every line of a box with the numbers it is computed from."""
    found: list[Equation] = []
    terms: list[BoxLine] = []
    for line in box.lines:
        numbers: tuple[str, ...] = (line.numbers,) if line.numbers else ()
        if line.products:
            texts, left = _largest(line)
            numbers = (*_added(texts), *([f"+ {tr('... {n} more ...', n=left)}"] if left else []))
        elif terms and line.role != "term" and all(len(term.values) == 1 for term in terms):
            numbers = _added([number(term.values[0]) for term in terms])
        terms = [*terms, line] if line.role == "term" else []
        text = line.text or box.title
        found.append(Equation(text, () if numbers == (text,) else numbers, vector(line.values), line))
    return found


def _added(texts: Sequence[str]) -> tuple[str, ...]:
    """`a`, `+ b`, `- c`."""
    signed = (f"- {text[1:]}" if text.startswith("-") else f"+ {text}" for text in texts[1:])
    return (*texts[:1], *signed)


def equations_table(cell: OpenedCell, name: str, title: str) -> Table:
    """The equations of all boxes with computations."""
    columns = [
        Column("part", tr("part"), "text", once=True),
        Column("term", tr("term"), "text"),
        Column("written", tr("written out"), "text"),
        Column("value", tr("value")),
    ]
    rows: list[list[Entry]] = [
        [f"{box.title}: {box.about}" if box.about else box.title, one.text, *_written(one)]
        for box in cell.boxes
        if box.kind != "input"
        for one in equations(box)
    ]
    return Table(name, columns, rows, title=title)


def _written(one: Equation) -> tuple[str, float | None]:
    """A single number goes into its own column; several are part of the text."""
    return (" ".join(one.numbers), one.line.values[0]) if len(one.line.values) == 1 else (one.value, None)


def factors(line: BoxLine) -> list[str]:
    """`-0.0053·1.0297`, only the first if there are many; for a single product of two names, their numbers."""
    texts, left = _largest(line)
    return [*texts, f"... {left}"] if left else texts


def _largest(line: BoxLine) -> tuple[list[str], int]:
    """Each product, or only the largest if there are many, and the number omitted."""
    pairs = list(line.products)
    left = len(pairs) - PRODUCTS + 1 if len(pairs) > PRODUCTS else 0
    if left:
        largest = sorted(range(len(pairs)), key=lambda k: (-abs(pairs[k][0] * pairs[k][1]), k))[: PRODUCTS - 1]
        pairs = [pairs[k] for k in sorted(largest)]
    return [f"{number(a)}·{factor(b)}" for a, b in pairs], left


def factor(value: float) -> str:
    """A number as a factor: a negative one in brackets."""
    return f"({number(value)})" if value < 0 else number(value)


def vector(values: Sequence[float]) -> str:
    """Numbers side by side, truncated if there are many."""
    if len(values) > 2 * EDGE + 1:
        return f"{' '.join(map(number, values[:EDGE]))} ... {' '.join(map(number, values[-1:]))} ({len(values)})"
    return " ".join(map(number, values))


def sign(line: BoxLine) -> Literal[-1, 0, 1]:
    return sign_of(line.values[0]) if len(line.values) == 1 else 0


def shortened(text: str, width: int) -> str:
    """As many whole numbers as fit; any other text is truncated."""
    if cells(text) <= width or " " not in text:
        return clip(text, width)
    kept = ""
    for part in text.split(" "):
        if cells(kept) + cells(part) + 5 > width:
            break
        kept += part + " "
    return f"{kept}..." if kept else "..."


def width(row: Row) -> int:
    """In characters: text, space, number."""
    return cells(row.text) + (1 if row.text and row.value else 0) + cells(row.value)


def givers(box: Box) -> list[tuple[str, int]]:
    """(box that is read, line that reads it), in order."""
    return [(name, k) for k, line in enumerate(box.lines) for name in dict.fromkeys(line.sources) if name != box.name]
