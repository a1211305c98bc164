"""Sound files, through libsndfile, and lists of them with what is said in each. A clip becomes one channel, the mean of
all; `rnncli.data.features` makes frames of it."""

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
from rnncli.data.folder import NamePattern, files_in, with_fields
from rnncli.data.made import speech
from rnncli.data.records import TABLES
from rnncli.data.skipped import Skipped
from rnncli.data.source import Source, name_of
from rnncli.data.table import Key, open_table
from rnncli.errors import DataError, Missing
from rnncli.files import open_binary, shown
from rnncli.locale import tr

ENDINGS = (
    ".wav", ".wav.gz", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf", ".rf64",
    ".w64", ".sph", ".voc",
)  # fmt: skip
DIGITS = f"{builtin.PREFIX}digits"
MAX_BYTES = 256 << 20  # of a sound file: 25 minutes of stereo at 48 kHz in 32 bits
MAX_VALUES = 128 << 20  # samples of all channels in one file, and of one channel at the rate that is wanted
RATES = (100, 1_000_000)  # Hz; no sound is recorded outside these
UNKNOWN = 0x7FFFF000 - 64  # bytes from which on a WAV file's size only says that it went through a pipe
GSM_BLOCK = 320  # samples; the last one is noise where it is not all there
BLOCK = 1 << 16  # frames read at a time


@dataclass(frozen=True)
class Sound:
    """samples: (N,) float32 between -1 and 1, one channel. rate: samples a second. lost: bytes of samples that the
    file's header speaks of and that are not there."""

    samples: Any
    rate: int
    lost: int = 0

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class Clip:
    """A sound file and what is said in it. where: for messages. group: whose clips stay in one part."""

    where: str
    file: Path
    text: str
    group: str = ""
    made: bool = False  # one of builtin:digits

    def load(self) -> Sound:
        """Its sound. Raises DataError, and Missing where libsndfile cannot be loaded."""
        if self.made:
            return Sound(speech.clip(self.file.name, self.text).astype(np.float32) / 32768, speech.RATE)
        return read_sound(self.file)


def read_sound(path: str | Path) -> Sound:
    """A sound file of any kind that libsndfile reads, plain or as .gz.

    Raises DataError: what is no sound, is empty, too long, or has samples that are no numbers; Missing: the package
    soundfile.
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
    except (ImportError, OSError) as error:  # OSError: the package is there and its library is not
        raise Missing(
            tr("sound files are read by libsndfile, which cannot be loaded: {why}", why=error),
            where=name,
            todo="pip install --force-reinstall soundfile",
        ) from error
    except soundfile.LibsndfileError as error:
        raise DataError(
            tr("is no sound that can be read: {why}", why=error.error_string),
            where=name,
            todo=tr("convert it, for instance: ffmpeg -i {name} new.wav", name=shlex.quote(name)),
        ) from error


class _Bytes(io.BytesIO):
    def seek(self, offset: int, whence: int = 0) -> int:
        """libsndfile looks for places before the beginning in damaged files; an error here would be printed."""
        return super().seek(max(0, offset) if whence == 0 else offset, whence)


@cache
def _stream() -> Callable[[IO[bytes]], Any]:
    """A SoundFile that is read from its beginning to its end, whatever its kind: soundfile itself seeks, which GSM,
    G.721 or a FLAC file of unknown length do not allow."""
    import soundfile

    class Stream(soundfile.SoundFile):  # type: ignore[misc]
        def seekable(self) -> bool:
            return False

    return Stream


def _mend_sizes(data: bytearray) -> None:
    """Sizes as libsndfile knows them of a program that wrote to a pipe, and so left 0 or -1 there."""
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
        raise DataError(tr("a sampling rate of {rate} Hz makes no sense", rate=rate), where=name)
    found = bytearray()
    # In pieces, so that a header that lies about its size takes no memory.
    while len(block := opened.read(BLOCK, dtype="float32", always_2d=True)):  # (N, channels)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = block.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mean).all():
            raise DataError(tr("has samples that are no numbers (NaN or infinite)"), where=name)
        found += mean.tobytes()
        if len(found) // 4 * channels > MAX_VALUES:
            raise _too_long(name, tr("has more than {n} samples", n=f"{MAX_VALUES:,}"))
    if opened.subtype == "GSM610" and "truncated" in opened.extra_info:
        del found[-4 * GSM_BLOCK :]  # of the byte that makes a chunk's length even, or of a part of a block
    if not found:
        raise DataError(tr("holds no samples"), where=name)
    return Sound(np.frombuffer(found, np.float32), rate, _lost(opened.extra_info))


def _lost(log: str) -> int:
    """Bytes of samples that a header promises and the file lacks, as libsndfile's words have it."""
    promised = re.search(r"^(?:data|SSND) : ([0-9]+) \(should be ([0-9]+)\)", log, re.M)
    return int(promised[1]) - int(promised[2]) if promised and int(promised[1]) < UNKNOWN else 0


def _too_long(name: str, what: str) -> DataError:
    return DataError(what, where=name, todo=tr("cut it into utterances first"))


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
    """The clips of a source, their sound not read yet.

    With `pattern`, a folder of sound files, what is said standing in the name: `{text}_{speaker}_{take}.wav` (`text`
    and `by` name fields). Without, a table with columns `file`, `text` and `by`: the path of a .tsv or .csv, or a
    folder with a single one; each file lies beside it at `place`, such as clips/{file}. builtin:digits is such a table.
    """
    if pattern is not None:
        if builtin.is_builtin(source):
            raise DataError(tr("shipped data has a table; a pattern is for file names"), where=str(source))
        return _by_name(source, skipped, NamePattern(pattern), str(text), None if by is None else str(by))
    made = builtin.is_builtin(source)
    if made and source != DIGITS:
        raise DataError(tr("this shipped data is no sound"), where=str(source), todo=tr("take {name}", name=DIGITS))
    table = source if made else _table_of(Path(source))
    opened = open_table(table, header=header)
    places = [opened.index(key) for key in (file, text, *(() if by is None else (by,)))]
    folder = Path(".") if made else Path(table).parent
    clips = []
    for line, cells in opened.rows(skipped):
        name, said, group = [cells[p].strip() for p in places] + [""] * (by is None)
        where = f"{opened.name}:{line}"
        if not name or not said or (by is not None and not group):
            skipped.bad(where, tr("a column that is read is empty"))
            continue
        path = folder / place.replace("{file}", name)
        clips.append(Clip(where if made else shown(path), path, said, group, made))
    if not clips and not skipped.count:
        raise DataError(tr("the table has no rows"), where=opened.name)
    return clips


def _by_name(source: Source, skipped: Skipped, pattern: NamePattern, text: str, by: str | None) -> list[Clip]:
    pattern.need(text)
    if by is not None:
        pattern.need(by)
    found = with_fields(files_in(source, ENDINGS, skipped), pattern, skipped)
    clips = [Clip(shown(path), path, fields[text], "" if by is None else fields[by]) for path, fields in found]
    if not clips and not skipped.count:
        raise DataError(
            tr("holds no sound files"), where=name_of(source), todo=tr("known: {endings}", endings=" ".join(ENDINGS))
        )
    return clips


def _table_of(path: Path) -> Path:
    """The path itself, or the single table in a folder."""
    if not os.path.isdir(path):
        return path
    found = files_in(path, TABLES, Skipped())
    if len(found) != 1:
        raise DataError(
            tr("holds {n} tables of transcripts, and one is wanted", n=len(found)),
            where=shown(path),
            todo=tr("name the table itself as the path, or set data.pattern where the text stands in the file names"),
        )
    return found[0]


def first_rate(clips: Iterable[Clip]) -> int:
    """The sampling rate of the first clip that can be read; DataError, the first clip's, where none can."""
    first: DataError | None = None
    for clip in clips:
        try:
            return clip.load().rate
        except DataError as error:
            first = first or error
    raise first or DataError(tr("there are no clips"))


def pattern_of_folder(folder: str | Path, first: str) -> str | None:
    """The shape of the first sound file's name in a folder, fields between underscores: {first}_{speaker}_{take}.wav
    for 7_jackson_0.wav; further fields are *, and so is the ending where there are several. None where there are no
    sound files."""
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
