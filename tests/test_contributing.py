"""The worked examples of CONTRIBUTING.md, put into a copy of the package and used, as they stand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.narrowed import some

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)

# Runs every line as a person would type it; prints {"line", "code", "out"} of each.
DRIVER = """
import contextlib, io, json, shlex, subprocess, sys
from rnncli.bench import ceilings, versus
from rnncli.cli import run
ceilings.SQUARE, versus.SETTLE = 64, 0  # no claim is made of how fast anything is
for line in sys.stdin.read().splitlines():
    out = io.StringIO()
    if line.startswith("rnncli "):
        with contextlib.redirect_stdout(out):
            code = run(shlex.split(line)[1:])
    else:
        code = subprocess.run(line, shell=True).returncode
    print(json.dumps({"line": line, "code": code, "out": out.getvalue()}), flush=True)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its recipes, to change."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "rnncli", tmp_path / "source" / "rnncli", ignore=ignore)
    shutil.copytree(ROOT / "recipes", tmp_path / "source" / "rnncli" / "recipes")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "source")
    return tmp_path / "source"


def put_in(section: str, source: Path) -> list[Path]:
    """The files and changes of a section; the files that were made or changed."""
    touched = []
    for kind, block in FENCE.findall(SECTIONS[section]):
        if kind == "diff":
            name, change = some(re.fullmatch(r"--- (\S+)\n(.*)", block, re.S)).groups()
            lines = change.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in "- ")
            after = "".join(line[1:] for line in lines if line[0] in "+ ")
            file = source / name
            text = file.read_text("utf-8")
            assert text.count(before) == 1, f"{name}: the lines to change are not there: {before}"
            file.write_text(text.replace(before, after), "utf-8")
        elif kind in ("python", "yaml"):
            first, rest = block.split("\n", 1)
            name = first.removeprefix("# ")
            file = source / (f"rnncli/{name}" if name.startswith("recipes/") else name)  # as an installation has them
            assert not file.exists()
            file.write_text(rest, "utf-8")
        else:
            continue
        touched.append(file)
    return touched


def use(section: str, source: Path, *more: str) -> dict[str, str]:
    """Line -> what it printed, of the section's commands and of `more`, all of which end well."""
    commands = [block for kind, block in FENCE.findall(SECTIONS[section]) if kind == "sh"]
    folder = source.parent / "work"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(source), "LC_ALL": "C.UTF-8", "COLUMNS": "80", "NO_COLOR": "1"}
    done = subprocess.run(
        [warm.python(), "-P", "-W", "error", "-c", DRIVER], input="".join(commands) + "\n".join(more), text=True,
        cwd=folder, env=environment, capture_output=True, timeout=300,
    )  # fmt: skip
    said: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"line"')]
    wrong = [one for one in said if one["code"]]
    assert not wrong, f"{wrong}\n{done.stderr}"
    assert len(said) == len(("".join(commands) + "\n".join(more)).splitlines()), done.stderr
    return {one["line"]: one["out"] for one in said}


def holds(*files: Path) -> None:
    """As the checks want it: ruff's rules and form."""
    names = [str(file) for file in files if file.suffix == ".py"]
    for words in (["check", "--quiet"], ["format", "--check", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--config", str(ROOT / "pyproject.toml"), *names],
            capture_output=True, text=True,
        )  # fmt: skip
        if "No module named ruff" in done.stderr:
            pytest.skip("ruff is not installed")
        assert done.returncode == 0, done.stdout + done.stderr


def suite(source: Path, *words: str) -> None:
    """The suite's own tests over a registry, with the changed package in the place of ours."""
    shutil.copytree(ROOT / "tests", source / "tests", ignore=shutil.ignore_patterns("__pycache__", "evidence"))
    done = subprocess.run(
        [warm.python(), "-P", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *words], cwd=source,
        env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_cell(copy: Path) -> None:
    files = put_in("A cell", copy)
    views = [
        f"rnncli inspect last {name} --json"
        for name in ("shapes", "params", "states", "saturation", "neurons", "memory", "padding", "influence")
    ]
    said = use("A cell", copy, "rnncli inspect last --json", *views, "rnncli inspect last steps --json",
               "rnncli train hello --set model.cell=onegate --set model.num_layers=2 --set model.bidirectional=true",
               "rnncli recipes schema")  # fmt: skip
    trained = said["rnncli train hello --set model.cell=onegate"]
    assert re.search(r"^onegate +1\.0000", trained, re.M), trained
    assert "h_t = (1-f)⊙h_(t-1) + f⊙n" in said["rnncli inspect last steps"]
    for line, out in said.items():
        if line.endswith("--json"):
            assert all(check["ok"] for check in json.loads(out)["checks"]), line
    assert '"onegate"' in said["rnncli recipes schema"]
    holds(*files)
    suite(copy, "tests/test_every_cell.py", "tests/test_names.py", "-k", "onegate or tried or test_names")
    script = """
import torch
from rnncli.cells import CELLS, CoreSpec, Weights
from rnncli.nn.recurrent import make_core, run_by
from rnncli.cells import weights_of
torch.manual_seed(0)
core = make_core(CoreSpec("onegate", "tanh", 3, 4)).double()
x = torch.randn(5, 2, 3, dtype=torch.float64)
output, _ = run_by("loop", core, x)
w, h = weights_of(core), torch.zeros(2, 4, dtype=torch.float64)
for t in range(5):  # written with explicit matrices, row by row
    W_f, W_n, R_f, R_n = w.weight_ih[:4], w.weight_ih[4:], w["weight_hh"][:4], w["weight_hh"][4:]
    f = 1 / (1 + torch.exp(-(x[t] @ W_f.T + w.bias_ih[:4] + h @ R_f.T + w.bias_hh[:4])))
    h = h + f * (torch.tanh(x[t] @ W_n.T + w.bias_ih[4:] + (f * h) @ R_n.T + w.bias_hh[4:]) - h)
    assert (h - output[t]).abs().max() < 1e-12
output.sum().backward()
assert all(p.grad.abs().sum() > 0 for p in core.parameters())
"""
    done = subprocess.run([warm.python(), "-P", "-c", script], env={**os.environ, "PYTHONPATH": str(copy)},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_task(copy: Path) -> None:
    files = put_in("A task", copy)
    resumed = "rnncli train --resume last --epochs 31"
    said = use(
        "A task", copy, "rnncli recipes list", "rnncli recipes validate sums", "rnncli inspect last --json", resumed
    )
    assert "sums" in said["rnncli recipes list"]
    lines = said["rnncli predict last 1234"].split()
    assert abs(float(lines[-1]) - 10) < 3
    assert "mean target" in said["rnncli train sums --data digits.txt"]
    holds(*files)


def test_a_view(copy: Path) -> None:
    files = put_in("A view", copy)
    said = use("A view", copy)
    first = json.loads(said["rnncli inspect hello norms --steps 0:3 --json"])
    assert [row["t"] for row in first["rows"]] == [0, 1, 2]
    script = """
import json, torch
from rnncli import load_recipe, trace, views
subject = views.subject_of_recipe(load_recipe("hello"))
made = subject.trace()
print(json.dumps([float((made["l0.fwd.h"][t, 0] ** 2).sum().sqrt()) for t in range(3)]))
"""
    done = subprocess.run([warm.python(), "-P", "-c", script], env={**os.environ, "PYTHONPATH": str(copy)},
                          capture_output=True, text=True)  # fmt: skip
    assert [row["norm"] for row in first["rows"]] == pytest.approx(json.loads(done.stdout), rel=1e-6)
    assert "|h_t|" in (copy.parent / "work" / "report.html").read_text("utf-8")
    holds(*files)
    suite(copy, "tests/views/test_views_all.py", "-k", "norms or overview")


def test_a_peer(copy: Path) -> None:
    files = put_in("A peer", copy)
    others = [
        f"rnncli bench --against numpy --cell {cell} --size 8/2/5 --pass forward --rounds 5 --json"
        for cell in ("rnn", "lstm")
    ]
    said = use("A peer", copy, *others)
    for line in others:
        found = json.loads(said[line])
        assert "numpy" in said[line]
        assert all(check["ok"] for check in found["checks"]), found["checks"]
    holds(*files)


def test_a_peer_that_computes_something_else_is_refused(copy: Path) -> None:
    file = next(file for file in put_in("A peer", copy) if file.name == "numpy_.py")
    file.write_text(
        file.read_text("utf-8").replace("(a_r, a_z, a_n), (b_r, b_z, b_n)", "(a_z, a_r, a_n), (b_z, b_r, b_n)")
    )
    environment = {**os.environ, "PYTHONPATH": str(copy), "LC_ALL": "C.UTF-8"}
    command = "bench --against numpy --cell gru --size 8/2/5 --pass forward --rounds 5"
    done = subprocess.run([warm.python(), "-P", "-m", "rnncli", *command.split()], cwd=copy.parent, env=environment,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_every_room_is_in_the_plan() -> None:
    """The table of rooms names every folder and file of the package."""
    table = SECTIONS["The house"]
    folders = {file.parent.name for file in (ROOT / "rnncli").glob("[a-z]*/*") if file.is_file()}
    files = {file.name for file in (ROOT / "rnncli").iterdir() if file.is_file() and file.name[0] not in "_."}
    missing = [room for room in folders | files - {"recipes", "py.typed"} if f"`{room}" not in table]
    assert not missing


def test_the_commands_of_the_set_up_are_there() -> None:
    assert ".ci/check" in TEXT
    assert os.access(ROOT / ".ci" / "check", os.X_OK)
    assert ".ci/check" in (ROOT / ".ci" / "run").read_text("utf-8")
    evidence = re.findall(r"tests/evidence/\S+\.py", TEXT)
    assert evidence
    assert all((ROOT / name.strip("`.")).exists() for name in evidence)
