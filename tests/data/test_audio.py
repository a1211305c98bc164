"""Sound files against the standard library's writer and the format's own words; features against sums written out."""

import gzip
import math
import struct
import sys
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data import audio
from rnncli.data.audio import Clip, LogMel, Sound, first_rate, list_clips, read_features, read_sound, resample
from rnncli.data.skipped import Skipped
from rnncli.errors import DataError, Missing


def header(code: int, channels: int, bits: int, rate: int = 8000, extra: bytes = b"") -> bytes:
    frame = channels * ((bits + 7) // 8)
    return struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits) + extra


def chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def write(path: Path, samples: "np.ndarray[tuple[int], np.dtype[np.int16]]", rate: int = 8000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_whole_numbers_of_every_width(tmp_path: Path, width: int) -> None:
    """What `wave` writes: lowest, zero, a half. 8 bits are unsigned."""
    step = 1 << 8 * width - 1
    low = 0 if width == 1 else -step
    values = [low, low + step, low + step + step // 2]
    data = b"".join(value.to_bytes(width, "little", signed=width > 1) for value in values)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(11025)
        file.writeframes(data)
    sound = read_sound(tmp_path / "a.wav")
    assert sound.rate == 11025
    assert sound.samples.tolist() == [-1.0, 0.0, 0.5]


def test_floats_channels_odd_chunks_and_open_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    stereo = np.array([[0.5, -0.25], [1.0, 0.0]], "<f4").tobytes()
    path.write_bytes(riff(chunk(b"LIST", b"odd"), chunk(b"fmt ", header(3, 2, 32)), chunk(b"data", stereo)))
    assert read_sound(path).samples.tolist() == [0.125, 0.5]
    path.write_bytes(riff(chunk(b"fmt ", header(3, 1, 64)), chunk(b"data", np.array([0.25, -1.0]).tobytes())))
    assert read_sound(path).samples.tolist() == [0.25, -1.0]
    guid = b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
    extra = struct.pack("<HHIH", 22, 20, 4, 1) + guid  # 20 bits in 3 bytes, extensible PCM
    whole = riff(chunk(b"fmt ", header(0xFFFE, 1, 24, extra=extra)), chunk(b"data", b"\x00\x00\x40"))
    path.write_bytes(whole)
    assert read_sound(path).samples.tolist() == [0.5]
    path.with_suffix(".wav.gz").write_bytes(gzip.compress(whole))
    assert read_sound(path.with_suffix(".wav.gz")).samples.tolist() == [0.5]
    data = b"data\xff\xff\xff\xff" + b"\x00\x40" * 3  # written by a program that did not know the size
    path.write_bytes(riff(chunk(b"fmt ", header(1, 1, 16)), data))
    assert read_sound(path).samples.tolist() == [0.5] * 3


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"ID3 and so on", "does not begin as a WAV"),
        (riff(chunk(b"data", b"ab")), "without its 'fmt '"),
        (riff(chunk(b"fmt ", header(1, 1, 16))), "without its 'data'"),
        (riff(chunk(b"fmt ", b"abc")), "cut short"),
        (riff(chunk(b"fmt ", header(1, 0, 16)), chunk(b"data", b"ab")), "makes no sense"),
        (riff(chunk(b"fmt ", header(1, 1, 64)), chunk(b"data", b"ab")), "makes no sense"),
        (riff(chunk(b"fmt ", header(1, 1, 16)), chunk(b"data", b"")), "holds no samples"),
        (riff(chunk(b"fmt ", header(3, 1, 32)), chunk(b"data", np.float32(np.nan).tobytes())), "no numbers"),
        (riff(chunk(b"fmt ", header(1, 1, 16)), b"data\x00\x00\x00\x10abcd"), "4 of 268,435,456 bytes"),
    ],
)
def test_what_is_no_sound(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    with pytest.raises(DataError, match=what) as found:
        read_sound(path)
    assert found.value.where == str(path)


@given(st.binary(max_size=120), st.integers(0, 60))
def test_damaged_bytes_never_surprise(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    good = riff(chunk(b"fmt ", header(1, 1, 16)), chunk(b"data", b"\x00\x40" * 10))
    path = tmp_path_factory.mktemp("damaged") / "a.wav"
    path.write_bytes(good[:at] + noise + good[at + len(noise) :])
    with suppress(DataError, Missing):
        assert np.isfinite(read_sound(path).samples).all()


def test_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "MAX_BYTES", 10)
    write(tmp_path / "a.wav", np.zeros(6, np.int16))
    with pytest.raises(DataError, match="more than 10 bytes"):
        read_sound(tmp_path / "a.wav")


def test_other_formats_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    (tmp_path / "a.flac").write_bytes(b"fLaC....")
    with pytest.raises(Missing, match="extra: audio"):
        read_sound(tmp_path / "a.flac")
    (tmp_path / "law.wav").write_bytes(riff(chunk(b"fmt ", header(7, 1, 8)), chunk(b"data", b"ab")))
    with pytest.raises(Missing, match="extra: audio"):
        read_sound(tmp_path / "law.wav")


def test_flac_through_the_extra(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.flac", np.array([[0.5, 0.0], [-0.5, 0.5]]), 16000)
    sound = read_sound(tmp_path / "a.flac")
    assert (sound.rate, sound.samples.tolist()) == (16000, [0.25, 0.0])
    (tmp_path / "b.flac").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="no sound that can be read"):
        read_sound(tmp_path / "b.flac")


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
    with pytest.raises(DataError, match="cannot be brought to 8000"):
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


def test_lists_of_clips(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "list.tsv").write_text("path\tsentence\twho\n1\tHello\tann\n2\t\tbob\n3\tYes\tbob\n")
    skipped = Skipped("skip", "clips")
    clips = list_clips(tmp_path, skipped, text="sentence", file="path", place="clips/{file}.wav", by="who")
    assert [(clip.file, clip.text, clip.group) for clip in clips] == [
        (tmp_path / "clips/1.wav", "Hello", "ann"),
        (tmp_path / "clips/3.wav", "Yes", "bob"),
    ]
    assert skipped.count == 1
    for name in ("7_ann_0.wav", "8_bob_1.wav", "other.wav"):
        (tmp_path / name).touch()
    clips = list_clips(tmp_path, skipped, pattern="{text}_{who}_*.wav", by="who")
    assert [(clip.text, clip.group) for clip in clips] == [("7", "ann"), ("8", "bob")]
    (tmp_path / "more.csv").write_text("x\n")
    with pytest.raises(DataError, match="holds 2 tables"):
        list_clips(tmp_path, skipped)


def test_features_count_bad_clips_and_forget_what_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.RandomState(0)
    for n, rate in enumerate((8000, 8000, 16000)):
        write(tmp_path / f"{n}.wav", draw.randint(-9000, 9000, 4000, np.int16), rate)
    clips = [Clip(f"{n}", tmp_path / f"{n}.wav", "x") for n in range(4)]
    assert first_rate(clips[3:] + clips) == 8000
    skipped = Skipped("skip", "clips")
    whole = read_features(clips, LogMel(8000), skipped, lambda clip, T: "short" if T < 30 else "")
    assert (skipped.count, skipped.total, whole.lengths) == (2, 4, [48, 48])
    assert [why for _, why in skipped.first] == ["short", "there is no such file"]
    monkeypatch.setattr(audio, "KEEP", 48 * 40 * 4)
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
