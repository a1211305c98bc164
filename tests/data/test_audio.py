"""Sound files against the standard library's writer, libsndfile's, and sizes written by hand."""

import gzip
import struct
import sys
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data import audio
from rnncli.data.audio import Clip, list_clips, read_sound
from rnncli.data.features import LogMel, read_features
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


TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4001) / 8000)
KINDS = [
    ("WAV", "GSM610", 4160), ("AIFF", "GSM610", 4001), ("W64", "GSM610", 4160), ("WAV", "G721_32", 4080),
    ("AU", "G721_32", 4080), ("AU", "G723_24", 4080), ("AU", "G723_40", 4080), ("WAV", "NMS_ADPCM_16", 4160),
    ("WAV", "NMS_ADPCM_32", 4160), ("WAV", "ULAW", 4001), ("WAV", "IMA_ADPCM", 4040), ("RF64", "PCM_24", 4001),
    ("AIFF", "PCM_16", 4001), ("FLAC", "PCM_16", 4001), ("OGG", "VORBIS", 4001), ("MP3", "MPEG_LAYER_III", 4001),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "subtype", "length"), KINDS, ids=lambda value: str(value))
def test_kinds_of_sound_files(tmp_path: Path, kind: str, subtype: str, length: int) -> None:
    """The tone comes back, whatever the codec makes of its details and of the end of its last block; under any name."""
    path = tmp_path / "a.wav"
    soundfile.write(path, TONE, 8000, format=kind, subtype=subtype)
    sound = read_sound(path)
    assert (sound.rate, len(sound.samples), sound.lost) == (8000, length, 0)
    lag = {"MP3": range(1200)}.get(kind, range(200))
    likeness = max(float(np.corrcoef(TONE[:2500], sound.samples[k : k + 2500])[0, 1]) for k in lag)
    assert likeness > (0.9 if "NMS_ADPCM_16" in subtype else 0.98)
    (tmp_path / "a.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert np.array_equal(read_sound(tmp_path / "a.gz").samples, sound.samples)


def sized(size: int, whole: int, samples: bytes, *, magic: bytes = b"RIFF", before: bytes = b"") -> bytes:
    """A WAV file whose header says these sizes."""
    order = "<" if magic == b"RIFF" else ">"
    form = struct.pack(f"{order}IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    head = magic + struct.pack(f"{order}I", whole) + b"WAVEfmt " + form + before
    return head + b"data" + struct.pack(f"{order}I", size) + samples


OPEN = [0x7FFFF000, 0x80000000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 0]


@pytest.mark.parametrize("size", OPEN, ids=hex)
@pytest.mark.parametrize("magic", [b"RIFF", b"RIFX"])
def test_wav_from_a_pipe(tmp_path: Path, size: int, magic: bytes) -> None:
    """What a program writes that does not know how long the sound will be: then all that follows is sound."""
    numbers = [0, 16384, -16384, 8192, 4, 4]
    samples = np.array(numbers, "<i2" if magic == b"RIFF" else ">i2").tobytes()
    info = b"LIST" + (4).to_bytes(4, "little" if magic == b"RIFF" else "big") + b"INFO"
    path = tmp_path / "a.wav"
    for whole in {0, 36, size, min(size + 36, 0xFFFFFFFF)}:
        for before in (b"", info):
            path.write_bytes(sized(size, whole, samples, magic=magic, before=before))
            sound = read_sound(path)
            assert (sound.samples * 32768).tolist() == numbers, (whole, before)
            assert sound.lost == 0


@pytest.mark.parametrize("size", [0, 2**64 - 1, 10**9])
def test_rf64_from_a_pipe(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.5, -0.25, 0.0]), 8000, format="RF64", subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[20:44] = struct.pack("<3Q", size, size, size)
    path.write_bytes(data)
    assert read_sound(path).samples.tolist() == [0.5, -0.25, 0.0]


def test_flac_from_a_pipe(tmp_path: Path) -> None:
    """Its number of samples is 0: unknown."""
    path = tmp_path / "a.flac"
    soundfile.write(path, TONE, 8000)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert np.abs(read_sound(path).samples - TONE).max() < 1e-4


def test_what_a_header_promises_and_the_file_lacks_is_said(tmp_path: Path) -> None:
    """Read as far as it goes. An honest empty file, with more behind it, stays empty."""
    half = b"\x00\x40"
    (tmp_path / "1.wav").write_bytes(sized(6000, 6036, half * 2000))
    (tmp_path / "2.wav").write_bytes(sized(4000, 4036, half * 2000))
    assert [read_sound(tmp_path / name).lost for name in ("1.wav", "2.wav")] == [2000, 0]
    skipped = Skipped("stop", "clips")
    clips = [Clip(name, tmp_path / name, "x") for name in ("1.wav", "2.wav")]
    found = read_features(clips, LogMel(8000, mels=4), skipped, lambda clip, T: "")
    assert found.lengths == [23, 23]
    assert skipped.notes == ["1 clip is shorter than its header says and is read as far as it goes: 1.wav"]
    path = tmp_path / "a.wav"
    path.write_bytes(riff(chunk(b"fmt ", header(1, 1, 16)), chunk(b"data", b""), chunk(b"LIST", b"INFO" * 9)))
    with pytest.raises(DataError, match="contains no samples"):
        read_sound(path)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"ID3 and so on", "Format not recognised"),
        (riff(chunk(b"data", b"ab")), "No 'data' chunk"),
        (riff(chunk(b"fmt ", header(1, 1, 16))), "No 'data' chunk"),
        (riff(chunk(b"fmt ", b"abc")), "Short 'fmt ' chunk"),
        (riff(chunk(b"fmt ", header(1, 0, 16)), chunk(b"data", b"ab")), "Channel count is zero"),
        (riff(chunk(b"fmt ", header(1, 1, 64)), chunk(b"data", b"ab")), "unimplemented format"),
        (riff(chunk(b"fmt ", header(1, 1, 16)), chunk(b"data", b"")), "contains no samples"),
        (riff(chunk(b"fmt ", header(3, 1, 32)), chunk(b"data", np.float32(np.nan).tobytes())), "NaN or infinite"),
        (riff(chunk(b"fmt ", header(1, 1, 16, rate=7)), chunk(b"data", b"abcd")), "implausible sampling rate: 7 Hz"),
    ],
)
def test_what_is_no_sound(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    with pytest.raises(DataError, match=what) as found:
        read_sound(path)
    assert found.value.where == str(path)
    assert "unimplemented" not in what or found.value.todo == f"convert it, e.g.: ffmpeg -i {path} new.wav"


@given(st.binary(max_size=120), st.integers(0, 60))
def test_damaged_bytes_never_surprise(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    good = riff(chunk(b"fmt ", header(1, 1, 16)), chunk(b"data", b"\x00\x40" * 10))
    path = tmp_path_factory.mktemp("damaged") / "a.wav"
    path.write_bytes(good[:at] + noise + good[at + len(noise) :])
    with suppress(DataError, Missing):
        assert np.isfinite(read_sound(path).samples).all()


def test_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.wav", np.zeros(6, np.int16))
    monkeypatch.setattr(audio, "MAX_VALUES", 5)
    with pytest.raises(DataError, match="more than 5 samples"):
        read_sound(tmp_path / "a.wav")
    monkeypatch.setattr(audio, "MAX_BYTES", 10)
    with pytest.raises(DataError, match="larger than 10 bytes"):
        read_sound(tmp_path / "a.wav")


def test_without_the_package_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    write(tmp_path / "a.wav", np.zeros(6, np.int16))
    with pytest.raises(Missing, match="libsndfile, which cannot be loaded"):
        read_sound(tmp_path / "a.wav")


def test_channels_of_a_flac_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.array([[0.5, 0.0], [-0.5, 0.5]]), 16000)
    sound = read_sound(tmp_path / "a.flac")
    assert (sound.rate, sound.samples.tolist()) == (16000, [0.25, 0.0])


@pytest.mark.parametrize(
    ("there", "name", "place", "todo"),
    [
        ("clips/a.wav", "a.wav", "{file}", "try --set 'data.place=clips/{file}'"),
        ("wavs/a.wav", "a", "{file}", "try --set 'data.place=wavs/{file}.wav'"),
        ("a.wav", "a.wav", "clips/{file}", "try --set 'data.place={file}'"),
        (
            "deep/er/a.wav",
            "a.wav",
            "{file}",
            "set data.place to their path from the table's folder, such as clips/{file}",
        ),
    ],
)
def test_clips_in_another_place(tmp_path: Path, there: str, name: str, place: str, todo: str) -> None:
    path = tmp_path / there
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    (tmp_path / "list.tsv").write_text(f"file\ttext\n{name}\thello\n")
    with pytest.raises(DataError, match="none of the listed files exists") as caught:
        list_clips(tmp_path / "list.tsv", Skipped(), place=place)
    looked = (tmp_path / place.replace("{file}", name)).parent
    assert caught.value.todo.startswith(f"looked in {looked}; ")
    assert todo in caught.value.todo


def test_lists_of_clips(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "list.tsv").write_text("path\tsentence\twho\n1\tHello\tann\n2\t\tbob\n3\tYes\tbob\n")
    (tmp_path / "clips/1.wav").touch()
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
    with pytest.raises(DataError, match="contains 2 transcript tables"):
        list_clips(tmp_path, skipped)
