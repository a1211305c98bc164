"""Reads recurrent layers from ONNX files, in torch's layout: nodes RNN, GRU and LSTM whose weights are in the file.

https://onnx.ai/onnx/operators/: W (D, G·H, I), R (D, G·H, H), B (D, 2·G·H), P (D, 3·H) of peepholes; gates of an LSTM
are in the order i, o, f, c, those of a GRU z, r, h. Other nodes are ignored.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rnncli.cells import OptionValue
from rnncli.errors import DataError, Missing
from rnncli.files import inside, open_binary, shown
from rnncli.locale import tr
from rnncli.weights.cores import fewer_values, not_a_weight, some
from rnncli.weights.layers import Layer, LayerFile, note_backwards

ENDINGS = (".onnx",)
_ORDER = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 2, 3, 1)}  # indices of torch's gates in ONNX's blocks
_DEFAULT = {"RNN": ["tanh"], "GRU": ["sigmoid", "tanh"], "LSTM": ["sigmoid", "tanh", "tanh"]}
_SAME = ("Identity", "Dropout", "Cast")  # the identity outside of training, except for a cast's precision


@dataclass
class _Graph:
    """A graph including subgraphs. constants: name -> tensor in the file. makers: name -> its node."""

    where: str
    constants: dict[str, Any] = field(default_factory=dict)
    makers: dict[str, Any] = field(default_factory=dict)
    nodes: list[Any] = field(default_factory=list)

    def add(self, graph: Any) -> None:
        """Raises DataError: a name is not text; protobuf then hands out its bytes."""
        names = [tensor.name for tensor in graph.initializer]
        for node in graph.node:
            names += [node.name, node.op_type, node.domain, *node.input, *node.output, *_attributes(node)]
        if any(isinstance(name, bytes) for name in names):
            raise DataError(
                tr("not a complete ONNX file: {why}", why=tr("a name in it is not UTF-8")), where=self.where
            )
        self.constants |= {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            self.nodes.append(node)
            self.makers |= {name: node for name in node.output if name}
            values = _attributes(node)
            if node.op_type == "Constant" and "value" in values and node.output:
                self.constants[node.output[0]] = values["value"].t
            for value in values.values():
                for inner in [value.g] if value.HasField("g") else value.graphs:
                    self.add(inner)

    def source(self, name: str) -> str:
        """The original name of this value, skipping identity nodes."""
        for _ in range(len(self.nodes)):
            node = self.makers.get(name)
            if node is None or node.op_type not in _SAME or not node.input:
                break
            name = node.input[0]
        return name

    def tensor(self, name: str, node: str) -> Tensor:
        """A weight. Raises DataError: not in the file."""
        name = self.source(name)
        if name not in self.constants:
            maker = self.makers.get(name)
            made = (
                tr("computed by a node {kind}", kind=maker.op_type)
                if maker is not None
                else tr("an input of the model")
            )
            raise DataError(
                tr("weight {name} of {node} is not stored in the file: it is {made}", node=node, name=name, made=made),
                where=self.where,
                todo=tr("export the trained model with its weights as constants"),
            )
        return _numbers(self.constants[name], self.where)

    def numbers(self, name: str) -> list[float] | None:
        """The values of a small constant; None if it is computed."""
        found = self.constants.get(self.source(name))
        return None if found is None else _numbers(found, self.where, any_kind=True).flatten().tolist()


def read_onnx(path: str | Path) -> LayerFile:
    """All RNN, GRU and LSTM nodes of an ONNX file.

    Raises DataError: no such file, damaged, no such node, or its weights are not in the file or its folder; Missing:
    onnx is not installed.
    """
    where = shown(path)
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise Missing(
            tr("ONNX files need {name}, which is not installed", name=error.name),
            where=where,
            todo="pip install 'rnncli[onnx]'",
        ) from error
    with open_binary(path) as raw:
        content = raw.read()
        if not content:
            raise DataError(tr("not a complete ONNX file: {why}", why=tr("it is empty")), where=where)
        try:
            model = onnx.load_model_from_string(content)
        except (DecodeError, ValueError, RuntimeError) as error:
            why = " ".join(str(error).split())[:200]
            raise DataError(tr("not a complete ONNX file: {why}", why=why), where=where) from error
    graph = _Graph(where)
    graph.add(model.graph)
    layers = list(_layers(graph))
    if not layers:
        kinds = sorted({node.op_type for node in graph.nodes})
        raise DataError(
            tr("no RNN, GRU or LSTM node in this file"),
            where=where,
            todo=tr("the file contains: {names}", names=some(kinds) or tr("none")),
        )
    producer = f"{model.producer_name} {model.producer_version}".strip()  # as b'...' where it is not UTF-8
    plain = re.fullmatch(r"[\w.+ -]{1,30}", producer)
    return LayerFile(tr("ONNX file by {producer}", producer=producer) if plain else tr("ONNX file"), layers)


def _layers(graph: _Graph) -> Iterator[Layer]:
    found: dict[str, tuple[Any, Layer]] = {}  # keyed by the name of Y
    used = set[str]()
    for node in graph.nodes:
        if node.op_type in _ORDER and node.domain in ("", "ai.onnx"):
            name = node.name or next(filter(None, node.output), node.op_type)
            while name in used:
                name += "'"
            used.add(name)
            below = found.get(_read_layer(graph, node))
            layer = _layer(graph, node, name)
            layer = replace(layer, reads=None if below is None else below[1].name)
            found[node.output[0] if node.output else name] = (node, layer)
            yield layer


def _read_layer(graph: _Graph, node: Any) -> str:
    """The Y that is this node's X, in the two forms in which exporters write a stack: (T, 1, B, H) squeezed, or (T, 2,
    B, H) transposed and reshaped to (T, B, 2·H); "" otherwise."""
    name = graph.source(_input(node, 0))
    maker = graph.makers.get(name)
    if maker is None or _number(node, "layout"):
        return ""
    if maker.op_type == "Squeeze":
        axes = _attributes(maker)["axes"].ints if "axes" in _attributes(maker) else graph.numbers(_input(maker, 1))
        return graph.source(_input(maker, 0)) if list(axes or ()) == [1] else ""
    if maker.op_type == "Reshape":
        shape, turned = graph.numbers(_input(maker, 1)), graph.makers.get(graph.source(_input(maker, 0)))
        perm = _attributes(turned).get("perm") if turned is not None and turned.op_type == "Transpose" else None
        if perm is not None and list(perm.ints) == [0, 2, 1, 3] and (shape or [])[:2] == [0, 0]:
            return graph.source(_input(turned, 0))
    return ""


def _layer(graph: _Graph, node: Any, name: str) -> Layer:
    """A node as a layer. Raises DataError: its shapes do not match."""
    kind, values = node.op_type, _attributes(node)
    W, R = graph.tensor(_input(node, 1), name), graph.tensor(_input(node, 2), name)
    B = graph.tensor(_input(node, 3), name) if _input(node, 3) else None
    P = graph.tensor(_input(node, 7), name) if _input(node, 7) and kind == "LSTM" else None
    direction = values["direction"].s.decode("utf-8", "replace") if "direction" in values else "forward"
    D, G, H = 2 if direction == "bidirectional" else 1, len(_ORDER[kind]), R.shape[-1] if R.dim() else 0
    shapes: list[tuple[str, Tensor | None, tuple[int, ...]]] = [
        ("W", W, (D, G * H, W.shape[-1] if W.dim() else 0)),
        ("R", R, (D, G * H, H)),
        ("B", B, (D, 2 * G * H)),
        ("P", P, (D, 3 * H)),
    ]
    known = direction in ("forward", "reverse", "bidirectional")
    for letter, tensor, wanted in shapes:
        shape = wanted if tensor is None else tuple(tensor.shape)
        if shape != wanted or not all(wanted) or not known:
            raise DataError(
                tr(
                    "{name} of {node} is {shape}, but {kind} with direction {direction} requires {wanted}",
                    name=letter,
                    node=name,
                    shape=shape,
                    kind=kind,
                    direction=direction,
                    wanted=wanted,
                ),
                where=graph.where,
            )
    nonlinearity, unlike = _activations(kind, values, D)
    options: dict[str, OptionValue] = {}
    if kind == "GRU":
        options["reset_after"] = bool(_number(node, "linear_before_reset"))
    if kind == "LSTM":
        options = {"peephole": P is not None, "coupled": bool(_number(node, "input_forget"))}
    if "clip" in values:
        unlike.append(f"clip {values['clip'].f:g}")
    backwards = direction == "reverse"
    notes = [_conversion(kind), *note_backwards(backwards)]
    if any(any(graph.numbers(_input(node, k)) or ()) for k in (5, 6) if _input(node, k)):
        notes.append(tr("the file has a nonzero initial state; here it is 0"))
    directions = [
        _weights(kind, W[d], R[d], None if B is None else B[d], None if P is None else P[d], options) for d in range(D)
    ]
    return Layer(name, kind.lower(), directions, nonlinearity, options, notes, unlike, backwards)


def _weights(
    kind: str, W: Tensor, R: Tensor, B: Tensor | None, P: Tensor | None, options: Mapping[str, OptionValue]
) -> dict[str, Tensor]:
    """torch's names -> tensors of one direction. With coupled gates f has no rows: it is 1 - i."""
    order, G = list(_ORDER[kind]), len(_ORDER[kind])
    order = [order[0], *order[2:]] if options.get("coupled") else order

    def ordered(tensor: Tensor, blocks: int, chosen: Sequence[int]) -> Tensor:
        parts = tensor.chunk(blocks)
        return torch.cat([parts[k] for k in chosen])

    found = {"weight_ih": ordered(W, G, order), "weight_hh": ordered(R, G, order)}
    if B is not None:
        found["bias_ih"], found["bias_hh"] = (ordered(half, G, order) for half in B.chunk(2))
    if P is not None:
        found["weight_ch"] = ordered(P, 3, (0, 1) if options.get("coupled") else (0, 2, 1))  # i, o, f there
    return found


def _activations(kind: str, values: Mapping[str, Any], D: int) -> tuple[str, list[str]]:
    """(the nonlinearity of an RNN, unsupported features)."""
    texts = values["activations"].strings if "activations" in values else []
    given = [text.decode("utf-8", "replace").lower() for text in texts]
    alphas = list(values["activation_alpha"].floats) if "activation_alpha" in values else []
    size = len(_DEFAULT[kind])
    each = [given[k : k + size] for k in range(0, len(given), size)] or [_DEFAULT[kind]]
    if kind == "RNN" and len(set(map(tuple, each))) == 1 and len(each) in (1, D):
        name = each[0][0]
        if name in ("tanh", "relu"):
            return name, []
        if name == "affine" and alphas in ([], [1.0] * len(given)) and "activation_beta" not in values:
            return "none", []
    if all(part == _DEFAULT[kind] for part in each) and len(each) in (1, D):
        return "tanh", []
    return "tanh", [tr("activations {names}", names=", ".join(given)[:60])]


def _conversion(kind: str) -> str:
    if kind == "LSTM":
        return tr("ONNX LSTM: gates i,o,f,c reordered to i,f,g,o")
    return (
        tr("ONNX GRU: gates z,r,h reordered to r,z,n") if kind == "GRU" else tr("ONNX RNN: same weight layout as torch")
    )


def _attributes(node: Any) -> dict[str, Any]:
    return {value.name: value for value in node.attribute}


def _number(node: Any, name: str) -> int:
    values = _attributes(node)
    return int(values[name].i) if name in values else 0


def _input(node: Any, number: int) -> str:
    return str(node.input[number]) if number < len(node.input) else ""


def _numbers(tensor: Any, where: str, *, any_kind: bool = False) -> Tensor:
    """The values of a TensorProto. Raises DataError: fewer than its shape requires, or not a weight's dtype."""
    from onnx import TensorProto, numpy_helper

    name, kinds = tensor.name, (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    if tensor.data_type not in kinds and not any_kind:
        kind, known = tensor.data_type, TensorProto.DataType
        raise not_a_weight(name, tensor.dims, known.Name(kind) if kind in known.values() else kind, where)
    try:
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor = _with_external(tensor, where)
        array = numpy_helper.to_array(tensor)
        if tensor.data_type == TensorProto.BFLOAT16:
            return torch.from_numpy(array.astype("float32")).bfloat16()
        return torch.from_numpy(array.copy())
    except (ValueError, TypeError, OverflowError, RuntimeError, LookupError, AttributeError) as error:
        raise fewer_values(name, tensor.dims, where) from error


def _with_external(tensor: Any, where: str) -> Any:
    """Load the values of a tensor stored in another file of the same folder. Raises DataError, ValueError."""
    from onnx import TensorProto

    stored = {entry.key: entry.value for entry in tensor.external_data}
    other = inside(Path(where).parent, str(stored.get("location", "")))
    offset, length = int(stored.get("offset", 0)), int(stored.get("length", -1))
    with open_binary(other) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(offset, 0))
        content = file.read(min(length, size))  # of a length that the file does not have, as little as there is
    found = TensorProto()
    found.CopyFrom(tensor)
    found.ClearField("external_data")
    found.data_location, found.raw_data = TensorProto.DEFAULT, content
    return found
