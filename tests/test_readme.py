"""Every command of the README and of the documentation runs, in the order of its page; tables are what the evidence
files say."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from rnncli.cli import run
from tests import options_table, readme_table, warm

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh-CN.md")
DOCS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", *DOCS, "README.zh-CN.md")}
LONG = (
    "language-model",
    "mine.yaml",
    "sales.yaml",
)  # trained for two updates here; the figures are the evidence tier's


def lines_of(name: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXTS[name], re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def questions() -> list[str]:
    """Every command of a table of questions, once."""
    pages = (*READMES, "docs/explanation/article.md")
    found = [re.findall(r"^\| .* \| `(rnncli [^`]*)` \|$", TEXTS[name], re.M) for name in pages]
    assert all(found)
    return list(dict.fromkeys(line for lines in found for line in lines))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("readme")
    words = "The quick brown fox jumps over the lazy dog and the dog looks at the fox. "
    (made / "my.txt").write_text((words * 700).replace("dog ", "dog\n"), encoding="utf-8")
    months = [f"{2015 + i // 12}-{i % 12 + 1:02}-01,{100 + i + 20 * (i % 12)}" for i in range(96)]
    (made / "sales.csv").write_text("\n".join(["month,sold", *months]) + "\n", encoding="utf-8")
    from safetensors.torch import save_file

    save_file(dict(torch.nn.LSTM(4, 3).state_dict()), made / "model.safetensors")
    return made


@pytest.fixture
def on_path(tmp_path: Path, starts_warm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rnncli`, as a shell finds it."""
    (tmp_path / "rnncli").write_text(f'#!/bin/sh\nexec {warm.python()} -m rnncli "$@"\n')
    (tmp_path / "rnncli").chmod(0o755)
    folders = [str(tmp_path), str(Path(sys.prefix) / "bin"), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))


def shortened(line: str) -> str:
    """Long training stopped after two updates, but kept: later lines look into it. Two seeds of a sweep, two sheets
    do."""
    line = re.sub(r"--count \d+", "--count 2", line)
    if " sweep " in line:
        return re.sub(r"--seeds \d+", "--seeds 2", line)
    if " train " in line and any(name in line for name in LONG) and "for " not in line:
        sample = "" if "sales" in line else " --set train.sample.length=20"
        return line + " --set train.max_steps=2" + sample
    return line


def slow(line: str) -> bool:
    """Whether it starts processes, or needs what such a line made."""
    return line.startswith("for ") or " sweep " in line or "sweeps" in line


def seen_before(name: str, line: str) -> bool:
    """Whether an earlier page has it, but for the language."""
    earlier = list(TEXTS)[: list(TEXTS).index(name)]
    return any(line.replace("--lang zh ", "") in lines_of(page) for page in earlier)


@pytest.mark.parametrize("name", [name for name in TEXTS if lines_of(name)])
def test_the_commands_run_in_order(
    name: str, folder: Path, on_path: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of(name)
    (folder / name).mkdir(parents=True)
    monkeypatch.chdir(folder / name)
    for file in ("my.txt", "sales.csv"):
        shutil.copy(folder / file, file)
    for line in lines:
        if slow(line) and seen_before(name, line):
            continue
        if "|" in line or line.startswith(("for ", "printf ")):
            if "jq" not in line or shutil.which("jq") is not None:
                done = subprocess.run(["bash", "-euo", "pipefail", "-c", line], capture_output=True, text=True)
                assert done.returncode == 0, (line, done.stderr)
                assert done.stdout.strip() or line.startswith("printf "), line
            continue
        if " report " in line and find_spec("plotly") is None:
            continue  # an extra, which the test command of the README does not take
        if "tensorboard" in line and find_spec("tensorboard") is None:
            continue  # likewise
        if line == 'rnncli evaluate last --require "accuracy>=1"':
            assert run(["train", "hello", "--out", "checked"]) == 0
            line = line.replace("last", "checked")
        if line.startswith("python "):
            script, *words = shlex.split(line)[1:]
            monkeypatch.setattr(sys, "argv", [script, *words])
            runpy.run_path(script, run_name="__main__")
            torch.set_grad_enabled(True)
            continue
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', shortened(line))][1:]
        assert run(words) == 0, line
    shown = re.findall(r"^```text\n(.*?)^```", TEXTS[name], re.M | re.S) if name in READMES else []
    assert shown or name not in READMES
    printed = capsys.readouterr().out.splitlines()
    assert [line for block in shown for line in block.splitlines() if line not in printed] == []


def rows_of(name: str) -> list[list[list[str]]]:
    """Its tables -> rows -> what each of them writes as code or as a file of a link: the same in every language."""
    tables = re.findall(r"(?:^\|.*\n)+", TEXTS[name], re.M)
    code = re.compile(r"`([^`]+)`|\]\(([^)]+)\)")
    return [[[one or other for one, other in code.findall(row)] for row in table.splitlines()] for table in tables]


def test_both_readmes_have_the_same_commands_tables_and_pages() -> None:
    ours, theirs = (TEXTS[name] for name in READMES)
    assert [line.replace("--lang zh ", "") for line in lines_of(READMES[1])] == lines_of(READMES[0])
    assert rows_of(READMES[0]) == rows_of(READMES[1])
    assert [len(table) for table in rows_of(READMES[0])] == [10, 22]
    assert ours.count("\n## ") == theirs.count("\n## ")
    pages = [re.findall(r"\]\((docs/[^)]+)\)", text) for text in (ours, theirs)]
    chinese = {str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "zh").glob("*.md")}
    assert chinese <= set(pages[1])
    replaced = {page.replace("docs/zh/", "docs/tutorials/") for page in chinese}
    assert set(pages[0]) - replaced == set(pages[1]) - chinese


@pytest.mark.parametrize("line", questions())
def test_each_question_has_its_command(
    line: str, folder: Path, starts_warm: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert run(line.split()[1:]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5
    if not any(f"`{line}`" in TEXTS[name] for name in READMES):
        return
    answer = lines[0] if lines[0].endswith((".", "。")) else f"{lines[0]} {lines[1]}"
    assert re.search(r"[a-z一-龥]+[ 一-龥].*[.。]$", answer), "the first line is its answer"


def test_two_processes(folder: Path) -> None:
    """The line for two processes on this machine; those for two machines are the same command with an address."""
    (line,) = set(re.findall(r"^torchrun --nproc-per-node .*$", TEXTS["docs/how-to/cluster.md"], re.M))
    env = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTHON_EXEC": warm.python(),  # of the two; torchrun itself is the installed one
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    words = [*line.split(), "--fast-dev-run"]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "2 processes share the rows of every batch" in done.stderr


def test_both_readmes_install_alike_and_name_the_cpu_wheels_first() -> None:
    blocks = [
        re.findall(r"^```(?:bash)?\n((?:export|python3|\. ).*?)^```", TEXTS[name], re.M | re.S) for name in READMES
    ]
    assert blocks[0] == blocks[1]
    assert [block.split()[0] for block in blocks[0]] == ["export", "python3", "."]
    for text in map(TEXTS.__getitem__, READMES):
        assert set(re.findall(r"https?://[^\s)`]+", text)) == {"https://download.pytorch.org/whl/cpu"}
        assert all((ROOT / path).is_file() for path in re.findall(r"\]\(([^)#]+)\)", text))


def test_the_python_example_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXTS["docs/reference/python.md"], re.M | re.S)
    monkeypatch.chdir(folder)
    exec(compile(code, "example.py", "exec"), {"__name__": "__main__"})
    assert "torch.Size([5, 1, 3])" in capsys.readouterr().out


@pytest.mark.parametrize("page", readme_table.PAGES, ids=lambda page: page.name)
def test_the_table_is_what_the_evidence_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<!-- end of" in text
    assert readme_table.with_table(text) == text, "run: python -m tests.readme_table"


def test_a_difference_counts_over_the_same_seeds() -> None:
    """Differences of 1, 2 and 3: t is 2 sqrt(3), and with two degrees of freedom p is 1 - t / sqrt(2 + t^2)."""
    rows = {"recipe": {0: 1.0, 1: 1.0, 2: 2.0, 3: 9.0}, "more": {0: 2.0, 1: 3.0, 2: 5.0}, "one": {1: 0.5}}
    assert options_table.compared(rows, 1).splitlines() == [
        "| recipe | 4 | 3.2 ± 3.9 |  |  |",
        "| more | 3 | 3.3 ± 1.5 | +2.0 | 0.074 |",
        "| one | 1 | 0.5 | -0.5 |  |",
    ]


def test_the_table_of_state_tracking_has_a_row_for_every_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry(problem: str, **rows: float) -> dict[str, object]:
        summary = {cell: {"T=40": {"mean": mean}, "T=400": {"mean": mean / 2}} for cell, mean in rows.items()}
        return {"problem": problem, "summary": summary}

    found = {"recipes": [entry("s3", lstm=1.0, gru=0.994), entry("parity", lstm=0.5, slstm=1.0)]}
    monkeypatch.setattr(readme_table, "document", {"state-tracking": found}.__getitem__)
    text = "<!-- state tracking: made -->\nold\n<!-- end of state tracking -->"
    assert readme_table.with_table(text).splitlines()[1:-1] == [
        "| | s3 | parity |",
        "|---|---|---|",
        "| lstm | 1.00 / 0.50 | 0.50 / 0.25 |",
        "| gru | 0.99 / 0.50 |  |",
        "| slstm |  | 1.00 / 0.50 |",
    ]
