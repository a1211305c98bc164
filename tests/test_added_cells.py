"""Cells that an installed package adds: they do what our own do, and no file of ours names them.

minlru has no W_hh and remembers; expgate has four states; matrix has a matrix among its states, and parameters of its
own names.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rnncli import names, views
from rnncli.cells import CELLS as OUR_CELLS
from tests.added_package import Typed, install

HAS_ONNX = all(find_spec(name) for name in ("onnx", "onnxruntime"))
MINLRU = '''
"""minlru: h_t = (1 - z) h_(t-1) + z v; z and v read x alone. minGRU of Feng et al. 2024 (arXiv:2410.01201)."""
from rnncli.cells import Cell
from rnncli.names import Option


def parameters(spec, inputs):
    shapes = {"weight_ih": (2 * spec.hidden_size, inputs)}
    return shapes | {"bias_ih": (2 * spec.hidden_size,)} if spec.bias else shapes


def step(x, state, w):
    from torch.nn.functional import linear

    (h,) = state
    z, v = linear(x, w["weight_ih"], w.get("bias_ih")).chunk(2, dim=1)  # each (B, H)
    z = z.sigmoid()
    z = z / w.options.get("slower", 1)
    return ((1 - z) * h + z * v,), {"z": z, "v": v}


CELL = Cell(
    step,
    equation="h_t = (1-z)⊙h_(t-1) + z⊙v",
    parameters=parameters,
    options={"slower": Option(1, "what z is divided by")},
    gates={"z": "sigmoid", "v": "free"},
    recurrent_weight=False,
    summed=lambda spec: ("z", "v"),
    written=lambda spec: ("z = sigmoid(a_z)", "v = a_v", "h = (1 - z)·h' + z·v"),
)
'''
SLSTM = '''
"""expgate: exponential gates, a normalizer n and a stabilizer m. Beck et al. 2024 (arXiv:2405.04517), section 2.2."""
from rnncli.cells import Cell


def states(spec):
    return {name: (spec.hidden_size,) for name in ("h", "c", "n", "m")}


def step(x, state, w):
    import torch
    from torch.nn.functional import linear, logsigmoid

    h, c, n, m = state
    a = linear(x, w["weight_ih"], w.bias_ih) + linear(h, w["weight_hh"], w.bias_hh)  # (B, 4H)
    z, i, f, o = a.chunk(4, dim=1)
    kept = logsigmoid(f) + m
    m = torch.maximum(kept, i)
    i, f, z, o = (i - m).exp(), (kept - m).exp(), z.tanh(), o.sigmoid()
    c, n = f * c + i * z, f * n + i
    return (o * c / n, c, n, m), {"z": z, "i": i, "f": f, "o": o}


CELL = Cell(
    step,
    equation="c_t = f⊙c_(t-1) + i⊙z; n_t = f⊙n_(t-1) + i; h_t = o⊙c_t/n_t",
    states=states,
    gates={"z": "tanh", "i": "sigmoid", "f": "sigmoid", "o": "sigmoid"},
)
'''
MATRIX = '''
"""matrix: C_t = f C_(t-1) + v kᵀ; h_t = C_t q. Fast weights (Schmidhuber 1992), with a forget gate."""
from rnncli.cells import Cell


def states(spec):
    return {"h": (spec.hidden_size,), "C": (spec.hidden_size, spec.hidden_size)}


def parameters(spec, inputs):
    return {"W_qkv": (3 * spec.hidden_size, inputs), "w_f": (1, inputs), "scale": (spec.hidden_size,)}


def draw(name, parameter, spec):
    if name == "scale":
        parameter.fill_(1.0)
    else:
        parameter.normal_(0.0, 0.5)


def step(x, state, w):
    from torch.nn.functional import linear

    _, C = state  # (B, H, H)
    q, k, v = linear(x, w["W_qkv"]).chunk(3, dim=1)
    f = linear(x, w["w_f"]).sigmoid()  # (B, 1)
    C = f.unsqueeze(2) * C + v.unsqueeze(2) * k.unsqueeze(1)
    h = (C @ q.unsqueeze(2)).squeeze(2) * w["scale"]
    return (h, C), {"q": q, "k": k, "v": v}


CELL = Cell(
    step,
    equation="C_t = f·C_(t-1) + v·kᵀ; h_t = s⊙(C_t·q)",
    states=states,
    parameters=parameters,
    draw=draw,
    gates={"q": "free", "k": "free", "v": "free"},
    recurrent_weight=False,
)
'''
CELLS = {"minlru": MINLRU, "expgate": SLSTM, "matrix": MATRIX}
# our own cells pass the same tests, which take long for all of them; tests/test_every_cell.py has shorter ones
EVERY = [*CELLS, *(pytest.param(cell, marks=pytest.mark.evidence) for cell in OUR_CELLS.files)]


SMALL = "--set model.hidden_size=8 --set train.max_steps=2 --epochs 1"


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Typed]:
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("work")
    install(site, CELLS, {"rnncli.cells": {name: f"strangers.{name}" for name in CELLS}})
    (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 40, "utf-8")
    (folder / "pairs.tsv").write_text("".join(f"{a} {b}\t{b} {a}\n" for a in "abcd" for b in "efgh"), "utf-8")
    with Typed(site, folder) as made:
        yield made


def checked(typed: Typed, line: str) -> dict[str, Any]:
    """The JSON of a line; all its checks hold."""
    found: dict[str, Any] = json.loads(typed.well(line))
    assert all(check["ok"] for check in found.get("checks", [])), (line, found["checks"])
    return found


@pytest.mark.parametrize("cell", EVERY)
def test_it_demos(typed: Typed, cell: str) -> None:
    if cell in CELLS:
        equation = CELLS[cell].partition('equation="')[2].partition('"')[0]
        assert equation in typed.well(f"rnncli demo --cell {cell}")
    assert "bad" not in typed.well(f"rnncli demo --cell {cell} --proofs")
    for more in ("--num-layers 2 --bidirectional --full", "--input hello", "--proofs"):
        checked(typed, f"rnncli demo --cell {cell} {more} --json")
    checked(typed, f"rnncli demo --cell rnn,{cell} --json")
    runs_as_a_script(typed, cell)
    if CELLS[cell].count("written=") if cell in CELLS else OUR_CELLS[cell].written is not None:
        explained = checked(typed, f"rnncli demo --cell {cell} --explain all --json")
        assert "sums-by-hand" in {check["name"] for check in explained["checks"]}
    else:
        assert typed(f"rnncli demo --cell {cell} --explain 1")["code"] == 2
    found = checked(typed, f"rnncli demo --cell {cell} --json")
    shapes = {one["name"]: one["shape"] for one in found["tensors"]}
    if cell == "matrix":
        assert (shapes["l0.fwd.C"], shapes["C_0"], shapes["l0.fwd.w_f"]) == ([3, 1, 2, 2], [1, 1, 2, 2], [1, 4])
    if cell == "expgate":
        assert {"l0.fwd.m", "l0.fwd.n", "n_0", "l0.fwd.gate.i"} <= shapes.keys()
        assert "one-linear" not in {check["name"] for check in found["checks"]}  # whose sums nobody wrote out


def runs_as_a_script(typed: Typed, cell: str) -> None:
    """--code prints what the demo shows, without rnncli."""
    shown = checked(typed, f"rnncli demo --cell {cell} --dtype float64 --json")["tensors"]
    (h,) = (one["values"] for one in shown if one["name"] == "l0.fwd.h")
    script, printed = typed.well(f"rnncli demo --cell {cell} --dtype float64 --code"), io.StringIO()
    assert "rnncli" not in script.replace("as rnncli draws it", "")
    with contextlib.redirect_stdout(printed):
        exec(compile(script, "demo.py", "exec"), {"__name__": "__main__"})
    numbers = [float(one) for one in re.findall(r"-?[0-9]+\.[0-9]+", printed.getvalue())]
    assert numbers == pytest.approx([value for step in h for row in step for value in row], abs=1e-4)


@pytest.mark.parametrize("cell", EVERY)
def test_it_trains_and_resumes(typed: Typed, cell: str) -> None:
    train = f"rnncli train hello --set model.cell={cell} --set model.num_layers=2 --set model.dropout=0.25"
    typed.well(f"{train} --set model.bidirectional=true --epochs 6 --out {cell}-whole")
    typed.well(f"{train} --set model.bidirectional=true --epochs 3 --out {cell}-cut")
    typed.well(f"rnncli train --resume {cell}-cut --epochs 6")
    whole, cut = (typed.folder / f"{cell}-{name}" / "model.safetensors" for name in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()
    checked(typed, f"rnncli evaluate {cell}-whole --json")
    typed.well(f"rnncli predict {cell}-whole hello")
    typed.well(f"rnncli report {cell}-whole --out {cell}.html")
    typed.well(f"rnncli export {cell}-whole {cell}-export")
    exported = load_file(typed.folder / f"{cell}-export" / "model.safetensors")
    assert exported.keys() == load_file(whole).keys()
    answers(typed, f"{cell}-whole", typed.folder / f"{cell}-export" / "load.py")
    if cell not in names.torch_cells():
        assert typed(f"rnncli export {cell}-whole {cell}-onnx --onnx")["code"] == (0 if HAS_ONNX else 5)


def answers(typed: Typed, run: str, script: Path) -> None:
    """load.py says what predict says, and imports nothing of ours."""
    assert "import rnncli" not in script.read_text("utf-8")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["load.py", "hello"])
        runpy.run_path(str(script), run_name="__main__")
    torch.set_grad_enabled(True)  # the script turned them off
    assert printed.getvalue() == typed.well(f"rnncli predict {run} hello")


@pytest.mark.parametrize("cell", EVERY)
def test_it_is_inspected(typed: Typed, cell: str) -> None:
    """Runs in every view, and weights as a file."""
    train = f"rnncli train hello --set model.cell={cell} --set model.num_layers=2 --set model.bidirectional=true"
    typed.well(f"{train} --epochs 1 --out {cell}-seen")
    typed.well(f"rnncli inspect {cell}-seen")
    needs = {view: views.load_view(view).NEEDS for view in views.view_names()}
    for view in (view for view, needed in needs.items() if not needed):
        checked(typed, f"rnncli inspect {cell}-seen {view} --json")
    typed.well(f"rnncli train translation --data pairs.tsv --set model.cell={cell} {SMALL} --out {cell}-pairs")
    odd = "--set data.batches=2 --set data.test_lengths=[8] --set data.test_rows=8"
    typed.well(f"rnncli train parity --set model.cell={cell} {SMALL} {odd} --set train.compare=[] --out {cell}-odd")
    typed.well(f"rnncli train pos-tagging --set model.cell={cell} {SMALL} --set model.head=crf --out {cell}-tags")
    for run, view in (("pairs", "attention"), ("odd", "automaton"), ("tags", "transitions"), ("tags", "embeddings")):
        assert needs.pop(view)
        checked(typed, f"rnncli inspect {cell}-{run} {view} --json")
    assert not any(needs.values())  # no view is left out
    found = checked(typed, f"rnncli inspect {cell}-seen steps --layer 0 --direction fwd --json")
    assert len(found["rows"]) == 5
    weights = f"{cell}-seen/model.safetensors"
    if cell not in ("matrix", "feedforward"):  # which has no weight_ih for a file to be known by
        for view in ("", "gradients", "memory"):
            checked(typed, f"rnncli inspect {weights} {view} --cell {cell} --json")


@pytest.mark.parametrize("cell", EVERY)
@pytest.mark.parametrize(
    "others", [(), pytest.param(("names", "memory-copy", "image-sequences"), marks=pytest.mark.evidence)], ids=len
)
def test_every_kind_of_task_trains_it(typed: Typed, cell: str, others: tuple[str, ...]) -> None:
    """Two updates each, through everything: a language model carries its state, a translation bridges it, forecasting
    reads its last one. What is left for evidence reads it in the same ways."""
    model = f"--set model.cell={cell} --set model.hidden_size=8 --fast-dev-run"
    typed.well(f"rnncli train language-model --data text.txt {model} --set data.window=16")
    typed.well(f"rnncli train translation --data pairs.tsv {model} --set model.bidirectional=true")
    for recipe in ("forecasting", *others):
        typed.well(f"rnncli train {recipe} {model}")
    compared = cell if cell in CELLS else next(one for one in names.compared_cells() if one.startswith(cell))
    assert cell in typed.well(f"rnncli train hello --set train.compare=[{compared},feedforward] --epochs 2")


def test_it_is_listed_and_its_name_is_checked(typed: Typed) -> None:
    assert '"minlru"' in typed.well("rnncli recipes schema")
    typo = typed("rnncli train hello --set model.cell=expgatd --dry-run")
    assert typo["code"] == 2
    assert "did you mean expgate?" in typo["err"]
    for wrong in ("model.nonlinearity=relu", "model.proj_size=2", "model.engine=torch"):
        assert typed(f"rnncli train hello --set model.cell=minlru --set {wrong} --dry-run")["code"] == 2, wrong


def test_an_option_at_its_default_is_no_difference(typed: Typed) -> None:
    train = "rnncli train hello --epochs 1 --set model.cell="
    for name, cell in {"gru": "gru", "same": "minlru", "slower": "minlru --set model.slower=2"}.items():
        typed.well(f"{train}{cell} --out option-{name}")
    for other, differs in {"same": False, "slower": True}.items():
        assert ('"model.slower"' in typed.well(f"rnncli runs compare option-gru option-{other} --json")) == differs
        typed.well(f"rnncli report option-gru option-{other} --out option.html")
        assert ("model.slower" in (typed.folder / "option.html").read_text("utf-8")) == differs


def test_a_package_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    points = {"rnncli.cells": {"bad": "strangers.broken"}}
    install(tmp_path / "site", {"broken": "import nothing_of_that_name\n"}, points)
    with Typed(tmp_path / "site", tmp_path / "work") as typed:
        typed.well("rnncli recipes validate hello")
        broken = typed("rnncli demo --cell bad")
    assert broken["code"] == 5
    assert "strangers" in broken["err"]
