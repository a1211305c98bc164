"""Keras's files against what the installed Keras computes, for random layers, sizes and stacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli.weights import open_core
from tests.weights.keras_models import GRID
from tests.weights.test_keras import D64, same

pytestmark = pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed (extra peers)")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("live")
    environment = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(folder)}
    words = [sys.executable, "-m", "tests.weights.keras_models", str(folder)]
    done = subprocess.run(words, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, json.loads((folder / "grid.json").read_text(encoding="utf-8"))


def nonlinearity_of(kind: str) -> str | None:
    """What arrays alone do not tell."""
    return "relu" if kind == "relu" else None


@pytest.mark.parametrize("number", range(GRID))
def test_a_model_computes_what_keras_does(number: int, grid: tuple[Path, dict[str, Any]]) -> None:
    folder, case = grid[0], grid[1][str(number)]
    values = [torch.tensor(one, dtype=D64) for one in case["values"]]
    core, _ = open_core(str(folder / f"{number}.keras"))
    assert core.name == "+".join(case["layers"])
    assert core.spec.num_layers == len(case["layers"])
    assert same(core, values[0], values[-1])
    if case["kind"] == "gru_before" and not case["bias"]:
        return  # without biases the arrays of both forms are alike: test_keras.py
    for name, x, output in zip(case["layers"], values, values[1:], strict=False):
        core, _ = open_core(str(folder / f"{number}.weights.h5"), name=name, nonlinearity=nonlinearity_of(case["kind"]))
        assert same(core, x, output), name


def test_the_grid_has_every_kind(grid: tuple[Path, dict[str, Any]]) -> None:
    cases = grid[1].values()
    shapes = {(case["kind"], len(case["layers"]) > 1, case["layers"][0].startswith("both")) for case in cases}
    assert {kind for kind, *_ in shapes} == {"tanh", "relu", "lstm", "gru", "gru_before"}
    assert {shape[1:] for shape in shapes} == {(False, False), (False, True), (True, False), (True, True)}
