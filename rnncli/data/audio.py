"""Recorded speech: sound files, lists of them with what is said in each, and their log-mel features.

WAV is read by the few lines below (the standard library's `wave` refuses float samples); other formats through the
extra `audio`. A clip becomes one channel (the mean of all), one sampling rate, and then features.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

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
from rnncli.locale import tr, trn

if TYPE_CHECKING:
    from torch import Tensor

ENDINGS = (".wav", ".wav.gz", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au")
DIGITS = f"{builtin.PREFIX}digits"
MAX_BYTES = 256 << 20  # of samples in one file: 25 minutes of stereo at 48 kHz in 32 bits
KEEP = 512 << 20  # bytes of features held in memory; those of further files are made again whenever a batch needs them
MAX_VALUES = 128 << 20  # samples of all channels in one file, and of one channel at the rate that is wanted
RATES = (100, 1_000_000)  # Hz; no sound is recorded outside these
MAX_CHUNKS = 1000  # of a WAV file before its samples
FRAMES_AT_ONCE = 10_000  # 100 seconds
_PHASES = 1000  # positions between two samples that resampling may need: 44,100 to 16,000 Hz needs 160


@dataclass(frozen=True)
class Sound:
    """samples: (N,) float32 between -1 and 1, one channel. rate: samples a second."""

    samples: Any
    rate: int

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
        """Its sound. Raises DataError, and Missing where the format needs an extra."""
        if self.made:
            return Sound(speech.clip(self.file.name, self.text).astype(np.float32) / 32768, speech.RATE)
        return read_sound(self.file)


def read_sound(path: str | Path) -> Sound:
    """A sound file. WAV by itself: PCM of 8, 16, 24, 32 bits, float of 32, 64; others and codecs through soundfile.

    Raises DataError: what is no sound, is cut short, empty, too long, or has samples that are no numbers.
    """
    name = shown(path)
    with open_binary(path) as file:
        magic = file.read(12)
        if not magic:
            raise DataError(tr("the file is empty"), where=name)
        if magic[:4] == b"RIFF" and magic[8:] == b"WAVE":
            sound = _wav(file, name)
        elif name.lower().endswith((".wav", ".wav.gz")):
            raise DataError(
                tr("is named .wav but does not begin as a WAV file does"),
                where=name,
                todo=tr("convert it, for instance: ffmpeg -i {name} new.wav", name=name),
            )
        else:
            sound = None
    if sound is None:
        sound = _by_soundfile(path)
    if not len(sound.samples):
        raise DataError(tr("holds no samples"), where=name)
    if not np.isfinite(sound.samples).all():
        raise DataError(tr("has samples that are no numbers (NaN or infinite)"), where=name)
    return sound


@dataclass(frozen=True)
class _Format:
    """A WAV file's `fmt ` chunk. code: 1 whole numbers, 3 floats, others are codecs. frame: bytes of all channels."""

    code: int
    channels: int
    rate: int
    frame: int
    bits: int

    @property
    def width(self) -> int:
        """Bytes of a sample; bits may be fewer (20 in 3 bytes), and then stand at the top."""
        return self.frame // self.channels


def _wav(file: IO[bytes], name: str) -> Sound | None:
    """The chunks after RIFF....WAVE; None for a codec that is not read here."""
    form: _Format | None = None
    passed = 0
    for _ in range(MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            missing = "fmt " if form is None else "data"
            raise DataError(tr("a WAV file without its {chunk} chunk", chunk=repr(missing)), where=name)
        kind, size = head[:4], int.from_bytes(head[4:], "little")
        if kind == b"data" and form is not None:
            return _samples(file, size, form, name)
        if kind == b"fmt ":
            form = _format(file.read(min(size, 64)), name)
            if form.code not in (1, 3):
                return None
            size = max(0, size - 64) + size % 2
        else:
            size += size % 2  # chunks are padded to an even length
        passed += size
        if passed > MAX_BYTES:  # inside a .gz all of it would have to be unpacked
            break
        file.seek(size, 1)
    raise DataError(tr("a WAV file with too much before its samples"), where=name)


def _format(chunk: bytes, name: str) -> _Format:
    if len(chunk) < 16:
        raise DataError(tr("its 'fmt ' chunk is cut short"), where=name)
    code, channels = int.from_bytes(chunk[:2], "little"), int.from_bytes(chunk[2:4], "little")
    rate, frame = int.from_bytes(chunk[4:8], "little"), int.from_bytes(chunk[12:14], "little")
    bits = int.from_bytes(chunk[14:16], "little")
    if code == 0xFFFE and len(chunk) >= 26:  # WAVE_FORMAT_EXTENSIBLE: the code begins the sub-format's identifier
        code = int.from_bytes(chunk[24:26], "little")
    form = _Format(code, channels, rate, frame, bits)
    if code not in (1, 3):
        return form
    known = {1: (1, 2, 3, 4), 3: (4, 8)}[code]
    possible = channels and RATES[0] <= rate <= RATES[1]
    if not possible or frame % channels or form.width not in known or not 0 < bits <= 8 * form.width:
        raise DataError(
            tr(
                "its header makes no sense: {channels} channels, {rate} Hz, {bits} bits, {frame} bytes a frame",
                channels=channels,
                rate=rate,
                bits=bits,
                frame=frame,
            ),
            where=name,
        )
    return form


def _samples(file: IO[bytes], size: int, form: _Format, name: str) -> Sound:
    """The `data` chunk. A size of 0xFFFFFFFF is what programs write that did not know it: all that follows."""
    open_ended = size == 0xFFFFFFFF
    most = min(MAX_BYTES, MAX_VALUES * form.width)
    data = bytearray()
    # In pieces, so that a header that lies about its size takes no memory.
    while len(data) < size and len(data) <= most:
        block = file.read(min(size - len(data), 1 << 20))
        if not block:
            break
        data += block
    if len(data) > most:
        raise DataError(
            tr("has more than {n} bytes of samples", n=f"{most:,}"),
            where=name,
            todo=tr("cut it into utterances first"),
        )
    if len(data) < size and not open_ended:
        raise DataError(
            tr("is cut short: {found} of {size} bytes of samples", found=f"{len(data):,}", size=f"{size:,}"),
            where=name,
        )
    del data[len(data) - len(data) % form.frame :]
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number is refused later, in words
        values = _values(data, form).reshape(-1, form.channels)
        return Sound(values.mean(axis=1, dtype=np.float32), form.rate)


def _values(data: bytearray, form: _Format) -> Any:
    """Every channel's samples one after the other, float32 between -1 and 1."""
    if form.code == 3:
        return np.frombuffer(data, f"<f{form.width}").astype(np.float32)
    if form.width == 1:  # 8 bits alone are unsigned
        return np.frombuffer(data, np.uint8).astype(np.float32) / 128 - 1
    if form.width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / 2.0**31
    return np.frombuffer(data, f"<i{form.width}").astype(np.float32) / 2.0 ** (8 * form.width - 1)


def _by_soundfile(path: str | Path) -> Sound:
    name = shown(path)
    if name.lower().endswith(".gz"):
        raise DataError(
            tr("is no PCM or float WAV; only such a one is read inside a .gz"),
            where=name,
            todo=tr("unpack it first: gunzip {name}", name=name),
        )
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there and its library is not
        raise Missing(
            tr("is no PCM or float WAV; other sound files are read through the extra: audio"),
            where=name,
            todo=tr("pip install 'rnncli[audio]', or convert it: ffmpeg -i {name} new.wav", name=name),
        ) from error
    try:
        with open_binary(path) as file, soundfile.SoundFile(file) as opened:
            if opened.frames * opened.channels * 4 > MAX_BYTES:
                raise DataError(
                    tr("has more than {n} bytes of samples", n=f"{MAX_BYTES:,}"),
                    where=name,
                    todo=tr("cut it into utterances first"),
                )
            if not RATES[0] <= opened.samplerate <= RATES[1]:
                raise DataError(tr("a sampling rate of {rate} Hz makes no sense", rate=opened.samplerate), where=name)
            values = opened.read(dtype="float32", always_2d=True)
            return Sound(values.mean(axis=1, dtype=np.float32), opened.samplerate)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        raise DataError(tr("is no sound that can be read: {why}", why=str(error)[:200]), where=name) from error


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


@dataclass(frozen=True)
class LogMel:
    """How sound becomes features: the power spectrum of Hann windows of `window` ms, one every `hop` ms (no padding, so
    the last starts where a whole window still fits), summed in `mels` triangles evenly spaced in mel = 2595 log10(1 +
    f / 700) (O'Shaughnessy 1987) between 0 and rate / 2, as natural logarithm of the power + 1e-6, which lies under the
    noise of an ordinary recording. No pre-emphasis."""

    rate: int
    mels: int = 40
    window: float = 25.0
    hop: float = 10.0

    @property
    def samples(self) -> tuple[int, int]:
        """Of a window and of a hop."""
        return max(2, round(self.rate * self.window / 1000)), max(1, round(self.rate * self.hop / 1000))

    def __call__(self, sound: Sound) -> Tensor:
        """(T, mels) float32; a sound shorter than a window is filled up with silence. DataError: see `resample`."""
        import torch

        width, hop = self.samples
        x = resample(torch.as_tensor(sound.samples), sound.rate, self.rate)
        if len(x) < width:
            x = torch.nn.functional.pad(x, (0, width - len(x)))
        filters = _filters(self)  # (bins, mels)
        window = torch.hann_window(width, periodic=False)
        found = []
        for frames in torch.split(
            x.unfold(0, width, hop), FRAMES_AT_ONCE
        ):  # (T, width); the spectra take much more memory
            power = torch.fft.rfft(frames * window, 2 * (filters.shape[0] - 1)).abs().square()  # (T, bins)
            found.append((power @ filters + 1e-6).log())
        return torch.cat(found)

    def of_file(self, path: str | Path) -> Tensor:
        """The features of one sound file. Raises DataError with the file's name, and Missing."""
        sound = read_sound(path)
        try:
            return self(sound)
        except DataError as error:
            raise DataError(error.what, where=error.where or shown(path), todo=error.todo) from error


@cache
def _filters(settings: LogMel) -> Tensor:
    """(bins, mels): column m is the triangle of filter m. DataError where they are too narrow for the bins."""
    import torch

    # Twice the window, rounded up: bins finer than the window resolves leave no triangle empty.
    n_fft = 2 ** math.ceil(math.log2(2 * settings.samples[0]))
    top = 2595 * math.log10(1 + settings.rate / 2 / 700)
    corners = 700 * (10 ** (torch.linspace(0, top, settings.mels + 2, dtype=torch.float64) / 2595) - 1)  # Hz
    bins = torch.linspace(0, settings.rate / 2, n_fft // 2 + 1, dtype=torch.float64).unsqueeze(1)  # (bins, 1)
    rising = (bins - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - bins) / (corners[2:] - corners[1:-1])
    filters = torch.minimum(rising, falling).clamp(min=0)
    if bool((filters.sum(0) == 0).any()):
        raise DataError(
            tr("{n} mel bands are too many for windows of {window:g} ms", n=settings.mels, window=settings.window),
            where="data.mels",
            todo=tr("lower data.mels"),
        )
    return filters.float()


def resample(x: Tensor, rate: int, to: int) -> Tensor:
    """(N,) at `rate` -> (ceil(N · to / rate),) at `to`: each new sample is the sum of its neighbours under a windowed
    sinc that ends at the lower of the two Nyquist frequencies (Smith, Digital audio resampling, 2002).

    DataError where the two rates have no ratio of small whole numbers.
    """
    import torch

    if rate == to:
        return x
    common = math.gcd(rate, to)
    old, new = rate // common, to // common
    if old > _PHASES or new > _PHASES:
        raise DataError(
            tr("its {rate} Hz cannot be brought to {to} Hz", rate=rate, to=to),
            todo=tr("convert it first, for instance: ffmpeg -i old.wav -ar {to} new.wav", to=to),
        )
    if len(x) * new // old > MAX_VALUES:
        raise DataError(tr("is too long to be brought to {to} Hz", to=to), todo=tr("cut it into utterances first"))
    cutoff = 0.95 * min(old, new)  # in units of `common`/2 Hz; a little below Nyquist, where the slope lies
    width = math.ceil(12 * old / cutoff)  # old samples on each side: 12 zeros of the sinc
    offset = torch.arange(-width, width + old, dtype=torch.float64) / old  # of the old samples around a block of `old`
    phase = torch.arange(new, dtype=torch.float64).unsqueeze(1) / new  # of the new samples in the block
    t = (offset - phase) * cutoff  # (new, old + 2 width)
    window = torch.cos(t.clamp(-12, 12) * math.pi / 24).square()
    kernel = torch.special.sinc(t) * window * (cutoff / old)
    padded = torch.nn.functional.pad(x.double(), (width, width + old))
    blocks: Tensor = padded.unfold(0, kernel.shape[1], old) @ kernel.T  # (blocks, new)
    return blocks.flatten()[: -(-len(x) * new // old)].to(x.dtype)


@dataclass
class Features:
    """The log-mel features of clips, each (T, mels); up to KEEP bytes stay in memory, others are made again when asked.

    lengths: T of each. fingerprint: sha256 of what was heard and what is said in it.
    """

    settings: LogMel
    clips: list[Clip] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    fingerprint: str = ""
    _kept: list[Tensor] = field(default_factory=list)  # of the first clips

    def __getitem__(self, row: int) -> Tensor:
        return self._kept[row] if row < len(self._kept) else self.settings(self.clips[row].load())

    def moments(self, rows: Sequence[int]) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of each band over all frames of these rows."""
        import torch

        count = sum(self.lengths[row] for row in rows)
        total = torch.zeros(self.settings.mels, dtype=torch.float64)
        squares = torch.zeros_like(total)
        for row in rows:
            frames = self[row].double()
            total += frames.sum(0)
            squares += frames.square().sum(0)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=1e-8).sqrt()
        return mean.tolist(), deviation.tolist()


@dataclass(frozen=True)
class ChosenFeatures(Sequence["Tensor"]):
    """Some rows of Features as a sequence of their own, read when asked for."""

    features: Features
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: Any) -> Any:
        """One clip's features, or, for a slice, the same kind of sequence."""
        if isinstance(i, slice):
            return ChosenFeatures(self.features, self.rows[i])
        return self.features[self.rows[i]]

    def chosen(self, rows: Sequence[int]) -> ChosenFeatures:
        """These of them, in this order."""
        return ChosenFeatures(self.features, [self.rows[row] for row in rows])

    @property
    def lengths(self) -> list[int]:
        return [self.features.lengths[row] for row in self.rows]

    @property
    def clips(self) -> list[Clip]:
        return [self.features.clips[row] for row in self.rows]


def read_features(
    clips: Iterable[Clip], settings: LogMel, skipped: Skipped, fits: Callable[[Clip, int], str]
) -> Features:
    """Reads every clip once. A clip that cannot be read, or of which `fits(clip, T)` says why not, is a bad record."""
    _filters(settings)  # a fault of the settings is none of the first file's
    found = Features(settings)
    digest = hashlib.sha256()
    size = 0
    rates: Counter[int] = Counter()
    for clip in clips:
        try:
            sound = clip.load()
            features = settings(sound)
        except DataError as error:
            skipped.bad(error.where or clip.where, error.what)
            continue
        why = fits(clip, len(features))
        if why:
            skipped.bad(clip.where, why)
            continue
        skipped.good()
        rates[sound.rate] += 1
        digest.update(repr((clip.text, clip.group, sound.rate)).encode())
        if not clip.made:  # the last bit of a made sound may differ from one machine to the next
            digest.update(sound.samples.tobytes())
        size += features.numel() * 4
        if size <= KEEP:
            found._kept.append(features)
        found.clips.append(clip)
        found.lengths.append(len(features))
    others = sum(n for rate, n in rates.items() if rate != settings.rate)
    if others:
        skipped.note(
            trn(
                "{n} of {clips} has another rate and is resampled to {rate} Hz",
                "{n} of {clips} have another rate and are resampled to {rate} Hz",
                n=others,
                clips=trn("{n} clip", "{n} clips", n=len(found.clips)),
                rate=f"{settings.rate:,}",
            )
        )
    found.fingerprint = digest.hexdigest()
    return found


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
    for 7_jackson_0.wav; further fields are *. None where there are no sound files."""
    files = files_in(folder, ENDINGS, Skipped())
    if not files:
        return None
    stem, dot, ending = files[0].name.partition(".")
    n = stem.count("_") + 1
    if n <= 2:
        fields = ["{" + first + "}", "{take}"][:n]
    else:
        fields = ["{" + first + "}", "{speaker}", "{take}", *["*"] * (n - 3)]
    return "_".join(fields) + dot + ending
