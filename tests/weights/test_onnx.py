"""ONNX nodes against ONNX Runtime's outputs, and files that exporters write."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rnncli.cells import CoreSpec
from rnncli.errors import DataError, UsageError
from rnncli.weights import open_core
from tests.weights.test_keras import outputs, same

onnx = pytest.importorskip("onnx")
T, B = 4, 2
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def write(
    path: Path,
    kind: str,
    *,
    inputs: int = 3,
    H: int = 2,
    direction: str = "forward",
    bias: bool = True,
    peepholes: bool = False,
    dtype: Any = np.float32,
    first: Mapping[int, Any] | None = None,
    **attributes: Any,
) -> str:
    """A model of one such node, with random weights. first: more inputs, by their number."""
    random, D, G = np.random.default_rng(0), 2 if direction == "bidirectional" else 1, GATES[kind]
    shapes: dict[int, tuple[int, ...]] = {1: (D, G * H, inputs), 2: (D, G * H, H)}
    shapes |= {3: (D, 2 * G * H)} if bias else {}
    shapes |= {7: (D, 3 * H)} if peepholes else {}
    given = {number: random.normal(0, 0.7, shape).astype(dtype) for number, shape in shapes.items()} | dict(first or {})
    names = ["x", *(f"w{number}" if number in given else "" for number in range(1, max(given) + 1))]
    node = onnx.helper.make_node(kind, names, ["y"], name="the node", hidden_size=H, direction=direction, **attributes)
    numbers = [onnx.numpy_helper.from_array(array, f"w{number}") for number, array in given.items()]
    return save(path, [node], numbers, inputs)


def save(path: Path, nodes: list[Any], numbers: list[Any], inputs: int = 3) -> str:
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("x", ["T", "B", inputs]), ("y", None))
    )
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], numbers)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return str(path)


def numbers(inputs: int = 3) -> Any:
    return np.random.default_rng(1).normal(0, 1, (T, B, inputs)).astype(np.float32)


def by_onnxruntime(path: str, x: Any) -> torch.Tensor:
    """Y (T, D, B, H) of ONNX Runtime, in float32 -> (T, B, D·H)."""
    runtime = pytest.importorskip("onnxruntime")
    (y,) = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    return torch.from_numpy(y).double().transpose(1, 2).flatten(2)


CASES: list[dict[str, Any]] = [
    *({"kind": kind, "direction": d, "bias": b} for kind, d, b in product(
        GATES, ("forward", "reverse", "bidirectional"), (True, False))),
    *({"kind": "GRU", "linear_before_reset": 1, "direction": d, "bias": b} for d, b in product(
        ("forward", "bidirectional"), (True, False))),
    *({"kind": kind, "inputs": 1, "H": 1} for kind in GATES),
    *({"kind": kind, "inputs": 2, "H": 5, "direction": "bidirectional"} for kind in GATES),
    *({"kind": "LSTM", "peepholes": True, "direction": d} for d in ("forward", "bidirectional")),
    {"kind": "LSTM", "input_forget": 1},
    {"kind": "LSTM", "input_forget": 1, "peepholes": True, "bias": False},
    {"kind": "RNN", "activations": ["Relu"]},
    {"kind": "RNN", "activations": ["Relu", "Relu"], "direction": "bidirectional"},
    {"kind": "RNN", "activations": ["Affine"], "activation_alpha": [1.0]},
    {"kind": "GRU", "activations": ["Sigmoid", "Tanh"]},
    {"kind": "LSTM", "activations": ["sigmoid", "tanh", "tanh"]},
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_a_node_computes_what_onnxruntime_does(case: dict[str, Any], tmp_path: Path) -> None:
    path, x = write(tmp_path / "m.onnx", **case), numbers(case.get("inputs", 3))
    core, _ = open_core(path)
    assert core.name == "the node"
    theirs = by_onnxruntime(path, x)  # always in the order of x
    assert same(core, torch.from_numpy(x).double(), theirs.flip(0) if core.backwards else theirs)


@pytest.mark.parametrize(
    ("case", "what"),
    [
        ({"kind": "LSTM", "clip": 0.5}, "clip 0.5"),
        ({"kind": "GRU", "activations": ["HardSigmoid", "Tanh"]}, "activations hardsigmoid, tanh"),
        ({"kind": "RNN", "activations": ["LeakyRelu"]}, "activations leakyrelu"),
        ({"kind": "RNN", "activations": ["Tanh", "Relu"], "direction": "bidirectional"}, "activations tanh, relu"),
        ({"kind": "RNN", "activations": ["Affine"], "activation_alpha": [2.0]}, "activations affine"),
    ],
)
def test_what_no_cell_here_computes_is_refused_or_said(case: dict[str, Any], what: str, tmp_path: Path) -> None:
    path, x = write(tmp_path / "m.onnx", **case), numbers()
    with pytest.raises(DataError, match=what) as error:
        open_core(path)
    assert "--cell" in error.value.todo
    core, _ = open_core(path, cell=case["kind"].lower())
    assert core.unknown[0] == f"ignored here: {what}"
    assert not same(core, torch.from_numpy(x).double(), by_onnxruntime(path, x))


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize(("layers", "both"), [(1, False), (1, True), (3, False), (2, True)])
def test_what_torch_exports_is_the_module(kind: Any, layers: int, both: bool, tmp_path: Path) -> None:
    """Layers are several nodes there, and one core again."""
    torch.manual_seed(0)
    module = kind(3, 2, layers, bidirectional=both)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(T, B, 3),), str(tmp_path / "m.onnx"), dynamo=False)
    core, _ = open_core(str(tmp_path / "m.onnx"))
    assert core.spec == CoreSpec(kind.__name__.lower(), "tanh", 3, 2, layers, both)
    assert core.origin.startswith("ONNX file by pytorch")
    for name, parameter in module.state_dict().items():
        assert torch.equal(core.state[name], parameter)


def test_sizes_that_differ_are_two_cores(tmp_path: Path) -> None:
    torch.manual_seed(0)

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low, self.high = nn.GRU(3, 4), nn.GRU(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.high(self.low(x)[0])[0]
            return output

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Two(), (torch.zeros(T, B, 3),), str(tmp_path / "m.onnx"), dynamo=False)
    with pytest.raises(UsageError, match="this file contains 2 recurrent cores") as error:
        open_core(str(tmp_path / "m.onnx"))
    assert "/low/GRU (GRU(3, 4)), /high/GRU (GRU(4, 2))" in error.value.todo
    assert open_core(str(tmp_path / "m.onnx"), name="/high/GRU")[0].spec.input_size == 4


def test_a_first_state_is_said(tmp_path: Path) -> None:
    for state, said in ((np.zeros((1, B, 2)), False), (np.ones((1, B, 2)), True)):
        path = write(tmp_path / "m.onnx", "GRU", first={5: state.astype(np.float32)})
        notes = open_core(path)[0].unknown
        assert any("nonzero initial state" in note for note in notes) == said


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_kinds_of_numbers(dtype: Any, tmp_path: Path) -> None:
    plain, _ = open_core(write(tmp_path / "m.onnx", "GRU"))
    core, _ = open_core(write(tmp_path / "n.onnx", "GRU", dtype=dtype))
    for name, tensor in plain.state.items():
        torch.testing.assert_close(core.state[name].float(), tensor, rtol=1e-3, atol=1e-3)


def test_a_node_inside_of_a_node(tmp_path: Path) -> None:
    """In a branch of If; its weights are the outer graph's."""
    model = onnx.load(write(tmp_path / "m.onnx", "LSTM"))
    branch = onnx.helper.make_graph(list(model.graph.node), "b", [], [onnx.helper.make_empty_tensor_value_info("y")])
    yes = onnx.helper.make_node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch)
    plain, _ = open_core(str(tmp_path / "m.onnx"))
    core, _ = open_core(save(tmp_path / "n.onnx", [yes], list(model.graph.initializer)), name="the node")
    assert torch.equal(outputs(core, torch.ones(1, 1, 3).double()), outputs(plain, torch.ones(1, 1, 3).double()))


def test_weights_that_are_not_in_the_file(tmp_path: Path) -> None:
    node = onnx.helper.make_node("GRU", ["x", "w", "r"], ["y"], hidden_size=2)
    W, R = (onnx.numpy_helper.from_array(np.ones(shape, np.float32), name) for shape, name in (
        ((1, 6, 3), "w"), ((1, 6, 2), "r")))  # fmt: skip
    with pytest.raises(DataError, match="weight r of y is not stored in the file: it is an input of the model"):
        open_core(save(tmp_path / "m.onnx", [node], [W]))
    R.name = "half"
    twice = onnx.helper.make_node("Add", ["half", "half"], ["r"])
    with pytest.raises(DataError, match="weight r of y is not stored in the file: it is computed by a node Add"):
        open_core(save(tmp_path / "m.onnx", [twice, node], [W, R]))
    same_as = onnx.helper.make_node("Identity", ["half"], ["r"])
    assert open_core(save(tmp_path / "m.onnx", [same_as, node], [W, R]))[0].spec.hidden_size == 2


def test_external_data_stays_in_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    plain, _ = open_core(write(inner / "m.onnx", "LSTM"))
    model = onnx.load(inner / "m.onnx")
    onnx.save(model, inner / "e.onnx", save_as_external_data=True, location="e.data", size_threshold=0)
    core, _ = open_core(str(inner / "e.onnx"))
    assert all(torch.equal(core.state[name], tensor) for name, tensor in plain.state.items())
    content = (inner / "e.data").read_bytes()
    (inner / "e.data").write_bytes(content[:20])
    with pytest.raises(DataError, match="but the file contains fewer values"):
        open_core(str(inner / "e.onnx"))
    (tmp_path / "secret").write_bytes(content)
    (inner / "e.data").unlink()
    (inner / "e.data").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match="points outside its folder"):
        open_core(str(inner / "e.onnx"))
    changed = onnx.load(inner / "e.onnx", load_external_data=False)
    for location in ("../secret", str(tmp_path / "secret"), "", ".", "absent"):
        for tensor in changed.graph.initializer:
            tensor.external_data[0].value = location
        (inner / "f.onnx").write_bytes(changed.SerializeToString())
        with pytest.raises(DataError):
            open_core(str(inner / "f.onnx"))


def test_what_is_no_recurrent_network(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    with pytest.raises(DataError, match="no RNN, GRU or LSTM node") as error:
        open_core(save(tmp_path / "m.onnx", [node], []))
    assert error.value.todo == "the file contains: Relu"
    for content in (b"", b"no model at all", b"\x08\x07\x12"):
        (tmp_path / "m.onnx").write_bytes(content)
        with pytest.raises(DataError):
            open_core(str(tmp_path / "m.onnx"))


@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (1, 8), (1, 8, 2, 1), (2, 8, 2), (1, 0, 2), (1, 7, 2)])
def test_a_weight_of_any_other_shape_is_refused(number: int, shape: tuple[int, ...], tmp_path: Path) -> None:
    first = {number: np.ones(shape, np.float32)}
    with pytest.raises(DataError):
        open_core(write(tmp_path / "m.onnx", "LSTM", inputs=4, peepholes=True, first=first))
