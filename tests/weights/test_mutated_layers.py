"""Mutated Keras and ONNX files through the command line: arrays, attributes, links, configurations, nodes and bytes.
Whatever a file holds, its core is shown or one message says why not."""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.hostile import Tally, record, slices
from tests.weights.keras_models import DATA, ENDINGS, core_of

SHAPES = [(), (0,), (1,), (8,), (2, 8), (3, 8), (2, 6), (3, 3), (8, 2), (1, 2, 8), (2, 0), (1 << 20, 8)]
DTYPES = ["f2", "f4", "f8", ">f4", "i4", "u1", "?", "c8", "S4", "V2", "f4,i2"]
TEXTS = ["", "\x1b[2J", "sigmoid", "中文", "a" * 300, "../../etc/passwd", "lstm", "GRU", "\u202e", "cell/../x"]
JUNK: list[Any] = [
    None,
    True,
    -1,
    0,
    10**30,
    0.5,
    float("nan"),
    [],
    {},
    [[]],
    ["x", 0, 0],
    {"class_name": "LSTM"},
    *TEXTS,
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RNNCLI_DEBUG", raising=False)
    yield
    torch.set_num_threads(1)


def bytes_changed(data: bytes, rng: random.Random) -> bytes:
    """A few bytes are others, of the head more often; sometimes the end is missing."""
    made = bytearray(data)
    for _ in range(rng.choice([0, 0, 1, 3])):
        made[rng.randrange(min(len(made), rng.choice([300, 10**9])))] = rng.randrange(256)
    if rng.randrange(8) == 0:
        del made[rng.randrange(len(made)) :]
    return bytes(made)


def replaced(value: Any, rng: random.Random) -> None:
    """One value somewhere in a JSON document is another, or gone."""
    while isinstance(value, dict | list) and value:
        key = rng.choice(list(value) if isinstance(value, dict) else list(range(len(value))))
        if isinstance(value[key], dict | list) and value[key] and rng.randrange(5):
            value = value[key]
        elif rng.randrange(5):
            value[key] = copy.deepcopy(rng.choice(JUNK))
            return
        else:
            del value[key]
            return


# --------------------------------------------------------------------------------------------------------------- HDF5


def numbers(rng: random.Random) -> Any:
    shape, dtype = rng.choice(SHAPES[:-1]), rng.choice(DTYPES)
    return np.zeros(shape, dtype=dtype) if rng.randrange(2) else np.full(shape, 0.5).astype(dtype.partition(",")[0])


def array(group: Any, name: str, rng: random.Random) -> None:
    """Another array in place of one: of another shape or kind, never written, packed, kept elsewhere."""
    import h5py

    kind = rng.randrange(6)
    shape = rng.choice(SHAPES)
    if kind == 0:
        group.create_dataset(name, shape=(rng.choice([8, 1 << 24]), 8), dtype="f4", chunks=(1, 8), compression="gzip")
    elif kind == 1:
        layout = h5py.VirtualLayout(shape=(3, 8), dtype="f4")
        layout[:] = h5py.VirtualSource(rng.choice(["other.h5", "."]), "x", shape=(3, 8))
        group.create_virtual_dataset(name, layout)
    elif kind == 2:
        group.create_dataset(name, shape=shape, dtype="f4", external=[("outside", 0, h5py.h5f.UNLIMITED)])
    elif kind == 3:
        group.create_dataset(name, data=h5py.Empty("f4"))
    elif kind == 4:
        group.create_dataset(name, data=rng.choice(TEXTS))
    else:
        group.create_dataset(name, data=numbers(rng))


def link(group: Any, name: str, rng: random.Random) -> None:
    import h5py

    kind = rng.randrange(4)
    if kind == 0:
        group[name] = h5py.SoftLink(rng.choice(["/", "/nothing", "/layers", "."]))
    elif kind == 1:
        group[name] = h5py.ExternalLink(rng.choice(["other.h5", "/dev/zero", "w.h5"]), "/")
    elif kind == 2:
        group[name] = group.file["/"]  # a hard link: the tree is a circle
    else:
        group[name] = h5py.h5t.py_create(np.dtype("f4"))  # a named type, neither group nor array


def in_hdf5(file: Any, rng: random.Random) -> None:
    import h5py

    places: list[tuple[Any, str]] = []
    file.visititems(lambda name, item: places.append((item.parent, name.rpartition("/")[2])))
    group, name = rng.choice(places)
    kind = rng.randrange(8)
    if kind == 0:
        del group[name]
    elif kind == 1:
        group.move(name, rng.choice(["kernel", "0", "bias:0", "vars", "cell", "recurrent_kernel", "x"]))
    elif kind == 2:
        del group[name]
        link(group, name, rng)
    elif kind == 3:
        holder = rng.choice([file, group[name]])
        holder.attrs[rng.choice(["name", "model_config", "keras_version", "dtype"])] = rng.choice(
            [*TEXTS, b"\xff\xfe", 3, np.zeros((2, 2)), h5py.Empty("f4")]
        )
    else:
        arrays = [(group, name) for group, name in places if isinstance(group.get(name), h5py.Dataset)]
        group, name = rng.choice(arrays)
        del group[name]
        array(group, name, rng)


def hdf5(data: bytes, rng: random.Random) -> bytes:
    import h5py

    made = io.BytesIO(data)
    with h5py.File(made, "r+") as file:
        config = file.attrs.get("model_config")
        for _ in range(rng.choice([0, 1, 1, 2])):
            with suppress(ValueError, RuntimeError, KeyError, OSError, TypeError):  # what h5py itself refuses to write
                in_hdf5(file, rng)
        if isinstance(config, str) and rng.randrange(3) == 0:
            told = json.loads(config)
            replaced(told, rng)
            file.attrs["model_config"] = json.dumps(told)
    return made.getvalue()


def keras(data: bytes, rng: random.Random) -> bytes:
    """One of the members of the archive is another, or gone, or there twice."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    name = rng.choice(sorted(members))
    if rng.randrange(6) == 0:
        del members[name]
    elif name.endswith(".h5"):
        members[name] = bytes_changed(hdf5(members[name], rng), rng)
    else:
        told = json.loads(members[name])
        for _ in range(rng.choice([1, 1, 3])):
            replaced(told, rng)
        members[name] = bytes_changed(json.dumps(told).encode(), rng)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as new:
        for name, content in members.items():
            new.writestr(name, content)
    return made.getvalue()


# --------------------------------------------------------------------------------------------------------------- ONNX


def in_tensor(tensor: Any, rng: random.Random) -> None:
    kind = rng.randrange(7)
    if kind == 0:
        tensor.dims[:] = rng.choice([[], [0], [1, 8, 3], [-1, 8, 2], [1 << 40, 1 << 40], [2, 8], [1, 6, 2]])
    elif kind == 1:
        tensor.data_type = rng.choice([0, 1, 2, 7, 8, 10, 11, 14, 16, 17, 21, 99])
    elif kind == 2:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
    elif kind == 3:
        tensor.ClearField("raw_data")
        tensor.float_data.extend([0.5] * rng.choice([0, 3, 24]))
    elif kind == 4:
        tensor.name = rng.choice(["w1", "w2", "x", "y", "", "\x1b[2J"])
    elif kind == 5:
        tensor.data_location = 1
        for key in ("location", "offset", "length"):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, rng.choice(["w.onnx", "0", "-5", "9" * 30, "../x", "/dev/zero", "é"])
    else:
        tensor.raw_data = np.full(max(1, len(tensor.raw_data) // 4), np.nan, np.float32).tobytes()


def in_node(node: Any, graph: Any, rng: random.Random) -> None:
    kind = rng.randrange(7)
    if kind == 0:
        node.op_type = rng.choice(["RNN", "GRU", "LSTM", "Identity", "Squeeze", "Reshape", "Transpose", ""])
    elif kind == 1 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(["", "x", "y", "w1", "w2", "nothing", "\x1b[2J"])
    elif kind == 2 and node.output:
        node.output[0] = rng.choice(["", "x", "w1", "a"])
    elif kind == 3 and node.attribute:
        attribute = rng.choice(node.attribute)
        attribute.i, attribute.s = rng.choice([0, -1, 2, 1 << 62]), rng.choice([b"", b"reverse", b"\xff", b"sideways"])
    elif kind == 4:
        attribute = node.attribute.add()
        attribute.name = rng.choice(
            ["activations", "activation_alpha", "hidden_size", "layout", "axes", "value", "perm"]
        )
        attribute.type = rng.randrange(12)
        attribute.strings.extend([b"Affine", b"\xff"][: rng.randrange(3)])
        attribute.floats.extend([float("nan")] * rng.randrange(3))
        attribute.ints.extend([1, 0, 1 << 40][: rng.randrange(4)])
    elif kind == 5:
        node.domain = rng.choice(["ai.onnx", "com.example", ""])
    else:
        del node.input[rng.randrange(len(node.input) + 1) :]


def in_onnx(model: Any, rng: random.Random) -> None:
    graph = model.graph
    kind = rng.randrange(10)
    if kind < 4 and graph.initializer:
        in_tensor(rng.choice(graph.initializer), rng)
    elif kind < 8 and graph.node:
        in_node(rng.choice(graph.node), graph, rng)
    elif kind == 8:
        graph.node.add().CopyFrom(rng.choice(graph.node))
        if rng.randrange(3) == 0:  # graphs in each other
            inner = graph.node[-1].attribute.add()
            inner.name, inner.type = "body", 5
            inner.g.node.add().CopyFrom(graph.node[0])
    else:
        model.producer_name = rng.choice(TEXTS)
        model.producer_version = rng.choice(TEXTS)


def onnx_file(data: bytes, rng: random.Random) -> bytes:
    import onnx

    model = onnx.load_model_from_string(data)
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        in_onnx(model, rng)
    return bytes(model.SerializeToString())


def onnx_seeds(folder: Path) -> list[bytes]:
    """One node of each kind, and a stack of two."""
    from tests.weights import test_onnx

    onnx = test_onnx.onnx
    made = []
    for kind, direction in product(("RNN", "GRU", "LSTM"), ("forward", "bidirectional")):
        path = test_onnx.write(folder / "seed.onnx", kind, direction=direction, peepholes=kind == "LSTM")
        made.append(Path(path).read_bytes())
    nodes = [onnx.helper.make_node("LSTM", ["x", "w1", "w2"], ["a"], hidden_size=3),
             onnx.helper.make_node("Squeeze", ["a", "axes"], ["b"]), onnx.helper.make_node("Identity", ["b"], ["c"]),
             onnx.helper.make_node("LSTM", ["c", "w1", "w2"], ["y"], hidden_size=3)]  # fmt: skip
    arrays = {"w1": np.full((1, 12, 3), 0.1, np.float32), "w2": np.full((1, 12, 3), 0.2, np.float32)}
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in (arrays | {"axes": np.array([1])}).items()]
    test_onnx.save(folder / "seed.onnx", nodes, tensors)
    return [*made, (folder / "seed.onnx").read_bytes()]


# ---------------------------------------------------------------------------------------------------------- all of it


def shown(tally: Tally, name: str, core: str, rng: random.Random) -> None:
    words = rng.choice(
        [[], ["params"], ["steps"], ["params", "--json"], ["--cell", rng.choice(["lstm", "gru", "rnn"])]]
    )
    chosen = ["--core", core] if core else []
    assert tally(["inspect", f"./{name}", *words, *chosen]) in (0, 1, 2, 3), tally.said


@pytest.mark.parametrize("ending", ENDINGS)
@slices(4, 700, 1)
def test_mutated_keras_files(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int, slice_number: int
) -> None:
    pytest.importorskip("h5py")
    from tests.weights import test_keras

    rng, tally = random.Random(50 + slice_number), Tally(capsys)
    seed = gzip.decompress((DATA / f"model{ending}.gz").read_bytes())
    mutate: Callable[[bytes, random.Random], bytes] = keras if ending == ".keras" else hdf5
    for _ in range(count):
        name = f"w{ending}"
        Path(name).write_bytes(bytes_changed(mutate(seed, rng), rng))
        shown(tally, name, core_of(rng.choice(test_keras.NAMES)), rng)
    if slice_number:
        assert tally.codes[3] > count / 10
        assert tally.codes[0] > count / 20
        record("inputs", f"keras {ending}", tally.figures())


@slices(8, 1000, 1)
def test_mutated_onnx_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int, slice_number: int) -> None:
    pytest.importorskip("onnx")
    rng, tally = random.Random(60 + slice_number), Tally(capsys)
    seeds = onnx_seeds(tmp_path)
    for n in range(count):
        Path("w.onnx").write_bytes(bytes_changed(onnx_file(seeds[n % len(seeds)], rng), rng))
        shown(tally, "w.onnx", "", rng)
    if slice_number:
        assert tally.codes[3] > count / 10
        assert tally.codes[0] > count / 20
        record("inputs", "onnx", tally.figures())
