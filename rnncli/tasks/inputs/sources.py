"""Where a recipe's rows come from, `path | train, validation, test`, and how they are split: shared by all inputs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from pydantic import Field

from rnncli.data.kept import Kept
from rnncli.data.skipped import Skipped
from rnncli.data.source import name_of
from rnncli.data.splits import Split, split_by_class, split_by_group, split_random
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.recipe import Clash, DataSection, SplitSection

_PARTS = ("train", "validation", "test")
_PART_WORDS = {
    "train": "train", "training": "train", "dev": "validation", "devel": "validation", "val": "validation",
    "valid": "validation", "validation": "validation", "testa": "validation", "test": "test", "testb": "test",
}  # fmt: skip
_ASIDE = re.compile(r"^(readme|licen[cs]e|changelog|contributing|stats)|\.(md|xml|json|ya?ml|html?|pdf|py|sh)$", re.I)
WHOLE = ""  # in place of a split's name: the rows of `path`, which are split here


class Rows(Protocol):
    def __len__(self) -> int: ...

    def chosen(self, rows: Sequence[int]) -> Self:
        """The selected rows, in this order."""
        ...


RowsT = TypeVar("RowsT", bound=Rows)
WholeT = TypeVar("WholeT", bound=Kept[Any, Any])
OrderedT = TypeVar("OrderedT", bound=Sized)


@dataclass(frozen=True)
class Stretch(Generic[OrderedT]):
    """Contiguous rows of a series, or tokens of a text."""

    whole: OrderedT
    rows: range

    @classmethod
    def all_of(cls, whole: OrderedT) -> Stretch[OrderedT]:
        return cls(whole, range(len(whole)))

    def __len__(self) -> int:
        return len(self.rows)

    def chosen(self, rows: Sequence[int]) -> Stretch[OrderedT]:
        assert isinstance(rows, range)
        return Stretch(self.whole, self.rows[rows.start : rows.stop])


class GroupedSplit(SplitSection):
    """`data.split:` for grouped rows (speakers, documents). The input defines what `by` names."""

    by: str | int | None = Field(None, description="rows that agree here stay in one split")
    groups: dict[Literal["validation", "test"], list[str]] | None = Field(
        None, description="values of by assigned to a split, {test: [ann, bob]}; the others are drawn"
    )

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.groups is not None and self.by is None:
            yield Clash(("groups", "by"), tr("groups are given, but split.by is not set"), "by: speaker")


class GroupedData(DataSection):
    split: GroupedSplit = Field(GroupedSplit(), description="with path: sizes of the splits, as shares")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.split.by is not None and self.train is not None:
            yield Clash(("split.by", "train"), tr("separate files cannot be split"), tr("remove data.split"))


def sources(data: DataSection) -> dict[str, list[str]]:
    """Split -> its files, or WHOLE -> those of `path`. A list is passed on unchanged."""
    if data.path is not None:
        return (parts_in(data.path) if isinstance(data.path, str) else {}) or {WHOLE: _listed(data.path)}
    given = {"train": data.train, "validation": data.validation, "test": data.test}
    return {name: _listed(source) for name, source in given.items() if source is not None}


def parts_in(folder: str) -> dict[str, list[str]]:
    """Split -> its file in a folder, by names such as en_ewt-ud-train.conllu, dev.txt.gz, eng.testa or a subfolder
    test, if there are a training split and another one and no other data. Else nothing."""
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
    except (OSError, ValueError):  # not a folder: reported when it is read
        return {}
    folders = [name for name in entries if os.path.isdir(os.path.join(folder, name))]
    named = {
        name: {_PART_WORDS[word] for word in _words(name, not folders) if word in _PART_WORDS}
        for name in folders or entries
        if folders or not _ASIDE.search(name)
    }
    if any(len(found) != 1 for found in named.values()):
        return {}
    parts = {part: [os.path.join(folder, name) for name in named if part in named[name]] for part in _PARTS}
    found = {part: files for part, files in parts.items() if files}
    return found if "train" in found and len(found) > 1 else {}


def _words(name: str, several: bool) -> list[str]:
    return re.split(r"[-_. ]", name.lower()) if several else [name.lower()]


def _listed(source: str | list[str]) -> list[str]:
    return [source] if isinstance(source, str) else source


def files_of(given: Mapping[str, Sequence[str]]) -> list[str]:
    return [file for files in given.values() for file in files]


def names_of(given: Mapping[str, Sequence[str]]) -> str:
    """The files' names, for messages."""
    return ", ".join(map(name_of, files_of(given)))


def read_listed(
    given: Mapping[str, Sequence[str]],
    listed: Callable[[str, Skipped], list[Any]],
    read: Callable[[list[Any]], WholeT],
    skipped: Skipped,
) -> tuple[WholeT, dict[str, list[int]]]:
    """What the files of `given` list, read together; and which rows of it each of `given` has. Raises DataError."""
    found = {name: [one for file in files for one in listed(file, skipped)] for name, files in given.items()}
    whole = read([one for part in found.values() for one in part])
    skipped.finish(names_of(given))
    part_of = {id(one): name for name, part in found.items() for one in part}
    home = [part_of[id(one)] for one in whole.listed]
    return whole, {name: [row for row, part in enumerate(home) if part == name] for name in given}


def divide(
    found: Mapping[str, RowsT], given: Mapping[str, Sequence[str]], split: Callable[[RowsT], Split], what: str
) -> tuple[dict[str, RowsT], str]:
    """The splits, and how they were chosen. found: rows read from each of `given`. what: what the rows are called.

    Raises DataError: a separate file without usable rows; and whatever `split` raises.
    """
    if WHOLE in found:
        made = split(found[WHOLE])
        return {name: found[WHOLE].chosen(rows) for name, rows in made.parts.items()}, made.how
    for name, rows in found.items():
        if not len(rows):
            raise DataError(tr("contains no usable {what}", what=what), where=name_of(given[name][0]))
    files = [f"{name} {os.path.basename(file)}" for name, files in given.items() for file in files]
    return dict(found), tr("separate files: {names}", names=", ".join(files))


def split_rows(split: GroupedSplit, seed: int, groups: Sequence[str], labels: Sequence[str] | None = None) -> Split:
    """Split by group if the recipe says so, else stratified by class if rows have one, else at random."""
    shares = split.fractions()
    chosen = {str(part): names for part, names in (split.groups or {}).items()}
    if split.by is not None and (shares or chosen):
        return split_by_group(groups, shares, seed, by=str(split.by), chosen=chosen)
    return split_random(len(groups), shares, seed) if labels is None else split_by_class(labels, shares, seed)
