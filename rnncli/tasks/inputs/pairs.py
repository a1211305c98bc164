"""Pairs of a source and a target text: two columns of a table, or two line-aligned files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from rnncli.data.batch import Batch, pad
from rnncli.data.given import GivenTable, table_of
from rnncli.data.pairs import Pair, pair_rows, pair_table, read_pairs, read_parallel
from rnncli.data.ragged import Gathering, GatheringPlaces, GatheringTexts, Numbering, Places, Ragged, Texts
from rnncli.data.records import DELIMITERS, Delimiter
from rnncli.data.rows import ColumnRows
from rnncli.data.skipped import Skipped
from rnncli.data.sniff import TableGuess, sniff_table
from rnncli.data.source import fingerprint_of, name_of
from rnncli.data.splits import Split, split_random
from rnncli.data.table import Table, open_table
from rnncli.data.vocab import BOS, EOS, UNK, Kind, Vocab, tokenize
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, DataPath, DataSection, Expected
from rnncli.records import Json
from rnncli.tasks.base import IGNORED, FittedState, Splits
from rnncli.tasks.inputs.sources import divide, files_of, sources

BEGIN, END = 1, 2  # ids of <bos> and <eos>: the target's special tokens are UNK, BOS, EOS, in this order

Paths = DataPath | Annotated[list[DataPath], Field(min_length=2, max_length=2), Expected("[source file, target file]")]


class Data(DataSection):
    path: Paths | None = Field(None, description="a table of pairs, or [source file, target file], line-aligned")
    train: Paths | None = Field(None, description="instead of path: separate training pairs")  # type: ignore[assignment]
    validation: Paths | None = Field(None, description="with train: pairs for choosing the epoch")  # type: ignore[assignment]
    test: Paths | None = Field(None, description="with train: pairs held out for the final test")  # type: ignore[assignment]
    columns: Annotated[
        list[Annotated[int, Field(ge=0)] | str],
        Field(min_length=2, max_length=2),
        Expected("[source column, target column]"),
    ] = Field([0, 1], description="source and target, by name or by index from 0; [1, 0] reverses the direction")
    header: bool | None = Field(
        None, description="whether the first row names the columns; null: no for tab-separated columns given by index"
    )
    delimiter: Delimiter | None = Field(None, description="column separator; null: detected for a .csv, else a tab")
    source_tokens: Kind = Field("words", description="token type of the source")
    target_tokens: Kind = Field("words", description="token type of the target")
    min_count: Annotated[int, Field(ge=1)] = Field(1, description="rarer tokens become <unk>")
    max_vocab: Annotated[int, Field(ge=0)] = Field(
        0, description="vocabulary size limit of each side (most frequent tokens); 0: none"
    )

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if len(set(map(str, self.columns))) < len(self.columns):
            yield Clash(("columns",), tr("source and target are the same column"), tr("columns: [0, 1]"))

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from super().idle()
        if isinstance(self.path or self.train, list):
            yield from ((key, tr("two files")) for key in ("columns", "header", "delimiter"))

    def table(self, path: str) -> Table | None:
        """How a file of pairs is read as a table; None: tab-separated without a header."""
        return pair_table(path, (self.columns[0], self.columns[1]), self.header, self.delimiter)


@dataclass(frozen=True, eq=False)
class Pairs(ColumnRows[Pair]):
    """Pairs of a file: texts in one buffer, tokens as ids; a pair is built on demand.

    target_tokens: including <eos>."""

    places: Places
    sources: Texts
    targets: Texts
    source_tokens: Ragged[str]
    target_tokens: Ragged[str]

    @classmethod
    def of(cls, pairs: Iterable[Pair], kinds: tuple[Kind, Kind]) -> Pairs:
        places = GatheringPlaces()
        sources, targets = GatheringTexts(), GatheringTexts()
        source_tokens, target_tokens = Gathering[str](), Gathering[str]()
        for pair in pairs:
            places.add(pair.where)
            sources.add(pair.source)
            targets.add(pair.target)
            source_tokens.add(tokenize(pair.source, kinds[0]))
            target_tokens.add([*tokenize(pair.target, kinds[1]), EOS])
        return cls(places.done(), sources.done(), targets.done(), source_tokens.done(), target_tokens.done())

    def row(self, i: int) -> Pair:
        return Pair(self.places[i], self.sources[i], self.targets[i])


@dataclass(frozen=True)
class Fitted(FittedState):
    """Vocabularies and token types of both sides, and the longest target, which bounds the length of translations.
    columns: a table's source and target columns, by name, or by index without a header; delimiter: its column
    separator. Both None for two files, and for tab-separated files without a header."""

    source: Vocab
    target: Vocab
    source_tokens: Kind
    target_tokens: Kind
    longest: int
    columns: list[str] | None = None
    delimiter: str | None = None


class Part(NamedTuple):
    """Pairs, and the same as ids, with <eos> at the end of targets."""

    pairs: Pairs
    sources: Ragged[int]
    targets: Ragged[int]


def read(data: Data, seed: int) -> Splits[Fitted, Part]:
    """Raises DataError."""
    given = sources(data)
    notes: list[str] = []
    found = {name: _pairs(files, data, notes) for name, files in given.items()}
    rows, how = divide(found, given, lambda whole: _split(data, seed, whole), tr("pairs"))
    files = next(iter(given.values()))
    table = data.table(files[0]) if len(files) == 1 else None
    train, least, most = rows["train"], data.min_count, data.max_vocab or None
    source, target = train.source_tokens.counts(), train.target_tokens.counts()
    fitted = Fitted(
        source=Vocab.from_counts(source, min_count=least, max_size=most, specials=(UNK,)),
        target=Vocab.from_counts(target, min_count=least, max_size=most, specials=(UNK, BOS, EOS)),
        source_tokens=data.source_tokens,
        target_tokens=data.target_tokens,
        longest=int(train.target_tokens.lengths.max()) - 1,
        columns=None if table is None else [table.columns[table.index(key)] for key in data.columns],
        delimiter=None if table is None else table.delimiter,
    )
    parts = {name: _part(pairs, fitted) for name, pairs in rows.items()}
    for name, part in parts.items():
        notes += _unknown(name, part, fitted)
    return Splits(
        parts=parts,
        fitted=fitted,
        counts={
            name: {
                "pairs": len(part.pairs),
                "source tokens": int(part.sources.lengths.sum()),
                "target tokens": int(part.targets.lengths.sum()) - len(part.targets),
            }
            for name, part in parts.items()
        },
        fingerprint=fingerprint_of(files_of(given)),
        how=how,
        notes=notes,
    )


def read_part(data: Data, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
    """A file of pairs, encoded with a run's vocabulary."""
    notes: list[str] = []
    part = _part(_pairs([path], data, notes), fitted)
    return part, [*notes, *_unknown(name_of(path), part, fitted)]


def batch_of(part: Part, rows: Sequence[int]) -> Batch:
    """inputs (T_in, B); extra["given"] (T_out, B): <bos>, then the target without its last token; targets (T_out, B):
    the target."""
    inputs, sizes = pad([part.sources[row] for row in rows])
    given, _ = pad([[BEGIN, *part.targets[row][:-1]] for row in rows], END)
    targets, _ = pad([part.targets[row] for row in rows], IGNORED)
    return Batch(inputs, sizes, targets, {"given": given}, rows)


def encoded(fitted: Fitted, texts: Sequence[str]) -> Batch:
    """Without targets: the model generates its own."""
    rows = [tokenize(text, fitted.source_tokens) for text in texts]
    if not all(rows):
        raise DataError(tr("empty input"), todo=tr("provide a sentence"))
    return Batch(*pad([fitted.source.encode(row) for row in rows]))


def _split(data: Data, seed: int, pairs: Pairs) -> Split:
    """Equal sources stay together; else a training sentence could be in the test split."""
    numbering = Numbering[bytes]()
    for pair in pairs:
        numbering.extend((sha256(pair.source.encode()).digest()[:16],))
    sources = numbering.done()
    split = split_random(len(sources.types), data.split.fractions(), seed)
    home = np.zeros(len(sources.types), np.int8)
    for number, rows in enumerate(split.parts.values()):
        home[np.asarray(rows, np.int64)] = number
    of_pair = home[sources.numbers]
    parts = {name: np.flatnonzero(of_pair == k).tolist() for k, name in enumerate(split.parts)}
    how = split.how
    if len(sources.types) < len(pairs):
        how += tr("; {n} distinct sources, each in one split only", n=f"{len(sources.types):,}")
    return Split(parts, how)


def _pairs(files: Sequence[str], data: Data, notes: list[str]) -> Pairs:
    skipped = Skipped(data.on_bad, tr("pairs"))
    if len(files) == 1:
        columns = data.columns[0], data.columns[1]
        read = read_pairs(files[0], skipped, columns, data.header, data.delimiter)
    else:
        read = read_parallel(files[0], files[1], skipped)
    found = Pairs.of(read, (data.source_tokens, data.target_tokens))
    notes += skipped.all_notes()
    return found


def given_table(fitted: Fitted, data: Data, lines: Iterable[str]) -> tuple[GivenTable | None, Iterator[str]]:
    """The table formed by lines without line ends, if the run was trained on a table: its header has the source
    column's name or, without a header, its first row has both columns. Else the lines unchanged."""
    if fitted.columns is None or fitted.delimiter is None:
        return None, iter(lines)
    if data.header is False:
        source, target = int(fitted.columns[0]), int(fitted.columns[1])
        return table_of(lines, lambda cells: source if len(cells) > max(source, target) else None,
                        [fitted.delimiter], header=False)  # fmt: skip
    name = fitted.columns[0]
    delimiters = dict.fromkeys((fitted.delimiter, *DELIMITERS))
    return table_of(lines, lambda cells: cells.index(name) if name in cells else None, [*delimiters], header=True)


def _part(pairs: Pairs, fitted: Fitted) -> Part:
    source, target = fitted.source, fitted.target
    return Part(
        pairs,
        pairs.source_tokens.as_values(source.encode(pairs.source_tokens.types)),
        pairs.target_tokens.as_values(target.encode(pairs.target_tokens.types)),
    )


def _unknown(name: str, part: Part, fitted: Fitted) -> Iterator[str]:
    sides = (("source", part.pairs.source_tokens, fitted.source), ("target", part.pairs.target_tokens, fitted.target))
    for side, rows, known in sides:
        n = sum(n for token, n in rows.counts().items() if token not in known or token == UNK)
        if n:
            yield trn(
                "{n} {side} token of {part} is not in the vocabulary and becomes <unk>",
                "{n} {side} tokens of {part} are not in the vocabulary and become <unk>",
                n=n,
                side=tr(side),
                part=tr(name),
            )


def suggest_columns(path: str) -> dict[str, Json]:
    """The text columns of a table (skipping ids, as in Tatoeba's exports), and the token type of each: characters for
    Chinese, Japanese or Thai, else words. No header is expected in tab-separated files."""
    tabs = pair_table(path, (0, 1)) is None
    rows = [cells for _, cells in islice(pair_rows(path), 200)] if tabs else []
    width = min((len(row) for row in rows), default=0)
    texts = [place for place in range(width) if not all(row[place].strip().isdigit() for row in rows)]
    found: dict[str, Json] = {"data.columns": texts[:2]}
    if len(texts) < 2:
        found, rows, texts = _columns_of_table(path)
    for side, place in zip(("source", "target"), texts, strict=False):
        characters = any(_unspaced(letter) for row in rows for letter in row[place])
        found[f"data.{side}_tokens"] = "characters" if characters else "words"
    return found


def _columns_of_table(path: str) -> tuple[dict[str, Json], list[list[str]], list[int]]:
    """Settings for a table that is not plain tab-separated, its first rows, and the indices of its text columns: the
    first two in which most cells differ."""
    alone = len(open_table(path, header=False).columns) < 2
    looked = None if alone else sniff_table(path)
    texts = [] if looked is None else _places_of_texts(looked)
    if looked is None or len(texts) < 2:
        raise DataError(
            tr("needs two text columns"),
            where=name_of(path),
            todo=tr("one pair per line: source, a tab, target; or a CSV with a column for each"),
        )
    header = looked.header and all(_is_name(column.name) for column in looked.columns)
    table = open_table(path, header=header, delimiter=looked.delimiter)
    rows = [cells for _, cells in islice(table.rows(Skipped("skip")), 200)]
    found: dict[str, Json] = {"data.columns": [table.columns[place] if header else place for place in texts[:2]]}
    if not header:
        found["data.header"] = False
    known = pair_table(path, (0, 1))
    if known is None or known.delimiter != looked.delimiter:
        found["data.delimiter"] = "tab" if looked.delimiter == "\t" else looked.delimiter
    return found, rows, texts


def _places_of_texts(table: TableGuess) -> list[int]:
    columns = table.columns
    texts = [n for n, column in enumerate(columns) if column.kind == "text" and not column.tells_nothing]
    return [n for n in texts if 2 * columns[n].distinct > table.rows] or texts


def _is_name(cell: str) -> bool:
    """A column name, not a sentence."""
    return len(cell.split()) <= 3 and not cell.endswith((".", "!", "?", "。", "！", "？"))


def _unspaced(letter: str) -> bool:
    return "\u3040" <= letter <= "\u30ff" or "\u3400" <= letter <= "\u9fff" or "\u0e00" <= letter <= "\u0e7f"
