"""Inspects the first rows of a table: what its columns are, and which of them a recipe probably needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from rnncli.data.cells import NumberFormat, is_missing, no_number
from rnncli.data.guesses import (
    DateGuess,
    SeveralGuess,
    are_numbers,
    date_column,
    is_date,
    is_id,
    number_format,
    several_series,
)
from rnncli.data.skipped import Skipped
from rnncli.data.source import Source
from rnncli.data.table import Table, open_table
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.render.lines import cells as width_of

ROWS = 2000  # examined
WIDEST = 20_000  # maximum number of columns to guess about
ODD = 20  # a numeric column has at most one non-number in this many cells (one is always tolerated)
# Typical names of such columns, most likely first.
TEXTS = ("text", "sentence", "review", "content", "comment", "message", "tweet", "name")
LABELS = ("label", "class", "category", "sentiment", "target", "language")
# Typical column names in a table of audio files: the file and its transcript.
SOUND_COLUMNS, SAID_COLUMNS = ("file", "path", "filename", "audio", "wav"), ("text", "sentence", "transcript")


@dataclass(frozen=True)
class ColumnGuess:
    """name: as written in recipes. missing: number of missing cells. distinct: number of distinct non-empty cells. odd:
    (line, why) of the first non-number in a mostly numeric column. counts: whether the values are 0, 1, 2 ... or 1, 2,
    3 ... mean_width: in terminal cells. below_zero: whether any value is negative."""

    name: str
    kind: Literal["number", "date", "text"]
    missing: int
    distinct: int
    mean_width: float
    odd: tuple[int, str] | None = None
    counts: bool = False
    below_zero: bool = False

    @property
    def tells_nothing(self) -> bool:
        """An id, a row number, or constant."""
        return is_id(self.name) or self.counts or self.distinct <= 1


@dataclass(frozen=True)
class TableGuess:
    """header: whether the first row names the columns. numbers_as: the number format. rows: how many were examined.

    date: the date columns. several: stacked series and their id columns. text, label: for classification, the longest
    text column and the column with few distinct values. Each is None if no column fits.
    """

    header: bool
    delimiter: str
    numbers_as: NumberFormat
    columns: tuple[ColumnGuess, ...]
    rows: int
    date: DateGuess | None
    several: SeveralGuess | None
    text: str | None
    label: str | None

    def numbers(self) -> list[str]:
        """The numeric columns that may be forecast: no ids, row numbers or constants."""
        numbers = [column for column in self.columns if column.kind == "number"]
        useful = [column for column in numbers if not column.tells_nothing]
        return [column.name for column in useful or [column for column in numbers if not is_id(column.name)]]

    @property
    def falling(self) -> bool:
        """Whether dates run from newest to oldest."""
        return self.date is not None and self.date.dates is not None and self.date.dates.falling

    @property
    def gaps(self) -> bool:
        """Whether dates are missing, in any series."""
        if self.several is not None:
            return self.several.gaps
        if self.date is None or self.date.dates is None or not self.date.ordered:
            return False
        return bool((self.date.dates.turned() if self.falling else self.date.dates).gaps)

    def passed_over(self) -> list[str]:
        """The text columns, which cannot be series."""
        ids = () if self.several is None else self.several.columns
        return [
            column.name for column in self.columns if column.kind == "text" and column.name and column.name not in ids
        ]

    def undated(self) -> list[str]:
        """Numeric columns with a date's name, if no column was recognized as dates."""
        return [name for name in self.numbers() if is_date(name)] if self.date is None else []


def sniff_table(
    source: Source,
    texts: Collection[str] = (),
    labels: Collection[str] = (),
    *,
    delimiter: str | None = None,
    numbers: NumberFormat | None = None,
) -> TableGuess:
    """Guess from the first rows. Guesses are for a recipe that the user then reads; training never guesses.

    texts, labels: the recipe's names for these columns; a header that contains them is trusted. delimiter, numbers: the
    file's format, None to detect it.
    """
    bare = open_table(source, header=False, delimiter=delimiter)
    if len(bare.columns) > WIDEST:
        raise DataError(
            tr("{n} columns are too many to guess from", n=f"{len(bare.columns):,}"),
            where=bare.name,
            todo=tr("write the recipe by hand, or keep only the columns that matter"),
        )
    header = _has_header(bare)
    table = open_table(source, header=header, delimiter=delimiter)
    numbered = list(islice(table.rows(Skipped("skip")), ROWS))
    rows, lines = [row for _, row in numbered], [line for line, _ in numbered]
    if not rows:
        raise DataError(tr("no row has as many columns as the first line"), where=table.name)
    cells = [[row[place].strip() for row in rows] for place in range(len(table.columns))]
    form = numbers or number_format(cells, table.delimiter)
    date = date_column(table.columns, cells, lines)
    columns = [
        _column(name, column, lines, form, date is not None and name in date.columns)
        for name, column in zip(table.columns, cells, strict=True)
    ]
    several = several_series(table.columns, cells, date) if date is not None else None
    text, label = _text_and_label(columns, len(rows), [*texts, *TEXTS], [*labels, *LABELS])
    return TableGuess(header, table.delimiter, form, tuple(columns), len(rows), date, several, text, label)


def _column(name: str, cells: list[str], lines: list[int], form: NumberFormat, dated: bool) -> ColumnGuess:
    kind: Literal["number", "date", "text"]
    kind = "date" if dated else "number" if are_numbers(cells, form) else "text"
    missing = sum(is_missing(cell, form.na_values) for cell in cells)
    odd = _odd_cell(name, cells, lines, form) if kind == "text" else None
    counts = len(cells) > 2 and any(cells == list(map(str, range(i, i + len(cells)))) for i in (0, 1))
    width = sum(map(width_of, cells)) / len(cells)
    distinct = len({*cells} - {""})
    minus = kind == "number" and any((form.number(cell) or 0.0) < 0 for cell in cells)
    return ColumnGuess(name, kind, missing, distinct, width, odd, counts, minus)


def _has_header(table: Table) -> bool:
    """Whether the first row is data: it looks like the rows below (mostly numbers above numbers and dates above dates),
    or, if everything is text, one of its cells occurs again in its column."""
    if table.kind != "text":
        return True
    rows = [[cell.strip() for cell in row] for _, row in islice(table.rows(Skipped("skip")), ROWS)]
    if len(rows) < 2:
        return True
    first, below = rows[0], [list(column) for column in zip(*rows[1:], strict=True)]
    form = number_format(below, table.delimiter)
    guess = date_column(["" for _ in below], below, range(1, len(rows)))
    dated = guess.places if guess is not None and guess.dates is not None else ()
    typed = [
        form.number(cell) is not None or (place in dated and guess is not None and guess.fits(cell))
        for place, (cell, column) in enumerate(zip(first, below, strict=True))
        if not is_missing(cell) and (place in dated or are_numbers(column, form))
    ]
    if typed:
        return 2 * sum(typed) <= len(typed)  # a column may be named 2020
    return not any(cell and cell in column for cell, column in zip(first, below, strict=True))


def _odd_cell(name: str, cells: list[str], lines: list[int], form: NumberFormat) -> tuple[int, str] | None:
    """(line, why) of the first non-number in a column in which nearly all other cells are, or could be, numbers."""
    odd = [i for i, cell in enumerate(cells) if form.number(cell) is None]
    if not odd:  # nothing but missing markers
        return None
    plain = tr("{cell} in column {name} is not a number", cell=repr(cells[odd[0]][:40]), name=repr(name))
    why = no_number(cells[odd[0]], name, form.decimal)
    few = len(odd) <= max(1, len(cells) // ODD) and len(cells) > 2
    return (lines[odd[0]], why) if few or why != plain else None


def _text_and_label(
    columns: list[ColumnGuess], rows: int, texts: Sequence[str], labels: Sequence[str]
) -> tuple[str | None, str | None]:
    """A label column has few distinct values: at least two, each twice on average. If several qualify, prefer one with
    a typical label name, else the one with the fewest values, words before numbers, and a column named like a text
    last, except before the numbers of a table with dates; the text is the column with a typical text name, else the
    longest."""
    usable = [column for column in columns if not is_id(column.name)]
    few = [column for column in usable if column.kind != "date" and 2 <= column.distinct <= max(2, rows // 2)]
    words = [column for column in few if column.kind == "text"]
    numbers = [column for column in few if column.kind == "number" and column.distinct <= 20]
    named = _called([column for column in usable if column.kind == "text"], texts)
    by_text = [column for column in words if column is not named]
    if not by_text and any(column.kind == "date" for column in columns):
        by_text = words
    fewest = min(by_text or (numbers if named else []) or words or numbers, key=lambda c: c.distinct, default=None)
    label = _called(few, labels) or fewest or _called(usable, labels)
    others = [column for column in usable if column.kind == "text" and column is not label]
    text = _called(others, texts) or max(others, key=lambda column: column.mean_width, default=None)
    return (text.name, label.name if label else None) if text else (None, None)


def _called(columns: list[ColumnGuess], names: Sequence[str]) -> ColumnGuess | None:
    found = {column.name.lower(): column for column in reversed(columns)}
    return next((found[name.lower()] for name in names if name.lower() in found), None)
