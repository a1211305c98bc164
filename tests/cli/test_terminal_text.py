"""Names and words of other people's data never command a terminal, whichever command shows them."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rnncli import cli
from rnncli.cli.out import fitted
from tests.fixture_types import Typed

# A title set, the screen cleared, the writing direction turned, a line end, and a C1 control.
BAD = "a\x1b]0;x\x07\x1b[2J\u202eb\x9bc"
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
CSV = f"text,label\none,{BAD}\ntwo,z\n" * 6
SERIES = "date,{bad}\n" + "\n".join(f"2024-01-{day:02d},{day}" for day in range(1, 29)) + "\n"
CONLLU = f"# text = {BAD}\n1\t{BAD}\t_\t{BAD}\t_\t_\t_\t_\t_\t_\n2\tb\t_\tX\t_\t_\t_\t_\t_\t_\n\n" * 6
QUICK = ("--epochs", "1", "--set", "train.control=false", "--set", "train.compare=[]")

# Commands in turn, in one folder: each finds what those before it made.
LINES: list[tuple[str, ...]] = [
    ("recipes", "copy", "hello", f"{BAD}.yaml"),
    ("recipes", "copy", "hello", f"{BAD}.yaml"),
    ("recipes", "validate", f"{BAD}.yaml"),
    ("recipes", "copy", "names", "x.yaml", "--data", f"{BAD}.csv"),
    ("recipes", "copy", "forecasting", "y.yaml", "--data", f"{BAD} series.csv"),
    ("train", f"{BAD}.yaml", "--epochs", "1", "--out", BAD),
    ("train", f"{BAD}.yaml", "--out", BAD),
    ("train", "--resume", BAD),
    ("train", "--resume", BAD, "--lr", "3"),
    ("train", f"{BAD}.yaml", "--dry-run"),
    ("train", f"{BAD}.yaml", "--print-config"),
    ("train", "hello", "--set", f"{BAD}=1"),
    ("train", "hello", "--set", f"data.path={BAD}"),
    ("train", "hello", *QUICK, "--set", f"data.pairs=[['{BAD}', '{BAD}']]", "--out", "pairs"),
    ("train", "names", *QUICK, "--data", f"{BAD}.csv", "--set", "data.text=text", "--set", "data.label=label",
     "--set", "train.max_steps=2", "--out", "table"),
    ("train", "pos-tagging", *QUICK, "--data", f"{BAD}.conllu", "--set", "data.split.test=0", "--out", "tags"),
    ("predict", "table", BAD),
    ("predict", "pairs", BAD + "q"),
    ("predict", BAD, "hey"),
    ("predict", f"{BAD}x", "hey"),
    ("evaluate", BAD),
    ("evaluate", "table"),
    ("evaluate", "tags"),
    ("inspect", BAD),
    ("inspect", "pairs", "steps"),
    ("inspect", "table", "neurons"),
    ("inspect", BAD, "params", "--save", f"{BAD}.csv"),
    ("inspect", BAD, "--save", f"{BAD}.pdf"),
    ("inspect", f"{BAD}/nothing.pt"),
    ("report", BAD, "-o", f"{BAD}.html"),
    ("export", BAD, f"{BAD} out"),
    ("runs", "list", "."),
    ("runs", "compare", BAD, "table"),
    ("sweep", f"{BAD}.yaml", "--grid", "train.lr=0.1,0.2", "--epochs", "1", "--out", f"{BAD} sweep", "--seeds", "1"),
    ("demo", "--input", f"{BAD}.csv"),
    ("demo", "--save", f"{BAD}.svg"),
    ("bench", f"{BAD}.yaml", "--rounds", "5"),
    (BAD,),
    ("train", f"--{BAD}"),
    ("--lang", BAD),
    ("--debug", "inspect", f"{BAD}/nothing.pt"),
]  # fmt: skip


HANDED_OVER = ("predict", "report")  # results that a program reads as they are; on a terminal: the test below


def test_no_command_hands_on_what_commands_a_terminal(typed: Typed, starts_warm: None) -> None:
    Path(f"{BAD}.csv").write_text(CSV, encoding="utf-8")
    Path(f"{BAD} series.csv").write_text(SERIES.format(bad=BAD), encoding="utf-8")
    Path(f"{BAD}.conllu").write_text(CONLLU, encoding="utf-8")
    shown = 0
    for words in LINES:
        _, out, err = typed(*words)
        seen = err if words[0] in HANDED_OVER else out + err
        assert not COMMANDS.search(seen), (words, COMMANDS.search(seen))
        assert "internal error" not in err, words
        shown += "\\x1b]0;x" in out + err
    assert shown >= 25


class Screen(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "run", "--file", "bad.conllu"),
        ("predict", "run", BAD),
        ("predict", "run", BAD, "--top-k", "2"),
        ("recipes", "show", "bad.yaml"),
        ("report", "run", "-o", f"{BAD}.html"),
    ],
    ids=["file", "text", "top-k", "show", "report"],
)
def test_results_are_whole_in_a_file_and_harmless_on_a_terminal(
    words: tuple[str, ...], typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("bad.conllu").write_text(CONLLU, encoding="utf-8")
    Path("bad.yaml").write_text(f"task: tagging  # {BAD}\n", encoding="utf-8")
    if words[0] != "recipes":
        assert typed("train", "pos-tagging", *QUICK, "--data", "bad.conllu", "--out", "run",
                     "--set", "data.split.test=0")[0] == 0  # fmt: skip
    assert "\x1b" in typed(*words)[1]
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Screen(raw, encoding="utf-8"))
    assert cli.run([*words]) == 0
    sys.stdout.flush()
    assert not COMMANDS.search(raw.getvalue().decode())
    assert "\\x1b" in raw.getvalue().decode()


def test_commands_write_through_one_module() -> None:
    """And `render`, whose pages fit every text: no other file of cli prints."""
    for file in Path(cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and file.name != "out.py":
                called = ast.unparse(node.func)
                assert called not in ("print", "typer.echo"), file
                assert not re.fullmatch(r"sys\.std(out|err)\.write(lines)?", called), file


CLOSED = "import os, sys; os.close({number}); os.execv(sys.executable, [sys.executable, '-m', 'rnncli', *sys.argv[1:]])"


@pytest.mark.parametrize(("number", "left"), [(1, ""), (2, "rnncli ")])
def test_a_closed_stream_is_no_error_and_nothing_moves_to_the_other(number: int, left: str, tmp_path: Path) -> None:
    """`>&-` and `2>&-`: what would have gone there goes nowhere, and no file gets its number."""
    for words in (["--version"], ["nonsense"]):
        found = subprocess.run(
            [sys.executable, "-c", CLOSED.format(number=number), *words],
            cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        assert found.returncode == (0 if words == ["--version"] else 2)
        shown = found.stdout if number == 2 else found.stderr
        if number == 2:
            assert shown.startswith(left) == (words == ["--version"])
            assert "error" not in shown
        else:
            assert ("error" in shown) == (words == ["nonsense"])


def test_notes_of_a_closed_standard_error_are_not_among_the_predictions(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("t.conllu").write_text("1\ta\t_\tX\t_\t_\t_\t_\t_\t_\n\n" * 6, encoding="utf-8")
    assert (
        typed("train", "pos-tagging", *QUICK, "--data", "t.conllu", "--out", "run", "--set", "data.split.test=0")[0]
        == 0
    )
    assert "note" in typed("predict", "run", "unknown")[2]
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.run(["predict", "run", "unknown"]) == 0
    assert capfd.readouterr().out == "unknown/X\n"
    assert cli.run(["train", "hello", "--epochs", "1"]) == 0
    sys.stderr.close()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("line", ["next:  rnncli train a.yaml " + "--set a=b " * 9, "下一步：rnncli train " + "x" * 90])
def test_a_command_stays_on_one_line(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it can be copied; other lines are wrapped, also in Chinese."""
    monkeypatch.setenv("COLUMNS", "80")
    assert fitted(line, Terminal()) == line
    assert len(fitted(line.replace("rnncli", "it is"), Terminal()).splitlines()) > 1
    assert fitted(line.replace("rnncli", "it is"), io.StringIO()).count("\n") == 0
