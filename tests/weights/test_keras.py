"""Keras's files against what Keras itself computed with them, recorded by keras_models.py."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rnncli.cells import CoreSpec
from rnncli.errors import DataError, UsageError
from rnncli.nn.recurrent import make_core, run_by
from rnncli.replay import initial_state, rounding
from rnncli.weights import FoundCore, open_core
from tests.weights.keras_models import DATA, ENDINGS, H, core_of

h5py = pytest.importorskip("h5py")
D64 = torch.float64


@cache
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / "keras.json").read_text(encoding="utf-8"))
    return found


NAMES = [name for name in recorded() if name not in ("keras", "x")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded files, unpacked."""
    made = tmp_path_factory.mktemp("keras")
    for ending in ENDINGS:
        (made / f"model{ending}").write_bytes(gzip.decompress((DATA / f"model{ending}.gz").read_bytes()))
    return made


def outputs(core: FoundCore, x: Tensor) -> Tensor:
    """(T, B, I) -> (T, B, D·H), in float64, by the loop over the cell's own steps."""
    made = make_core(core.spec).double()
    made.load_state_dict(dict(core.state))
    with torch.no_grad():
        return run_by("loop", made.eval(), x.flip(0) if core.backwards else x)[0]


def same(core: FoundCore, x: Tensor, theirs: Tensor) -> bool:
    """Whether theirs, (T, B, D·H), are this core's outputs but for what float32 costs."""
    made = make_core(core.spec).double()
    made.load_state_dict(dict(core.state))
    given = x.flip(0) if core.backwards else x
    unit, start = rounding.unit(torch.float32), initial_state(core.spec, x.shape[1], x)
    costs = rounding.sequence_rounding(made, core.spec, given, start, None, unit)
    return bool((rounding.off_by_first(outputs(core, x), theirs) <= costs[0]).all())


def wanted(name: str) -> Tensor:
    return torch.tensor(recorded()[name], dtype=D64)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", NAMES)
def test_a_layer_computes_what_keras_does(name: str, ending: str, folder: Path) -> None:
    core, _ = open_core(str(folder / f"model{ending}"), name=core_of(name))
    assert core.origin == f"Keras {recorded()['keras']} file"
    assert same(core, wanted("x"), wanted(name))


UNKNOWN = {  # what a file without a configuration does not tell -> what it then says
    "rnn_relu": "--nonlinearity",
    "rnn_linear": "--nonlinearity",
    "gru_before_bare": "reset_after",
    "backwards": "go_backwards=False",
    "low+high": "",
}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNKNOWN])
def test_arrays_alone_tell_the_same(name: str, folder: Path) -> None:
    core, _ = open_core(str(folder / "model.weights.h5"), name=core_of(name))
    assert same(core, wanted("x"), wanted(name))


@pytest.mark.parametrize("name", [name for name, said in UNKNOWN.items() if said])
def test_what_arrays_alone_do_not_tell_is_said(name: str, folder: Path) -> None:
    core, _ = open_core(str(folder / "model.weights.h5"), name=name)
    assert any(UNKNOWN[name] in note for note in core.unknown)
    assert not same(core, wanted("x"), wanted(name))


def test_a_nonlinearity_is_asked_for_where_the_file_does_not_tell(folder: Path) -> None:
    for name, nonlinearity in (("rnn_relu", "relu"), ("rnn_linear", "none")):
        core, _ = open_core(str(folder / "model.weights.h5"), name=name, nonlinearity=nonlinearity)
        assert same(core, wanted("x"), wanted(name))
    with pytest.raises(UsageError, match="according to the file the nonlinearity is relu"):
        open_core(str(folder / "model.keras"), name="rnn_relu", nonlinearity="tanh")
    with pytest.raises(UsageError, match="according to the file this core is a gru"):
        open_core(str(folder / "model.keras"), name="gru", cell="lstm")
    with pytest.raises(UsageError, match="own nonlinearities"):
        open_core(str(folder / "model.weights.h5"), name="lstm", nonlinearity="relu")


def test_specs_and_words(folder: Path) -> None:
    path = str(folder / "model.keras")
    both, _ = open_core(path, name="low+high")
    assert both.spec == CoreSpec("lstm", "tanh", 3, H, 2, True)
    assert "Keras has one bias: it is b_ih, and b_hh is 0" in both.unknown
    before, _ = open_core(path, name="gru_before")
    assert before.spec == CoreSpec("gru", "tanh", 3, H, options=(("reset_after", False),))
    assert "Keras GRU: gates z,r,h reordered to r,z,n, matrices transposed" in before.unknown
    bare, _ = open_core(path, name="lstm_h3")
    assert bare.spec == CoreSpec("lstm", "tanh", 3, 3, bias=False)
    low, _ = open_core(path, name="low")  # one layer of a stack
    high, _ = open_core(path, name="high")
    assert (low.spec.input_size, high.spec.input_size) == (3, 2 * H)
    with pytest.raises(UsageError, match="this file contains 17 recurrent cores") as error:
        open_core(path)
    assert "low+high (LSTM(3, 2, 2 layers, bidirectional))" in error.value.todo
    with pytest.raises(UsageError, match="no core 'hihg'"):
        open_core(path, name="hihg")


def keras_2(path: Path, config: dict[str, Any] | None, arrays: dict[str, Tensor]) -> str:
    """A file as Keras 2 wrote it, by `model.save` (its configuration an attribute) or, without one, `save_weights`."""
    with h5py.File(path, "w") as file:
        root = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config)
            root = file.create_group("model_weights")
        root.attrs["keras_version"] = b"2.2.4"
        for name, tensor in arrays.items():
            root[f"{name}:0"] = tensor.numpy()
    return str(path)


def part(core: FoundCore, place: str, *, cell: str = "") -> dict[str, Tensor]:
    """The arrays of a rnn or lstm in Keras's layout, under Keras 2's names."""
    names = {"kernel": "weight_ih_l0", "recurrent_kernel": "weight_hh_l0", "bias": "bias_ih_l0"}
    home = f"{place}/{place}{cell}"
    found = {f"{home}/{name}": core.state[own] for name, own in names.items() if own in core.state}
    return {name: tensor.T.contiguous() if tensor.dim() == 2 else tensor for name, tensor in found.items()}


def entry(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "activation": "tanh", **config}}


def test_files_of_keras_2(folder: Path, tmp_path: Path) -> None:
    """`kernel:0` and a configuration without modules; layers after each other are one core."""
    lstm, _ = open_core(str(folder / "model.keras"), name="lstm_h3")
    arrays = part(lstm, "a", cell="/lstm_cell") | part(lstm, "b", cell="/lstm_cell_1")
    one = entry("LSTM", "a", recurrent_activation="sigmoid")
    other = entry("LSTM", "b", recurrent_activation="sigmoid")
    layers = [{"class_name": "InputLayer", "config": {"name": "in"}}, one, entry("Dropout", "drop"), other]
    path = keras_2(tmp_path / "m.h5", {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}, arrays)
    core, _ = open_core(path)
    assert (core.name, core.origin, core.spec.num_layers) == ("a+b", "Keras 2.2.4 file", 2)
    once = outputs(lstm, wanted("x"))
    torch.testing.assert_close(outputs(core, wanted("x")), outputs(lstm, once), rtol=0, atol=1e-13)
    path = keras_2(tmp_path / "old.h5", {"class_name": "Sequential", "config": layers}, part(lstm, "a"))
    assert open_core(path)[0].spec == lstm.spec
    path = keras_2(tmp_path / "weights.h5", None, part(lstm, "a"))
    assert any("tanh, sigmoid" in note for note in open_core(path)[0].unknown)


NODES: dict[str, tuple[Any, Any, bool]] = {
    # inbound_nodes of `b` and of what lies between; whether b reads a
    "keras 2": ([[["a", 0, 0, {}]]], None, True),
    "through a dropout": ([[["drop", 0, 0, {}]]], [[["a", 0, 0, {}]]], True),
    "another output": ([[["a", 0, 1, {}]]], None, False),
    "called twice": ([[["a", 0, 0, {}]], [["a", 1, 0, {}]]], None, False),
    "another call": ([[["a", 1, 0, {}]]], None, False),
    "elsewhere": ([[["in", 0, 0, {}]]], None, False),
}


@pytest.mark.parametrize("case", NODES)
def test_layers_are_one_core_only_where_one_reads_the_other(case: str, folder: Path, tmp_path: Path) -> None:
    lstm, _ = open_core(str(folder / "model.keras"), name="lstm_h3")
    arrays = part(lstm, "a") | part(lstm, "b")
    nodes, between, stacked = NODES[case]
    layers = [
        entry("InputLayer", "in") | {"name": "in", "inbound_nodes": []},
        entry("LSTM", "a", recurrent_activation="sigmoid") | {"name": "a", "inbound_nodes": [[["in", 0, 0, {}]]]},
        entry("Dropout", "drop") | {"name": "drop", "inbound_nodes": between or []},
        entry("LSTM", "b", recurrent_activation="sigmoid") | {"name": "b", "inbound_nodes": nodes},
    ]
    path = keras_2(tmp_path / "m.h5", {"class_name": "Model", "config": {"name": "s", "layers": layers}}, arrays)
    if stacked:
        assert open_core(path)[0].name == "a+b"
    else:
        with pytest.raises(UsageError, match="this file contains 2 recurrent cores"):
            open_core(path)


UNLIKE: dict[str, tuple[dict[str, Any], str]] = {
    "relu": (entry("LSTM", "a", activation="relu", recurrent_activation="sigmoid"), "activation relu"),
    "hard": (entry("LSTM", "a", recurrent_activation="hard_sigmoid"), "recurrent_activation hard_sigmoid"),
    "of Keras 1": (entry("LSTM", "a", inner_activation="hard_sigmoid"), "inner_activation hard_sigmoid"),
    "an object": (
        entry("LSTM", "a", activation={"class_name": "function", "config": "mine"}, recurrent_activation="sigmoid"),
        "activation mine",
    ),
    "a class": (entry("MyLSTM", "a"), "the class MyLSTM"),
    "a cell": (entry("RNN", "a", cell={"class_name": "MyCell", "config": {}}), "the class MyCell"),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_what_no_cell_here_computes_is_refused_or_said(case: str, folder: Path, tmp_path: Path) -> None:
    lstm, _ = open_core(str(folder / "model.keras"), name="lstm_h3")
    layer, what = UNLIKE[case]
    config = {"class_name": "Sequential", "config": {"layers": [layer]}}
    path = keras_2(tmp_path / "m.h5", config, part(lstm, "a"))
    with pytest.raises(DataError, match=what) as error:
        open_core(path)
    assert "--cell lstm" in error.value.todo
    core, _ = open_core(path, cell="lstm")
    assert core.unknown[0].startswith("ignored here")
    assert what in core.unknown[0]


def test_a_configuration_that_contradicts_the_weights(folder: Path, tmp_path: Path) -> None:
    lstm, _ = open_core(str(folder / "model.keras"), name="lstm_h3")
    config = {"class_name": "Sequential", "config": {"layers": [entry("GRU", "a", recurrent_activation="sigmoid")]}}
    with pytest.raises(DataError, match="according to the configuration a is GRU, but its weights are those of LSTM"):
        open_core(keras_2(tmp_path / "m.h5", config, part(lstm, "a")))


def test_directions_of_different_sizes_are_two_cores(folder: Path, tmp_path: Path) -> None:
    rnn, _ = open_core(str(folder / "model.keras"), name="rnn_tanh")
    one, _ = open_core(str(folder / "model.keras"), name="rnn_linear")
    arrays = {name.replace("/a/", "/forward_a/"): tensor for name, tensor in part(rnn, "a").items()}
    arrays |= {name.replace("/a/", "/backward_a/"): tensor for name, tensor in part(one, "a").items()}
    path = keras_2(tmp_path / "m.h5", None, arrays)
    with pytest.raises(UsageError, match="this file contains 2 recurrent cores"):
        open_core(path)
    forward, backward = open_core(path, name="a/forward")[0], open_core(path, name="a/backward")[0]
    assert (forward.backwards, backward.backwards) == (False, True)
    assert any("reads its sequence backwards" in note for note in backward.unknown)


def test_embeddings_and_masks(folder: Path, tmp_path: Path) -> None:
    lstm, _ = open_core(str(folder / "model.keras"), name="lstm")
    arrays = part(lstm, "a") | {
        "words/words/embeddings": torch.zeros(7, 3),
        "more/more/embeddings": torch.zeros(7, 4),
    }
    layers = [entry("Embedding", "words", mask_zero=True), entry("LSTM", "a", recurrent_activation="sigmoid")]
    config = {"class_name": "Sequential", "config": {"layers": layers}}
    core, tables = open_core(keras_2(tmp_path / "m.h5", config, arrays))
    assert [(name, tuple(table.shape)) for name, table in tables.items()] == [("words", (7, 3))]
    assert "the model masks steps; here all steps are read" in core.unknown


@pytest.mark.parametrize("kind", ["float16", ">f8", "bfloat16"])
def test_other_kinds_of_numbers(kind: str, folder: Path, tmp_path: Path) -> None:
    lstm, _ = open_core(str(folder / "model.keras"), name="lstm_h3")
    path = keras_2(tmp_path / "m.h5", None, {})
    arrays = {f"{name}:0": tensor for name, tensor in part(lstm, "a").items()}
    with h5py.File(path, "a") as file:
        for name, tensor in arrays.items():
            if kind == "bfloat16":
                file[name] = tensor.bfloat16().view(torch.int16).numpy().view("V2")
                file[name].attrs["dtype"] = "bfloat16"
            else:
                file[name] = tensor.numpy().astype(kind)
    core, _ = open_core(path)
    rounded = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(kind)
    for name, tensor in lstm.state.items():
        assert torch.equal(core.state[name].double(), tensor.to(rounded).double())
