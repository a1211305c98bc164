"""Splits one file's rows into training, validation and test: by seed, stratified by class, by group, or in temporal
order.

Every function returns row indices, ascending within each split, and a sentence on how they were chosen.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnncli.data.batch import permutation
from rnncli.errors import DataError
from rnncli.locale import tr, trn
from rnncli.names import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TRAIN = "train"
NAMED = 12  # groups of a split that are listed


@dataclass(frozen=True)
class Split:
    """parts: name -> row indices, "train" first (ranges if split in order). how: a sentence for the user."""

    parts: Mapping[str, Sequence[int]]
    how: str


def split_random(n: int, fractions: Mapping[str, float], seed: int) -> Split:
    """Random splits of n rows by seed. fractions: {"validation": 0.1, "test": 0.1}; the rest is training."""
    sizes = _sizes(n, fractions)
    rows = permutation(n, seed)
    parts, start = {}, 0
    for name, size in sizes.items():
        parts[name] = _numbers(rows[start : start + size])
        start += size
    return _split(n, parts, tr("drawn at random (seed {seed})", seed=seed))


def split_by_class(labels: Sequence[Hashable], fractions: Mapping[str, float], seed: int) -> Split:
    """Stratified splits: every split has about the same class proportions.

    The last row of a class is never taken from training: a class with one row is in training only.
    """
    _sizes(len(labels), fractions)
    wanted = {name: fraction for name, fraction in fractions.items() if fraction > 0}
    members: dict[Hashable, array[int]] = {}
    for row in _numbers(permutation(len(labels), seed)):
        members.setdefault(labels[row], array("q")).append(row)
    parts = {name: array("q") for name in wanted}
    due = dict.fromkeys(wanted, 0.0)  # rows of the classes so far that a split is due
    for label in sorted(members, key=str):
        rows = members[label]
        size = len(rows)
        for name, fraction in wanted.items():
            due[name] += size * fraction
            take = min(_round(due[name]) - len(parts[name]), len(rows) - 1)
            if take > 0:
                parts[name] += rows[:take]
                rows = rows[take:]
    for name, rows in parts.items():
        if not rows:
            raise _too_few(name, len(labels), wanted[name], tr("every class keeps one row for training"))
    how = tr("stratified by class (seed {seed})", seed=seed)
    absent = len(members) - len({labels[row] for row in parts[list(wanted)[-1]]}) if wanted else 0
    if absent:
        how += tr("; classes too small to be in {part}: {n}", n=absent, part=tr(list(wanted)[-1]))
    return _split(len(labels), parts, how)


def split_by_group(
    groups: Sequence[Hashable],
    fractions: Mapping[str, float],
    seed: int,
    by: str = "group",
    chosen: Mapping[str, Sequence[str]] | None = None,
) -> Split:
    """Splits of whole groups (such as all takes of a speaker): no group is in two splits. by: what a group is called.
    chosen: split -> all its groups, given by the user; the other splits are drawn.

    Groups are drawn in random order while they fit into the split; if none fits, the smallest is taken.
    """
    n, chosen = len(groups), chosen or {}
    drawn = {name: share for name, share in fractions.items() if name not in chosen}
    sizes = _sizes(n, drawn)
    members: dict[Hashable, array[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, array("q")).append(row)
    held = _chosen(chosen, members, by)
    taken = {group for wanted in held.values() for group in wanted}
    if len(members) - len(taken) < len(sizes) + 1:
        raise DataError(
            trn(
                "{n} value of {by} cannot be divided into {parts} splits",
                "{n} distinct values of {by} cannot be divided into {parts} splits",
                n=len(members),
                by=by,
                parts=len(sizes) + len(held) + 1,
            ),
            todo=tr("split by another column, or give separate files for validation and test"),
        )
    names = sorted((group for group in members if group not in taken), key=str)
    held |= _drawn([names[i] for i in permutation(len(names), seed).tolist()], members, sizes)
    in_order = {name: held[name] for name in dict.fromkeys([*fractions, *held]) if name in held}
    how = tr("by {by}, {n} values, each in one split only (seed {seed})", by=by, n=len(members), seed=seed)
    how += "".join(f"; {tr(part)}: {_listed(found)}" for part, found in in_order.items())
    parts = {name: array("q", (row for group in found for row in members[group])) for name, found in in_order.items()}
    return _split(n, parts, how)


def _drawn(
    left: list[Hashable], members: Mapping[Hashable, Sequence[int]], sizes: Mapping[str, int]
) -> dict[str, list[Hashable]]:
    """Split -> its groups, taken from `left` in order while they fit."""
    parts: dict[str, list[Hashable]] = {}
    for still_empty, (name, size) in zip(range(len(sizes), 0, -1), sizes.items(), strict=True):
        found: list[Hashable] = []
        rows = 0
        for group in list(left):
            # One group is reserved for each remaining split, training included.
            if len(left) > still_empty and rows + len(members[group]) <= size:
                found.append(group)
                rows += len(members[group])
                left.remove(group)
        if not found:
            found = [min(left, key=lambda group: len(members[group]))]
            left.remove(found[0])
        parts[name] = found
    return parts


def _chosen(chosen: Mapping[str, Sequence[str]], members: Collection[Hashable], by: str) -> dict[str, list[Hashable]]:
    """Split -> its groups by the names that the user gives. Raises DataError: a group has no rows, or is given for two
    splits."""
    known = {_name(group): group for group in members}
    for name in (name for wanted in chosen.values() for name in wanted):
        if name not in known:
            todo = did_you_mean(name, known, tr("available: {names}", names=_listed(members)))
            raise DataError(
                tr("no row has {by} {group}", group=repr(name), by=by), where="data.split.groups", todo=todo
            )
        if sum(name in wanted for wanted in chosen.values()) > 1:
            raise DataError(tr("{group} is assigned to two splits", group=repr(name)), where="data.split.groups")
    return {part: [known[name] for name in dict.fromkeys(wanted)] for part, wanted in chosen.items()}


def _name(group: Hashable) -> str:
    """A group of several fields joins them with tabs."""
    return str(group).replace("\t", " ")


def _listed(groups: Collection[Hashable]) -> str:
    """The first names of a long list."""
    names = sorted(map(_name, groups))
    shown = tr(", ").join(names[:NAMED])
    return shown if len(names) <= NAMED else tr("{text} and {n} more", text=shown, n=len(names) - NAMED)


def split_in_order(n: int, fractions: Mapping[str, float]) -> Split:
    """The last rows are the test split, those before them validation: for temporal data (series, texts)."""
    sizes = _sizes(n, fractions)
    parts = {TRAIN: range(n - sum(sizes.values()))}
    start = len(parts[TRAIN])
    for name, size in sizes.items():
        parts[name] = range(start, start + size)
        start += size
    how = tr("in order, the last rows for {parts}", parts=" + ".join(map(tr, sizes))) if sizes else tr("not split")
    return Split(parts, _counts(parts) + how)


def _round(x: float) -> int:
    return int(x + 0.5 + 1e-9)  # 0.15 * 10 is slightly below 1.5


def _sizes(n: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """Number of rows of each split except training; a fraction of 0 means no such split. Every split, training
    included, gets at least one row."""
    wanted = {name: fraction for name, fraction in fractions.items() if fraction != 0}
    total = sum(wanted.values())
    if TRAIN in wanted or any(not 0 < fraction < 1 for fraction in wanted.values()) or total >= 1:
        raise DataError(
            tr(
                "split {fractions} is not a share, or leaves nothing for training",
                fractions=tr(", ").join(f"{name} {fraction:g}" for name, fraction in fractions.items()),
            ),
            todo=tr("shares are between 0 and 1 and sum to less than 1, e.g. validation 0.1, test 0.1"),
        )
    sizes = {name: _round(n * fraction) for name, fraction in wanted.items()}
    for name, size in sizes.items():
        if size < 1:
            raise _too_few(name, n, wanted[name])
    if n - sum(sizes.values()) < 1:
        raise DataError(
            trn(
                "after the split, {n} row leaves none for training",
                "after the split, {n} rows leave none for training",
                n=n,
            ),
            todo=tr("provide more rows, or set smaller shares under data.split"),
        )
    return sizes


def _too_few(name: str, n: int, fraction: float, why: str = "") -> DataError:
    what = trn(
        "{n} row is too few: a share of {share} leaves none for {part}",
        "{n} rows are too few: a share of {share} leaves none for {part}",
        n=n,
        share=f"{fraction:g}",
        part=tr(name),
    )
    if why:
        what += f" ({why})"
    todo = tr("provide more rows, or a separate file for {part}", part=tr(name))
    if not why and n >= 3:
        todo += tr(", or --set data.split.{part}={share}", part=name, share=f"{-(-100 // n) / 100:g}")
    return DataError(what, todo=todo)


def _split(n: int, parts: Mapping[str, array[int]], how: str) -> Split:
    """The rows of each split, sorted; all others are for training. Eight bytes per row, as there may be many."""
    import numpy as np

    left = np.ones(n, bool)
    for rows in parts.values():
        left[np.asarray(rows)] = False
    whole = {TRAIN: _numbers(np.flatnonzero(left))}
    whole.update({name: _numbers(np.sort(np.asarray(rows))) for name, rows in parts.items()})
    return Split(whole, _counts(whole) + how)


def _numbers(rows: npt.NDArray[np.int64]) -> array[int]:
    return array("q", rows.tobytes())


def _counts(parts: Mapping[str, Sequence[int]]) -> str:
    return tr(", ").join(tr("{n} {part}", n=f"{len(rows):,}", part=tr(part)) for part, rows in parts.items()) + ": "
