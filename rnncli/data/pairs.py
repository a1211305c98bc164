"""Sentence pairs for translation: a tab-separated file, or two files that go line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from rnncli.data.records import Record, kind_of
from rnncli.data.skipped import Skipped
from rnncli.data.source import Source, lines_of, name_of
from rnncli.data.table import open_table
from rnncli.errors import DataError
from rnncli.locale import tr, trn


@dataclass(frozen=True)
class Pair:
    """source is translated into target. where: `file:line`."""

    where: str
    source: str
    target: str


def read_pairs(source: Source, skipped: Skipped, columns: tuple[int, int] = (0, 1)) -> Iterator[Pair]:
    """The pairs of a TSV (or JSON Lines, or Parquet), one a line, white space around each side dropped; blank lines
    separate nothing.

    columns: where source and target stand, from 0 ((1, 0) turns the direction). No quoting: a " is a character.
    Further columns (Tatoeba's attributions) are not read, and noted. A line with too few columns, or an empty side, is
    a bad record.
    """
    name = name_of(source)
    most = 0
    for number, cells in pair_rows(source):
        where = f"{name}:{number}"
        if isinstance(cells, str):
            skipped.bad(where, cells)
            continue
        most = max(most, len(cells))
        if len(cells) <= max(columns):
            skipped.bad(
                where,
                trn(
                    "has {n} tab-separated column, not {wanted}",
                    "has {n} tab-separated columns, not {wanted}",
                    n=len(cells),
                    wanted=max(columns) + 1,
                ),
            )
            continue
        yield from _pair(where, cells[columns[0]], cells[columns[1]], skipped)
    unread = most - len(set(columns))
    if skipped.count < skipped.total and unread > 0:
        skipped.note(
            tr(
                "{name}: columns {first} and {second} of {n}, counted from 0, are read, the others are not",
                name=name,
                first=columns[0],
                second=columns[1],
                n=most,
            )
        )
    skipped.finish(name)


def pair_rows(source: Source) -> Iterator[Record]:
    """(line number, cells) of a file of pairs; the reason in place of cells where a line of JSON cannot be read."""
    if kind_of(source) != "text":
        yield from open_table(source).records()
        return
    for number, line in lines_of(source):
        if line.strip():
            yield number, line.split("\t")


def read_parallel(source: Source, target: Source, skipped: Skipped) -> Iterator[Pair]:
    """Line n of one file with line n of the other. Unequal line counts are a DataError; an empty line is bad."""
    lines = (name_of(source), name_of(target))
    counts = [0, 0]
    for one, two in zip_longest(lines_of(source), lines_of(target)):
        counts[0] += one is not None
        counts[1] += two is not None
        if one is not None and two is not None:
            if not one[1].strip() and not two[1].strip():
                skipped.note(tr("lines that are empty in both files are left out"))
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
