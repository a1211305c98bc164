"""Labelled sequences of frames: NumPy arrays, folders of images, or a table that lists them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from rnncli.baselines.single_frame import SingleFrame
from rnncli.data import pictures as drawn
from rnncli.data.arrays import read_arrays
from rnncli.data.batch import Batch, pad
from rnncli.data.frame_files import ARRAYS, PICTURES, read_sequence
from rnncli.data.images import ChosenFrames, FrameSequence, frames_fault, list_sequences, read_sequences
from rnncli.data.skipped import Skipped
from rnncli.data.source import name_of
from rnncli.data.splits import Split as Parts
from rnncli.data.vocab import Vocab
from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.recipe import TrainSection
from rnncli.records import Column, Entry, Json, Message, Record, Table
from rnncli.standalone import Code
from rnncli.tasks.base import Script, Splits
from rnncli.tasks.inputs.labelled import (
    Given,
    LabelledFitted,
    LabelledInput,
    LabelledPart,
    labelled_splits,
    listed_part,
    log_probs,
)
from rnncli.tasks.inputs.sources import GroupedData, GroupedSplit, divide, files_of, read_listed, sources, split_rows
from rnncli.tasks.labels import label_vocab

if TYPE_CHECKING:
    from torch import Tensor, nn

SHADES = " .:-=+*#%@"  # of a frame shown as text, darkest to brightest
SHOWN_FRAMES = 4  # as pictures
SHOWN_POINTS = 16  # rows and columns of such a picture


class Split(GroupedSplit):
    by: str | int | None = Field(
        None,
        description="sequences that agree here stay in one split: a field of pattern, a column of the table, an array",
    )


class FrameData(GroupedData):
    split: Split = Field(Split(), description="with path: sizes of the splits, as shares, stratified by class")
    frames: str = Field(
        "frames", description=".npz: the array of sequences, (N, T, height, width) or with channels last"
    )
    labels: str = Field("labels", description=".npz: the array of classes, (N,)")
    lengths: str = Field("lengths", description=".npz: the array of sequence lengths, (N,), if there is one")
    file: str | int = Field("file", description="table: column of image-sequence files, relative to the table")
    label: str | int = Field("label", description="class: the column of the table, or the field of pattern")
    pattern: str | None = Field(
        None, description="a folder whose file names contain the class: {label}_{person}_{take}.npy"
    )

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from super().idle()
        source = self.path or self.train
        if isinstance(source, str) and source.lower().endswith(".npz"):
            yield from ((key, tr("one .npz file")) for key in ("file", "label", "pattern"))
        elif self.pattern is not None:
            yield from ((key, tr("a pattern")) for key in ("file", "frames", "labels", "lengths"))


@dataclass(frozen=True)
class FrameFitted(LabelledFitted):
    """frame: (height, width, channels). mean, std: of each channel."""

    labels: Vocab
    frame: list[int]
    mean: list[float]
    std: list[float]

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width, channels = self.frame
        return height, width, channels


Part = LabelledPart[ChosenFrames]


@dataclass(frozen=True)
class FrameInput(LabelledInput[FrameFitted, ChosenFrames]):
    """channels: of the convolutions over a frame. frame_size: features per frame."""

    data: FrameData
    channels: Sequence[int]
    frame_size: int
    fitted_class = FrameFitted
    hub_task = "video-classification"
    name_key = "film"

    def read(self, seed: int) -> Splits[FrameFitted, Part]:
        data, given = self.data, sources(self.data)
        skipped = Skipped(data.on_bad, tr("image sequences"))
        read, numbers = read_listed(given, self._listed, lambda listed: read_sequences(listed, skipped), skipped)

        def split(whole: ChosenFrames) -> Parts:
            listed = whole.listed
            return split_rows(data.split, seed, [one.group for one in listed], [one.label for one in listed])

        rows, how = divide({name: ChosenFrames(read, of) for name, of in numbers.items()}, given, split, skipped.what)
        labels = label_vocab(
            (one.label for one in rows["train"].listed), name_of(files_of(given)[0]), key=numbers_first
        )
        notes = skipped.all_notes()
        parts = {name: self._part(name, part, labels, notes) for name, part in rows.items()}
        mean, std = read.moments(parts["train"].rows.rows)
        fitted = FrameFitted(labels, list(read.shape), mean, std)
        return labelled_splits(parts, fitted, ("films", "frames"), read.fingerprint, how, notes)

    def read_part(self, fitted: FrameFitted, path: str) -> tuple[Part, list[str]]:
        skipped = Skipped(self.data.on_bad, tr("image sequences"))
        read = read_sequences(self._listed(path, skipped), skipped, fitted.shape)
        skipped.finish(name_of(path))
        notes = [skipped.sentence()] if skipped.count else []
        part = self._part(name_of(path), ChosenFrames(read, range(len(read.listed))), fitted.labels, notes)
        return part, [*notes, *skipped.notes]

    def _listed(self, source: str, skipped: Skipped) -> list[FrameSequence]:
        data = self.data
        return list_sequences(
            source,
            skipped,
            frames=data.frames,
            labels=data.labels,
            lengths=data.lengths,
            file=data.file,
            label=data.label,
            pattern=data.pattern,
            by=data.split.by,
        )

    def _part(self, name: str, rows: ChosenFrames, labels: Vocab, notes: list[str]) -> Part:
        skipped = Skipped(self.data.on_bad, tr("image sequences"))
        return listed_part(rows, attrgetter("label"), labels, name, skipped, notes)

    def given(self, fitted: FrameFitted, text: str) -> Iterator[Given]:
        """Every sequence at a path: an .npy or .npz of one or many, or a folder of frames."""
        for name, frames in _sequences(fitted.shape, text):
            why = frames_fault(frames, fitted.shape)
            if why:
                raise DataError(why, where=name)
            yield Given(name, name, frames)

    def batch(self, inputs: Sequence[Any]) -> Batch:
        """Inputs: (T, B, height, width, C)."""
        import torch

        return Batch(*pad([torch.from_numpy(np.ascontiguousarray(frames, dtype=np.float32)) for frames in inputs]))

    def script(self, fitted: FrameFitted) -> Script:
        values = {
            "given": "an image sequence",
            "read": "films.jinja",
            "about_input": "One label per image sequence: a convolutional net reads each frame, a core their order.",
            "steps": Code("Frames (T, height, width, channels)"),
            "frame": fitted.shape,
            "picture_endings": PICTURES,
            "forms": [fitted.shape, fitted.shape[:2]] if fitted.shape[2] == 1 else [fitted.shape],
        }
        return Script("labelled_files.jinja", values, ["numpy", "pillow (for folders of pictures)"])

    def front(self, fitted: FrameFitted) -> tuple[nn.Module, int]:
        from rnncli.nn.frontends import ConvFrames

        height, width, _ = fitted.shape
        front = ConvFrames(height, width, fitted.mean, fitted.std, list(self.channels), self.frame_size)
        return front, self.frame_size

    def baseline(self, train: TrainSection, splits: Splits[FrameFitted, Part], tested: Part) -> tuple[str, Tensor, str]:
        """A network with the same convolutions, trained and evaluated on single frames."""
        about = tr("the same convolutions on one frame of each sequence: if it does as well, order is not needed")
        net = SingleFrame(partial(self._front_and_head, splits.fitted), self.batch, train.seed)
        net.fit(splits.train, train.epochs, train.batch_size, min(train.lr, 0.01))
        return tr("single frame"), net.log_probs(tested, train.batch_size), about

    def _front_and_head(self, fitted: FrameFitted) -> tuple[nn.Module, nn.Module]:
        from torch import nn

        front, size = self.front(fitted)
        return front, nn.Linear(size, len(fitted.labels))

    def example(self, model: nn.Module, fitted: FrameFitted, part: Part) -> list[Record]:
        """Some frames as small pictures, and the prediction after every frame."""
        frames, target, labels = part.inputs[0], part.targets[0], fitted.labels.tokens
        probs = log_probs(model, [self.batch([frames[: t + 1] for t in range(len(frames))])]).exp()  # (T, C)
        best, which = probs.max(1)
        table: list[list[Entry]] = [
            [t, labels[int(which[t])], float(best[t]), float(probs[t, target])] for t in range(len(frames))
        ]
        columns = [
            Column("t", "t", "count"),
            Column("predicted", tr("answer so far"), "text"),
            Column("p", "p"),
            Column("p_target", tr("p of {label}", label=labels[target])),
        ]
        title = tr("an example: {label}", label=labels[target])
        return [
            Message(_in_characters(frames), "code", name="frames"),
            Table("sample", columns, table, title=title, cut_rows=12),
        ]

    def pictures(self, part: Part) -> list[Record]:
        return [drawn.frame_strip(part.inputs[0])]

    def suggest_settings(self, path: str) -> dict[str, Json]:
        """The arrays of an .npz. Raises DataError."""
        file = Path(path)
        if file.suffix.lower() != ".npz":
            return {}
        arrays = read_arrays(file)
        clips = [name for name, array in arrays.items() if array.ndim >= 4]
        if len(clips) != 1:
            return {}
        N = len(arrays[clips[0]])
        found: dict[str, Json] = {"data.frames": clips[0]}
        flat = [name for name, array in arrays.items() if array.shape == (N,) and array.dtype.kind in "uibSU"]
        for key, hint in (("lengths", "len"), ("labels", "")):
            name = next((name for name in flat if hint in name.lower()), None)
            if name is not None:
                found[f"data.{key}"] = name
                flat.remove(name)
        return found


def numbers_first(label: str) -> tuple[int, str]:
    """Sorts classes 0 1 2 ... 10 as numbers, others as text."""
    return (int(label) if label.isdecimal() and len(label) < 10 else -1, label)


def _sequences(shape: tuple[int, int, int], path: str) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    """(name, frames) of each sequence at a path. shape: of a frame."""
    file = Path(path)
    if os.path.isdir(file) or file.suffix.lower() not in ARRAYS:
        yield path, read_sequence(file)
        return
    # a sequence has T in front of a frame's shape, several have N and T
    forms = [shape, shape[:2]] if shape[2] == 1 else [shape]
    arrays = [
        array
        for array in read_arrays(file).values()
        if any(array.ndim - len(form) in (1, 2) and array.shape[-len(form) :] == form for form in forms)
    ]
    if len(arrays) != 1:
        raise DataError(
            tr("contains {n} arrays with frames of shape {shape}; expected one", n=len(arrays), shape=shape),
            where=name_of(path),
        )
    array = arrays[0]
    form = shape if array.shape[-3:] == shape and array.ndim > 3 else shape[:2]
    if array.ndim == len(form) + 1:
        yield path, array.reshape(len(array), *shape)
    else:
        for n, one in enumerate(array):
            yield f"{path}[{n}]", one.reshape(len(one), *shape)


def _in_characters(sequence: npt.NDArray[np.generic]) -> str:
    """The first frames side by side, averaged over channels; larger frames are subsampled."""
    frames = np.asarray(sequence[:SHOWN_FRAMES], dtype=np.float64).mean(axis=3)  # (frames, height, width)
    step = max(1, -(-max(frames.shape[1:]) // SHOWN_POINTS))
    frames = frames[:, ::step, ::step]
    low, high = frames.min(), frames.max()
    shades = np.minimum((frames - low) / (high - low + 1e-12) * len(SHADES), len(SHADES) - 1).astype(int)
    lines = ["   ".join("".join(SHADES[shade] for shade in row) for row in line) for line in shades.transpose(1, 0, 2)]
    head = "   ".join(f"t={t}".ljust(shades.shape[2]) for t in range(len(frames)))
    return "\n".join([head, *lines])
