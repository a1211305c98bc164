"""Whether a user's file suits an input, and why: one function per kind of input."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rnncli.data.arrays import read_arrays
from rnncli.data.audio import ENDINGS as SOUNDS
from rnncli.data.columns import columns_of
from rnncli.data.conllu import WHITE
from rnncli.data.folder import ENDINGS as TEXTS
from rnncli.data.frame_files import ARRAYS, PICTURES
from rnncli.data.look import Look
from rnncli.data.records import TABLES
from rnncli.data.sniff import LABELS, SAID_COLUMNS, SOUND_COLUMNS, ColumnGuess, TableGuess
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.render.lines import cells as width_of
from rnncli.tasks.base import Suited
from rnncli.tasks.inputs.tagged import tagged_file

FEWEST_ROWS = 20  # of a series without dates
LINE = 20.0  # minimum average width of texts that are better read by word than by character
SENTENCE = 8.0  # minimum average width of paired texts: a Chinese character is as wide as two letters


def series(look: Look) -> Suited | None:
    """A time series: numbers with dates, or a purely numeric table."""
    table = look.table
    numbers = table.numbers() if table is not None else []
    if table is None or not numbers:
        return None
    shown = _listed(numbers)
    if table.date is not None and table.several is not None:
        name = " ".join(table.several.columns)
        return Suited(3, tr("dates, numbers in {columns}, one series per {name}", columns=shown, name=repr(name)))
    if table.date is not None and table.date.ordered:
        return Suited(3, tr("dates in {date}, numbers in {columns}", date=_listed(table.date.columns), columns=shown))
    if table.rows >= FEWEST_ROWS and all(column.kind == "number" for column in table.columns):
        return Suited(2, tr("numbers only, in {columns}; rows form a series", columns=shown))
    return None


def labelled_texts(look: Look, spelled: bool) -> Suited | None:
    """A text column and one with few distinct values, or a class per file or folder of texts. spelled: whether the
    recipe reads characters, as names need, not words."""
    if look.folder:
        if not look.mostly((*TEXTS, ".gz")) or look.endings.total() < 2:
            return None
        return Suited(3, tr("a folder of texts, one class per file or per subfolder"), spelled)
    table = look.table
    if table is None or table.text is None or table.label is None:
        return None
    text, label = (_column(table.columns, name) for name in (table.text, table.label))
    if label.mean_width >= text.mean_width:
        return None
    why = tr(
        "texts in {text}, {n} classes in {label}; {read}",
        text=repr(text.name),
        n=label.distinct,
        label=repr(label.name),
        read=tr("read by character") if spelled else tr("read by word"),
    )
    short = text.mean_width < LINE
    return Suited(3 if label.name.lower() in LABELS else 2, why, short == spelled)


def named_sounds(look: Look) -> Suited | None:
    """Audio files whose names contain the class."""
    if not look.folder or not look.mostly(SOUNDS):
        return None
    return Suited(2, tr("audio files whose names contain the class"))


def spoken(look: Look) -> Suited | None:
    """Audio files with a table of transcripts, or with transcripts in their names; or the table."""
    table = look.table
    if table is not None:
        names = {column.name.lower(): column.name for column in table.columns}
        file = next((names[name] for name in SOUND_COLUMNS if name in names), None)
        text = next((names[name] for name in SAID_COLUMNS if name in names), None)
        if file is None or text is None:
            return None
        return Suited(3, tr("audio files in {file}, transcripts in {text}", file=repr(file), text=repr(text)))
    if look.folder and look.mostly(SOUNDS):
        return Suited(2, tr("audio files with transcripts in their names or in a table"))
    return None


def tagged(look: Look) -> Suited | None:
    """CoNLL-U, or one word with its tag per line and blank lines between sentences."""
    lines = look.filled
    if not lines or (look.table is not None and look.table.date is not None):
        return None
    try:
        file = tagged_file(look.path, "auto", "")
    except DataError:
        return None
    if file.format == "conllu":
        return Suited(3, tr("CoNLL-U: one word per line, with its part of speech"))
    cut = columns_of(lines, look.path)
    sentences = [list(block) for filled, block in groupby(look.lines, lambda line: bool(line.strip(WHITE))) if filled]
    cells = [cut.cells(line) for line in lines if not cut.is_remark(line)]
    words = sum(len(row) == cut.width and not any(" " in cell for cell in row) for row in cells)
    tags = {row[-1] for row in cells}
    if len(sentences) < 2 or len(lines) < 2 * len(sentences) or words < 0.9 * len(lines) or len(tags) > len(cells) / 2:
        return None
    return Suited(3, tr("one word with its tag per line, blank lines between sentences"))


def pairs(look: Look) -> Suited | None:
    """Two tab-separated texts per line; or a table with two text columns and no classes."""
    rows = [line.split("\t") for line in look.filled]
    table = look.table
    if len(look.filled) < 2 or tagged(look) is not None or (table is not None and table.date is not None):
        return None
    if sum(len(row) >= 2 for row in rows) < 0.9 * len(rows):
        return _columns_of_texts(table) if table is not None and look.path.lower().endswith(TABLES) else None
    width = min(len(row) for row in rows if len(row) >= 2)
    sides = [[row[place].strip() for row in rows if len(row) > place] for place in range(width)]
    texts = [side for side in sides if _are_texts(side)]
    return Suited(3, tr("two tab-separated texts per line")) if len(texts) >= 2 else None


def _columns_of_texts(table: TableGuess) -> Suited | None:
    texts = [
        column.name
        for column in table.columns
        if column.kind == "text" and 2 * column.distinct > table.rows and column.mean_width >= SENTENCE / 2
    ]
    if len(texts) != 2:
        return None
    return Suited(2, tr("two text columns: {columns}", columns=_listed(texts)))


def _are_texts(cells: Sequence[str]) -> bool:
    """Mostly distinct, and longer than numbers or codes."""
    width = sum(map(width_of, cells)) / len(cells)
    return len(set(cells)) > len(cells) / 2 and width >= SENTENCE and not all(cell.isdigit() for cell in cells)


def plain_text(look: Look, *, words: bool) -> Suited | None:
    """Any text that is not a table. words: whether it needs space-separated words."""
    if look.folder:
        if not look.mostly((*TEXTS, ".gz")):
            return None
        return Suited(2, trn("{n} text, read one after the other", "{n} texts, read one after the other",
                             n=look.endings.total()))  # fmt: skip
    if not look.filled or (words and not any(" " in line for line in look.filled)):
        return None
    if look.table is not None or tagged(look) is not None or pairs(look) is not None:
        return Suited(1, tr("read as plain text"))
    return Suited(2 if words else 3, tr("plain text"))


def image_sequences(look: Look) -> Suited | None:
    """An .npz with an array of frames, or a folder of image sequences."""
    if look.folder:
        fits = look.endings.total() > 0 and look.mostly((*ARRAYS, *PICTURES))
        return Suited(3, tr("a folder of images or arrays: image sequences or their frames")) if fits else None
    if not look.path.lower().endswith(".npz"):
        return None
    try:
        arrays = read_arrays(Path(look.path))
    except DataError:
        return None
    name = next((name for name, array in arrays.items() if array.ndim >= 4), None)
    return None if name is None else Suited(3, tr("array {name}: {shape}", name=repr(name), shape=arrays[name].shape))


def _column(columns: Sequence[ColumnGuess], name: str) -> ColumnGuess:
    return next(column for column in columns if column.name == name)


def _listed(names: Sequence[str]) -> str:
    """The first few, quoted."""
    shown = ", ".join(repr(name[:30]) for name in names[:3])
    return (
        shown if len(names) <= 3 else trn("{names} and {n} more", "{names} and {n} more", names=shown, n=len(names) - 3)
    )
