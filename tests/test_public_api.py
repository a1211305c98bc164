"""The public names: listed, typed, documented, imported late; each function has an example that runs."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

import rnncli
from rnncli.cli import make_app

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "python.md"
CALLS = {  # in the order in which a person uses them: `open_run` opens what `train` made
    "trace": "(model, *inputs, gradients, steps, units, check, step, call, patch, **kwargs)",
    "load_recipe": "(target, sets, flags)",
    "train": "(recipe, *, data, sets, out, resume, init_from, on_epoch)",
    "open_run": "(path, sets)",
    "predict": "(run, inputs, *, top_k, temperature, seed, beam, length)",
    "evaluate": "(run, data, *, split, dynamic, require, confusion)",
    "inspect": "(target, view, *, inputs, other, sample, batch_size, seed, sets, cell, nonlinearity, core, layer, "
    "direction, steps, units, step, unit, loss, variant, lags, change, from_input)",
    "report": "(targets, out, *, samples, views, change, from_input, sets)",
    "sweep": "(recipe, *, grid, search, seeds, trials, match_params, data, sets, jobs, out, storage, prune, on_change)",
    "export": "(run, out, *, onnx)",
    "demo": "(cell, *, seq_len, batch_size, input_size, hidden_size, num_layers, bidirectional, nonlinearity, bias, "
    "options, seed, dtype, device, nice, text, values, explain, explain_backward, blanks, title, check, tolerance, "
    "proofs, draw, step_through, animate, steps, units, step, unit, layer, direction)",
}
ELSEWHERE = {  # commands without a call of their name -> where Python has what they do
    "bench": "measures processes of its own",
    "doctor": "tests the installation in a process of its own",
    "recipes": "load_recipe",
    "runs": "open_run",
    "schema": "of what --json prints",
}
CLASSES = {
    "Epoch", "Evaluation", "Exported", "PageView", "Prediction", "Recipe", "RnncliError", "Run", "StoppedBySignal",
    "Sweep", "TableView", "Trace",
}  # fmt: skip


def named(function: str) -> str:
    """The parameters of a public function, as CALLS has them."""
    found: list[str] = []
    for one in inspect.signature(getattr(rnncli, function)).parameters.values():
        if one.kind == one.KEYWORD_ONLY and not any(name.startswith("*") for name in found):
            found.append("*")
        stars = "*" if one.kind == one.VAR_POSITIONAL else "**" if one.kind == one.VAR_KEYWORD else ""
        found.append(stars + one.name)
    return f"({', '.join(found)})"


def test_every_public_name_is_there_and_listed() -> None:
    assert set(rnncli.__all__) == {*rnncli._HOMES, "__version__"} == {*CALLS, *CLASSES, "__version__"}
    assert dir(rnncli) == sorted(rnncli.__all__)
    assert rnncli.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'tarce'"):
        rnncli.tarce  # noqa: B018
    assert all(inspect.isclass(getattr(rnncli, name)) for name in CLASSES)


def test_every_command_is_a_call_or_said_to_be_none() -> None:
    group = typer.main.get_command(make_app())
    assert isinstance(group, TyperGroup)
    assert set(group.commands) == (set(CALLS) & set(group.commands)) | ELSEWHERE.keys()
    assert not set(CALLS) & ELSEWHERE.keys()
    text = PAGE.read_text("utf-8")
    assert [name for name in ELSEWHERE if f"`{name}" not in text] == []


def test_no_module_stands_in_a_names_place() -> None:
    """Importing `rnncli.report` would make that module the attribute `report` of the package."""
    folder = Path(rnncli.__file__).parent
    modules = {file.stem for file in folder.glob("*.py")} | {file.parent.name for file in folder.glob("*/*.py")}
    assert not modules & set(rnncli.__all__)


def test_importing_it_imports_no_torch() -> None:
    calls = ", ".join(name for name in CALLS if rnncli._HOMES[name].startswith("rnncli.api."))
    code = f"import sys, rnncli; dir(rnncli); from rnncli import {calls}"
    code += "; rnncli.load_recipe('hello'); print(sorted({'torch', 'rich', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_typed_and_documented(name: str) -> None:
    function = getattr(rnncli, name)
    assert named(name) == CALLS[name]
    hints = {**function.__annotations__}
    text = inspect.getdoc(function) or ""
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.name in hints, f"{name}({parameter.name}) has no annotation"
        if parameter.kind != parameter.VAR_KEYWORD:
            assert re.search(rf"\b{parameter.name}\b", text), f"{name} says nothing of {parameter.name}"
    assert "return" in hints
    assert ">>> " in text, f"{name} has no example"
    assert "raises" in text.lower()
    if name not in ("trace", "load_recipe", "open_run"):
        assert all(f"\n{section}:\n" in text for section in ("Args", "Returns", "Raises", "Examples")), name
    assert f".{name}\n" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_is_documented(name: str) -> None:
    made = getattr(rnncli, name)
    assert (inspect.getdoc(made) or "").strip()
    public = [member for key, member in vars(made).items() if not key.startswith("_") and inspect.isfunction(member)]
    assert all(inspect.getdoc(member) for member in public), name
    text = PAGE.read_text("utf-8")
    assert f".{name}\n" in text or f"`{name}`" in text, name


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, starts_warm: None) -> None:
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name in (*CALLS, "Trace"):
        made = getattr(rnncli, name)
        (test,) = list(doctest.DocTestFinder(recurse=False).find(made, name, globs={name: made}))
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
