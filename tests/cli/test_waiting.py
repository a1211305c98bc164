"""A command that takes a while says so, on standard error, and to programs says nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import rnncli
from rnncli.cli import live, out
from rnncli.cli.live import waiting
from rnncli.cli.settings import settings
from tests.fixture_types import Typed


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("runs") / "hello"
    rnncli.train("hello", out=str(folder), sets=("train.control=false", "train.epochs=2"))
    return str(folder)


COMMANDS = [
    "evaluate RUN",
    "predict RUN hello",
    "inspect RUN memory",
    "export RUN out",
    "runs list",
    "runs compare RUN hello",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_what_takes_long_is_said(line: str, run: str, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here after no time at all, as a plain line; not with --quiet or --json, and standard output stays the same."""
    words = [run if word == "RUN" else word for word in line.split()]
    if line.startswith("runs"):
        rnncli.train("hello", out="runs/hello", sets=("train.control=false", "train.epochs=1"))
    monkeypatch.setattr(live, "SOON", 0.0)
    code, said, err = typed(*words)
    assert code == 0
    assert any(text.endswith(" ...") for text in err.splitlines())
    words = [word if word != "out" else "out2" for word in words]
    code, quiet, err = typed("-q", *words)
    assert (code, err) == (0, "")
    assert quiet.replace("out2", "out") == said
    if line.startswith(("evaluate", "predict", "inspect", "runs")):
        assert typed(*words, "--json")[2] == ""


def test_nothing_is_said_of_what_is_quick(run: str, typed: Typed) -> None:
    assert typed("evaluate", run)[2] == ""


def test_a_live_line_gives_way_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal: redrawn, taken away before a note, and nothing of it stays."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(settings, "quiet", False)
    with waiting("looking ..."):
        assert "looking ..." in shown.getvalue()
        out.tell("note: this stays")
    assert shown.getvalue().split("\r")[-1] == "note: this stays\n"
    assert not out.hush


def test_report_says_what_to_do_next(run: str, typed: Typed) -> None:
    pytest.importorskip("plotly")
    code, said, err = typed("report", run)
    assert (code, said) == (0, "report.html\n")
    assert err.splitlines()[-1] == "next  python -m webbrowser report.html"
    assert typed("-q", "report", run)[1:] == ("report.html\n", "")


def test_predict_says_it_to_a_terminal_alone(run: str, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "next" not in "".join(typed("predict", run, "hello")[1:])
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
    code, said, err = typed("predict", run, "hello")
    assert code == 0
    assert "next" not in said
    assert err.endswith(f"next  rnncli inspect {run} steps --input hello\n")
    assert "next" not in typed("predict", run, "hello", "--json")[2]
    assert Path(run).is_dir()
