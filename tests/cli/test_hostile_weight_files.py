"""Keras files made to hurt: one message, and neither time nor memory for what they only claim to hold."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixture_types import Typed

h5py = pytest.importorskip("h5py")
MIB = 1 << 20


def layer(file: str, rows: int) -> None:
    """An LSTM(64) that reads `rows` numbers; a kernel without data, in chunks that were never written."""
    with h5py.File(file, "w") as made:
        group = made.create_group("layers/lstm/cell/vars")
        group.create_dataset("0", shape=(rows, 256), dtype="f4", chunks=(1, 256), compression="gzip")
        group.create_dataset("1", data=[[0.1] * 256] * 64, dtype="f4")
        group.create_dataset("2", data=[0.1] * 256, dtype="f4")


def zipped(file: str, name: str, filler: bytes) -> None:
    layer("small.weights.h5", 8)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        with made.open(name, "w") as entry:
            for _ in range(64):
                entry.write(filler * MIB)
        if name == "config.json":
            made.write("small.weights.h5", "model.weights.h5")
        else:
            made.writestr("config.json", "{}")
        made.writestr("metadata.json", "{}")


def linked() -> None:
    layer("small.weights.h5", 8)
    with h5py.File("linked.weights.h5", "w") as made:
        group = made.create_group("layers/lstm/cell/vars")
        group["0"] = h5py.ExternalLink("small.weights.h5", "layers/lstm/cell/vars/0")
        group["1"], group["2"] = h5py.SoftLink("/layers"), h5py.SoftLink("/nothing")


FILES: dict[str, tuple[Callable[[], object], str]] = {
    "declared.weights.h5": (lambda: layer("declared.weights.h5", 1 << 24), "but the file contains fewer values"),
    "linked.weights.h5": (linked, "without links"),
    "weights.keras": (
        lambda: zipped("weights.keras", "model.weights.h5", b"\0"),
        "far larger than its compressed data",
    ),
    "config.keras": (lambda: zipped("config.keras", "config.json", b"["), "far larger than its compressed data"),
    "cut.keras": (lambda: Path("cut.keras").write_bytes(b"PK\x03\x04" + bytes(100)), "its end is missing"),
    "empty.keras": (Path("empty.keras").touch, "not a complete HDF5 file"),
    "broken.h5": (lambda: Path("broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)), "not a complete HDF5 file"),
}


@pytest.mark.parametrize("name", FILES)
def test_one_message(name: str, typed: Typed) -> None:
    make, said = FILES[name]
    make()
    code, out, err = typed("inspect", f"./{name}", "params")
    assert (code, out) == (3, "")
    assert said in err
    assert "internal error" not in err
