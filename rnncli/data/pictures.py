"""Records that show data and predictions as pictures: confusion matrix, spectrogram, film strip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnncli.locale import tr
from rnncli.records import HeatMap

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SHOWN_FRAMES = 8  # of an image sequence
SHOWN_POINTS = 48  # of a frame's longer side; larger frames are subsampled


@dataclass(frozen=True)
class Confusion:
    """counts[true class][predicted class] -> rows of the data."""

    counts: Sequence[Sequence[int]]
    labels: Sequence[str]

    def shown(self, percent: bool = False) -> HeatMap:
        """The matrix; row labels include the row's sum. percent: as shares of each true class."""
        sums = [sum(row) for row in self.counts]
        shares = [[n / max(1, total) for n in row] for row, total in zip(self.counts, sums, strict=True)]
        title = tr("confusion matrix (rows: true class)")
        return HeatMap(
            "confusion",
            shares if percent else self.counts,
            [f"{label} ({n})" for label, n in zip(self.labels, sums, strict=True)],
            self.labels,
            row_axis=tr("true class"),
            column_axis=tr("predicted"),
            title=tr("confusion matrix, % of each true class (rows)") if percent else title,
            cells="percent" if percent else "count",
        )


def spectrogram(features: npt.ArrayLike, seconds: float) -> HeatMap:
    """The log-mel features of a clip, (T, mels), in nepers above the minimum. seconds: duration of a frame."""
    import numpy as np

    bands = np.asarray(features, dtype=np.float64).T[::-1]  # (mels, T), high frequencies on top
    bands = bands - bands.min()
    return HeatMap(
        "spectrogram",
        bands.tolist(),
        [str(band) for band in range(len(bands) - 1, -1, -1)],
        [tr("{seconds} s", seconds=f"{t * seconds:.2f}") for t in range(bands.shape[1])],
        row_axis=tr("mel band"),
        column_axis=tr("time"),
        title=tr("log-mel spectrogram, relative to its minimum"),
    )


def frame_strip(frames: npt.NDArray[np.generic]) -> HeatMap:
    """The first frames of an image sequence, (T, height, width, C), side by side; channel mean, scaled to 0 ... 1."""
    import numpy as np

    shown = np.asarray(frames[:SHOWN_FRAMES], dtype=np.float64).mean(axis=3)
    step = max(1, math.ceil(max(shown.shape[1:]) / SHOWN_POINTS))
    shown = shown[:, ::step, ::step]
    low, high = shown.min(), shown.max()
    shown = (shown - low) / (high - low) if high > low else shown - low
    T, height, width = shown.shape
    strip = np.full((height, T * (width + 1) - 1), math.nan)  # an empty column between two frames
    labels = [""] * strip.shape[1]
    for t in range(T):
        begin = t * (width + 1)
        strip[:, begin : begin + width] = shown[t]
        labels[begin : begin + width] = [f"t={t}"] * width
    title = tr("the first {n} of {all} frames", n=T, all=len(frames))
    return HeatMap("frames", strip.tolist(), [str(row) for row in range(height)], labels, title=title, square=True)
