"""Every number of `demo --json` against torch's own modules, drawn here by the plain script's order."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fixture_types import Demo, Document

CLASSES = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def drawn(
    cell: str,
    seed: int,
    T: int,
    B: int,
    I: int,  # noqa: E741
    H: int,
    dtype: torch.dtype,
    **more: Any,
) -> tuple[torch.nn.RNNBase, torch.Tensor]:
    torch.manual_seed(seed)
    module = CLASSES[cell](I, H, **more).to(dtype)
    x = torch.randn(T, B, I).to(dtype)
    return module, x


@pytest.mark.parametrize("cell", CLASSES)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_float64_is_the_module(cell: str, layers: int, bidirectional: bool, document: Document) -> None:
    words = f"--cell {cell} --num-layers {layers} --dtype float64 --seq-len 5 --batch-size 2 --hidden-size 3 --seed 7"
    found = document(*words.split(), *["--bidirectional"] * bidirectional)["named"]
    module, x = drawn(cell, 7, 5, 2, 4, 3, torch.float64, num_layers=layers, bidirectional=bidirectional)
    output, last = module(x)
    h_n = last[0] if cell == "lstm" else last
    assert found["x"] == x.tolist()
    torch.testing.assert_close(torch.tensor(found["output"], dtype=torch.float64), output, rtol=0, atol=1e-12)
    for name, parameter in module.named_parameters():
        kind, _, where = name.rpartition("_l") if not name.endswith("_reverse") else name[:-8].rpartition("_l")
        direction = "bwd" if name.endswith("_reverse") else "fwd"
        assert found[f"l{where}.{direction}.{kind}"] == parameter.tolist()
    for layer in range(layers):
        for d, direction in enumerate(["fwd", "bwd"][: 1 + bidirectional]):
            end = 0 if d else -1
            h = torch.tensor(found[f"l{layer}.{direction}.h"], dtype=torch.float64)
            assert h.shape == (5, 2, 3)
            torch.testing.assert_close(h[end], h_n[layer * (1 + bidirectional) + d], rtol=0, atol=1e-12)


def test_float32_draws_the_same_network_as_float64(document: Document) -> None:
    one, two = document()["named"], document("--dtype", "float64")["named"]
    for name in ("x", "l0.fwd.weight_ih", "l0.fwd.weight_hh", "l0.fwd.bias_ih", "l0.fwd.bias_hh"):
        assert one[name] == two[name]


@pytest.mark.parametrize(("cell", "gates"), [("rnn", ""), ("lstm", "ifgo"), ("gru", "rzn"), ("feedforward", "")])
def test_the_document_holds_what_it_promises(cell: str, gates: str, document: Document) -> None:
    found = document("--cell", cell)
    G = max(1, len(gates))
    assert found["schema"] == "rnncli/trace/1"
    assert found["torch"] == str(torch.__version__)
    assert (found["seed"], found["dtype"], found["device"]) == (0, "float32", "cpu")
    assert found["config"]["cell"] == cell
    assert (found["config"]["seq_len"], found["config"]["hidden_size"]) == (3, 2)
    shapes = {tensor["name"]: (tensor["axes"], tensor["shape"]) for tensor in found["tensors"]}
    expected = {"x": (["T", "B", "I"], [3, 1, 4]), "l0.fwd.h": (["T", "B", "H"], [3, 1, 2])}
    expected |= {"l0.fwd.weight_ih": (["G·H", "I"], [2 * G, 4]), "l0.fwd.bias_ih": (["G·H"], [2 * G])}
    if cell != "feedforward":
        expected["l0.fwd.weight_hh"] = (["G·H", "H"], [2 * G, 2])
    expected |= {f"l0.fwd.gate.{gate}": (["T", "B", "H"], [3, 1, 2]) for gate in gates}
    expected |= {"h_0": (["L·D", "B", "H"], [1, 1, 2])}
    if cell == "lstm":
        expected |= {name: (["T", "B", "H"], [3, 1, 2]) for name in ("l0.fwd.c",)}
        expected |= {"c_0": (["L·D", "B", "H"], [1, 1, 2])}
    assert expected.items() <= shapes.items()
    for tensor in found["tensors"]:
        assert list(torch.tensor(tensor["values"]).shape) == tensor["shape"]
    names = [check["name"] for check in found["checks"]]
    assert {"one-linear", "cell-equals-module", "gradients-equal-module", "same-weights"} <= set(names)
    assert all(check["ok"] and set(check) == {"name", "ok", "max_abs_diff", "tol"} for check in found["checks"])


def test_feedforward_is_tanh_of_one_linear(document: Document) -> None:
    found = document("--cell", "feedforward", "--dtype", "float64")["named"]
    t = {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}
    bias = t["l0.fwd.bias_ih"] + t["l0.fwd.bias_hh"]
    expected = torch.tanh(t["x"] @ t["l0.fwd.weight_ih"].T + bias)
    torch.testing.assert_close(t["l0.fwd.h"], expected, rtol=0, atol=1e-12)


def test_none_is_the_sum_written_out(document: Document) -> None:
    found = document("--nonlinearity", "none", "--dtype", "float64", "--seq-len", "4")["named"]
    x, W_ih, W_hh = (found[name] for name in ("x", "l0.fwd.weight_ih", "l0.fwd.weight_hh"))
    h = [0.0, 0.0]
    for t in range(4):
        h = [
            sum(w * v for w, v in zip(W_ih[j], x[t][0], strict=True))
            + sum(w * v for w, v in zip(W_hh[j], h, strict=True))
            + found["l0.fwd.bias_ih"][j]
            + found["l0.fwd.bias_hh"][j]
            for j in range(2)
        ]
        assert found["l0.fwd.h"][t][0] == pytest.approx(h, abs=1e-12)


def test_input_reads_letters_and_predicts_with_an_untrained_head(document: Document) -> None:
    found = document("--input", "hello")
    torch.manual_seed(0)
    cell, head = torch.nn.RNN(4, 4), torch.nn.Linear(4, 4)
    x = torch.eye(4)[["ehlo".index(letter) for letter in "hello"]].unsqueeze(1)
    output, _ = cell(x)
    assert found["config"]["letters"] == list("ehlo")
    assert found["named"]["x"] == x.tolist()
    torch.testing.assert_close(torch.tensor(found["named"]["logits"]), head(output), rtol=0, atol=1e-6)
    p = head(output)[0, 0].softmax(0)
    assert p[0].item() == pytest.approx(0.3815, abs=5e-5)  # the letter e, as the first screen of `inspect hello`
    assert found["rows"][0]["top"].startswith("e 0.3815")


def test_the_lazy_rows_of_a_long_demo_are_all_in_the_data(document: Document) -> None:
    found = document("--seq-len", "200", "--batch-size", "2")
    assert len(found["rows"]) == 400
    for row in (found["rows"][0], found["rows"][123], found["rows"][-1]):
        assert row["h"] == found["named"]["l0.fwd.h"][row["t"]][row["b"]]
        assert row["x"] == found["named"]["x"][row["t"]][row["b"]]


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "feedforward"])
def test_every_dtype_holds_its_checks(cell: str, dtype: str, demo: Demo) -> None:
    assert demo("--cell", cell, "--dtype", dtype, "--proofs")[0] == 0


def test_saved_data_is_the_document(demo: Demo, tmp_path: Path) -> None:
    code, out, err = demo("--json", "--save", str(tmp_path / "x.json"))
    assert (code, err) == (0, f"wrote {tmp_path / 'x.json'}\n")
    assert json.loads(out) == json.loads((tmp_path / "x.json").read_text("utf-8"))
    import numpy as np

    demo("--save", str(tmp_path / "x.npz"))
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["l0.fwd.h"].shape == (3, 1, 2)
        assert math.isclose(arrays["l0.fwd.h"][0, 0, 0], -0.69816327, abs_tol=1e-7)
    for ending in (".csv", ".svg", ".md", ".html"):
        assert demo("--save", str(tmp_path / f"x{ending}"))[0] == 0
        assert (tmp_path / f"x{ending}").stat().st_size > 300
