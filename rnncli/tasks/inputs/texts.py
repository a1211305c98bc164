"""Labelled texts: a table with a text column and a label column, or a folder."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rnncli.baselines.ngrams import LONGEST, NgramClassifier, thinned
from rnncli.data.builtin import is_builtin
from rnncli.data.folder import NamePattern, Sample, class_folder_fingerprint, read_class_folder
from rnncli.data.given import texts_of_column
from rnncli.data.records import Delimiter
from rnncli.data.rows import ColumnRows
from rnncli.data.skipped import Skipped
from rnncli.data.sniff import sniff_table
from rnncli.data.source import fingerprint_of, name_of
from rnncli.data.table import Key, read_cells
from rnncli.data.vocab import UNK, Kind, Vocab, join, tokenize, unit
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, TrainSection
from rnncli.records import Json, Record
from rnncli.tasks.base import Script, Splits
from rnncli.tasks.inputs.labelled import (
    SHOWN_PREFIXES,
    Given,
    LabelledFitted,
    LabelledInput,
    LabelledPart,
    answers_so_far,
    labelled_splits,
    log_probs,
)
from rnncli.tasks.inputs.sources import GroupedData, GroupedSplit, divide, files_of, parts_in, sources, split_rows
from rnncli.tasks.inputs.tokens import not_known, number_values, token_front, token_values
from rnncli.tasks.labels import known_rows, label_vocab

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.data.ragged import Few, Places, Ragged


class Split(GroupedSplit):
    by: str | int | None = Field(
        None,
        description="rows that agree here stay in one split: a column; for a folder of texts a pattern, "
        "{speaker}_*.txt; for audio a field of its pattern",
    )


class TextData(GroupedData):
    split: Split = Field(Split(), description="with path: sizes of the splits, as shares, stratified by class")
    text: str | int = Field("text", description="table: text column, by name or by index from 0")
    label: str | int = Field("label", description="table: label column")
    header: bool = Field(True, description="table: the first row names the columns")
    delimiter: Delimiter | None = Field(None, description="table: column separator; null: detected")
    classes: dict[str, str] | None = Field(None, description="display names of numeric labels: {0: bad, 1: good}")
    tokens: Kind = Field("characters", description="token type")
    min_count: Annotated[int, Field(ge=1)] = Field(1, description="a token seen less often is <unk>")
    max_vocab: Annotated[int, Field(ge=0)] = Field(0, description="most frequent tokens to keep; 0: all")
    max_length: Annotated[int, Field(ge=0)] = Field(0, description="truncate texts to this many tokens; 0: no limit")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.text == self.label:
            yield Clash(("label", "text"), tr("text and label are the same column"))
        if self.max_vocab == 1:
            yield Clash(("max_vocab",), tr("a vocabulary of only <unk> carries no information"), tr("0 keeps all"))

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from super().idle()
        source = self.path or self.train
        if isinstance(source, str) and is_folder(source) and not parts_in(source):
            yield from ((key, tr("a folder")) for key in ("text", "header", "delimiter"))

    def class_of(self, label: str) -> str:
        return label if self.classes is None else self.classes[label]

    def no_class(self, label: str) -> str:
        """Why a label has no class, or ""."""
        if self.classes is None or label in self.classes:
            return ""
        return tr("label {label} is not in data.classes: {known}", label=repr(label), known=", ".join(self.classes))


class Row(NamedTuple):
    """One labelled text: location (`file:line`), tokens, label, and the group that a split keeps together."""

    where: str
    tokens: list[str]
    label: str
    group: str


@dataclass(frozen=True, eq=False)
class TextRows(ColumnRows[Row]):
    """Labelled texts as indices of distinct words, labels and groups; a row is built on demand."""

    places: Places
    tokens: Ragged[str]
    labels: Few[str]
    groups: Few[str]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> TextRows:
        from rnncli.data.ragged import Gathering, GatheringPlaces, Numbering

        places, tokens = GatheringPlaces(), Gathering[str]()
        labels, groups = Numbering[str](), Numbering[str]()
        for row in rows:
            places.add(row.where)
            tokens.add(row.tokens)
            labels.extend((row.label,))
            groups.extend((row.group,))
        return cls(places.done(), tokens.done(), labels.done(), groups.done())

    def row(self, i: int) -> Row:
        return Row(self.places[i], self.tokens[i], self.labels[i], self.groups[i])


@dataclass(frozen=True)
class TextFitted(LabelledFitted):
    tokens: Vocab
    labels: Vocab
    kind: Kind


Part = LabelledPart[TextRows]


@dataclass(frozen=True)
class TextInput(LabelledInput[TextFitted, TextRows]):
    """front_kind, embedding_size: how tokens are encoded as x_t."""

    data: TextData
    front_kind: Literal["one-hot", "embedding"]
    embedding_size: int
    fitted_class = TextFitted
    hub_task = "text-classification"
    kind = "text"

    def read(self, seed: int) -> Splits[TextFitted, Part]:
        data, given = self.data, sources(self.data)
        skipped = Skipped(data.on_bad, tr("rows"))
        notes: list[str] = []
        read = {name: self._rows(files, skipped, notes) for name, files in given.items()}
        rows, how = divide(
            read, given, lambda whole: split_rows(data.split, seed, whole.groups, whole.labels), skipped.what
        )
        notes += skipped.all_notes()
        todo = tr("is data.label the label column?")
        labels = label_vocab(rows["train"].labels, name_of(files_of(given)[0]), todo)
        tokens = Vocab.from_counts(
            rows["train"].tokens.counts(), specials=(UNK,), min_count=data.min_count, max_size=data.max_vocab or None
        )
        fitted = TextFitted(tokens, labels, data.tokens)
        parts = {name: self._part(name, part, fitted, notes) for name, part in rows.items()}
        notes += _seen_before(rows)
        return labelled_splits(parts, fitted, ("texts", "steps"), _fingerprint(files_of(given)), how, notes)

    def read_part(self, fitted: TextFitted, path: str) -> tuple[Part, list[str]]:
        skipped = Skipped(self.data.on_bad, tr("rows"))
        notes: list[str] = []
        rows = self._rows([path], skipped, notes)
        if skipped.count:
            notes.append(skipped.sentence())
        part = self._part(name_of(path), rows, fitted, notes)
        return part, [*notes, *skipped.notes]

    def _rows(self, files: Sequence[str], skipped: Skipped, notes: list[str]) -> TextRows:
        return TextRows.of(row for file in files for row in self._rows_of(file, skipped, notes))

    def _rows_of(self, source: str, skipped: Skipped, notes: list[str]) -> Iterator[Row]:
        """The labelled texts of one source, a folder or a table; unusable ones are reported to `skipped`."""
        data, cut = self.data, 0
        for where, text, label, group in texts_in(data, source, skipped):
            tokens = tokenize(text, data.tokens)
            if data.max_length and len(tokens) > data.max_length:
                tokens = tokens[: data.max_length]
                cut += 1
            yield Row(where, tokens, data.class_of(label), group)
        if cut:
            texts, length = trn("{n} text", "{n} texts", n=cut), trn("{n} token", "{n} tokens", n=data.max_length)
            notes.append(
                tr("{texts} of {file} truncated to {tokens}", texts=texts, file=name_of(source), tokens=length)
            )

    def _part(self, name: str, rows: TextRows, fitted: TextFitted, notes: list[str]) -> Part:
        """The rows of a split as ids. A class missing from training is a bad record."""
        skipped = Skipped(self.data.on_bad, tr("rows"))
        usable, targets = known_rows(rows.labels, fitted.labels, rows.places.__getitem__, name, skipped, notes)
        rows = rows.chosen(usable) if skipped.count else rows
        tokens = fitted.tokens
        unknown = sum(n for token, n in rows.tokens.counts().items() if token not in tokens or token == UNK)
        if unknown:
            notes.append(
                tr(
                    "tokens of {part} that are not in the vocabulary and become <unk>: {n}",
                    part=tr(name),
                    n=f"{unknown:,}",
                )
            )
        ids = rows.tokens.as_values(tokens.encode(rows.tokens.types))
        return LabelledPart(rows, ids, array("i", ids.lengths.tobytes()), targets)

    def given(self, fitted: TextFitted, text: str) -> Iterator[Given]:
        shown = " ".join(text.split())  # a tab in a text would start a new column
        steps = tokenize(text.strip(), self.data.tokens)[: self.data.max_length or None]
        if steps:
            yield Given(text, shown, fitted.tokens.encode(steps), not_known(fitted.tokens, steps))
        else:
            yield Given(text, shown, None, [tr("this text contains no tokens")])

    def texts_of(self, fitted: TextFitted, lines: Iterable[str]) -> tuple[Iterable[str], str]:
        """The texts of a table; one without a header is recognized by a known label in its first row."""
        data = self.data
        if data.header:
            texts, table = texts_of_column(lines, str(data.text))
        elif str(data.text).isdecimal() and str(data.label).isdecimal():
            place = int(data.label)

            def labelled(cells: Sequence[str]) -> bool:
                known = len(cells) > place and not data.no_class(cells[place])
                return known and data.class_of(cells[place]) in fitted.labels

            texts, table = texts_of_column(lines, int(data.text), labelled)
        else:
            return lines, ""
        return texts, tr("read as a table: texts from column {name}", name=repr(data.text)) if table else ""

    def script(self, fitted: TextFitted) -> Script:
        """A table's texts are found as `texts_of` finds them."""
        data, numbered = self.data, str(self.data.text).isdecimal() and str(self.data.label).isdecimal()
        known = data.classes or {label: label for label in fitted.labels.tokens}
        values = {
            **token_values(data.tokens),
            **number_values(fitted.tokens),
            "max_length": data.max_length,
            "column": str(data.text) if data.header else int(data.text) if numbered else None,
            "label_place": None if data.header or not numbered else int(data.label),
            "known_labels": sorted(label for label, name in known.items() if name in fitted.labels),
        }
        return Script("labelled_texts.jinja", values)

    def front(self, fitted: TextFitted) -> tuple[nn.Module, int]:
        return token_front(self.front_kind, len(fitted.tokens), self.embedding_size)

    def token_names(self, fitted: TextFitted) -> Sequence[str]:
        return fitted.tokens.tokens

    def baseline(self, train: TrainSection, splits: Splits[TextFitted, Part], tested: Part) -> tuple[str, Tensor, str]:
        """Logistic regression on the n-grams of a text."""
        learned = splits.train
        every = thinned(sum(learned.lengths))
        bag = NgramClassifier(learned.rows.tokens[::every], learned.targets[::every], len(splits.fitted.labels))
        about = tr("logistic regression on n-grams of 1 to {n} {kind}", n=LONGEST, kind=tr(unit(self.data.tokens)))
        if every > 1:
            about = tr("{about}, fitted on one in {n} training texts", about=about, n=every)
        return tr("n-grams"), bag.log_probs(tested.rows.tokens), about

    def example(self, model: nn.Module, fitted: TextFitted, part: Part) -> list[Record]:
        row, ids, kind = part.rows[0], part.inputs[0], self.data.tokens
        shown = sorted({*range(1, min(len(ids), SHOWN_PREFIXES)), len(ids)})  # the first steps, and the whole text
        read = [("" if stop <= 16 else "…") + join(row.tokens[max(0, stop - 16) : stop], kind) for stop in shown]
        probs = log_probs(model, [self.batch([ids[:stop] for stop in shown])]).exp()
        return [answers_so_far(probs, shown, read, "code" if kind == "characters" else "text", fitted, part.targets[0])]

    def suggest_settings(self, path: str) -> dict[str, Json]:
        """data.header, data.text and data.label of a table; nothing for a folder. Raises DataError if unreadable."""
        if is_folder(path):
            return {}
        texts, labels = ([key] if isinstance(key, str) else [] for key in (self.data.text, self.data.label))
        found = sniff_table(path, texts, labels, delimiter=self.data.delimiter)
        guessed = {"data.header": found.header, "data.text": found.text, "data.label": found.label}
        return {key: value for key, value in guessed.items() if value is not None}


def is_folder(source: str) -> bool:
    return not is_builtin(source) and os.path.isdir(source)


def texts_in(data: TextData, source: str, skipped: Skipped) -> Iterator[tuple[str, str, str, str]]:
    """(where, text, label, group) of each usable row."""
    by = data.split.by
    fit = Skipped(data.on_bad, skipped.what)  # problems of rows that could be read
    rows: Iterable[tuple[str, str, str, str]]
    if is_folder(source):
        rows = _grouped(read_class_folder(source, skipped), by, source, fit)
    else:
        if isinstance(by, str) and "{" in by:
            raise DataError(
                tr("the pattern {by} applies to a folder of files, but this is a table", by=repr(by)),
                where=name_of(source),
                todo=tr("set split.by to a column name"),
            )
        keys: list[Key] = [data.text, data.label] if by is None else [data.text, data.label, by]
        cells = read_cells(source, keys, skipped, header=data.header, delimiter=data.delimiter)
        rows = ((where, row[0], row[1], row[2] if by is not None else "") for where, row in cells)
    for where, text, label, group in rows:
        if why := data.no_class(label):
            fit.bad(where, why)
        elif not tokenize(text[:100], data.tokens) and not tokenize(text, data.tokens):
            fit.bad(where, tr("this text contains no tokens"))
        else:
            fit.good()
            yield where, text, label, group
    fit.finish(name_of(source))
    if fit.count:
        skipped.note(fit.sentence())


def _grouped(
    samples: Iterable[Sample], by: str | int | None, folder: str, fit: Skipped
) -> Iterator[tuple[str, str, str, str]]:
    """Examples of a folder with their groups: the fields of `by`, a pattern of file names, joined."""
    pattern = NamePattern(str(by)) if by is not None else None
    if pattern is not None and not pattern.fields:
        raise DataError(
            tr("split.by {by} has no field", by=repr(by)),
            where=name_of(folder),
            todo=tr("for a folder use a pattern of file names such as {example}", example="{speaker}_*.txt"),
        )
    for sample in samples:
        group: dict[str, str] | None = {}
        if pattern is not None:
            group = pattern.match(Path(sample.where).name)
        if group is None:
            fit.bad(sample.where, tr("the name does not match {pattern}", pattern=by))
            continue
        yield sample.where, sample.text, sample.label, "\t".join(group.values())


def _fingerprint(files: Sequence[str]) -> str:
    prints = [class_folder_fingerprint(one) if is_folder(one) else fingerprint_of([one]) for one in files]
    return "-".join(prints)


def _seen_before(parts: Mapping[str, TextRows]) -> Iterator[str]:
    """A sentence for each held-out split that contains training texts: there, memorization looks like skill."""

    seen = _prints(parts["train"])
    seen.sort()
    for name, rows in parts.items():
        again = int(_among(_prints(rows), seen).sum()) if name != "train" else 0
        if again:
            yield tr(
                "texts of {part} that also occur in train: {n} of {total}",
                part=tr(name),
                n=f"{again:,}",
                total=f"{len(rows):,}",
            )


def _prints(rows: TextRows) -> npt.NDArray[np.uint64]:
    """64 bits of a hash of each text, (rows,)."""
    prints = (int.from_bytes(blake2b("\0".join(tokens).encode(), digest_size=8).digest()) for tokens in rows.tokens)
    return np.fromiter(prints, np.uint64, len(rows))


def _among(prints: npt.NDArray[np.uint64], seen: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Which of them are in the sorted array `seen`: np.isin would sort both again."""
    found: npt.NDArray[np.bool_] = seen[np.searchsorted(seen, prints).clip(max=len(seen) - 1)] == prints
    return found
