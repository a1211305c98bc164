"""Recurrent cores out of state_dicts of every shape, against the modules that wrote them."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rnncli.errors import DataError, UsageError
from rnncli.nn.recurrent import make_core
from rnncli.weights import FoundCore, choose_core, embeddings, find_cores, read_weights
from tests.hostile import bounded

MODULES: dict[str, dict[str, Any]] = {
    "rnn": {"class": nn.RNN},
    "relu": {"class": nn.RNN, "nonlinearity": "relu"},
    "gru": {"class": nn.GRU},
    "lstm": {"class": nn.LSTM},
    "lstm-deep": {"class": nn.LSTM, "num_layers": 3, "bidirectional": True},
    "lstm-proj": {"class": nn.LSTM, "proj_size": 2, "num_layers": 2, "bidirectional": True},
    "gru-no-bias": {"class": nn.GRU, "bias": False, "bidirectional": True},
}


def _module(name: str) -> nn.RNNBase:
    options = dict(MODULES[name])
    torch.manual_seed(1)
    module: nn.RNNBase = options.pop("class")(3, 5, **options)
    return module


def _same(found: FoundCore, module: nn.RNNBase) -> None:
    core = make_core(found.spec)
    core.load_state_dict(dict(found.state))
    x = torch.randn(4, 2, 3)
    ours, theirs = core(x)[0], module(x)[0]
    assert torch.equal(ours, theirs)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("name", MODULES)
def test_a_module_comes_back_as_it_was(name: str, suffix: str, tmp_path: Path) -> None:
    module, path = _module(name), tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(module.state_dict(), path)
    else:
        save_file(module.state_dict(), path)
    relu = "relu" if name == "relu" else None
    (found,) = find_cores(read_weights(path), nonlinearity=relu)
    assert found.name == ""
    _same(found, module)


def test_tanh_or_relu_is_said_to_be_unknown() -> None:
    (rnn,) = find_cores(_module("rnn").state_dict())
    (gru,) = find_cores(_module("gru").state_dict())
    assert len(rnn.unknown) == 1
    assert "--nonlinearity" in rnn.unknown[0]
    assert gru.unknown == []


NESTED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "state_dict": lambda s: {"state_dict": s},
    "model": lambda s: {"model": s, "epoch": 3},
    "lightning": lambda s: {
        "state_dict": {f"net.{k}": v for k, v in s.items()},
        "hyper_parameters": {"lr": 0.1},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}}],
    },
    "data-parallel": lambda s: {f"module.{k}": v for k, v in s.items()},
    "compiled": lambda s: {f"_orig_mod.encoder._orig_mod.{k}": v for k, v in s.items()},
    "deep": lambda s: {f"a.b.rnn.{k}": v for k, v in s.items()},
}


@pytest.mark.parametrize(("form", "name"), [*zip(NESTED, ["", "", "net", "", "encoder", "a.b.rnn"], strict=True)])
def test_nested_names(form: str, name: str, tmp_path: Path) -> None:
    module = _module("lstm-deep")
    torch.save(NESTED[form](module.state_dict()), tmp_path / "w.ckpt")
    (found,) = find_cores(read_weights(tmp_path / "w.ckpt"))
    assert found.name == name
    _same(found, module)


@pytest.mark.parametrize("kind", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_single_cells(kind: Any) -> None:
    cell = kind(3, 5)
    (found,) = find_cores({f"cells.0.{k}": v for k, v in cell.state_dict().items()})
    assert found.name == "cells.0"
    core = make_core(found.spec)
    core.load_state_dict(dict(found.state))
    x = torch.randn(1, 2, 3)
    after = cell(x[0])
    assert torch.allclose(core(x)[0][0], after[0] if isinstance(after, tuple) else after, atol=1e-7)


def test_several_cores_are_chosen_by_name() -> None:
    tensors = {f"encoder.{k}": v for k, v in _module("gru").state_dict().items()}
    tensors |= {f"decoder.{k}": v for k, v in _module("lstm").state_dict().items()}
    tensors["embedding.weight"] = torch.zeros(9, 3)
    cores = find_cores(tensors)
    assert [(core.name, core.spec.cell) for core in cores] == [("encoder", "gru"), ("decoder", "lstm")]
    assert choose_core(cores, "decoder").spec.cell == "lstm"
    with pytest.raises(UsageError, match="this file contains 2 recurrent cores") as error:
        choose_core(cores, None)
    assert "encoder" in error.value.todo
    with pytest.raises(UsageError, match="no core 'deocder'"):
        choose_core(cores, "deocder")
    assert list(embeddings(tensors, 3)) == ["embedding.weight"]
    assert embeddings(tensors, 4) == {}


class Harm:
    """A pickle of this writes a file when it is opened by plain pickle."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def test_a_file_that_would_run_code_is_refused_and_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "was-run"
    with open(tmp_path / "evil.pt", "wb") as file:
        pickle.dump({"weight_ih_l0": Harm(str(trace))}, file)
    torch.save({"weight_ih_l0": torch.zeros(2, 2), "x": Harm(str(trace))}, tmp_path / "evil2.pt")
    torch.save(nn.LSTM(2, 2), tmp_path / "whole-module.pt")
    for name in ("evil.pt", "evil2.pt", "whole-module.pt"):
        with pytest.raises(DataError, match="nothing was run") as error:
            read_weights(tmp_path / name)
        assert error.value.exit_code == 3
    assert not trace.exists()


def _zip(names: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"no weights at all", "neither an archive of torch.save nor a pickle"),
        (bytes(600), "neither an archive of torch.save nor a pickle"),
        (b"PK\x03\x04broken", "its end is missing"),
        (b"\x80\x02\xffbroken", "it is damaged"),
        (_zip({"a.txt": b"text"}), "a ZIP archive that torch.save did not write"),
        (_zip({"a/data.pkl": b"\x80\x02\xffbroken", "a/version": b"3"}), "it is damaged"),
        (_zip({"a/data.pkl": b"\x80\x02ctorch", "a/version": b"3"}), "its end is missing"),
        (pickle.dumps({"weight": 1}, 2), "this pickle was not written by torch.save"),
        (pickle.dumps({"weight": 1}, 4), "this pickle was not written by torch.save"),
        (pickle.dumps({"weight": Path("x")}, 2), "more than tensors"),
    ],
)
def test_damaged_files_and_whole_ones_of_another_kind(content: bytes, said: str, tmp_path: Path) -> None:
    for suffix, words in ((".pt", said), (".safetensors", "not a complete safetensors file")):
        path = tmp_path / f"w{suffix}"
        path.write_bytes(content)
        with pytest.raises(DataError, match=words):
            read_weights(path)


def test_a_file_that_is_cut_anywhere_says_so(tmp_path: Path) -> None:
    """Cut within a name, torch says that it holds something else than tensors: it does not."""
    state, path = _module("rnn").state_dict(), tmp_path / "w.pt"
    for new in (True, False):
        torch.save(state, path, _use_new_zipfile_serialization=new)
        whole = path.read_bytes()
        for size in range(2, len(whole), 97 if new else 41):
            path.write_bytes(whole[:size])
            with pytest.raises(DataError, match=r"its end is missing|unexpected EOF, expected \d+ more bytes"):
                read_weights(path)
    path = tmp_path / "w.safetensors"
    save_file(state, path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=f"it has {size:,} of [0-9,]+ bytes"):
            read_weights(path)
    path.write_bytes(whole[:9] + b"x" + whole[10:])
    with pytest.raises(DataError, match="deserializing header"):
        read_weights(path)


def test_what_is_no_recurrent_network(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "w.pt")
    with pytest.raises(DataError, match="weight_ih_l0") as error:
        find_cores(read_weights(tmp_path / "w.pt"), where="w.pt")
    assert "bias" in error.value.todo
    torch.save({"epoch": 3}, tmp_path / "e.pt")
    with pytest.raises(DataError, match="no tensor"):
        read_weights(tmp_path / "e.pt")
    with pytest.raises(DataError, match="no such file"):
        read_weights(tmp_path / "absent.pt")


def test_rows_decide_the_cell() -> None:
    lstm = _module("lstm").state_dict()
    with pytest.raises(UsageError, match="these weights do not belong to gru: 20 rows are 4·H"):
        find_cores(lstm, cell="gru")
    with pytest.raises(UsageError, match="own nonlinearities"):
        find_cores(lstm, nonlinearity="relu")
    assert find_cores(lstm, cell="lstm")[0].spec.cell == "lstm"
    with pytest.raises(DataError, match=r"rnn has H rows, gru 3·H, lstm 4·H"):
        find_cores({"weight_ih_l0": torch.zeros(25, 3), "weight_hh_l0": torch.zeros(25, 5)})


def test_missing_and_misfit_parts() -> None:
    state = dict(_module("lstm-deep").state_dict())
    broken = {k: v for k, v in state.items() if k != "weight_hh_l1_reverse"}
    with pytest.raises(DataError, match="weight_hh_l1_reverse is missing"):
        find_cores(broken)
    with pytest.raises(DataError, match="bias_ih_l0 is"):
        find_cores({**state, "bias_ih_l0": torch.zeros(3)})
    with pytest.raises(DataError, match="do not belong to any layer or direction"):
        find_cores({**state, "weight_ih_l9": torch.zeros(20, 10)})
    with pytest.raises(DataError, match="is not a weight"):
        find_cores({**state, "weight_ih_l0": torch.zeros(20, 3, dtype=torch.int64)})


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "weight_hr_l0", "bias_ih_l0", "weight_ih_l1_reverse"])
@pytest.mark.parametrize("shape", [(), (0,), (13,), (0, 3), (20, 0), (0, 0), (1, 1), (2, 2, 2)])
def test_a_tensor_of_any_other_shape_is_refused(name: str, shape: tuple[int, ...]) -> None:
    """A weight_ih that was a vector, and weights of no rows, ended in an internal error."""
    state = {**_module("lstm-proj").state_dict(), name: torch.zeros(shape)}
    with pytest.raises(DataError):
        find_cores(state)


def test_half_precision_is_computed_in_float32_and_said() -> None:
    (found,) = find_cores({k: v.bfloat16() for k, v in _module("gru").state_dict().items()})
    assert found.state["weight_ih_l0"].dtype == torch.float32
    assert any("bfloat16" in note for note in found.unknown)


def test_feedforward_is_named_not_guessed() -> None:
    weights = {"rnn.weight_ih_l0": torch.zeros(4, 3), "rnn.bias_ih_l0": torch.zeros(4)}
    with pytest.raises(DataError, match="weight_hh_l0 is missing") as error:
        find_cores(weights)
    assert "--cell feedforward" in error.value.todo
    assert "--cell mingru" in error.value.todo  # 4 rows are H, or 2·H
    with pytest.raises(DataError, match="weight_hh_l0 is missing") as error:
        find_cores({"weight_ih_l0": torch.zeros(5, 3)})
    assert error.value.todo.endswith("--cell feedforward")  # no other cell has an odd number of rows
    (found,) = find_cores(weights, cell="feedforward")
    assert any("bias_hh_l0" in note for note in found.unknown)
    with pytest.raises(DataError, match="weight_hh_l0 is missing"):
        find_cores(weights, cell="lstm")


def test_tensors_larger_than_their_file_and_other_kinds(tmp_path: Path) -> None:
    """An expanded tensor, a compressed archive, a sparse tensor, a cut pickle: refused before memory is taken."""
    huge = torch.zeros(1).expand(200_000, 50_000)
    torch.save({"weight_ih_l0": huge, "weight_hh_l0": huge}, tmp_path / "expanded.pt")
    with pytest.raises(DataError, match="but the file contains fewer values"):
        find_cores(read_weights(tmp_path / "expanded.pt"))
    torch.save({"weight_ih_l0": torch.randn(12, 4).to_sparse(), "weight_hh_l0": torch.zeros(12, 3)}, tmp_path / "s.pt")
    with pytest.raises(DataError, match=r"weight_ih_l0 is not a weight.*sparse"):
        find_cores(read_weights(tmp_path / "s.pt"))
    torch.save(_module("rnn").state_dict(), tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    with pytest.raises(DataError, match="are compressed"):
        read_weights(tmp_path / "packed.pt")
    for content in (b"\x80\x05\x95\xff\xff", b"\x80\x02c", b"\x80\x02X\xff\xff\xff\x7f"):
        (tmp_path / "cut.pt").write_bytes(content)
        with pytest.raises(DataError), bounded(memory=1 << 30):  # the last one's length: two gigabytes
            read_weights(tmp_path / "cut.pt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors", "w.safetensors.index.json"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="not a regular file"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_with_nan_are_named(number: float) -> None:
    state = dict(_module("lstm").state_dict())
    state["weight_hh_l0"] = state["weight_hh_l0"].clone()
    state["weight_hh_l0"][1, 2] = number
    with pytest.raises(DataError, match="weight_hh_l0 contains NaN or infinity: 1 value of 100"):
        find_cores(state)
