"""`rnncli inspect`: targets, options, the questions people ask, screens and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rnncli.cli import run as run_line
from rnncli.errors import DataError, UsageError
from rnncli.targets import find_target
from rnncli.views import load_view, view_names
from rnncli.views._options import _steps, _units
from tests.fixture_types import Golden

GOLDEN = Path(__file__).parents[1] / "golden"


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Inspect = Callable[..., Answer]


@pytest.fixture
def inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inspect:
    """Runs `rnncli inspect WORDS` in an empty folder, 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")

    def run(*words: str, columns: int = 80) -> Answer:
        monkeypatch.setenv("COLUMNS", str(columns))
        capsys.readouterr()
        threads = torch.get_num_threads()
        code = run_line(["inspect", *words])
        torch.set_num_threads(threads)
        found = capsys.readouterr()
        return Answer(code, found.out, found.err)

    return run


def _weights(path: Path, module: nn.Module | None = None) -> None:
    torch.manual_seed(0)
    torch.save((module or nn.LSTM(3, 5, num_layers=2, bidirectional=True)).state_dict(), path)


# What people ask: what one types, how the first line answers, and what else must stand there.
QUESTIONS = {
    "Isn't h_n just the last of output?": (
        ["hello", "states"],
        ["Yes, for one layer and direction: h_n[0] equals output[-1] exactly", "output[-1] = h_n[-1]"],
    ),
    "Does batch_first move batch in h_0/h_n?": (
        ["hello", "shapes"],
        [
            "No: batch_first=True changes the axes of x and output; h_0 and h_n stay",
            "would change x and output to (B, T, .)",
            "h_n stay (L·D=1, B=1, H=4)",
        ],
    ),
    "h_n order: layers or directions first?": (
        ["hello", "states", "--set", "model.num_layers=2", "--set", "model.bidirectional=true"],
        ["Layers first, then directions: h_n[0] l0.fwd, h_n[1] l0.bwd, h_n[2] l1.fwd", "(up to 0.3252 off)"],
    ),
    "output[:, -1] for a bidirectional RNN": (
        ["hello", "states", "--set", "model.bidirectional=true"],
        [
            "No: output[-1] concatenates forward after 5 steps",
            "is not cat(h_n[-2], h_n[-1])",
            "output[0][:, H:] = h_n[-1]",
        ],
    ),
    "axes swapped, runs anyway": (
        ["hello", "influence"],
        ["A change of row b=1 at t=2 changes no other row.", "no other row of the batch changed", "no step before t="],
    ),
    "axes swapped, seen": (
        ["hello", "influence", "--variant", "swapped"],
        ["Yes: swapped axes raise no error, but a change of row b=1 at t=2 also changes b=2, 3."],
    ),
    "LSTM returns a tuple": (
        ["hello", "shapes", "--set", "model.cell=lstm"],
        ["It has 2 states, so it returns 2 last states", "output, (h_n, c_n) = lstm(x, (h_0, c_0))", "two states"],
    ),
    "Expected hidden[0] size (1,32,256), got [1,8,256]": (
        ["hello", "shapes", "--batch-size", "8", "--set", "model.cell=lstm"],
        [
            "With B=8 in x, h_0 must be (L·D=1, B=8, H=4); torch raises an error for any other batch size.",
            "Expected hidden[0] size (1, 8, 4), got [1, 9, 4]",
        ],
    ),
    "padding pollutes h_n": (
        ["hello", "padding"],
        ["Yes, unless packed: reading the padding changes h_n by up to", "packed, out[len_b-1] = forward h_n"],
    ),
    "the GRU formula is wrong": (
        ["hello", "steps", "--variant", "both", "--set", "model.cell=gru"],
        ["Neither is wrong; nn.GRU uses the first", "their h differ by up to 0.0453", "Cho 2014"],
    ),
    "two biases; the count differs from Keras": (["hello", "params"], ["Two biases", "Keras has one"]),
    "gates and c_t per step": (
        ["hello", "steps", "--set", "model.cell=lstm"],
        ["Over 5 steps: at most |c_t| 0.4606", "  f ", "  c_t", "t 4"],
    ),
    "how far back": (["hello", "memory"], ["At least 4 steps, the whole sequence"]),
    "vanishing gradients": (
        ["hello", "gradients"],
        ["Yes, they vanish: |dL/dh_t| is multiplied by 0.5137 per step back, leaving 1% after"],
    ),
    "what if": (
        ["hello", "what-if", "--change", "h[0]=0"],
        ["No prediction changes; the largest change of a probability is"],
    ),
    "unrolled": (["hello", "draw"], ["Each of 5 steps is a column: the same cell with the same 40 parameters."]),
    "loop and fused module": (["hello", "engines"], ["Yes, up to rounding: nn.RNN is at most"]),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_is_answered_on_the_screen(question: str, inspect: Inspect) -> None:
    words, wanted = QUESTIONS[question]
    found = inspect(*words)
    assert found.code == 0, found
    text = " ".join(found.out.split())
    for part in wanted:
        assert " ".join(part.split()) in text, found.out
    assert text.startswith(wanted[0])


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("view", ["", *(name for name in view_names() if (GOLDEN / f"inspect-{name}-80.txt").exists())])
def test_screens(view: str, columns: int, inspect: Inspect, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wanted change: pytest tests/cli --rewrite-golden. Differences by rounding are not compared, and engines
    that an extra brings have no column."""
    import re

    from rnncli.nn import recurrent

    monkeypatch.setattr("rnncli.nn.engines._base._installed", lambda name: False)
    monkeypatch.setattr(recurrent, "_runs", recurrent._runs.__wrapped__)  # which remembers what other tests have run
    found = inspect("hello", *([view] if view else []), columns=columns)
    assert found.code == 0
    text = re.sub(r"(\d\.\d+e-\d\d|(?<=  )0 *)  \(tol (\d\.\d+e-\d\d|0)\)", "?  (tol ?)", found.out)
    text = re.sub(r"torch [\d.]+", "torch X", text)
    text = re.sub(r"(?m) +$", "", re.sub(r" *\?  \(tol", "  ?  (tol", text))
    if view in ("engines", "padding"):  # tables of rounding
        text = re.sub(r"\b(\d(\.\d)?e-\d\d|0)\b", "?", text)
        text = re.sub(r" +", " ", text)
    golden(f"inspect-{view or 'overview'}-{columns}", text)
    assert all(len(line) <= columns for line in found.out.splitlines())
    if not view:
        assert len(found.out.splitlines()) <= 24


# Targets


def test_what_a_word_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_target("hello").kind == "recipe"
    _weights(tmp_path / "w.pt")
    assert find_target("w.pt").kind == "weights"
    (tmp_path / "hello").mkdir()
    assert find_target("hello").kind == "recipe"  # a folder that is no run
    with pytest.raises(DataError, match="not a run"):
        find_target("./hello")
    run = tmp_path / "runs" / "hello-001"
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text("task: tagging\n")
    assert find_target("hello-001").path == str(Path("runs") / "hello-001")
    assert find_target("last").path == str(Path("runs") / "hello-001")
    assert find_target("runs/hello-001").kind == "run"
    (tmp_path / "my.yaml").write_text("task: tagging\n")
    assert find_target("my.yaml").kind == "recipe"
    with pytest.raises(DataError, match="no such file"):
        find_target("./absent.pt")
    (tmp_path / "notes.txt").write_text("?")
    with pytest.raises(DataError, match="unknown kind of file"):
        find_target("./notes.txt")
    with pytest.raises(UsageError) as error:
        find_target("helo")
    assert "hello" in error.value.todo


def test_last_without_a_run(inspect: Inspect) -> None:
    found = inspect("last")
    assert found.code == 2
    assert "rnncli train hello" in found.err


def test_a_run_is_inspected_with_its_trained_weights(inspect: Inspect, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line(["train", "hello", "--set", "train.control=false"]) == 0
    found = inspect("last", "steps", "--json")
    assert found.code == 0, found
    rows = json.loads(found.out)["rows"]
    assert "".join(row["predicted"] for row in rows) == "ohlol"
    both = inspect("hello", "memory", "--with", "last", "--json")
    assert both.code == 0, both
    assert set(json.loads(both.out)["config"]) == {"hello", "last"}


def test_foreign_weights(inspect: Inspect, tmp_path: Path) -> None:
    _weights(tmp_path / "w.pt")
    found = inspect("w.pt")
    assert found.code == 0, found
    assert "LSTM(3, 5, 2 layers, bidirectional)" in found.out
    assert "random" in found.out
    for view in view_names():
        answer = inspect("w.pt", view)
        assert answer.code == (2 if load_view(view).NEEDS else 0), answer
    assert inspect("w.pt", "--nonlinearity", "relu").code == 2
    assert inspect("w.pt", "--cell", "gru").code == 2
    assert inspect("w.pt", "--set", "model.cell=gru").code == 2
    assert inspect("w.pt", "--sample", "1").code == 2


def test_relu_weights_need_to_be_told(inspect: Inspect, tmp_path: Path) -> None:
    module = nn.RNN(3, 5, nonlinearity="relu")
    _weights(tmp_path / "w.pt", module)
    np.save(tmp_path / "x.npy", torch.randn(4, 1, 3).numpy())
    x = torch.from_numpy(np.load(tmp_path / "x.npy"))
    wanted = module(x)[0][-1, 0].tolist()
    told = inspect("w.pt", "steps", "--nonlinearity", "relu", "--input", "x.npy", "--json")
    assert json.loads(told.out)["rows"][-1]["h"] == pytest.approx(wanted, abs=1e-6)
    untold = inspect("w.pt", "steps", "--input", "x.npy")
    assert "--nonlinearity relu" in untold.out


def test_input_files(inspect: Inspect, tmp_path: Path) -> None:
    _weights(tmp_path / "w.pt")
    (tmp_path / "x.csv").write_text("a,b,c\n1,2,3\n4,5,6\n")
    found = inspect("w.pt", "steps", "--layer", "0", "--direction", "fwd", "--input", "x.csv", "--json")
    assert [row["x"] for row in json.loads(found.out)["rows"]] == [[1, 2, 3], [4, 5, 6]]
    for text in ('1;"2";3\n\n4;5;6\n', "# two steps\n1, 2, 3\n4, 5, 6\n"):
        (tmp_path / "again.csv").write_text(text)
        again = inspect("w.pt", "steps", "--layer", "0", "--direction", "fwd", "--input", "again.csv", "--json")
        assert json.loads(again.out)["rows"] == json.loads(found.out)["rows"]
    (tmp_path / "bad.csv").write_text("1,2,3\n4,x,6\n")
    bad = inspect("w.pt", "steps", "--input", "bad.csv")
    assert (bad.code, "bad.csv:2" in bad.err) == (3, True)
    (tmp_path / "thin.csv").write_text("1,2\n")
    assert inspect("w.pt", "steps", "--input", "thin.csv").code == 3
    (tmp_path / "empty.csv").write_text("")
    assert inspect("w.pt", "steps", "--input", "empty.csv").code == 3
    (tmp_path / "x.npy").write_bytes(b"nothing")
    assert inspect("w.pt", "steps", "--input", "x.npy").code == 3
    assert inspect("w.pt", "steps", "--input", "absent.npy").code == 3
    assert inspect("w.pt", "steps", "--input", "some text").code == 3
    longer = inspect("w.pt", "memory", "--input", "random:40", "--json")
    assert len([row for row in json.loads(longer.out)["rows"] if row["table"].endswith("fwd")]) == 40
    assert inspect("w.pt", "memory", "--input", "random:0").code == 2


def test_input_text(inspect: Inspect) -> None:
    found = inspect("hello", "steps", "--input", "lehhol", "--json")
    assert [row["in"] for row in json.loads(found.out)["rows"]] == list("lehhol")
    assert inspect("hello", "steps", "--input", "xyz").code == 3
    assert inspect("hello", "steps", "--input", "").code == 2
    assert inspect("hello", "gradients", "--input", "random:30").code == 0
    assert inspect("hello", "steps", "--sample", "1").code == 2
    assert inspect("hello", "steps", "--sample", "0", "--input", "hello").code == 2


class Harm:
    def __reduce__(self) -> Any:
        return open, ("was-run", "w")


def test_a_file_that_would_run_code_is_refused(inspect: Inspect, tmp_path: Path) -> None:
    torch.save({"weight_ih_l0": Harm()}, tmp_path / "evil.pt")
    found = inspect("evil.pt")
    assert found.code == 3
    assert "nothing was run" in found.err
    assert not (tmp_path / "was-run").exists()


# Options


@pytest.mark.parametrize(
    "words",
    [
        ["hello", "states", "--steps", "3"],
        ["hello", "params", "--input", "hello"],
        ["hello", "--loss", "last"],
        ["hello", "nothing"],
        ["hello", "steps", "--view", "states"],
        ["hello", "steps", "--units", "9"],
        ["hello", "steps", "--units", "3-1"],
        ["hello", "steps", "--steps", "a:b"],
        ["hello", "steps", "--layer", "1"],
        ["hello", "steps", "--direction", "bwd"],
        ["hello", "steps", "--direction", "left"],
        ["hello", "gradients", "--loss", "first"],
        ["hello", "steps", "--core", "decoder"],
        ["hello", "steps", "--cell", "gru"],
        ["hello", "attention"],
        ["hello", "steps", "--save", "x.xyz"],
        ["hello", "--set", "model.hiden_size=3"],
        [""],
    ],
)
def test_what_is_not_read_is_refused(words: list[str], inspect: Inspect) -> None:
    found = inspect(*words)
    assert found.code == 2, found
    assert found.err.startswith("error:")
    assert "Traceback" not in found.err


@pytest.mark.parametrize("suffix", [".json", ".csv", ".npz", ".md", ".svg", ".yaml"])
def test_save(suffix: str, inspect: Inspect, tmp_path: Path) -> None:
    assert inspect("hello", "gradients", "--save", f"g{suffix}").code == 0
    assert (tmp_path / f"g{suffix}").stat().st_size > 0


def test_json_is_whole_and_in_full_precision(inspect: Inspect) -> None:
    found = json.loads(inspect("language-model", "steps", "--json").out)
    assert found["schema"] == "rnncli/steps/1"
    assert found["config"]["cores"] == {"rnn": "LSTM(32, 128)"}
    assert len(found["rows"]) == 64
    assert len(found["rows"][0]["h"]) == 128
    assert found["checks"][0]["ok"]


def test_a_model_too_large_is_refused_before_it_is_built(inspect: Inspect) -> None:
    found = inspect("hello", "--set", "model.hidden_size=2000000")
    assert found.code == 5
    assert "memory" in found.err


@pytest.mark.parametrize("target", ["hello", "parity", "./w.safetensors"])
def test_a_batch_too_large_is_refused_before_it_is_made(
    target: str, inspect: Inspect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnncli.device.memory_available", lambda: 2 << 30)
    monkeypatch.setattr("rnncli.views._subject.with_rows", None)
    save_file({f"{name}_l0": torch.zeros(8, 2) for name in ("weight_ih", "weight_hh")}, "./w.safetensors")
    found = inspect(target, "--batch-size", "2000000")
    assert found.code == 5
    assert "--batch-size" in found.err
    assert "memory" in found.err


def test_seed_draws_other_weights(inspect: Inspect) -> None:
    assert inspect("hello", "--seed", "1").out != inspect("hello").out


def test_ranges() -> None:
    assert _units("0-2,7") == (0, 1, 2, 7)
    assert list(range(10)[_steps("2:4")]) == [2, 3]
    assert list(range(10)[_steps("-2:")]) == [8, 9]
    assert list(range(10)[_steps("-1")]) == [9]
    assert list(range(10)[_steps("7")]) == [7]
