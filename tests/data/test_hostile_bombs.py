"""Files made to fill the memory or to take for ever: each is refused with a DataError, in seconds, within a bound; the
command line too ends with exit code 3. What fuzzing and thought found stays here by name."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import resource
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rnncli.data.arrays import read_arrays
from rnncli.data.audio import Sound, read_sound
from rnncli.data.columns import columns_of_file
from rnncli.data.conllu import Conllu
from rnncli.data.features import LogMel, resample
from rnncli.data.frame_files import read_sequence
from rnncli.data.pairs import read_pairs
from rnncli.data.skipped import Skipped
from rnncli.data.sniff import sniff_table
from rnncli.data.table import read_cells, read_panel
from rnncli.data.text import read_text
from rnncli.errors import DataError
from rnncli.views._inputs import features_of_file
from tests import warm
from tests.hostile import GIB, bounded

MIB = 1 << 20


def packed(block: bytes, times: int) -> bytes:
    """A .gz that unpacks to the block that many times: gzip files stand one behind the other."""
    return gzip.compress(block, 9) * times


def fmt(code: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16) -> bytes:
    frame = channels * bits // 8
    return b"fmt \x10\0\0\0" + struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits)


def wav(*chunks: bytes) -> bytes:
    return b"RIFF\xff\xff\xff\xffWAVE" + b"".join(chunks)


def npy(header: str, length: int | None = None, version: int = 1, data: bytes = b"") -> bytes:
    text = header.encode("latin1") + b"\n"
    size = len(text) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + size.to_bytes(2 * version, "little") + text + data


def shape(of: str, descr: str = "<f8") -> bytes:
    return npy(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {of}, }}", data=bytes(64))


def npz(members: dict[str, bytes], copies: int = 1) -> bytes:
    """copies: how often the table of contents lists each member; all of them lie in the same place."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.filelist *= copies
    return file.getvalue()


def lying_npz() -> bytes:
    """Says that a member has 8 GB, and holds a few bytes."""
    data = bytearray(npz({"frames.npy": shape("(1000000000,)")}))
    place = data.index(b"PK\x01\x02") + 24
    data[place : place + 4] = struct.pack("<I", 0xFFFFFFF0)
    return bytes(data)


class Payload:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch pwned",)


def objects() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Payload(), None], dtype=object), allow_pickle=True)
    return file.getvalue()


def png(width: int, height: int) -> bytes:
    """The beginning of a black picture of one bit a point."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(10**6), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _series(path: Path) -> object:
    return read_panel(path, (), "date", ["value"], Skipped("skip"))[0]


def _cells(path: Path) -> object:
    return list(read_cells(path, ["date"], Skipped("skip")))


def _frames(path: Path) -> object:
    return read_sequence(path.parent)


def _conllu(path: Path) -> object:
    return list(Conllu().sentences(path, Skipped("skip")))


def _tags(path: Path) -> object:
    return list(columns_of_file(path).sentences(path, Skipped("skip")))


def _pairs(path: Path) -> object:
    return list(read_pairs(path, Skipped("skip")))


LINE = b"2024-01-01,1\n"
WORD = b"1\ta-long-word\t_\tX\t_\t_\t_\t_\t_\t_\n\n"

# name of the file -> its bytes, the reader, words of the message
CASES: dict[str, tuple[str, Callable[[], bytes], Callable[[Path], object], str]] = {
    "wav: 4 GB of samples": ("a.wav", lambda: wav(fmt(), b"data\xf0\xff\xff\xff"), read_sound, "no samples"),
    "wav: 4 GB before them, in .gz": (
        "a.wav.gz",
        lambda: gzip.compress(wav(b"LIST\xf0\xff\xff\xff")) + packed(bytes(MIB), 4096),
        read_sound,
        "unpacks to",
    ),
    "wav: a million chunks": ("a.wav", lambda: wav(b"LIST\0\0\0\0" * 10**6), read_sound, "No 'data' chunk"),
    "wav: 2 GB in .gz": (
        "a.wav.gz",
        lambda: gzip.compress(wav(fmt(), b"data\0\0\0\x80")) + packed(bytes(MIB), 2048),
        read_sound,
        "unpacks to",
    ),
    "wav: one sample a second": (
        "a.wav",
        lambda: wav(fmt(rate=1), b"data\x10\0\0\0" + bytes(16)),
        read_sound,
        "implausible sampling rate",
    ),
    "wav: 65,535 channels": (
        "a.wav",
        lambda: wav(fmt(channels=32767, bits=16), b"data\x10\0\0\0" + bytes(16)),
        read_sound,
        "Too many channels",
    ),
    "npy: a shape of 10^18": ("a.npy", lambda: shape("(1000000, 1000000, 1000000)"), read_arrays, "truncated"),
    "npy: a shape beyond 64 bits": ("a.npy", lambda: shape("(9" + "0" * 300 + ",)"), read_arrays, "of shape"),
    "npy: a negative shape": ("a.npy", lambda: shape("(-1, 4)"), read_arrays, "of shape"),
    "npy: a shape of truths": ("a.npy", lambda: shape("(True, True)"), read_arrays, "of shape"),
    "npy: numbers of no bytes": ("a.npy", lambda: shape("(9000000000,)", "|S0"), read_arrays, "of shape"),
    "npy: texts of 4 GB": ("a.npy", lambda: shape("(1,)", "<U999999999"), read_arrays, "not a readable NumPy file"),
    "npy: a header of 4 GB": ("a.npy", lambda: npy("{}", 0xFFFFFFF0, 2), read_arrays, "a header of"),
    "npy: a header nested deeply": ("a.npy", lambda: npy("(" * 9000), read_arrays, "not a readable NumPy file"),
    "npy: Python objects": ("a.npy", objects, read_arrays, "Python objects"),
    "npz: Python objects": ("a.npz", lambda: npz({"frames.npy": objects()}), read_arrays, "Python objects"),
    "npz: a pickle": ("a.npz", lambda: pickle.dumps(Payload()), read_arrays, "not a readable NumPy file"),
    "npz: one member a thousand times": (
        "a.npz",
        lambda: npz({"frames.npy": bytes(MIB)}, 1000),
        read_arrays,
        "unpacks to",
    ),
    "npz: says 4 GB": ("a.npz", lying_npz, read_arrays, "unpacks to"),
    "png: 10^9 points": ("a.png", lambda: png(30_000, 30_000), _frames, "not a readable image"),
    "png: 4 x 10^18 points": (
        "a.png",
        lambda: png((1 << 31) - 1, (1 << 31) - 1),
        _frames,
        "not a readable image",
    ),
    "text: 4 GB in .gz": ("a.txt.gz", lambda: packed(b"some text\n" * (MIB // 10), 4096), read_text, "unpacks to"),
    "table: 4 GB in .gz": (
        "a.csv.gz",
        lambda: gzip.compress(b"date,value\n") + packed(LINE * (MIB // 13), 4096),
        _cells,
        "unpacks to",
    ),
    "series: 4 GB in .gz": (
        "a.csv.gz",
        lambda: gzip.compress(b"date,value\n") + packed(LINE * (MIB // 13), 4096),
        _series,
        "unpacks to",
    ),
    "sniff: 4 GB in .gz": ("a.csv.gz", lambda: packed(b"x" * MIB, 4096), sniff_table, "longer than|unpacks to"),
    "CoNLL-U: 4 GB in .gz": ("a.conllu.gz", lambda: packed(WORD * (MIB // len(WORD)), 4096), _conllu, "unpacks to"),
    "tags: 4 GB in .gz": (
        "a.tsv.gz",
        lambda: packed((b"a-long-word\tNOUN\n" * 9 + b"\n") * (MIB // 154), 4096),
        _tags,
        "unpacks to",
    ),
    "pairs: 4 GB in .gz": (
        "a.tsv.gz",
        lambda: packed(b"a sentence of words\tanother one with more\n" * (MIB // 42), 4096),
        _pairs,
        "unpacks to",
    ),
    "table: a line of 100 MB": ("a.csv", lambda: b"date,value\n" + b"1," * (50 * MIB), _cells, "longer than"),
    "table: a million columns": ("a.csv", lambda: b"a-long-name-of-a-column," * 600_000 + b"x\n", _cells, "no column"),
    "table: a name of 10^5 letters": ("a.csv", lambda: b"d" * 100_000 + b",x\n1,2\n", _cells, "no column"),
    "table: a quote that never closes": (
        "a.csv",
        lambda: b'date,value\n"' + b"x\n" * 250_000,
        _cells,
        "unclosed quotes",
    ),
    "series: 10^6 digits": ("a.csv", lambda: b"date,value\n2024-01-01," + b"9" * 10**6, _series, "no usable"),
    "series: 10^6 digits of a date": ("a.csv", lambda: b"date,value\n" + b"9" * 10**5 + b",1\n", _series, "no usable"),
    "series: NUL": ("a.csv", lambda: b"date,value\n2024-01-01,\0\n", _series, "NUL"),
    "text: UTF-16": ("a.txt", lambda: "some text".encode("utf-16"), read_text, "UTF-16"),
    "text: UTF-32": ("a.txt", lambda: "some text".encode("utf-32-be"), read_text, "NUL"),
    "text: Latin 1": ("a.txt", lambda: "déjà vu".encode("latin1"), read_text, "0xe9 at offset 1"),
    "text: half a character": ("a.txt", lambda: "some é".encode()[:-1], read_text, "0xc3 at offset 5"),
    "CoNLL-U: no blank line": ("a.conllu", lambda: b"# a\n" * 10**6, _conllu, "without a blank"),
    "steps: a line of 100 MB": (
        "a.csv",
        lambda: b"1," * (50 * MIB),
        lambda path: features_of_file(str(path), 2),
        "longer",
    ),
    "steps: a header of 4 GB": (
        "a.npy",
        lambda: npy("{}", 0xFFFFFFF0, 2),
        lambda path: features_of_file(str(path), 2),
        "a header of",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    name, make, read, words = CASES[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(make())
    with pytest.raises(DataError, match=words) as refused, bounded(memory=GIB):
        read(tmp_path / name)
    assert len(str(refused.value)) < 3000
    assert not (tmp_path / "pwned").exists()


def test_a_gigabyte_that_was_never_written(tmp_path: Path) -> None:
    """Files with holes: large for their readers, nothing on the disk."""
    for name, data, read, words in (
        ("a.wav", wav(fmt(), b"data\0\0\0\x80"), read_sound, "larger than .* bytes"),
        ("a.png", png(4, 4), _frames, "too large for an image"),
        ("a.npy", npy("{}", 0xFFFFFFF0, 2), read_arrays, "a header of"),
    ):
        (tmp_path / name).write_bytes(data)
        os.truncate(tmp_path / name, 3 * GIB)
        with pytest.raises(DataError, match=words), bounded(memory=GIB):
            read(tmp_path / name)
        (tmp_path / name).unlink()


def test_the_longest_sound_that_is_read_takes_bounded_memory() -> None:
    with pytest.raises(DataError, match="too long"), bounded(memory=GIB):
        resample(torch.zeros(20 * MIB), 100, 16000)
    with bounded(memory=GIB):  # 43 minutes
        found = LogMel(8000)(Sound(np.zeros(20 * MIB, np.float32), 8000))
    assert found.shape[1] == 40


@pytest.mark.parametrize("name", ["a.wav", "a.npz", "a.npy", "a.png", "a.csv", "a.conllu", "a.txt"])
def test_pipes_and_devices(tmp_path: Path, name: str) -> None:
    readers: dict[str, Callable[[Path], object]] = {
        ".wav": read_sound, ".npz": read_arrays, ".npy": read_arrays, ".png": _frames, ".csv": _series,
        ".conllu": _conllu, ".txt": read_text,
    }  # fmt: skip
    path = tmp_path / name
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("/dev/full")):
        make(path)
        with pytest.raises(DataError, match="not a regular file"), bounded():
            readers[path.suffix](path)
        path.unlink()


RECIPES = {
    "text": ("language-model", "{path: %s}"),
    "table": ("forecasting", "{path: %s, date: date, target: value}"),
    "CoNLL-U": ("tagging", "{path: %s}"),
    "npz": ("image-sequences", "{path: %s}"),
    "wav": ("transcription", "{path: %s}"),
}


# `rnncli WORDS`, then the peak of this process: what wait() tells of a process starts with that of its parent.
SCRIPT = """
import resource, runpy, sys
try:
    runpy.run_module("rnncli", run_name="__main__", alter_sys=True)
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


@pytest.mark.parametrize("case", ["text: 4 GB in .gz", "npz: one member a thousand times", "npz: Python objects"])
def test_the_command_line_within_bounds(tmp_path: Path, case: str) -> None:
    """A process of its own: 10 seconds of processor time, its imports included, and a bound on resident memory."""
    name, make, _, words = CASES[case]
    (tmp_path / name).write_bytes(make())
    kind = {"text": "text", "series": "table", "npz": "npz"}[case.partition(":")[0]]
    task, data = RECIPES[kind]
    (tmp_path / "r.yaml").write_text(f"task: {task}\ndata: {data % name}\nmodel: {{hidden_size: 2}}\ntrain: {{}}\n")

    def bounds() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (10, 12))

    done = subprocess.run(
        [warm.python(), "-c", SCRIPT, "train", "./r.yaml"],
        cwd=tmp_path, capture_output=True, preexec_fn=bounds, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True,
    )  # fmt: skip
    said, _, peak = done.stderr.rstrip().rpartition("\n")
    assert done.returncode == 3, done.stderr
    assert words in said
    assert int(peak) < MIB  # in KiB: 1 GiB
    assert not (tmp_path / "pwned").exists()
