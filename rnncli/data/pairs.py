"""Sentence pairs for translation: a table, or two line-aligned files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from rnncli.data.records import delimiter_of, kind_of
from rnncli.data.skipped import Skipped
from rnncli.data.source import Source, lines_of, name_of
from rnncli.data.table import Key, Table, open_table
from rnncli.errors import DataError
from rnncli.locale import tr, trn

TAB = ("tab", "\t")


@dataclass(frozen=True)
class Pair:
    """A source text and its translation. where: `file:line`."""

    where: str
    source: str
    target: str


Columns = tuple[Key, Key]  # of source and target


def pair_table(
    source: Source, columns: Columns, header: bool | None = None, delimiter: str | None = None
) -> Table | None:
    """How a file of pairs is read as a table; None if it is tab-separated without a header.

    delimiter: None means detected for a .csv, a tab for other files. header: None means that there is one if columns
    are given by name or are not tab-separated.
    """
    if kind_of(source) != "text":
        return open_table(source)
    if delimiter is None and name_of(source).lower().removesuffix(".gz").endswith(".csv"):
        delimiter = delimiter_of(source)
    if header is None:
        header = delimiter not in (None, *TAB) or not all(str(key).isdecimal() for key in columns)
    if delimiter in (None, *TAB) and not header:
        return None
    return open_table(source, header=header, delimiter=delimiter or "tab")


def read_pairs(
    source: Source,
    skipped: Skipped,
    columns: Columns = (0, 1),
    header: bool | None = None,
    delimiter: str | None = None,
) -> Iterator[Pair]:
    """The pairs of a table, stripped of surrounding white space. For the defaults see `pair_table`.

    columns: the source and target columns, by name or by index from 0; (1, 0) reverses the direction. Further columns
    (such as Tatoeba's attributions) are ignored, with a note if columns are given by index. A row with too few columns,
    or an empty side, is a bad record. In tab-separated files without a header, " is an ordinary character and rows may
    differ in length.
    """
    table = pair_table(source, columns, header, delimiter)
    rows, name = (pair_rows(source), name_of(source)) if table is None else (table.rows(skipped), table.name)
    first, second = (int(key) if table is None else table.index(key) for key in columns)
    most, needed = 0, max(first, second) + 1
    for line, cells in rows:
        most = max(most, len(cells))
        if len(cells) >= needed:
            yield from _pair(f"{name}:{line}", cells[first], cells[second], skipped)
            continue
        why = trn(
            "has {n} tab-separated column, not {wanted}",
            "has {n} tab-separated columns, not {wanted}",
            n=len(cells),
            wanted=needed,
        )
        skipped.bad(f"{name}:{line}", why)
    if skipped.count < skipped.total and most > 2 and (table is None or int in map(type, columns)):
        skipped.note(_ignored(name, table, first, second, most))
    skipped.finish(name)


def _ignored(name: str, table: Table | None, first: int, second: int, n: int) -> str:
    """The note on further columns."""
    if table is None:
        return tr(
            "{name}: reading columns {first} and {second} of {n} (counted from 0), ignoring the others",
            name=name,
            first=first,
            second=second,
            n=n,
        )
    one, two = repr(table.columns[first]), repr(table.columns[second])
    return tr("{name}: reading columns {first} and {second}, ignoring the others", name=name, first=one, second=two)


def pair_rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each non-blank line, split at tabs."""
    for number, line in lines_of(source):
        if line.strip():
            yield number, line.split("\t")


def read_parallel(source: Source, target: Source, skipped: Skipped) -> Iterator[Pair]:
    """Pair line n of one file with line n of the other. Raises DataError for unequal line counts; an empty line is a
    bad record."""
    lines = (name_of(source), name_of(target))
    counts = [0, 0]
    for one, two in zip_longest(lines_of(source), lines_of(target)):
        counts[0] += one is not None
        counts[1] += two is not None
        if one is not None and two is not None:
            if not one[1].strip() and not two[1].strip():
                skipped.note(tr("skipping lines that are empty in both files"))
                continue
            yield from _pair(f"{lines[0]}:{one[0]}", one[1], two[1], skipped)
    if counts[0] != counts[1]:
        raise DataError(
            trn(
                "has {n} line, but {other} has {m}",
                "has {n} lines, but {other} has {m}",
                n=counts[0],
                other=lines[1],
                m=counts[1],
            ),
            where=lines[0],
            todo=tr("line n of one file must be the translation of line n of the other"),
        )
    skipped.finish(lines[0])


def _pair(where: str, source: str, target: str, skipped: Skipped) -> Iterator[Pair]:
    source, target = source.strip(), target.strip()
    if source and target:
        skipped.good()
        yield Pair(where, source, target)
    else:
        skipped.bad(where, tr("one side is empty"))
