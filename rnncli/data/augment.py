"""Audio augmentation: speed perturbation, noise, and time and frequency masks, drawn for every epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnncli.data.audio import Clip, Sound
from rnncli.data.batch import Order, generator
from rnncli.data.features import ChosenFeatures, resample

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

LARGEST_SHARE = 0.2  # largest share of a clip's frames that one time mask hides: p of Park et al. 2019

Fits = Callable[[Clip, int], bool]  # (clip, T) -> whether T frames are enough for its transcript


@dataclass(frozen=True)
class Augment:
    """speed: factor by which a clip is slowed down or sped up, each with probability 1/3 (Ko et al. 2015). noise:
    lowest and highest signal-to-noise ratio of added white noise, in dB; None: no noise. time_masks of up to time_mask
    frames and mel_masks of up to mel_mask bands are set to the means of their bands over the training split (Park et
    al. 2019, arXiv:1904.08779, without its time warping)."""

    speed: float = 0.0
    noise: tuple[float, float] | None = None
    time_masks: int = 0
    time_mask: int = 1
    mel_masks: int = 0
    mel_mask: int = 1

    def frames(self, chosen: ChosenFeatures, rows: Sequence[int], order: Order, fits: Fits) -> list[Tensor]:
        """The augmented features of these rows, each (T, mels): a pure function of seed, epoch and clip. A clip that
        would have too few frames when sped up keeps its speed."""
        return [self._changed(chosen, chosen.rows[row], order, fits) for row in rows]

    def _changed(self, chosen: ChosenFeatures, row: int, order: Order, fits: Fits) -> Tensor:
        features = chosen.whole
        draw = generator(order.seed, order.epoch, row, 0)
        if not self.speed and self.noise is None:
            return self._masked(features[row], features.mean, draw)
        clip, settings = features.listed[row], features.settings
        x = features.samples(row)  # (N,)
        turned = resample(x, 100 + round(100 * self.speed) * int(draw.randint(-1, 2)), 100)
        x = turned if fits(clip, settings.frames(len(turned))) else x
        if self.noise is not None:
            x = _with_noise(x, draw.uniform(*self.noise), draw)
        return self._masked(settings(Sound(x, settings.rate)), features.mean, draw)

    def _masked(self, frames: Tensor, mean: Sequence[float], draw: np.random.RandomState) -> Tensor:
        """(T, mels)."""
        if not self.time_masks and not self.mel_masks:
            return frames
        T, mels = frames.shape
        fill = frames.new_tensor(mean)
        frames = frames.clone()
        for _ in range(self.time_masks):
            start, stop = _stretch(min(self.time_mask, int(LARGEST_SHARE * T)), T, draw)
            frames[start:stop] = fill
        for _ in range(self.mel_masks):
            start, stop = _stretch(self.mel_mask, mels, draw)
            frames[:, start:stop] = fill[start:stop]
        return frames


def _with_noise(x: Tensor, ratio: float, draw: np.random.RandomState) -> Tensor:
    """(N,) with white noise whose power is 10^(ratio / 10) times less."""
    import torch

    noise = torch.from_numpy(draw.standard_normal(len(x))).to(x.dtype)
    return torch.add(x, noise * x.square().mean().sqrt() * 10 ** (-ratio / 20))


def _stretch(longest: int, n: int, draw: np.random.RandomState) -> tuple[int, int]:
    """A mask over up to `longest` of n positions: width and start are drawn uniformly."""
    width = int(draw.randint(longest + 1))
    start = int(draw.randint(n - width + 1))
    return start, start + width
