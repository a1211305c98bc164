"""Audio files, read through libsndfile, and lists of them with their transcripts. Each clip is mixed down to one
channel (the mean); `rnncli.data.features` turns it into frames."""

from __future__ import annotations

import io
import os
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from rnncli.data import builtin
from rnncli.data.folder import NamePattern, entries, files_in, with_fields
from rnncli.data.made import speech
from rnncli.data.records import TABLES
from rnncli.data.skipped import Skipped
from rnncli.data.source import Source, name_of
from rnncli.data.table import Key, open_table, read_listed
from rnncli.errors import DataError, Missing
from rnncli.files import open_binary, shown
from rnncli.locale import tr

ENDINGS = (
    ".wav", ".wav.gz", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".rf64",
    ".w64", ".sph", ".voc",
)  # fmt: skip
DIGITS = f"{builtin.PREFIX}digits"
MAX_BYTES = 256 << 20  # of an audio file: 25 minutes of 32-bit stereo at 48 kHz
MAX_VALUES = 128 << 20  # samples of all channels in one file, and of one channel after resampling
RATES = (100, 1_000_000)  # Hz; no audio is recorded outside this range
UNKNOWN = 0x7FFFF000 - 64  # a WAV size field of at least this only means that the file was written to a pipe
GSM_BLOCK = 320  # samples; an incomplete last block decodes to noise
BLOCK = 1 << 16  # frames read at a time


@dataclass(frozen=True)
class Sound:
    """samples: (N,) float32 between -1 and 1, one channel. rate: samples a second. lost: bytes of samples that the
    header announces but the file lacks."""

    samples: Any
    rate: int
    lost: int = 0


@dataclass(frozen=True)
class Clip:
    """An audio file and its transcript. where: location for error messages. group: all clips of a group go to the same
    split."""

    where: str
    file: Path
    text: str
    group: str = ""
    made: bool = False  # one of builtin:digits

    def load(self) -> Sound:
        """Its samples. Raises DataError; Missing if libsndfile cannot be loaded."""
        if self.made:
            return Sound(speech.clip(self.file.name, self.text).astype(np.float32) / 32768, speech.RATE)
        return read_sound(self.file)


def read_sound(path: str | Path) -> Sound:
    """Read an audio file of any format that libsndfile supports, plain or as .gz.

    Raises DataError: not audio, empty, too long, or with NaN or infinite samples; Missing: the package soundfile.
    """
    name = shown(path)
    with open_binary(path) as file:
        data = bytearray(file.read(MAX_BYTES + 1))
    if not data:
        raise DataError(tr("the file is empty"), where=name)
    if len(data) > MAX_BYTES:
        raise _too_long(name, tr("is larger than {n} bytes", n=f"{MAX_BYTES:,}"))
    _mend_sizes(data)
    try:
        import soundfile

        with _stream()(_Bytes(data)) as opened:
            return _samples(opened, name)
    except (ImportError, OSError) as error:  # OSError: the package is installed, but its library is missing
        raise Missing(
            tr("audio files are read through libsndfile, which cannot be loaded: {why}", why=error),
            where=name,
            todo="pip install --force-reinstall soundfile",
        ) from error
    except soundfile.LibsndfileError as error:
        raise DataError(
            tr("not a readable audio file: {why}", why=error.error_string),
            where=name,
            todo=tr("convert it, e.g.: ffmpeg -i {name} new.wav", name=shlex.quote(name)),
        ) from error


class _Bytes(io.BytesIO):
    def seek(self, offset: int, whence: int = 0) -> int:
        """In damaged files libsndfile seeks to before the beginning; an error raised here would be printed."""
        return super().seek(max(0, offset) if whence == 0 else offset, whence)


@cache
def _stream() -> Callable[[IO[bytes]], Any]:
    """A SoundFile read strictly from beginning to end: soundfile itself seeks, which GSM, G.721 and FLAC files of
    unknown length do not support."""
    import soundfile

    class Stream(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            return False

    return Stream


def _mend_sizes(data: bytearray) -> None:
    """Sizes that libsndfile recognizes as left at 0 or -1 by a program that wrote to a pipe."""
    rest, magic = len(data) - 8, bytes(data[:4])
    if magic in (b"RIFF", b"RIFX"):
        order: Literal["little", "big"] = "little" if magic == b"RIFF" else "big"
        if abs(int.from_bytes(data[4:8], order) - rest) > 1:
            data[4:8] = (8).to_bytes(4, order)
    elif magic == b"RF64" and data[12:16] == b"ds64" and bytes(data[28:36]) in (bytes(8), b"\xff" * 8):
        data[20:28] = data[28:36] = rest.to_bytes(8, "little")


def _samples(opened: Any, name: str) -> Sound:
    """opened: a SoundFile."""
    rate, channels = opened.samplerate, opened.channels
    if not RATES[0] <= rate <= RATES[1]:
        raise DataError(tr("implausible sampling rate: {rate} Hz", rate=rate), where=name)
    found = bytearray()
    # In blocks, so that a wrong size in the header allocates nothing.
    while len(block := opened.read(BLOCK, dtype="float32", always_2d=True)):  # (N, channels)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = block.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mean).all():
            raise DataError(tr("contains NaN or infinite samples"), where=name)
        found += mean.tobytes()
        if len(found) // 4 * channels > MAX_VALUES:
            raise _too_long(name, tr("has more than {n} samples", n=f"{MAX_VALUES:,}"))
    if opened.subtype == "GSM610" and "truncated" in opened.extra_info:
        del found[-4 * GSM_BLOCK :]  # decoded from a padding byte or an incomplete block
    if not found:
        raise DataError(tr("contains no samples"), where=name)
    return Sound(np.frombuffer(found, np.float32), rate, _lost(opened.extra_info))


def _lost(log: str) -> int:
    """Bytes of samples that the header promises but the file lacks, parsed from libsndfile's log."""
    promised = re.search(r"^(?:data|SSND) : ([0-9]+) \(should be ([0-9]+)\)", log, re.M)
    return int(promised[1]) - int(promised[2]) if promised and int(promised[1]) < UNKNOWN else 0


def _too_long(name: str, what: str) -> DataError:
    return DataError(what, where=name, todo=tr("split it into utterances first"))


def list_clips(
    source: Source,
    skipped: Skipped,
    *,
    pattern: str | None = None,
    text: Key = "text",
    file: Key = "file",
    place: str = "{file}",
    by: Key | None = None,
    header: bool = True,
) -> list[Clip]:
    """The clips of a source; the audio is not read yet.

    With `pattern`: a folder of audio files whose names contain the transcript, such as `{text}_{speaker}_{take}.wav`
    (`text` and `by` are field names). Without: a table with columns `file`, `text` and `by`, given as a .tsv or .csv or
    as a folder that contains exactly one; audio files are found relative to the table by the template `place`, such as
    clips/{file}. builtin:digits is such a table.
    """
    if pattern is not None:
        if builtin.is_builtin(source):
            raise DataError(tr("builtin data has a table; a pattern applies to file names only"), where=str(source))
        return _by_name(source, skipped, pattern, text, by)
    made = builtin.is_builtin(source)
    if made and source != DIGITS:
        raise DataError(
            tr("this builtin data set is not audio"), where=str(source), todo=tr("take {name}", name=DIGITS)
        )
    table = source if made else _table_of(Path(source))
    opened = open_table(table, header=header)
    folder = Path(".") if made else Path(table).parent
    clips, names = list[Clip](), list[str]()
    for where, name, said, group in read_listed(opened, file, text, by, skipped):
        path = folder / place.replace("{file}", name)
        clips.append(Clip(where if made else shown(path), path, said, group, made))
        names.append(name)
    if clips and not made and not any(os.path.exists(clip.file) for clip in clips):
        raise _none_found(folder, names[0], clips[0].file)
    return clips


def _none_found(folder: Path, name: str, path: Path) -> DataError:
    """No file that a table lists is there: `name` is not at `path`; whether it is in or next to the table's folder."""
    what = tr("none of the listed files exists; the first is {name}", name=repr(name))
    above = shown(path.parent.absolute())
    for inside in [folder, *(entry for entry in entries(folder) if entry.is_dir())]:
        ending = next((ending for ending in ("", *ENDINGS) if os.path.isfile(inside / (name + ending))), None)
        if ending is not None:
            place = os.path.relpath(inside / f"{{file}}{ending}", folder)
            todo = tr(
                "looked in {folder}; try {command}", folder=above, command=shlex.join(["--set", f"data.place={place}"])
            )
            return DataError(what, where=shown(path), todo=todo)
    todo = tr(
        "looked in {folder}; set data.place to their path from the table's folder, such as {example}",
        folder=above,
        example="clips/{file}",
    )
    return DataError(what, where=shown(path), todo=todo)


def _by_name(source: Source, skipped: Skipped, pattern: str, text: Key, by: Key | None) -> list[Clip]:
    found = with_fields(NamePattern(pattern, text, by), files_in(source, ENDINGS, skipped), skipped)
    clips = [Clip(shown(path), path, said, group) for path, said, group in found]
    if not clips and not skipped.count:
        raise DataError(
            tr("contains no audio files"), where=name_of(source), todo=tr("known: {endings}", endings=" ".join(ENDINGS))
        )
    return clips


def _table_of(path: Path) -> Path:
    """The path itself, or the single table in a folder."""
    if not os.path.isdir(path):
        return path
    found = files_in(path, TABLES, Skipped())
    if len(found) != 1:
        raise DataError(
            tr("contains {n} transcript tables; expected one", n=len(found)),
            where=shown(path),
            todo=tr("give the path of the table itself, or set data.pattern if the file names contain the text"),
        )
    return found[0]


def first_rate(clips: Iterable[Clip]) -> int:
    """The sampling rate of the first readable clip. If none is readable, raises the first clip's DataError."""
    first: DataError | None = None
    for clip in clips:
        try:
            return clip.load().rate
        except DataError as error:
            first = first or error
    raise first or DataError(tr("there are no clips"))


def pattern_of_folder(folder: str | Path, first: str) -> str | None:
    """A file name pattern guessed from a folder's first audio file, with fields between underscores:
    {first}_{speaker}_{take}.wav for 7_jackson_0.wav. Further fields become *, as does the extension if there are
    several. None without audio files."""
    files = files_in(folder, ENDINGS, Skipped())
    if not files:
        return None
    stem, dot, ending = files[0].name.partition(".")
    ending = ending if all(file.name.endswith(f".{ending}") for file in files) else "*"
    n = stem.count("_") + 1
    if n <= 2:
        fields = ["{" + first + "}", "{take}"][:n]
    else:
        fields = ["{" + first + "}", "{speaker}", "{take}", *["*"] * (n - 3)]
    return "_".join(fields) + dot + ending
