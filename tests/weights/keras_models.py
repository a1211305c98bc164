"""Keras models of every kind of recurrent layer, with random weights, and what Keras computes with them.

`KERAS_BACKEND=torch python -m tests.weights.keras_models` writes tests/weights/data/: three files as Keras wrote them,
packed by gzip, and their input and outputs. All in float32: whatever the weights are in, Keras computes in that. With a
folder, `GRID` models of random kinds and sizes go there, for test_keras_live.py.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parent / "data"
T, B, INPUTS, H = 4, 2, 3, 2
ENDINGS = (".keras", ".weights.h5", ".h5")
GRID = 24
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "tanh": ("SimpleRNN", {}),
    "relu": ("SimpleRNN", {"activation": "relu"}),
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
    "gru_before": ("GRU", {"reset_after": False}),
}


def layers(L: Any) -> dict[str, Callable[[], Any]]:
    """Name -> what makes the layer. L: keras.layers."""
    S = {"return_sequences": True}
    return {
        "rnn_tanh": lambda: L.SimpleRNN(H, **S, name="rnn_tanh"),
        "rnn_relu": lambda: L.SimpleRNN(H, activation="relu", **S, name="rnn_relu"),
        "rnn_linear": lambda: L.SimpleRNN(H, activation=None, use_bias=False, **S, name="rnn_linear"),
        "lstm": lambda: L.LSTM(H, **S, name="lstm"),
        "lstm_h1": lambda: L.LSTM(1, **S, name="lstm_h1"),
        "lstm_h3": lambda: L.LSTM(INPUTS, use_bias=False, **S, name="lstm_h3"),
        "gru": lambda: L.GRU(H, **S, name="gru"),
        "gru_before": lambda: L.GRU(H, reset_after=False, **S, name="gru_before"),
        "gru_bare": lambda: L.GRU(H, use_bias=False, **S, name="gru_bare"),
        "gru_before_bare": lambda: L.GRU(H, reset_after=False, use_bias=False, **S, name="gru_before_bare"),
        "backwards": lambda: L.LSTM(H, go_backwards=True, **S, name="backwards"),
        "both_rnn": lambda: L.Bidirectional(L.SimpleRNN(H, **S), name="both_rnn"),
        "both_gru_before": lambda: L.Bidirectional(L.GRU(H, reset_after=False, **S), name="both_gru_before"),
        "wrapped": lambda: L.RNN(L.GRUCell(H), **S, name="wrapped"),
        "cells": lambda: L.RNN([L.LSTMCell(H), L.LSTMCell(H)], **S, name="cells"),
    }


def model(keras: Any, seed: int = 0) -> tuple[Any, list[str]]:
    """A model with an output for each of the layers above, of a stack of two, and of a network in it; their names."""
    L, random = keras.layers, np.random.default_rng(seed)
    x = keras.Input((None, INPUTS))
    outputs = {name: make()(x) for name, make in layers(L).items()}
    low = L.Bidirectional(L.LSTM(H, return_sequences=True), name="low")(x)
    high = L.Bidirectional(L.LSTM(H, return_sequences=True), name="high")
    outputs["low+high"] = high(L.SpatialDropout1D(0.5)(low))
    inner = keras.Sequential(
        [keras.Input((None, INPUTS)), L.GRU(H, return_sequences=True, name="inside"), L.Dropout(0.5)]
    )
    outputs["inside"] = inner(x)
    made = keras.Model(x, list(outputs.values()))
    made.set_weights([random.normal(0, 0.7, np.shape(weight)) for weight in made.get_weights()])
    return made, list(outputs)


def recorded(keras: Any, folder: Path, seed: int = 0) -> dict[str, Any]:
    """The model's files in a folder, `model` with each ending; its input (T, B, I) and outputs (T, B, D·H)."""
    made, names = model(keras, seed)
    for ending in ENDINGS:
        path = folder / f"model{ending}"
        (made.save_weights if ending == ".weights.h5" else made.save)(path)
    x = np.random.default_rng(seed + 1).normal(0, 1, (B, T, INPUTS)).astype("float32")
    outputs = [np.asarray(output) for output in made.predict(x, verbose=0)]
    return {"x": x.swapaxes(0, 1).tolist()} | {
        name: output.swapaxes(0, 1).tolist() for name, output in zip(names, outputs, strict=True)
    }


def grid(keras: Any, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Models of one to three layers, alike but for what they read, each in two files: case -> its kind, its input and
    the output of every layer, (T, B, .)."""
    L, random, found = keras.layers, np.random.default_rng(seed), dict[str, Any]()
    for number in range(GRID):
        kind, (layer, options) = list(KINDS.items())[number % len(KINDS)]
        units, inputs, steps, rows, depth = (int(random.integers(1, most)) for most in (7, 6, 8, 4, 4))
        both, bias = bool(random.integers(2)), bool(random.integers(4))
        outputs = [keras.Input((None, inputs))]
        for k in range(depth):
            made = vars(L)[layer](units, return_sequences=True, use_bias=bias, name=f"layer{k}", **options)
            outputs.append((L.Bidirectional(made, name=f"both{k}") if both else made)(outputs[-1]))
        model = keras.Model(outputs[0], outputs[1:])
        model.set_weights([random.normal(0, 0.7, np.shape(weight)) for weight in model.get_weights()])
        x = random.normal(0, 1, (rows, steps, inputs)).astype("float32")
        model.save(folder / f"{number}.keras")
        model.save_weights(folder / f"{number}.weights.h5")
        given = [x, *map(keras.ops.convert_to_numpy, keras.tree.flatten(model(x)))]
        names = [f"{'both' if both else 'layer'}{k}" for k in range(depth)]
        found[str(number)] = {
            "kind": kind, "layers": names, "bias": bias, "values": [one.swapaxes(0, 1).tolist() for one in given],
        }  # fmt: skip
    return found


def core_of(name: str) -> str:
    """What the core of an output is called in a file."""
    return {"cells": "cells/lstm_cell+cells/lstm_cell_1"}.get(name, name)


def main(folder: str = "") -> None:
    import keras

    if folder:
        Path(folder, "grid.json").write_text(json.dumps(grid(keras, Path(folder))), encoding="utf-8")
        return
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        found: Mapping[str, Any] = recorded(keras, Path(folder))
        for ending in ENDINGS:
            content = (Path(folder) / f"model{ending}").read_bytes()
            (DATA / f"model{ending}.gz").write_bytes(gzip.compress(content, mtime=0))
    (DATA / "keras.json").write_text(json.dumps({"keras": keras.__version__, **found}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
