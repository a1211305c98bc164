"""`rnncli bench` as a person types it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnncli.bench import engines
from rnncli.bench.sizes import Row
from rnncli.cli import run
from rnncli.errors import CheckFailed

QUICK = ["bench", "--cell", "gru", "--size", "4/2/3", "--rounds", "5", "--time-budget", "0"]


def test_json_is_one_document_and_compares_with_itself(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run([*QUICK, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "rnncli/bench/1"
    old = tmp_path / "old.json"
    old.write_text(json.dumps(found), "utf-8")
    assert run([*QUICK, "--compare", str(old)]) == 0
    assert "now / then" in capsys.readouterr().out
    found["config"]["machine"]["processor"] = "another"
    old.write_text(json.dumps(found), "utf-8")
    assert run([*QUICK, "--compare", str(old)]) == 2
    assert "another machine" in capsys.readouterr().err


def fail() -> None:
    raise CheckFailed("torch computes something else")


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda: signal.raise_signal(signal.SIGINT), 130),
        (lambda: signal.raise_signal(signal.SIGTERM), 143),
        (fail, 1),
    ],
    ids=["ctrl-c", "terminated", "failed"],
)
def test_a_bench_that_is_stopped_shows_what_it_has(
    end: Callable[[], object],
    code: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    real, last = engines._measure, Row("rnn", 4, 2, 4)

    def measure(row: Row, *given: Any) -> Any:
        if row == last:
            end()
        return real(row, *given)

    monkeypatch.setattr(engines, "_measure", measure)
    words = ["bench", "--cell", "rnn", "--engine", "torch", "--engine", "loop", "--rounds", "5", "--time-budget", "0"]
    sizes = [word for T in (2, 3, 4, 5) for word in ("--size", f"4/2/{T}")]
    saved = tmp_path / "rows.json"
    assert run([*words, *sizes, "--save", str(saved)]) == code
    shown = capsys.readouterr()
    assert "stopped: 2 of 4 rows measured" in shown.out
    assert "4/2/3" in shown.out
    assert "4/2/4" not in shown.out
    assert [line[:9] for line in shown.err.splitlines() if line.startswith("rnn")] == ["rnn 4/2/2", "rnn 4/2/3"]
    assert json.loads(saved.read_text("utf-8"))["config"]["rows"] == 2
    assert run([*words, "--size", "4/2/4"]) == code  # at the first row there is nothing to show
    assert capsys.readouterr().out == ""


def test_save(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run([*QUICK, "--save", str(tmp_path / "rows.csv")]) == 0
    header = (tmp_path / "rows.csv").read_text("utf-8").splitlines()[0]
    assert header.startswith("cell,pass,engine")
    assert "GFLOP/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cell", "gruu"], "did you mean gru?"),
        (["--engine", "bptz"], "did you mean bptt?"),
        (["--size", "12"], "H/B/T"),
        (["--tier", "huge"], "--tier takes one of"),
        (["--pass", "back"], "--pass takes one of"),
        (["--threads", "0"], "--threads"),
        (["--threads", "1,x"], "--threads"),
        (["--threads", "9999"], "threads, but only"),
        (["--dtype", "float16"], "--dtype takes one of"),
        (["--scaling", "Q"], "--scaling takes one of"),
        (["--scaling", "T", "--tier", "quick"], "--tier has no effect with"),
        (["--size", "1/1/1", "--tier", "quick"], "cannot be combined"),
        (["--against", "tensorflow"], "--against takes one of"),
        (["--against", ","], "against needs a library"),
        (["--against", "jax", "--dtype", "float64"], "--dtype has no effect with"),
        (["--train"], "--train has no effect with"),
        (["--force"], "--force has no effect with"),
        (["--set", "a=b"], "--set has no effect with"),
        (["hello", "--cell", "gru"], "--cell has no effect with"),
        (["hello", "--against", "jax"], "cannot be combined"),
        (["helo"], "did you mean hello?"),
        (["hello", "--set", "model.cel=gru"], "model.cel"),
        (["--rounds", "3"], "--rounds"),
        (["--engine", "torch", "--cell", "feedforward", "--size", "2/1/1"], "cannot run feedforward"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_exit_2_and_says_what_to_do(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnncli.bench.peers.missing", lambda peers: {})
    assert run(["bench", *words]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


def test_sizes_that_no_memory_holds_are_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--cell", "gru", "--size", "2000000/1000000/100000"]) == 5
    assert "memory" in capsys.readouterr().err


def test_a_missing_library_is_exit_5(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnncli.bench.peers.find_spec", lambda name: None)
    assert run(["bench", "--against", "jax"]) == 5
    assert "pip install 'rnncli[peers]'" in capsys.readouterr().err


def test_a_file_that_is_no_bench_is_exit_3(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}", "utf-8")
    assert run([*QUICK, "--compare", str(path)]) == 3
    assert "is not the result of rnncli bench over rows" in capsys.readouterr().err
    assert run([*QUICK, "--compare", str(tmp_path / "none.json")]) == 3
