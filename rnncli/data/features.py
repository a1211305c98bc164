"""Log-mel features, and resampling."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rnncli.data.audio import MAX_VALUES, Clip, Sound, read_sound
from rnncli.data.kept import KEEP, Chosen, Kept, usable
from rnncli.data.skipped import Skipped
from rnncli.errors import DataError
from rnncli.files import shown
from rnncli.locale import tr, trn

if TYPE_CHECKING:
    from torch import Tensor

FRAMES_AT_ONCE = 10_000  # 100 seconds
_PHASES = 1000  # positions between two samples that resampling may need: 44,100 to 16,000 Hz needs 160


@dataclass(frozen=True)
class LogMel:
    """Feature settings: the power spectrum of Hann windows of `window` ms, one every `hop` ms (no padding, so the last
    starts where a whole window still fits), summed in `mels` triangles evenly spaced in mel = 2595 log10(1 + f / 700)
    (O'Shaughnessy 1987) between 0 and rate / 2, as natural logarithm of the power + 1e-6, which is below the noise of
    an ordinary recording. No pre-emphasis."""

    rate: int  # Hz
    mels: int = 40
    window: float = 25.0
    hop: float = 10.0

    @property
    def samples(self) -> tuple[int, int]:
        """Length in samples of a window and of a hop."""
        return max(2, round(self.rate * self.window / 1000)), max(1, round(self.rate * self.hop / 1000))

    def frames(self, samples: int) -> int:
        """T for this many samples at this rate."""
        width, hop = self.samples
        return 1 + max(0, samples - width) // hop

    def __call__(self, sound: Sound) -> Tensor:
        """(T, mels) float32; audio shorter than a window is padded with silence. Raises DataError: see `resample`."""
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
        ):  # (T, width); in chunks: the spectra take much more memory
            power = torch.fft.rfft(frames * window, 2 * (filters.shape[0] - 1)).abs().square()  # (T, bins)
            found.append((power @ filters + 1e-6).log())
        return torch.cat(found)

    def of_file(self, path: str | Path) -> Tensor:
        """The features of one audio file. Raises DataError with the file's name, and Missing."""
        sound = read_sound(path)
        try:
            return self(sound)
        except DataError as error:
            raise DataError(error.what, where=error.where or shown(path), todo=error.todo) from error


@cache
def _filters(settings: LogMel) -> Tensor:
    """(bins, mels): column m is the triangle of filter m. Raises DataError if they are too narrow for the bins."""
    import torch

    # Twice the window, rounded up: bins finer than the window's resolution leave no triangle empty.
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

    Raises DataError if the ratio of the two rates is not one of small integers.
    """
    import torch

    if rate == to:
        return x
    common = math.gcd(rate, to)
    old, new = rate // common, to // common
    if old > _PHASES or new > _PHASES:
        raise DataError(
            tr("cannot resample {rate} Hz to {to} Hz", rate=rate, to=to),
            todo=tr("convert it first, e.g.: ffmpeg -i old.wav -ar {to} new.wav", to=to),
        )
    if len(x) * new // old > MAX_VALUES:
        raise DataError(tr("too long to be resampled to {to} Hz", to=to), todo=tr("cut it into utterances first"))
    cutoff = 0.95 * min(old, new)  # in units of `common`/2 Hz; below Nyquist, for the transition band
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
class Features(Kept[Clip, "Tensor"]):
    """The log-mel features of clips, each (T, mels). mean, std: of each band over the training split, if any."""

    settings: LogMel = field(kw_only=True)
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    _heard: dict[int, Tensor] = field(default_factory=dict)  # samples of clips requested so far
    _room: int = KEEP  # bytes left for them

    def load(self, one: Clip) -> Tensor:
        return self.settings(one.load())

    def samples(self, row: int) -> Tensor:
        """(N,) of one clip at the rate of the features; up to KEEP bytes are cached, too."""
        import torch

        found = self._heard.get(row)
        if found is None:
            sound = self.listed[row].load()
            found = resample(torch.as_tensor(sound.samples), sound.rate, self.settings.rate)
            self._room -= found.nbytes
            if self._room >= 0:
                self._heard[row] = found
        return found

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
class ChosenFeatures(Chosen[Clip, "Tensor"]):
    whole: Features


def read_features(
    clips: Iterable[Clip], settings: LogMel, skipped: Skipped, fits: Callable[[Clip, int], str]
) -> Features:
    """Reads every clip once. A clip that cannot be read, or that `fits(clip, T)` rejects, is a bad record."""
    _filters(settings)  # report wrong settings before the first file is blamed
    found = Features(settings=settings)
    digest = hashlib.sha256()
    rates: Counter[int] = Counter()
    cut: list[str] = []

    def load(clip: Clip) -> tuple[Sound, Tensor]:
        sound = clip.load()
        return sound, settings(sound)

    for clip, (sound, features) in usable(clips, load, lambda clip, both: fits(clip, len(both[1])), skipped):
        rates[sound.rate] += 1
        cut += [clip.where] if sound.lost else []
        digest.update(repr((clip.text, clip.group, sound.rate)).encode())
        if not clip.made:  # the last bit of generated audio may differ between machines
            digest.update(sound.samples.tobytes())
        found.add(clip, features)
    if cut:
        skipped.note(
            trn(
                "{n} clip is shorter than its header says and is read as far as it goes: {where}",
                "{n} clips are shorter than their headers say and are read as far as they go; first: {where}",
                n=len(cut),
                where=cut[0],
            )
        )
    others = sum(n for rate, n in rates.items() if rate != settings.rate)
    if others:
        skipped.note(
            trn(
                "{n} of {clips} has another rate and is resampled to {rate} Hz",
                "{n} of {clips} have another rate and are resampled to {rate} Hz",
                n=others,
                clips=trn("{n} clip", "{n} clips", n=len(found.listed)),
                rate=f"{settings.rate:,}",
            )
        )
    found.fingerprint = digest.hexdigest()
    return found
