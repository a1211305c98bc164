"""`rnncli export`: what is written loads and runs where rnncli is not installed."""

from __future__ import annotations

import csv
import os
import re
import runpy
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import rnncli
from rnncli import names
from rnncli.cells import CoreSpec, Gates, State, Weights, cores_of
from rnncli.data.batch import Batch
from rnncli.errors import CheckFailed, UsageError
from rnncli.runs.export import export
from rnncli.runs.onnx_model import onnx_model
from rnncli.runs.open import Run, open_run
from rnncli.standalone import copied
from rnncli.tasks import PredictOptions, load_recipe
from rnncli.weights.record import metadata_of
from tests import warm
from tests.fixture_types import Typed

# Put before a script: rnncli cannot be imported, from wherever it may be installed.
BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "rnncli":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
try:
    import rnncli
    raise SystemExit("rnncli is there")
except ModuleNotFoundError:
    pass
"""


def run_without_rnncli(folder: Path, *arguments: str) -> str:
    script = (folder / "load.py").read_text("utf-8").replace("__file__", repr(str(folder / "load.py")))
    future = "from __future__ import annotations\n"
    script = future + BLOCK + script.replace(future, "")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    found = subprocess.run(
        [warm.python(), "-I", "-W", "error", "-c", script, *arguments],
        cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return found.stdout


QUICK = ("train.max_steps=3", "train.control=false")


def test_a_trained_run_answers_in_a_process_without_rnncli(tmp_path: Path) -> None:
    """Weights have torch's names, in the dtype of the run; nothing but torch and safetensors is imported."""
    sets = ("model.cell=lstm", "model.num_layers=2", "model.bidirectional=true", "model.input=embedding",
            "model.bias=false", "model.proj_size=2", "train.dtype=float64", *QUICK)  # fmt: skip
    run = rnncli.train("hello", out=str(tmp_path / "run"), sets=sets)
    done = export(run, str(tmp_path / "out"))
    assert done.why_not == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(done.files)
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as opened:
        assert opened.metadata() == {
            "format": "pt",
            "task": "tagging",
            "recipe_sha256": sha256((run.folder / "recipe.yaml").read_bytes()).hexdigest(),
            "vocab_sha256": sha256((tmp_path / "out" / "vocab.json").read_bytes()).hexdigest(),
            **metadata_of(run.model),
        }
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert weights.keys() == {
        f"rnn.weight_{part}_l{layer}{end}"
        for part in ("ih", "hh", "hr")
        for layer in (0, 1)
        for end in ("", "_reverse")
    } | {"front.weight", "head.weight", "head.bias"}
    assert {weight.dtype for weight in weights.values()} == {torch.float64}
    (wanted,) = run.task.predict(run.config, run.model, run.fitted, ["hello"], PredictOptions())
    assert run_without_rnncli(tmp_path / "out", "hello") == wanted.text + "\n"
    source = (tmp_path / "out" / "load.py").read_text("utf-8")
    roots = {name.partition(".")[0] for name in re.findall(r"^(?:from|import) (\S+)", source, re.M)}
    assert roots - sys.stdlib_module_names == {"torch", "safetensors"}


def ask(folder: Path, *arguments: str) -> None:
    """Runs load.py in this process."""
    before = sys.argv
    sys.argv = ["load.py", *arguments]
    try:
        runpy.run_path(str(folder / "load.py"), run_name="__main__")
    finally:
        sys.argv = before
        torch.set_grad_enabled(True)


def test_a_token_that_is_not_known_ends_the_script_as_it_ends_predict(tmp_path: Path) -> None:
    run = rnncli.train("hello", out=str(tmp_path / "run"), sets=QUICK)
    export(run, str(tmp_path / "out"))
    with pytest.raises(SystemExit, match="error: 'y' is not among the 4 known tokens"):
        ask(tmp_path / "out", "hey")


def test_what_a_script_cannot_carry_along_is_not_copied() -> None:
    assert "def join" in copied("rnncli.data.vocab", ["join"])[1]
    with pytest.raises(ValueError, match="DataError is from rnncli"):
        copied("rnncli.data.vocab", ["Vocab"])


HOSTILE = ['''x""";print("PWNED");"""''', "x'+print('PWNED')+'", "a\\Nb", "a\nprint('PWNED')\n#"]


@pytest.mark.parametrize("recipe", ["hello", "translation"])
def test_a_name_never_becomes_code(recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts that answer and those that hold the weights, from folders whose names would end a docstring, a string, a
    comment."""
    small = ("model.hidden_size=4",) if recipe == "translation" else ()
    first = rnncli.train(recipe, out=str(tmp_path / "run"), sets=(*QUICK, *small))
    for number, name in enumerate(HOSTILE):
        shutil.copytree(first.folder, tmp_path / name)
        out = tmp_path / f"out{number}"
        export(open_run(tmp_path / name), str(out))
        capsys.readouterr()
        ask(out, *(["hello"] if recipe == "hello" else []))
        assert capsys.readouterr().out
        assert "\nprint('PWNED')" not in (out / "load.py").read_text("utf-8")


def test_names_of_columns_labels_and_symbols_never_become_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(HOSTILE):
        table = tmp_path / f"{number}.csv"
        cells = [[name, "label"], *([name, f"{label}{name}"] for label in "ab" for _ in range(4))]
        with open(table, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(cells)
        data = {"path": str(table), "text": name, "label": "label", "split": {"validation": 0, "test": 0}}
        model = {"cell": "rnn", "hidden_size": 2}
        recipe = load_recipe({"task": "classification", "data": data, "model": model, "train": {}})
        splits = recipe.task.read(recipe.config)
        net = recipe.task.build(recipe.config, splits.fitted).eval()
        out, folder = tmp_path / f"out{number}", tmp_path / name
        folder.mkdir()
        for name_ in ("recipe.yaml", "environment.json"):
            (folder / name_).write_text("{}")
        assert export(Run(folder, recipe, splits.fitted, net), str(out)).why_not == ""
        capsys.readouterr()
        ask(out, "--file", str(table))
        said = capsys.readouterr().out.splitlines()
        assert len(said) >= 8
        assert "PWNED" not in {line.strip() for line in said}


def test_the_command(typed: Typed) -> None:
    typed("train", "hello")
    code, out, err = typed("export", "last", "out")
    assert (code, err) == (0, "")
    assert "python out/load.py" in out
    code, _, err = typed("export", "last", "out")
    assert code == 2
    assert "not empty" in err
    assert typed("export", "hello", "new")[0] == 2
    assert not Path("new").exists()


def test_a_cell_that_torch_lacks_is_exported_by_name(typed: Typed) -> None:
    typed("train", "hello", "--set", "model.cell=feedforward", "--epochs", "1")
    assert typed("export", "last", "out")[0] == 0
    assert run_without_rnncli(Path("out").absolute(), "hello") == typed("predict", "last", "hello")[1]
    assert "torch has no module" in Path("out/load.py").read_text("utf-8")


@pytest.mark.parametrize(
    "sets",
    [
        [],
        ["model.cell=lstm", "model.num_layers=2", "model.bidirectional=true"],
        ["model.cell=gru", "model.engine=loop"],
    ],
)
def test_onnx_gives_the_same_scores_and_carries_its_state(tmp_path: Path, sets: list[str]) -> None:
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    run = rnncli.train("hello", out=str(tmp_path / "run"), sets=(*sets, "train.control=false", "train.epochs=5"))
    done = export(run, str(tmp_path / "out"), onnx=True)
    assert [check.ok for check in done.checks] == [True]
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    ids = torch.tensor([[1, 0, 2, 2, 3, 1, 1]] * 2).t()  # (7, 2)
    with torch.no_grad():
        outputs = run.model(Batch(ids))
    feeds = {"inputs": ids.numpy()} | {
        name: torch.zeros_like(state).numpy() for name, state in zip(("h_0", "c_0"), outputs.state, strict=False)
    }
    found = session.run(None, feeds)
    for wanted, value in zip((outputs.scores, *outputs.state), found, strict=True):
        torch.testing.assert_close(torch.from_numpy(value), wanted, rtol=0, atol=1e-5)


def untrained(name: str, folder: Path, *sets: str) -> Run:
    recipe = load_recipe(name, sets)
    fitted = recipe.task.read(recipe.config).fitted
    return Run(folder, recipe, fitted, recipe.task.build(recipe.config, fitted).eval())


STACKED = ("model.num_layers=2", "model.bidirectional=true")
SCANS: dict[str, tuple[str, ...]] = {
    **{cell: (f"model.cell={cell}", *STACKED) for cell in names.CELLS if names.CELLS[cell].torch_class is None},
    "lstm with everything": (
        "model.cell=lstm", "model.peephole=true", "model.coupled=true", "model.layer_norm=true", "model.zoneout=0.2",
        "model.variational_dropout=0.1", *STACKED,
    ),
    "lstm with a projection": ("model.cell=lstm", "model.peephole=true", "model.proj_size=2"),
    "gru of 2014": ("model.cell=gru", "model.reset_after=false", "model.bias=false"),
    "rnn without nonlinearity": ("model.nonlinearity=none",),
    "slstm with heads": ("model.cell=slstm", "model.heads=2"),
    "a class of a text": ("model.cell=mingru", "model.head=max", "model.ngrams=2"),
}  # fmt: skip


@pytest.mark.parametrize("case", SCANS)
def test_a_cell_that_torch_lacks_is_a_scan(case: str, tmp_path: Path) -> None:
    """ONNX Runtime gives the model's scores and states from any first states, for other T and B than were exported."""
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    text = case == "a class of a text"
    run = untrained("names" if text else "hello", tmp_path, *SCANS[case], *(["model.hidden_size=4"] if text else []))
    content, checks = onnx_model(run)
    assert [check.ok for check in checks] == [True]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (spec,) = cores_of(run.model).values()
    for T, B in ((7, 2), (1, 3)):
        ids = torch.randint(4, (T, B))
        states = tuple(torch.rand(spec.num_layers * spec.num_directions, B, *shape) for shape in spec.states.values())
        with torch.no_grad():
            outputs = run.model(Batch(ids), states)
        inputs = [one.name for one in session.get_inputs()]
        assert inputs == ["inputs", *(f"{name}_0" for name in spec.states)]
        found = session.run(None, {name: value.numpy() for name, value in zip(inputs, (ids, *states), strict=True)})
        for wanted, value in zip((outputs.scores, *outputs.state), found, strict=True):
            torch.testing.assert_close(torch.from_numpy(value), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("recipe", "cell", "inputs", "scores"),
    [
        ("language-model", "lstm", ["T", "B"], ["T", "B", 103]),
        ("names", "gru", ["T", "B"], ["B", 20]),
        ("names", "mgu", ["T", "B"], ["B", 20]),  # a Scan
        ("image-sequences", "gru", ["T", "B", 16, 16, 1], ["B", 8]),
        ("transcription", "gru", ["T", "B", 40], ["T_out", "B", 17]),  # a step for two frames
    ],
)
def test_the_axes_of_an_onnx_file_are_those_of_its_tensors(
    recipe: str, cell: str, inputs: list[str | int], scores: list[str | int], tmp_path: Path, thinned: None
) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    content, _ = onnx_model(untrained(recipe, tmp_path, f"model.cell={cell}", "model.hidden_size=4"))
    graph = onnx.load_from_string(content).graph
    found = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert [found["inputs"], found["scores"]] == [inputs, scores]
    assert [found["h_0"][1:], found["h_n"][1:]] == [["B", 4]] * 2


@pytest.mark.parametrize("seed", [1, 10, 13])
def test_a_sound_export_is_compared_from_states_that_the_cell_reaches(seed: int, tmp_path: Path) -> None:
    """slstm's n is positive once it has read anything; with normally distributed states these three read 'differ'."""
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    torch.manual_seed(seed)
    before = torch.get_rng_state()
    run = untrained("hello", tmp_path, *SCANS["slstm"])
    assert not torch.equal(torch.get_rng_state(), before)
    before = torch.get_rng_state()
    assert [check.ok for check in onnx_model(run)[1]] == [True]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("state", range(4))
def test_an_export_that_loses_a_state_is_refused(state: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    run = untrained("hello", tmp_path, *SCANS["slstm"])
    (spec,) = cores_of(run.model).values()
    step = spec.step

    def without(x: torch.Tensor, given: State, w: Weights) -> tuple[State, Gates]:
        if torch.onnx.is_in_onnx_export():
            given = tuple(0.99 * part if k == state else part for k, part in enumerate(given))
        return step(x, given, w)

    monkeypatch.setattr(CoreSpec, "step", property(lambda self: without))
    with pytest.raises(CheckFailed, match="onnxruntime's scores differ from torch's"):
        onnx_model(run)


@pytest.mark.parametrize("recipe", ["translation", "forecasting", "pos-tagging"])
def test_what_is_no_front_end_one_core_and_a_head_is_refused(recipe: str, tmp_path: Path) -> None:
    """A search over two cores, a window with its intervals, a core for characters below one for words."""
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    with pytest.raises(UsageError, match="a front end, one core and a head") as error:
        onnx_model(untrained(recipe, tmp_path, "model.hidden_size=4"))
    assert "omit --onnx" in error.value.todo


def test_what_the_exporter_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx", reason="the extra onnx is not installed")

    def step(x: torch.Tensor, state: State, w: Weights) -> tuple[State, Gates]:
        return (torch.linalg.svdvals(x @ x.T).sum() + state[0],), {}

    monkeypatch.setattr(CoreSpec, "step", property(lambda self: step))
    with pytest.raises(UsageError, match="torch cannot export this model to ONNX"):
        onnx_model(untrained("hello", tmp_path, "model.cell=mgu"))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_float64_run_is_converted_for_onnx_and_that_is_said(cell: str, typed: Typed) -> None:
    pytest.importorskip("onnx", reason="the extra onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    assert (
        typed("train", "hello", "--set", f"model.cell={cell}", "--set", "train.dtype=float64", "--epochs", "2")[0] == 0
    )
    code, out, _ = typed("export", "last", "out", "--onnx")
    assert code == 0
    assert "float32" in out
    session = onnxruntime.InferenceSession("out/model.onnx", providers=["CPUExecutionProvider"])
    assert {value.type for value in session.get_outputs()} == {"tensor(float)"}
    assert load_file("out/model.safetensors")["rnn.weight_ih_l0"].dtype == torch.float64


def test_onnx_says_what_it_lacks(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    typed("train", "pos-tagging", "--fast-dev-run")
    typed("train", "hello", "--epochs", "1")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, _, err = typed("export", "last", "out", "--onnx")
    assert code == 5
    assert "rnncli[onnx]" in err
    assert not Path("out").exists()


class _Outputs(torch.nn.Module):
    """The outputs of a recurrent layer."""

    def __init__(self, layer: torch.nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.layer(x)[0]
        return output


@pytest.mark.filterwarnings("ignore")  # of an exporter that we do not use
@pytest.mark.parametrize(
    "layer", [torch.nn.RNN(3, 4), torch.nn.GRU(3, 4), torch.nn.LSTM(3, 4)], ids=["rnn", "gru", "lstm"]
)
def test_the_day_when_torchs_newer_exporter_leaves_the_steps_free(layer: torch.nn.RNNBase) -> None:
    """dynamo=True fixes T at the example's 5, whatever it is told: an RNN is unrolled, a GRU or LSTM ends in a Reshape
    to 5 steps. Once this fails, onnx_model can leave dynamo=False behind."""
    pytest.importorskip("onnxscript", reason="what dynamo=True needs is not installed")
    shapes = ({0: torch.export.Dim("T", min=1)},)
    made = torch.onnx.export(
        _Outputs(layer).eval(), (torch.randn(5, 2, 3),), dynamo=True, dynamic_shapes=shapes, verbose=False
    )
    assert made is not None
    (output,) = made.model.graph.outputs
    assert output.shape is not None
    assert output.shape[0] == 5
