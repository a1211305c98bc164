"""Features against sums written out, and resampling against the tone itself."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rnncli.data import kept
from rnncli.data.audio import Clip, Sound, first_rate
from rnncli.data.features import LogMel, read_features, resample
from rnncli.data.skipped import Skipped
from rnncli.errors import DataError
from tests.data.test_audio import write


@pytest.mark.parametrize(("old", "new"), [(44100, 16000), (8000, 16000), (16000, 8000), (22050, 8000)])
def test_resampling_keeps_a_tone_and_drops_what_is_too_high(old: int, new: int) -> None:
    tone = torch.from_numpy(np.sin(2 * np.pi * 880 * np.arange(old) / old)).float()
    found = resample(tone, old, new)
    assert len(found) == new
    wanted = torch.from_numpy(np.sin(2 * np.pi * 880 * np.arange(new) / new)).float()
    assert float((found - wanted)[100:-100].abs().max()) < 2e-4
    if new < old:
        high = torch.from_numpy(np.sin(2 * np.pi * 0.45 * old * np.arange(old) / old)).float()
        assert float(resample(high, old, new)[100:-100].abs().max()) < (0.02 if new * 2 < 0.9 * old else 1)


def test_rates_without_a_small_ratio() -> None:
    with pytest.raises(DataError, match="cannot resample"):
        resample(torch.zeros(10), 44101, 8000)


def test_log_mel_written_out() -> None:
    """One window, its Fourier sums and its triangles computed by hand in float64."""
    settings = LogMel(rate=1000, mels=5, window=32.0, hop=16.0)
    x = np.random.RandomState(0).uniform(-1, 1, 70).astype(np.float32)
    found = settings(Sound(x, 1000))
    assert found.shape == (1 + (70 - 32) // 16, 5)
    n = np.arange(32)
    framed = x[16:48] * (0.5 - 0.5 * np.cos(2 * np.pi * n / 31))
    frequencies = np.arange(33) * 1000 / 64  # twice the window
    power = np.array([abs(np.sum(framed * np.exp(-2j * np.pi * f * n / 1000))) ** 2 for f in frequencies])
    corners = [700 * (10 ** (m * 2595 * math.log10(1 + 500 / 700) / 6 / 2595) - 1) for m in range(7)]
    wanted = []
    for low, middle, high in zip(corners, corners[1:], corners[2:], strict=False):
        slope = [max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle))) for f in frequencies]
        wanted.append(math.log(float(power @ np.array(slope)) + 1e-6))
    assert found[1].tolist() == pytest.approx(wanted, abs=1e-4)
    assert settings(Sound(x[:3], 1000)).shape == (1, 5)
    with pytest.raises(DataError, match="too many"):
        LogMel(rate=1000, mels=200)(Sound(x, 1000))


def test_features_count_bad_clips_and_forget_what_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.RandomState(0)
    for n, rate in enumerate((8000, 8000, 16000)):
        write(tmp_path / f"{n}.wav", draw.randint(-9000, 9000, 4000, np.int16), rate)
    clips = [Clip(f"{n}", tmp_path / f"{n}.wav", "x") for n in range(4)]
    assert first_rate(clips[3:] + clips) == 8000
    skipped = Skipped("skip", "clips")
    whole = read_features(clips, LogMel(8000), skipped, lambda clip, T: "short" if T < 30 else "")
    assert (skipped.count, skipped.total, whole.lengths) == (2, 4, [48, 48])
    assert [why for _, why in skipped.first] == ["short", "no such file"]
    monkeypatch.setattr(kept, "KEEP", 48 * 40 * 4)
    other = Skipped("skip", "clips")
    again = read_features(clips[:3], LogMel(8000), other, lambda clip, T: "")
    assert other.notes == ["1 of 3 clips has another rate and is resampled to 8,000 Hz"]
    assert len(again._kept) == 1
    assert torch.equal(again[1], whole[1])
    mean, std = again.moments([0, 1])
    both = torch.cat([whole[0], whole[1]]).double()
    assert mean == pytest.approx(both.mean(0).tolist())
    assert std == pytest.approx(both.std(0, correction=0).tolist())
    assert again.fingerprint != whole.fingerprint
