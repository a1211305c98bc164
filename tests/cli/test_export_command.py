"""`rnncli export`: what is written loads and runs where rnncli is not installed."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import rnncli
from rnncli.data.batch import Batch
from rnncli.runs.export import export
from rnncli.runs.open import open_run
from rnncli.standalone import copied
from rnncli.tasks import PredictOptions
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


def run_without_rnncli(folder: Path, *arguments: str, after: str = "") -> str:
    script = (folder / "load.py").read_text("utf-8").replace("__file__", repr(str(folder / "load.py"))) + after
    future = "from __future__ import annotations\n"
    script = (future if future in script else "") + BLOCK + script.replace(future, "")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    found = subprocess.run(
        [warm.python(), "-I", "-W", "error", "-c", script, *arguments],
        cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return found.stdout


SCORES = "\nimport json\nprint(json.dumps(scores[:, 0].tolist()))"


@pytest.mark.parametrize(
    ("sets", "keys"),
    [
        ([], {"rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0", "head.weight", "head.bias"}),
        (
            ["model.cell=lstm", "model.num_layers=2", "model.bidirectional=true", "model.input=embedding",
             "model.bias=false", "model.proj_size=2", "train.dtype=float64"],
            {f"rnn.weight_{part}_l{layer}{end}" for part in ("ih", "hh", "hr") for layer in (0, 1)
             for end in ("", "_reverse")} | {"front.weight", "head.weight", "head.bias"},
        ),
        (["model.nonlinearity=relu", "model.head=none", "model.engine=loop"],
         {"rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0"}),
    ],
    ids=["rnn", "lstm", "no head"],
)  # fmt: skip
def test_the_script_gives_the_same_scores_without_rnncli(tmp_path: Path, sets: list[str], keys: set[str]) -> None:
    run = rnncli.train("hello", out=str(tmp_path / "run"), sets=(*sets, "train.control=false", "train.epochs=20"))
    done = export(run, str(tmp_path / "out"))
    assert done.whole
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["load.py", "model.safetensors", "vocab.json"]
    assert load_file(tmp_path / "out" / "model.safetensors").keys() == keys
    answer, scores = run_without_rnncli(tmp_path / "out", "hello", after=SCORES).splitlines()
    with torch.no_grad():
        wanted = run.model(run.task.encode(run.config, run.fitted, ["hello"])).scores[:, 0]
    torch.testing.assert_close(torch.tensor(json.loads(scores), dtype=wanted.dtype), wanted, rtol=0, atol=1e-6)
    (predicted,) = run.task.predict(run.config, run.model, run.fitted, ["hello"], PredictOptions())
    assert answer == f"input 'hello' -> predicted {predicted.text!r}"


def test_words_and_a_default_text(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat and the dog ran\n" * 60)
    sets = (f"data.path={text}", "data.tokens=words", "data.min_count=70", "data.window=8", "train.batch_size=4",
            "train.epochs=1", "train.sample.length=0")  # fmt: skip
    run = rnncli.train("language-model", out=str(tmp_path / "run"), sets=sets)
    export(run, str(tmp_path / "out"))
    assert run_without_rnncli(tmp_path / "out").strip()
    _, predicted = run_without_rnncli(tmp_path / "out", "the unicorn the").split(" -> predicted ")
    assert len(predicted.split()) == 3


PROSE = "A zebra! " + "The cat doesn't sit on the mat; the dog (a big one) ran to Paris, and 3 people don't.\n" * 30
TAGGED = "the\tD\ndog\tN\ndon\tA\n'\tP\nt\tT\nrun\tV\n\n"
WHOLE = ("data.min_count=1", "data.split.test=0", "data.split.validation=0")
QUICK = ("train.max_steps=3", "train.control=false")
WORDS = ("the dog don't run", "don't", "a unicorn, ran!", "", " ")
# What is trained on -> recipe, settings, the texts that are then asked.
ANSWERING: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "pairs": ("hello", (), ("hello", "oll", "")),
    "pairs of words": ("hello", ("data.pairs=[[do not run, A B C]]", "data.tokens=words"), ("run do not", "not")),
    "sentences": ("pos-tagging", ("data.path={folder}/tagged.tsv", *WHOLE, "model.input=embedding"), WORDS),
    "sentences with a CRF": (
        "pos-tagging",
        ("data.path={folder}/tagged.tsv", *WHOLE, "model.input=embedding", "model.head=crf", "train.lr=0.5"),
        WORDS,
    ),
    "in float64": (
        "pos-tagging",
        ("data.path={folder}/tagged.tsv", *WHOLE, "model.input=one-hot", "train.dtype=float64"),
        WORDS,
    ),
    "characters": ("language-model", ("data.path={folder}/prose.txt",), ("the cat", "", "d\n")),
    "words": (
        "word-language-model",
        ("data.path={folder}/prose.txt", "data.min_count=3", "train.sample.length=40"),
        WORDS,
    ),
    "tied weights": (
        "word-language-model",
        ("data.path={folder}/prose.txt", "data.min_count=3", "train.sample.length=20", "model.tie_weights=true",
         "model.embedding_size=8", "model.cell=gru"),
        WORDS[:2],
    ),
    "words without <unk>": (
        "word-language-model",
        ("data.path={folder}/prose.txt", "data.min_count=1", "train.sample.temperature=0"),
        ("The dog", "don't"),
    ),
    "class": ("parity", (), ("1 0 1 1", "0110", "")),
    "symbols that are words": ("parity", ("data.problem=s3",), ("231 213 321", "")),
    "set": ("counting", (), ("a a b", "aab", "")),
    "made up by rule": ("memory-copy", ("data.test_lengths=[10]", "data.max_length=10"), ("a b",)),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERING)
def test_the_script_answers_exactly_as_predict(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script is run in this process; that it imports nothing of rnncli is read off it."""
    recipe, sets, texts = ANSWERING[case]
    (tmp_path / "prose.txt").write_text(PROSE, encoding="utf-8")
    (tmp_path / "tagged.tsv").write_text(TAGGED * 3, encoding="utf-8")
    filled = tuple(one.replace("{folder}", str(tmp_path)) for one in sets)
    small = ("model.hidden_size=8", "data.window=8", "train.batch_size=4") if "language-model" in recipe else ()
    run = rnncli.train(recipe, out=str(tmp_path / "run"), sets=(*QUICK, *small, *filled))
    assert export(run, str(tmp_path / "out")).whole
    script = tmp_path / "out" / "load.py"
    roots = {name.partition(".")[0] for name in re.findall(r"^(?:from|import) (\S+)", script.read_text("utf-8"), re.M)}
    assert roots - sys.stdlib_module_names == {"torch", "safetensors"}
    capsys.readouterr()
    for text in texts:
        (*_, wanted) = run.task.predict(run.config, run.model, run.fitted, [text], PredictOptions())
        monkeypatch.setattr(sys, "argv", ["load.py", text])
        runpy.run_path(str(script))
        assert capsys.readouterr().out == f"input {text!r} -> predicted {wanted.text!r}\n"


def test_a_token_that_is_not_known_ends_the_script_as_it_ends_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = rnncli.train("hello", out=str(tmp_path / "run"), sets=QUICK)
    export(run, str(tmp_path / "out"))
    monkeypatch.setattr(sys, "argv", ["load.py", "hey"])
    with pytest.raises(SystemExit, match="error: 'y' is not among the 4 known tokens"):
        runpy.run_path(str(tmp_path / "out" / "load.py"))


def test_what_a_script_cannot_carry_along_is_not_copied() -> None:
    assert "def join" in copied("rnncli.data.vocab", ["join"])[1]
    with pytest.raises(ValueError, match="DataError is from rnncli"):
        copied("rnncli.data.vocab", ["Vocab"])


HOSTILE = ['''x""";print("PWNED");"""''', "x'+print('PWNED')+'", "a\\Nb", "a\nprint('PWNED')\n#"]


@pytest.mark.parametrize("recipe", ["hello", "pos-tagging", "feedforward"])
def test_a_name_never_becomes_code(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All three kinds of scripts, from folders whose names would end a docstring, a string, a comment."""
    cell = ("model.cell=feedforward",) if recipe == "feedforward" else ()
    first = rnncli.train(recipe if not cell else "hello", out=str(tmp_path / "run"), sets=(*QUICK, *cell))
    for number, name in enumerate(HOSTILE):
        shutil.copytree(first.folder, tmp_path / name)
        out = tmp_path / f"out{number}"
        export(open_run(tmp_path / name), str(out))
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["load.py"])
        runpy.run_path(str(out / "load.py"))
        assert "PWNED" not in capsys.readouterr().out


def test_a_model_of_several_parts_exports_its_cores(tmp_path: Path) -> None:
    run = rnncli.train("pos-tagging", out=str(tmp_path / "run"), sets=("train.max_steps=2", "train.control=false"))
    done = export(run, str(tmp_path / "out"))
    assert not done.whole
    assert run_without_rnncli(tmp_path / "out") == "characters (5, 1, 64)\nrnn (5, 1, 128)\n"
    weights = load_file(tmp_path / "out" / "model.safetensors")
    core = torch.nn.LSTM(16, 32, bidirectional=True)
    core.load_state_dict({k.removeprefix("characters."): v for k, v in weights.items() if k.startswith("characters.")})


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
    code, _, err = typed("export", "last", "out", "--onnx")
    assert code == 2
    assert "torch has no module" in err
    assert not Path("out").exists()
    assert typed("export", "last", "out")[0] == 0
    said = run_without_rnncli(Path("out").absolute(), "hello")
    predicted = said.rpartition("predicted ")[2].strip().strip("'")
    assert predicted in typed("predict", "last", "hello")[1]
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
