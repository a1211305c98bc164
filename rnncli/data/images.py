"""Sequences of images: NumPy archives, folders of frames, tables of labels, and the generated sequences of
made/shapes.py.

Frames keep their stored dtype (mostly uint8). An .npz with all sequences, which numpy can only read whole, must fit
into memory; of other sources a part stays there (`data.kept`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rnncli.data import builtin
from rnncli.data.arrays import read_arrays
from rnncli.data.folder import NamePattern, with_fields
from rnncli.data.frame_files import ARRAYS, in_natural_order, read_sequence
from rnncli.data.kept import Chosen, Kept, usable
from rnncli.data.made import shapes
from rnncli.data.records import TABLES
from rnncli.data.skipped import Skipped
from rnncli.data.source import Source, name_of
from rnncli.data.table import Key, open_table, read_listed
from rnncli.errors import DataError
from rnncli.files import open_binary, shown
from rnncli.locale import tr, trn

MOVING_SHAPES = f"{builtin.PREFIX}moving-shapes"
LENGTHS = "lengths"  # optional array of an .npz; an array of another name is required
TABLE = "labels.tsv"  # in a folder, next to the sequences that it lists


@dataclass(frozen=True)
class FrameSequence:
    """An image sequence and its class. where: location for error messages. group: all sequences of a group go to the
    same split. frames: (T, height, width, C), if already in memory; path: read from here otherwise; made: its number in
    shapes.py."""

    where: str
    label: str
    group: str = ""
    path: Path | None = None
    frames: npt.NDArray[np.generic] | None = None
    made: int | None = None

    def load(self) -> npt.NDArray[np.generic]:
        """(T, height, width, C). Raises DataError, and Missing if the format needs an extra."""
        if self.frames is not None:
            return self.frames
        if self.made is not None:
            return shapes.draw_sequence(self.made, self.label)
        assert self.path is not None
        return read_sequence(self.path)


@dataclass
class FrameSequences(Kept[FrameSequence, npt.NDArray[np.generic]]):
    """Sequences with frames of one shape, (height, width, C)."""

    shape: tuple[int, int, int] = (0, 0, 0)

    def load(self, one: FrameSequence) -> npt.NDArray[np.generic]:
        return one.load()

    def moments(self, rows: Sequence[int]) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each channel over all pixels of these rows."""
        C = self.shape[2]
        count, total, squares = 0, np.zeros(C), np.zeros(C)
        for row in rows:
            points = self[row].reshape(-1, C).astype(np.float64)
            count += len(points)
            total += points.sum(axis=0)
            squares += (points**2).sum(axis=0)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 1e-8))
        return mean.tolist(), deviation.tolist()


ChosenFrames = Chosen[FrameSequence, npt.NDArray[np.generic]]  # each (T, height, width, C)


def read_sequences(
    sequences: Sequence[FrameSequence], skipped: Skipped, shape: tuple[int, int, int] | None = None
) -> FrameSequences:
    """Read every sequence once. One that cannot be read, whose frames do not have `shape` (None: that of the first good
    one), or that contains NaN or infinity, is a bad record."""
    found = FrameSequences(shape=shape or (0, 0, 0))
    digest = hashlib.sha256()

    def fault(sequence: FrameSequence, frames: npt.NDArray[np.generic]) -> str:
        if not found.shape[0]:
            found.shape = frames.shape[1:]
        return frames_fault(frames, found.shape)

    for sequence, frames in usable(sequences, FrameSequence.load, fault, skipped):
        digest.update(repr((sequence.label, sequence.group, frames.shape, frames.dtype.str)).encode())
        if sequence.made is None:  # the last bit of a generated sequence may differ between machines
            digest.update(np.ascontiguousarray(frames).tobytes())
        found.add(sequence, frames)
    found.fingerprint = digest.hexdigest()
    return found


def frames_fault(frames: npt.NDArray[np.generic], shape: tuple[int, int, int]) -> str:
    if frames.shape[1:] != shape:
        return tr(
            "its frames are {found}, the others {wanted} (height, width, channels)",
            found=" x ".join(map(str, frames.shape[1:])),
            wanted=" x ".join(map(str, shape)),
        )
    if frames.dtype.kind == "f" and not np.isfinite(frames).all():
        bad = int(np.flatnonzero(~np.isfinite(frames).all(axis=(1, 2, 3)))[0])
        return tr("frame {n} contains NaN or infinity", n=bad)
    return ""


def list_sequences(
    source: Source,
    skipped: Skipped,
    *,
    frames: str = "frames",
    labels: str = "labels",
    lengths: str = LENGTHS,
    file: Key = "file",
    label: Key = "label",
    pattern: str | None = None,
    by: Key | None = None,
) -> list[FrameSequence]:
    """The image sequences of a source with their classes; those of a folder are not read yet.

    An .npz: arrays `frames` (N, T, height, width[, C]) and `labels` (N,), `lengths` (N,) if sequences end early, and
    `by`, an array of groups (N,). A folder: sequences whose names match `pattern`, {label}_{person}_*; or with
    labels.tsv (columns `file`, `label`, `by`); or else one folder per class. A sequence is an .npy or .npz of (T,
    height, width[, C]), or a folder of frames in the order of their names. A .tsv or .csv is itself such a table. `by`
    names a field, column or array.
    """
    if builtin.is_builtin(source):
        if source != MOVING_SHAPES:
            todo = tr("take {name}", name=MOVING_SHAPES)
            raise DataError(tr("this builtin data set has no image sequences"), where=str(source), todo=todo)
        rows = [cells for _, cells in open_table(source).rows(skipped)]
        return [FrameSequence(f"{source}:{i + 2}", motion, made=int(number)) for i, (number, motion) in enumerate(rows)]
    path = Path(source)
    if path.suffix.lower() == ".npz":
        return _archive(path, skipped, frames, labels, lengths, None if by is None else str(by))
    if not os.path.isdir(path):
        if not path.name.lower().endswith(TABLES):
            with open_binary(path):  # reports what is wrong with the path first
                pass
            raise DataError(
                tr("not a source of image sequences"),
                where=name_of(source),
                todo=tr("expected an .npz, a folder, or a .tsv with columns file and label"),
            )
        return _table(path, skipped, file, label, by)
    if pattern is not None:
        return _named(path, skipped, pattern, label, by)
    if (path / TABLE).exists():
        return _table(path / TABLE, skipped, file, label, by)
    if by is not None:
        raise DataError(
            tr("split.by needs a field of data.pattern or a column of {table}", table=TABLE),
            where=name_of(source),
        )
    return _class_folders(path)


def _is_sequence(entry: Path) -> bool:
    return entry.is_dir() or entry.suffix.lower() in ARRAYS


def _class_folders(path: Path) -> list[FrameSequence]:
    classes = [entry for entry in in_natural_order(path) if entry.is_dir()]
    sequences = [
        FrameSequence(shown(entry), folder.name, path=entry)
        for folder in classes
        for entry in in_natural_order(folder)
        if _is_sequence(entry)
    ]
    if len({sequence.label for sequence in sequences}) < 2:
        raise DataError(
            tr("this folder has fewer than two classes"),
            where=shown(path),
            todo=tr(
                "use a folder per class with a folder of frames (or an .npy) per sequence; or {table} with columns "
                "file and label; or data.pattern",
                table=TABLE,
            ),
        )
    return sequences


def _named(path: Path, skipped: Skipped, pattern: str, label: Key, by: Key | None) -> list[FrameSequence]:
    found = with_fields(NamePattern(pattern, label, by), filter(_is_sequence, in_natural_order(path)), skipped)
    sequences = [FrameSequence(shown(entry), of, group, entry) for entry, of, group in found]
    if not sequences and not skipped.count:
        raise DataError(tr("contains no image sequences: no folders, no .npy, no .npz"), where=shown(path))
    return sequences


def _table(path: Path, skipped: Skipped, file: Key, label: Key, by: Key | None) -> list[FrameSequence]:
    rows = read_listed(open_table(path), file, label, by, skipped)
    files = [(path.parent / name, of, group) for _, name, of, group in rows]
    return [FrameSequence(shown(file), of, group, file) for file, of, group in files]


def _archive(
    path: Path, skipped: Skipped, frames: str, labels: str, lengths: str, by: str | None
) -> list[FrameSequence]:
    arrays = read_arrays(path)
    where = shown(path)
    wanted = {"frames": frames, "labels": labels}
    if by is not None:
        wanted["split.by"] = by
    if lengths != LENGTHS:
        wanted["lengths"] = lengths
    for key, name in wanted.items():
        if name not in arrays:
            raise DataError(
                tr("no array {name} in this file", name=repr(name)),
                where=where,
                todo=tr(
                    "its arrays: {names}; set data.{key}",
                    names=", ".join(f"{n} {a.shape}" for n, a in arrays.items()) or tr("none"),
                    key=key,
                ),
            )
    sequences = arrays[frames]
    if sequences.dtype.kind not in "uifb":
        raise DataError(
            tr("array {name} contains {kind}, not numbers", name=repr(frames), kind=sequences.dtype), where=where
        )
    if sequences.ndim == 4:
        sequences = sequences[..., None]
    if sequences.ndim != 5 or 0 in sequences.shape:
        raise DataError(
            tr(
                "array {name} has shape {shape}; expected (N, T, height, width) or (N, T, height, width, C)",
                name=repr(frames),
                shape=arrays[frames].shape,
            ),
            where=where,
        )
    N, T = sequences.shape[:2]
    for name in (labels, *([lengths] if lengths in arrays else []), *([by] if by is not None else [])):
        array = arrays[name]
        if array.shape != (N,) or array.dtype.kind not in ("ui" if name == lengths else "uibSU"):
            raise DataError(
                trn(
                    "array {name} is {kind} of shape {shape}; expected one {what} for the {n} sequence",
                    "array {name} is {kind} of shape {shape}; expected one {what} for each of the {n} sequences",
                    name=repr(name),
                    kind=array.dtype,
                    shape=array.shape,
                    what=tr("integer") if name == lengths else tr("integer or text"),
                    n=N,
                ),
                where=where,
            )
    ends = arrays[lengths].tolist() if lengths in arrays else [T] * N
    groups = [""] * N if by is None else [_name(value) for value in arrays[by].tolist()]
    found = []
    for n, (end, value) in enumerate(zip(ends, arrays[labels].tolist(), strict=True)):
        if not 1 <= end <= T:
            skipped.bad(
                f"{where}[{n}]",
                trn(
                    "length {length}, but there is {n} frame",
                    "length {length}, but there are {n} frames",
                    length=end,
                    n=T,
                ),
            )
        else:
            found.append(FrameSequence(f"{where}[{n}]", _name(value), groups[n], frames=sequences[n, :end]))
    return found


def _name(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
