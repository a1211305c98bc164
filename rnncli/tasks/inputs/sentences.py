"""Sentences with a label for every token: inline pairs, CoNLL-U, or lines of word, tab, tag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from rnncli.data.batch import Batch, pad
from rnncli.data.columns import Columns
from rnncli.data.conllu import Layout, check_field
from rnncli.data.rows import ColumnRows
from rnncli.data.skipped import Skipped
from rnncli.data.source import fingerprint_of, name_of
from rnncli.data.splits import split_random
from rnncli.data.vocab import PAD, UNK, Kind, Vocab, tokenize
from rnncli.errors import DataError, UsageError
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, DataSection, Expected
from rnncli.tasks.base import IGNORED, FittedState, Splits
from rnncli.tasks.inputs.sources import divide, files_of, sources
from rnncli.tasks.inputs.tagged import tagged_file

if TYPE_CHECKING:
    from torch import Tensor

    from rnncli.data.ragged import Ragged


TWO = Columns("tabs", 2, 1)  # the default format (word, tab, tag) is not reported


class Data(DataSection):
    SOURCES: ClassVar[tuple[str, ...]] = (*DataSection.SOURCES, "pairs")

    pairs: list[Annotated[list[str], Field(min_length=2, max_length=2), Expected("[input, labels]")]] | None = Field(
        None, description="inline data: [input, labels] of equal length; both sides share one alphabet"
    )
    tokens: Kind = Field("characters", description="token type of inline pairs")
    format: Literal["auto", "conllu", "tsv"] = Field(
        "auto",
        description="file format: CoNLL-U, or columns separated by tabs or blanks (tsv); auto: detected from "
        "the first line",
    )
    tag: str = Field(
        "upos",
        description="CoNLL-U: upos, xpos, lemma, deprel, or a feature such as Number; in column files an index from 0, "
        "default: the last",
    )
    min_count: Annotated[int, Field(ge=1)] = Field(
        2, description="words rarer in training become <unk>; inline pairs keep all"
    )

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from super().idle()
        inline = self.pairs is not None
        for key in ("min_count", "format", "tag", "split", "on_bad") if inline else ("tokens",):
            yield key, tr("inline pairs") if inline else tr("files, whose tokens are words")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.pairs is not None and not self.pairs:
            yield Clash(("pairs",), tr("the list of pairs is empty"), tr("pairs: [[hello, ohlol]]"))
        if self.pairs is not None and (self.path is not None or self.train is not None):
            yield Clash(("pairs", "path"), tr("both pairs and a path are given"), tr("remove one of them"))
        for number, (given, wanted) in enumerate(self.pairs or []):
            steps, labels = tokenize(given, self.tokens), tokenize(wanted, self.tokens)
            if not steps:
                yield Clash((f"pairs.{number}",), tr("empty input"), tr("remove the pair"))
            elif len(steps) != len(labels):
                yield Clash(
                    (f"pairs.{number}",),
                    trn(
                        "{given!r} has {n} step and {wanted!r} has {m}",
                        "{given!r} has {n} steps and {wanted!r} has {m}",
                        given=given,
                        n=len(steps),
                        wanted=wanted,
                        m=len(labels),
                    ),
                    tr("every step needs one label"),
                )
        try:
            check_field("upos" if self.tag.isdecimal() else self.tag)  # an index: checked when files are read
        except DataError as error:
            yield Clash(("tag",), error.what, error.todo)


class Row(NamedTuple):
    """One sequence: its tokens and one label for each, None if the file has none."""

    tokens: Sequence[str]
    labels: Sequence[str | None]


@dataclass(frozen=True, eq=False)
class Rows(ColumnRows[Row]):
    """Sequences of a file: tokens and labels as indices of distinct values; a row is built on demand."""

    tokens: Ragged[str]
    labels: Ragged[str | None]

    @classmethod
    def of(cls, rows: Iterable[tuple[Sequence[str], Sequence[str | None]]]) -> Rows:
        """rows: (tokens, their labels)."""
        from rnncli.data.ragged import Gathering

        all_tokens, all_labels = Gathering[str](), Gathering[str | None]()
        for tokens, labels in rows:
            all_tokens.add(tokens)
            all_labels.add(labels)
        return cls(all_tokens.done(), all_labels.done())

    def row(self, i: int) -> Row:
        return Row(self.tokens[i], self.labels[i])


@dataclass(frozen=True)
class Fitted(FittedState):
    """kind: token type. format: of the data and of predictions. tag: the CoNLL-U column, None for inline pairs.
    characters: vocabulary of characters, if the model reads them. columns: layout of column files."""

    tokens: Vocab
    labels: Vocab
    kind: Kind
    format: Literal["pairs", "conllu", "tsv"]
    tag: str | None = None
    characters: Vocab | None = None
    columns: Columns | None = None


class Part(NamedTuple):
    """Rows, and the same as ids. targets: IGNORED for missing labels and labels not seen in training. letters:
    character ids of each token, from 1, if the model reads them."""

    rows: Rows
    inputs: Ragged[int]
    targets: Ragged[int]
    letters: Ragged[list[int]] | None = None


@dataclass(frozen=True)
class SentenceInput:
    """letters: whether the model also reads each token's characters."""

    data: Data
    letters: bool

    def read(self, seed: int) -> Splits[Fitted, Part]:
        """Raises DataError."""
        return self._files(seed) if self.data.pairs is None else self._pairs(self.data.pairs)

    def _pairs(self, pairs: Sequence[Sequence[str]]) -> Splits[Fitted, Part]:
        kind = self.data.tokens
        rows = Rows.of((tokenize(given, kind), tokenize(wanted, kind)) for given, wanted in pairs)
        # One alphabet for both sides, so that a character has the same id as input and as label.
        answers = {label: n for label, n in rows.labels.counts().items() if label is not None}
        shared = Vocab.from_counts(Counter(rows.tokens.counts()) + Counter(answers))
        fitted = Fitted(shared, shared, kind, "pairs", characters=self._alphabet(rows.tokens.counts()))
        counts = {"train": {"sequences": len(rows), "steps": int(rows.tokens.lengths.sum())}}
        fingerprint = sha256(repr([(row.tokens, row.labels) for row in rows]).encode()).hexdigest()
        how = tr("inline pairs, all used for training")
        return Splits({"train": _part(rows, fitted)}, fitted, counts, fingerprint, how=how)

    def _alphabet(self, words: Iterable[str]) -> Vocab | None:
        """The character vocabulary, if the model reads characters. <pad> is id 0 and fills up short words."""
        if not self.letters:
            return None
        return Vocab.from_counts(Counter(letter for word in words for letter in word), specials=(PAD, UNK))

    def _files(self, seed: int) -> Splits[Fitted, Part]:
        data, given = self.data, sources(self.data)
        notes: list[str] = []
        read = {name: _sentences(files, data, notes) for name, files in given.items()}
        file = next(iter(read.values()))[0]
        parts, how = divide(
            {name: rows for name, (_, rows) in read.items()},
            given,
            lambda whole: split_random(len(whole), data.split.fractions(), seed),
            tr("sentences"),
        )
        words = parts["train"].tokens.counts()
        labels = {label: n for label, n in parts["train"].labels.counts().items() if label is not None}
        fitted = Fitted(
            tokens=Vocab.from_counts(words, specials=(UNK,), min_count=data.min_count),
            labels=Vocab.from_counts(labels),
            kind="words",
            format=file.format,
            tag=data.tag,
            characters=self._alphabet(words),
            columns=file if isinstance(file, Columns) else None,
        )
        for name, rows in parts.items():
            notes += _strange(name, rows, words, labels)
        return Splits(
            parts={name: _part(rows, fitted) for name, rows in parts.items()},
            fitted=fitted,
            counts={
                name: {"sentences": len(rows), "words": int(rows.tokens.lengths.sum())} for name, rows in parts.items()
            },
            fingerprint=fingerprint_of(files_of(given)),
            how=how,
            notes=notes,
        )

    def read_part(self, fitted: Fitted, path: str) -> tuple[Part, list[str]]:
        """A file of sentences, encoded with a run's vocabulary. Raises DataError if the run knows none of its tags."""
        if fitted.format == "pairs":
            raise UsageError(
                tr("this run was trained on inline pairs, which cannot come from a file"),
                where="--data",
                todo=tr("omit it"),
            )
        notes: list[str] = []
        rows = _sentences([path], self.data, notes)[1]
        known = fitted.labels
        tags = [tag for tag in rows.labels.counts() if tag is not None]
        if not any(tag in known for tag in tags):
            raise DataError(
                tr("this run knows none of its tags: {tags}", tags=", ".join(sorted(tags)[:8])),
                where=name_of(path),
                todo=tr("known tags: {tags}", tags=", ".join(known.tokens[:20])),
            )
        tokens, words = fitted.tokens, rows.tokens.counts()
        new = sum(n for token, n in words.items() if token not in tokens)
        if new:
            total = trn("{n} word", "{n} words", n=sum(words.values()))
            notes.append(
                trn(
                    "{n} of {words} is not in the vocabulary",
                    "{n} of {words} are not in the vocabulary",
                    n=new,
                    words=total,
                )
            )
        return _part(rows, fitted), notes + list(_strange_tags(name_of(path), rows, known.tokens))


def _sentences(sources: Sequence[str], data: Data, notes: list[str]) -> tuple[Layout, Rows]:
    """The layout of a split's first file, and the rows of all its files."""
    files = [tagged_file(source, data.format, data.tag) for source in sources]
    read = zip(sources, files, strict=True)
    return files[0], Rows.of(row for source, file in read for row in _rows_of(source, file, data, notes))


def _rows_of(
    source: str, file: Layout, data: Data, notes: list[str]
) -> Iterator[tuple[Sequence[str], Sequence[str | None]]]:
    """The tokens and tags of a file's sentences. Those without any tag are bad records, reported in a note."""
    skipped = Skipped(data.on_bad, tr("sentences"))
    if isinstance(file, Columns) and file != TWO:
        notes.append(f"{name_of(source)}: {file.about()}")
    missing, tagged = 0, False
    bare = partly = ""  # locations of the first sentence without any tag, and the first without some
    for sentence in file.sentences(source, skipped):
        missing += sentence.tags.count(None)
        if any(sentence.tags):
            tagged = True
            yield sentence.tokens, sentence.tags
            partly = partly or (sentence.where if None in sentence.tags else "")
        else:
            bare = bare or sentence.where
    if not tagged:
        raise DataError(
            tr("no word has a tag in this column"),
            where=name_of(source),
            todo=tr("another column? --set data.tag=xpos") if file.format == "conllu" else "",
        )
    if missing:
        notes.append(
            trn(
                "ignoring {n} word of {name} without a tag; first: {where}",
                "ignoring {n} words of {name} without a tag; first: {where}",
                n=missing,
                name=name_of(source),
                where=bare or partly,
            )
        )
    notes += skipped.all_notes()


def _strange(name: str, rows: Rows, words: Container[str], labels: Container[str]) -> Iterator[str]:
    """Notes on words and tags of a split that are not in training."""
    found = rows.tokens.counts()
    new = sum(n for token, n in found.items() if token not in words)
    if new:
        yield trn(
            "{n} of {words} of {part} does not occur in training",
            "{n} of {words} of {part} do not occur in training",
            n=new,
            words=trn("{n} word", "{n} words", n=sum(found.values())),
            part=tr(name),
        )
    yield from _strange_tags(name, rows, labels)


def _strange_tags(name: str, rows: Rows, labels: Container[str]) -> Iterator[str]:
    tags = Counter({tag: n for tag, n in rows.labels.counts().items() if tag is not None and tag not in labels})
    if tags:
        yield tr(
            "tags of {part} that do not occur in training count as errors: {tags}",
            part=tr(name),
            tags=", ".join(f"{tag} ({n})" for tag, n in tags.most_common(5)),
        )


def _part(rows: Rows, fitted: Fitted) -> Part:
    tokens, labels = fitted.tokens, fitted.labels
    numbers: dict[str | None, int] = {label: i for i, label in enumerate(labels.tokens)}
    letters = None
    if fitted.characters is not None:
        alphabet = fitted.characters
        letters = rows.tokens.as_values([alphabet.encode(token) for token in rows.tokens.types])
    return Part(
        rows,
        rows.tokens.as_values(tokens.encode(rows.tokens.types)),
        rows.labels.as_values([numbers.get(label, IGNORED) for label in rows.labels.types]),
        letters,
    )


def batch_of(part: Part, rows: Sequence[int]) -> Batch:
    """Inputs and targets: (T, B)."""
    inputs, sizes = pad([part.inputs[row] for row in rows])
    targets, _ = pad([part.targets[row] for row in rows], IGNORED)
    extra = {} if part.letters is None else {"characters": _spelled([part.letters[row] for row in rows])}
    return Batch(inputs, sizes, targets, extra, rows)


def _spelled(rows: Sequence[Sequence[list[int]]]) -> Tensor:
    """(T, B, longest word): character ids of every token, padded with 0."""
    import torch

    longest = max((len(word) for row in rows for word in row), default=0)
    padded = torch.zeros(max(map(len, rows), default=0), len(rows), longest, dtype=torch.int64)
    for b, row in enumerate(rows):
        padded[: len(row), b] = torch.tensor([word + [0] * (longest - len(word)) for word in row])
    return padded


def encoded(fitted: Fitted, rows: Sequence[Sequence[str]]) -> Batch:
    tokens = fitted.tokens
    ids, lengths = pad([tokens.encode(row) for row in rows])
    alphabet = fitted.characters
    if alphabet is None:
        return Batch(ids, lengths)
    return Batch(
        ids, lengths, extra={"characters": _spelled([[alphabet.encode(word) for word in row] for row in rows])}
    )
