"""Audio files as log-mel frames, with transcripts or with class labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rnncli.baselines.mean_spectrum import by_mean_spectrum
from rnncli.data.audio import Clip, first_rate, list_clips, pattern_of_folder
from rnncli.data.features import ChosenFeatures, Features, LogMel, read_features
from rnncli.data.folder import files_in
from rnncli.data.pictures import spectrogram
from rnncli.data.records import TABLES
from rnncli.data.skipped import Skipped
from rnncli.data.sniff import SAID_COLUMNS, SOUND_COLUMNS
from rnncli.data.source import name_of
from rnncli.data.splits import Split
from rnncli.data.table import open_table
from rnncli.data.vocab import Vocab
from rnncli.files import as_cell, shown
from rnncli.locale import tr, trn
from rnncli.recipe import Clash, Section, TrainSection
from rnncli.records import Json, Record
from rnncli.standalone import Code
from rnncli.tasks.base import Script, Splits
from rnncli.tasks.inputs.augmented import AugmentSection
from rnncli.tasks.inputs.labelled import (
    SHOWN_PREFIXES,
    Given,
    LabelledFitted,
    LabelledInput,
    LabelledPart,
    answers_so_far,
    labelled_splits,
    listed_part,
    log_probs,
)
from rnncli.tasks.inputs.sources import GroupedData, GroupedSplit, divide, files_of, read_listed, sources, split_rows
from rnncli.tasks.inputs.texts import TextData
from rnncli.tasks.labels import label_vocab

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rnncli.data.batch import Order

ListClips = Callable[[str, Skipped], list[Clip]]  # of one source; audio not read yet
Misfit = Callable[[Clip, int], str]  # (clip, its T frames) -> why it cannot be used, or ""


class SoundSection(Section):
    """How audio becomes frames."""

    sample_rate: Annotated[int, Field(ge=0)] = Field(
        0, description="sampling rate in Hz to which all clips are resampled; 0: that of the first clip"
    )
    mels: Annotated[int, Field(ge=1, le=512)] = Field(40, description="mel bands, the features of a frame")
    window: Annotated[float, Field(gt=0, le=1000)] = Field(25.0, description="window length in milliseconds")
    hop: Annotated[float, Field(gt=0, le=1000)] = Field(10.0, description="hop length in milliseconds")
    augment: AugmentSection = Field(AugmentSection(), description="data augmentation of training clips")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.augment.mel_masks and self.augment.mel_mask > self.mels:
            what = trn("there is {n} band", "there are {n} bands", n=self.mels)
            yield Clash(("augment.mel_mask", "mels"), what)

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from super().idle()
        yield from ((f"augment.{key}", why) for key, why in self.augment.idle())


class NamedSound(SoundSection):
    """`data.sound:`, a folder of audio files in place of texts."""

    pattern: str = Field(description="pattern of file names with the class: {label}_{speaker}_{take}.wav")


class SpokenSplit(GroupedSplit):
    by: str | int | None = Field(
        None, description="clips that agree here stay in one split: a field of pattern, or a column of the table"
    )


class SpokenData(GroupedData, SoundSection):
    """Clips with transcripts: from a table, or from file names."""

    split: SpokenSplit = Field(SpokenSplit(), description="with path: sizes of the splits, as shares of the clips")
    pattern: str | None = Field(
        None, description="a folder whose file names contain the transcript: {text}_{speaker}_{take}.wav"
    )
    text: str | int = Field("text", description="transcript: the column of the table, or the field of pattern")
    file: str | int = Field("file", description="table: the column of file names")
    place: str = Field("{file}", description="table: path template relative to it: clips/{file}, wavs/{file}.wav")
    header: bool = Field(True, description="table: the first row names the columns")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if "{file}" not in self.place:
            yield Clash(("place",), tr("it lacks {{file}}, so all clips would be the same file"))

    def idle(self) -> Iterator[tuple[str, str]]:
        yield from super().idle()
        if self.pattern is not None:
            yield from ((key, tr("a pattern")) for key in ("file", "place", "header"))

    def clips(self, source: str, skipped: Skipped) -> list[Clip]:
        by = self.split.by
        if self.pattern is not None:
            return list_clips(source, skipped, pattern=self.pattern, text=self.text, by=by)
        return list_clips(source, skipped, text=self.text, file=self.file, place=self.place, by=by, header=self.header)


def script_values(settings: LogMel) -> dict[str, int]:
    """What log_mel.jinja reads, for an exported script."""
    width, hop = settings.samples
    return {"rate": settings.rate, "mels": settings.mels, "width": width, "hop": hop}


def read_clips(
    given: Mapping[str, Sequence[str]], clips_of: ListClips, section: SoundSection, misfit: Misfit, skipped: Skipped,
    split: Callable[[ChosenFeatures], Split],
) -> tuple[dict[str, ChosenFeatures], str, Features]:  # fmt: skip
    """The splits, how they were chosen, and all features, whose mean and std are those of the training split. Raises
    DataError."""

    def read(clips: list[Clip]) -> Features:
        rate = section.sample_rate or first_rate(clips)
        return read_features(clips, LogMel(rate, section.mels, section.window, section.hop), skipped, misfit)

    features, rows = read_listed(given, clips_of, read, skipped)
    found = {name: ChosenFeatures(features, numbers) for name, numbers in rows.items()}
    parts, how = divide(found, given, split, skipped.what)
    features.mean, features.std = features.moments(parts["train"].rows)
    if said := section.augment.sentence():
        skipped.note(said)
    return parts, how, features


def read_new_clips(
    path: str, clips_of: ListClips, settings: LogMel, misfit: Misfit, skipped: Skipped
) -> ChosenFeatures:
    """All clips of a new source, with a run's settings."""
    features = read_features(clips_of(path, skipped), settings, skipped, misfit)
    skipped.finish(name_of(path))
    return ChosenFeatures(features, range(len(features.listed)))


@dataclass(frozen=True)
class SoundFitted(LabelledFitted):
    """features: settings of the frames. mean, std: of each mel band over the training split."""

    labels: Vocab
    features: LogMel
    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class LabelledSound(LabelledInput[SoundFitted, ChosenFeatures]):
    """A folder of audio files whose names contain the class. channels, subsampling: of the convolutional front end."""

    data: TextData
    sound: NamedSound
    channels: int
    subsampling: int
    fitted_class = SoundFitted
    hub_task = "audio-classification"

    def read(self, seed: int) -> Splits[SoundFitted, LabelledPart[ChosenFeatures]]:
        data, given = self.data, sources(self.data)
        skipped = Skipped(data.on_bad, tr("clips"))

        def split(whole: ChosenFeatures) -> Split:
            clips = whole.listed
            return split_rows(data.split, seed, [clip.group for clip in clips], [clip.text for clip in clips])

        rows, how, whole = read_clips(given, self._clips, self.sound, self._misfit, skipped, split)
        labels = label_vocab(map(self._label, rows["train"].listed), name_of(files_of(given)[0]))
        fitted = SoundFitted(labels, whole.settings, whole.mean, whole.std)
        notes = skipped.all_notes()
        parts = {name: self._part(name, part, labels, notes) for name, part in rows.items()}
        return labelled_splits(parts, fitted, ("clips", "frames"), whole.fingerprint, how, notes)

    def read_part(self, fitted: SoundFitted, path: str) -> tuple[LabelledPart[ChosenFeatures], list[str]]:
        skipped = Skipped(self.data.on_bad, tr("clips"))
        rows = read_new_clips(path, self._clips, fitted.features, self._misfit, skipped)
        notes = [skipped.sentence()] if skipped.count else []
        part = self._part(name_of(path), rows, fitted.labels, notes)
        return part, [*notes, *skipped.notes]

    def _clips(self, source: str, skipped: Skipped) -> list[Clip]:
        """Each clip's `text` is its class from the file name."""
        data = self.data
        return list_clips(source, skipped, pattern=self.sound.pattern, text=data.label, by=data.split.by)

    def _label(self, clip: Clip) -> str:
        return self.data.class_of(clip.text)

    def _misfit(self, clip: Clip, T: int) -> str:
        return self.data.no_class(clip.text)

    def _part(self, name: str, rows: ChosenFeatures, labels: Vocab, notes: list[str]) -> LabelledPart[ChosenFeatures]:
        return listed_part(rows, self._label, labels, name, Skipped(self.data.on_bad, tr("clips")), notes)

    def training_inputs(self, part: LabelledPart[ChosenFeatures], rows: Sequence[int], order: Order) -> list[Tensor]:
        augment = self.sound.augment.applied()
        if augment is None:
            return super().training_inputs(part, rows, order)
        return augment.frames(part.rows, rows, order, lambda clip, T: True)

    def given(self, fitted: SoundFitted, text: str) -> Iterator[Given]:
        yield Given(shown(text), as_cell(text), fitted.features.of_file(text))

    def script(self, fitted: SoundFitted) -> Script:
        values = {
            **script_values(fitted.features),
            "given": "a sound file",
            "read": "sound.jinja",
            "about_input": "What is heard in a sound file: log-mel frames in, one label out.",
            "steps": Code("Log-mel frames (T, F)"),
        }
        return Script("labelled_files.jinja", values, ["soundfile"])

    def front(self, fitted: SoundFitted) -> tuple[nn.Module, int]:
        from rnncli.nn.frontends import ConvSubsampling

        return ConvSubsampling(fitted.mean, fitted.std, self.channels, self.subsampling), self.channels

    def baseline(
        self,
        train: TrainSection,
        splits: Splits[SoundFitted, LabelledPart[ChosenFeatures]],
        tested: LabelledPart[ChosenFeatures],
    ) -> tuple[str, Tensor, str]:
        about = tr("the class with the nearest mean over all frames; ignores order")
        learned = splits.train
        found = by_mean_spectrum(learned.inputs, learned.targets, tested.inputs, len(splits.fitted.labels))
        return tr("mean spectrum"), found, about

    def example(self, model: nn.Module, fitted: SoundFitted, part: LabelledPart[ChosenFeatures]) -> list[Record]:
        frames = part.inputs[0]
        n = len(frames)
        shown = sorted({-(-n * k // SHOWN_PREFIXES) for k in range(1, SHOWN_PREFIXES + 1)})  # single frames say little
        read = [tr("{seconds} s", seconds=f"{stop * self.sound.hop / 1000:.2f}") for stop in shown]
        probs = log_probs(model, [self.batch([frames[:stop] for stop in shown])]).exp()
        return [answers_so_far(probs, shown, read, "text", fitted, part.targets[0])]

    def pictures(self, part: LabelledPart[ChosenFeatures]) -> list[Record]:
        return [spectrogram(part.inputs[0], self.sound.hop / 1000)]


def suggest_pattern(path: str) -> dict[str, Json]:
    """For a folder of audio files, the pattern of their names; else nothing."""
    pattern = pattern_of_folder(path, "label")
    if pattern is None:
        return {}
    by = "speaker" if "{speaker}" in pattern else None
    return {"data.sound": {"pattern": pattern}, "data.label": "label", "data.split.by": by}


def suggest_speech(path: str) -> dict[str, Json]:
    """Suggested settings for the data at `path`, dotted key -> value, from names.

    For a table: the columns of files and transcripts. For a folder without a table: the pattern of its first file's
    name, such as {text}_{speaker}_{take}.wav for 7_jackson_0.wav. Raises DataError.
    """
    folder = Path(path)
    tables = [folder]
    if os.path.isdir(folder):
        tables = files_in(folder, TABLES, Skipped())
        if not tables:
            pattern = pattern_of_folder(folder, "text")
            if pattern is None:
                return {}
            return {"data.pattern": pattern, "data.split.by": "speaker" if "{speaker}" in pattern else None}
    columns = open_table(tables[0]).columns
    found: dict[str, Json] = {"data.path": str(tables[0])} if len(tables) > 1 else {}
    for key, known in (("file", SOUND_COLUMNS), ("text", SAID_COLUMNS)):
        if (name := next((name for name in known if name in columns), None)) is not None:
            found[f"data.{key}"] = name
    # The recipe's own `by` may name a column that this table lacks.
    found["data.split.by"] = next((name for name in ("speaker", "client_id") if name in columns), None)
    return found
