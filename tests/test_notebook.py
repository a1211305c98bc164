"""The notebook of the documentation shows what its cells give, and is a page of the site."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import notebook
from tests.fixture_types import AsKept


def masked(text: str) -> str:
    """Without what differs between machines and versions of torch: differences that rounding makes, the version."""
    return re.sub(r"torch \d[\d.]+", "torch", re.sub(r"\b\d(\.\d)?e-\d\d", "#", text))


def test_its_outputs_are_what_its_cells_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_kept: AsKept) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    kept = notebook.FILE.read_text("utf-8")
    made = notebook.executed(kept)
    if masked(made) != masked(kept):
        as_kept(notebook.FILE, made)


def test_outputs_are_those_of_a_kernel() -> None:
    cells: list[tuple[str, list[object]]] = [
        ("x = 3", []),
        ("print(x)\nx + 1", [{"stream": "3\n"}, {"text/plain": ["4"]}]),
        ("None", []),
        ("def f():\n    return x\nf();", [{"text/plain": ["3"]}]),
    ]
    names: dict[str, object] = {}
    for number, (source, wanted) in enumerate(cells):
        found = list(notebook.outputs_of(source, names, number))
        assert [one.get("data") or {"stream": "".join(one["text"])} for one in found] == wanted


def test_it_is_a_notebook_of_format_4() -> None:
    read = json.loads(notebook.FILE.read_text("utf-8"))
    assert (read["nbformat"], read["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in read["cells"]}) == len(read["cells"])
    code = [cell for cell in read["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert {output["output_type"] for cell in code for output in cell["outputs"]} <= {"stream", "execute_result"}
