"""The recurrent layers in a Keras model's configuration. It is read as data: nothing it names is imported."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_PASS = {
    "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization",
    "Identity",
}  # fmt: skip  # the identity outside of training
_LAYERS = ("SimpleRNN", "GRU", "LSTM")
ACTIVATIONS = ("activation", "recurrent_activation", "inner_activation")


@dataclass(frozen=True)
class LayerConfig:
    """A layer of the model. path: its group in Keras's weight files. kind: its class.

    cells: (class, configuration) of each cell, lowest first; empty if it is not a recurrent Keras layer. merge: how a
    Bidirectional merges its directions, "" for other layers. backwards: go_backwards. reads: the layer whose output it
    reads, if it is a single one. given_state: whether its initial state comes from other layers.
    """

    name: str
    path: str
    kind: str
    cells: Sequence[tuple[str, Mapping[str, Any]]] = ()
    merge: str = ""
    backwards: bool = False
    odd_backward: bool = False
    reads: str | None = None
    given_state: bool = False


@dataclass
class Model:
    """layers: in the model's order, including nested models. masks: whether some steps are masked."""

    layers: list[LayerConfig] = field(default_factory=list)
    masks: bool = False


def read_config(config: object) -> Model:
    """Raises RecursionError: nested too deeply."""
    found = Model()
    _walk(_dict(config), "", found)
    return found


def _walk(model: Mapping[str, Any], path: str, found: Model) -> None:
    config = model.get("config")
    entries = config if isinstance(config, list) else _list(_dict(config).get("layers"))
    used, passed = Counter[str](), dict[str, str | None]()
    before: str | None = None
    for entry in map(_dict, entries):
        kind, own = str(entry.get("class_name", "")), _dict(entry.get("config"))
        group = _group(kind, used)
        name = str(entry.get("name") or own.get("name") or group)
        sources = [before] if "inbound_nodes" not in entry else _sources(entry["inbound_nodes"])
        read = sources[0] if sources else None
        read = passed.get(read, read) if read is not None else None
        if kind in _PASS:
            passed[name] = read
        found.masks = found.masks or kind == "Masking" or own.get("mask_zero") is True
        here = f"{path}layers/{group}"
        found.layers.append(_layer_config(name, here, kind, own, read, len(sources) > 1))
        inner = _dict(own.get("layer"))
        if kind != "Bidirectional" and inner:  # TimeDistributed and other wrappers
            own = _dict(inner.get("config"))
            called = str(own.get("name", ""))
            found.layers.append(_layer_config(called, f"{here}/layer", _kind(inner), own, None, False))
        _walk(entry, f"{here}/", found)
        before = name


def _layer_config(
    name: str, path: str, kind: str, own: Mapping[str, Any], reads: str | None, several: bool
) -> LayerConfig:
    """several: whether it is called with more than one tensor."""
    merge, backwards, odd = "", own.get("go_backwards") is True, False
    if kind == "Bidirectional":
        forward, other = _dict(own.get("layer")), own.get("backward_layer")
        merge = str(own.get("merge_mode", "concat"))
        kind, own, backwards = _kind(forward), _dict(forward.get("config")), False
        odd = own.get("go_backwards") is True or (other is not None and _differ(forward, _dict(other)))
    return LayerConfig(name, path, kind, _cells(kind, own), merge, backwards, odd, reads, several)


def _differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a Bidirectional's two layers compute different functions of their weights."""

    def functions(layer: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
        cells = _cells(_kind(layer), _dict(layer.get("config")))
        return [(kind, [own.get(key) for key in (*ACTIVATIONS, "reset_after")]) for kind, own in cells]

    return functions(one) != functions(other)


def _cells(kind: str, own: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    if _plain(kind) in _LAYERS:
        return [(_plain(kind), own)]
    if kind == "RNN":
        inner = _dict(own.get("cell"))
        cells = _list(_dict(inner.get("config")).get("cells")) if _kind(inner) == "StackedRNNCells" else [inner]
        return [(_plain(_kind(cell)), _dict(_dict(cell).get("config"))) for cell in cells]
    return []


def _plain(kind: str) -> str:
    """`LSTM` of Keras's LSTMCell."""
    return kind.removesuffix("Cell") if kind.removesuffix("Cell") in _LAYERS else kind


def activation(value: object) -> str:
    """`relu`, in any notation; "linear" for none."""
    if isinstance(value, Mapping):
        inner = value.get("config")
        value = inner if isinstance(inner, str) else value.get("class_name")
    return "linear" if value is None else str(value)[:60]


def _sources(nodes: object) -> list[str | None]:
    """The layers whose output a layer reads, one per tensor; empty for a layer called several times."""
    if len(_list(nodes)) != 1:
        return []
    return [str(name) if node == tensor == 0 else None for name, node, tensor in _histories(nodes)]


def _histories(value: object) -> Iterator[tuple[object, object, object]]:
    """(layer, node, tensor) for every tensor of a node: Keras 3 writes `keras_history`, Keras 2 a bare list."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "keras_history" and len(_list(item)) == 3:
                yield item[0], item[1], item[2]
            else:
                yield from _histories(item)
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int) and isinstance(value[2], int):
            yield value[0], value[1], value[2]
        else:
            for item in value:
                yield from _histories(item)


def _group(kind: str, used: Counter[str]) -> str:
    """The name of a layer's group: its class in snake case, with a number if there are several."""
    plain = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    plain = re.sub(r"([a-z])([A-Z])", r"\1_\2", plain).lower()
    used[plain] += 1
    return plain if used[plain] == 1 else f"{plain}_{used[plain] - 1}"


def _kind(entry: object) -> str:
    return str(_dict(entry).get("class_name", ""))


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
