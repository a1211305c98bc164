"""Mutated sounds, arrays and pictures: every reader either reads them or says in one DataError what is wrong."""

from __future__ import annotations

import gzip
import io
import random
import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from rnncli.data.audio import read_sound
from rnncli.data.features import LogMel
from rnncli.data.frame_files import read_sequence
from rnncli.data.images import list_sequences, read_sequences
from rnncli.data.skipped import Skipped
from rnncli.errors import DataError
from rnncli.views._inputs import features_of_file
from tests.hostile import bounded, counts, mutated, record

NUMBERS = [
    struct.pack(kind, value)
    for kind, values in {
        "<H": (0, 1, 3, 0xFFFE, 0xFFFF),
        "<I": (0, 1, 15, 16, 8000, 1 << 31, 0xFFFFFFFE, 0xFFFFFFFF),
        "<Q": (0, 1 << 63, (1 << 64) - 1),
        "<f": (float("nan"), float("inf")),
    }.items()
    for value in values
]
BIG = [piece[::-1] for piece in NUMBERS]
WAV_PIECES = [b"RIFF", b"WAVE", b"fmt ", b"data", b"LIST", b"fact", b"\0", *NUMBERS]
NPY_PIECES = [
    b"\x93NUMPY", b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"'|O'", b"'<f8'", b"'<U99999999'", b"'|S0'", b"'V'",
    b"'M8[ns]'", b"'<c16'", b"'|b1'", b"-1", b"True", b"9" * 30, b"()", b"(((", b")", b"None", b"{", b"}", b"'", b"\n",
    b"[('a', '<f4')]", b"0", b"1e9", b"(4000000000,)", *NUMBERS,
]  # fmt: skip


def _wav(width: int = 2, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(8000)
        sound.writeframes(bytes(range(width * channels * 40)))
    return file.getvalue()


def _float_wav() -> bytes:
    samples = np.linspace(-1, 1, 50, dtype="<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, 16000, 64000, 4, 32)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _encoded(kind: str, **more: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(2000) / 9).astype(np.float32) * 0.5, 8000, format=kind, **more)
    return file.getvalue()


FILMS = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)


def _npz(save: Callable[..., None]) -> bytes:
    file = io.BytesIO()
    save(file, frames=FILMS, labels=np.array(["a", "b"]), lengths=np.array([3, 2]))
    return file.getvalue()


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _picture(kind: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.effect_noise((16, 12), 60).convert(mode).save(file, kind)
    return file.getvalue()


def _sound(path: Path) -> None:
    LogMel(8000, mels=8)(read_sound(path))


def _archive(path: Path) -> None:
    read_sequences(list_sequences(path, Skipped("skip")), Skipped("skip"))


def _frames(path: Path) -> None:
    read_sequence(path.parent)


def _steps(path: Path) -> None:
    features_of_file(str(path), 2)


SEEDS: dict[str, tuple[list[bytes], list[bytes], Callable[[Path], object]]] = {
    "sound.wav": ([_wav(), _wav(1), _wav(3, 2), _wav(4), _float_wav()], WAV_PIECES, _sound),
    "codec.wav": ([_encoded("WAV", subtype="ULAW"), _encoded("WAV", subtype="MS_ADPCM")], WAV_PIECES, _sound),
    "sound.flac": ([_encoded("FLAC")], [b"fLaC", b"\xff\xf8", *NUMBERS], _sound),
    "blocks.wav": ([_encoded("WAV", subtype="GSM610"), _encoded("WAV", subtype="G721_32")], WAV_PIECES, _sound),
    "long.wav": ([_encoded("RF64"), _encoded("WAV", endian="BIG"), _encoded("W64")], [b"ds64", *WAV_PIECES], _sound),
    "sound.aiff": ([_encoded("AIFF"), _encoded("AIFF", subtype="GSM610")], [b"FORM", b"SSND", b"COMM", *BIG], _sound),
    "sound.au": ([_encoded("AU"), _encoded("AU", subtype="G723_24")], [b".snd", *BIG], _sound),
    "sound.caf": ([_encoded("CAF"), _encoded("CAF", subtype="ALAC_16")], [b"caff", b"pakt", b"kuki", *BIG], _sound),
    "sound.mp3": ([_encoded("MP3")], [b"ID3", b"\xff\xfb", b"Xing", *BIG], _sound),
    "sound.ogg": ([_encoded("OGG", subtype="VORBIS")], [b"OggS", b"\x01vorbis", *NUMBERS], _sound),
    "films.npz": ([_npz(np.savez), _npz(np.savez_compressed)], NPY_PIECES, _archive),
    "film.npy": ([_npy(FILMS[0]), _npy(FILMS[0] / 3), _npy(np.asfortranarray(FILMS[1]))], NPY_PIECES, read_sequence),
    "steps.npy": ([_npy(np.ones((3, 2))), _npy(np.ones((3, 1, 2), np.int8))], NPY_PIECES, _steps),
    "steps.csv": ([b"a,b\n1,2\n3,4.5e3\n"], [b"\0", b"\xff", b"nan", b"1e999", b'"', b",", b"\n", b"9" * 400], _steps),
    "frame.png": ([_picture("PNG"), _picture("PNG", "P")], [b"IHDR", b"IDAT", b"iTXt", b"acTL", *NUMBERS], _frames),
    "frame.jpg": ([_picture("JPEG")], [b"\xff\xd8", b"\xff\xc0", b"\xff\xda", b"Exif", *NUMBERS], _frames),
    "frame.gif": ([_picture("GIF")], [b"GIF89a", b"\x21\xf9", b",", *NUMBERS], _frames),
    "frame.bmp": ([_picture("BMP")], [b"BM", *NUMBERS], _frames),
    "frame.tif": ([_picture("TIFF")], [b"II*\0", b"MM\0*", *NUMBERS], _frames),
    "frame.webp": ([_picture("WEBP")], [b"VP8 ", b"VP8X", b"ANIM", *NUMBERS], _frames),
}  # fmt: skip


@pytest.mark.parametrize("name", SEEDS)
@counts(120, 1000)
def test_mutated_files(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, count: int) -> None:
    seeds, pieces, read = SEEDS[name]
    rng = random.Random(name)
    outcomes = {"read": 0, "refused": 0}
    for i in range(count):
        data = mutated(seeds[i % len(seeds)], rng, pieces)
        path = tmp_path / name
        if name == "sound.wav" and i % 5 == 0:
            path = tmp_path / f"{name}.gz"
            data = gzip.compress(data)
        if rng.randrange(10) == 0:
            data = data[: rng.randrange(len(data) + 1)]
        path.write_bytes(data)
        try:  # anything but a DataError fails the test
            with bounded():
                read(path)
            outcomes["read"] += 1
        except DataError:
            outcomes["refused"] += 1
    assert outcomes["refused"]
    assert outcomes["read"] or (name == "sound.flac" and count < 1000)  # whose checksums find nearly every change
    assert "Traceback" not in capfd.readouterr().err  # a library in C prints what is raised in its callbacks
    if count == 1000:
        record("files", name, {"inputs": count, "readings": outcomes})
