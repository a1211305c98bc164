"""Numbers given to the calls are checked as the command line checks them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rnncli
from rnncli.errors import UsageError, checked_number


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> rnncli.Run:
    out = tmp_path_factory.mktemp("ranges") / "run"
    return rnncli.train("hello", sets={"train.epochs": 1, "train.control": False}, out=out)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


GRID: dict[str, Any] = {"grid": {"model.cell": ["gru"]}}
SEARCH: dict[str, Any] = {"search": {"train.lr": "log:.01..1"}}
INSPECT = partial(rnncli.inspect, "hello")
CALLS: dict[str, Callable[..., object]] = {
    "predict": lambda run, **given: rnncli.predict(run, "hello", **given),
    "evaluate": rnncli.evaluate,
    "steps": lambda run, **given: INSPECT("steps", **given),
    "shapes": lambda run, **given: INSPECT("shapes", **given),
    "memory": lambda run, **given: INSPECT("memory", **given),
    "draw": lambda run, **given: INSPECT("draw", **given),
    "report": lambda run, **given: rnncli.report("hello", "page.html", **given),
    "grid": lambda run, **given: rnncli.sweep("hello", **GRID, **given),
    "search": lambda run, **given: rnncli.sweep("hello", **SEARCH, **given),
    "demo": lambda run, **given: rnncli.demo(**given),
    "demo draw": lambda run, **given: rnncli.demo(draw=True, **given),
    "demo check": lambda run, **given: rnncli.demo(explain=1, check="sheet.csv", **given),
}
BELOW = [  # call, argument, a value below the least one
    ("predict", "top_k", 0), ("predict", "temperature", -1), ("predict", "seed", -1), ("predict", "beam", 0),
    ("predict", "length", -5), ("evaluate", "dynamic", 0), ("steps", "sample", -1), ("steps", "seed", -1),
    ("steps", "layer", -1), ("steps", "units", [-1]), ("shapes", "batch_size", 0), ("memory", "lags", 0),
    ("memory", "lags", -1), ("draw", "step", -1), ("draw", "unit", -1), ("report", "samples", 0), ("grid", "seeds", 0),
    ("grid", "jobs", 0), ("grid", "match_params", 0), ("search", "trials", 0), ("demo", "seq_len", 0),
    ("demo", "hidden_size", -1), ("demo draw", "step", -1), ("demo draw", "unit", -1), ("demo draw", "layer", -1),
    ("demo check", "tolerance", -1),
]  # fmt: skip
ABOVE = [
    ("predict", "seed", 2**63), ("shapes", "batch_size", 2**31), ("report", "samples", 101), ("grid", "seeds", 1001),
    ("grid", "jobs", 1025), ("demo", "seed", 2**64),
]  # fmt: skip
REAL = ("temperature", "dynamic", "tolerance")
NAMED = dict.fromkeys((call, name) for call, name, _ in BELOW)
OTHER = [(call, name, value) for call, name in NAMED for value in ("many", math.nan, *(() if name in REAL else (1.5,)))]


@pytest.mark.parametrize(("call", "name", "value"), BELOW + ABOVE + OTHER)
def test_a_number_that_the_command_line_refuses(call: str, name: str, value: object, run: rnncli.Run) -> None:
    given = [value] if name == "units" and not isinstance(value, list | str) else value
    with pytest.raises(UsageError) as raised:
        CALLS[call](run, **{name: given})
    assert f"--{name.replace('_', '-')}" in str(raised.value)
    assert not list(Path.cwd().glob("*")), "nothing was written"


def test_numbers_of_other_packages_are_numbers(run: rnncli.Run, starts_warm: None) -> None:
    one: Any
    for one in (np.int64(1), torch.tensor(1)):
        assert rnncli.predict(run, "hello", top_k=one) == rnncli.predict(run, "hello", top_k=1)
        shown = rnncli.inspect("hello", "steps", units=one, sample=one - 1, seed=one)
        assert shown.to_json() == rnncli.inspect("hello", "steps", units=[1], sample=0, seed=1).to_json()
        assert rnncli.demo(seq_len=one, units=one).to_json() == rnncli.demo(seq_len=1, units=[1]).to_json()
    done = rnncli.sweep("hello", **GRID, seeds=one, jobs=one, sets={"train.epochs": one})
    assert [row.status for row in done.rows()] == ["done"]


@pytest.mark.parametrize("value", [None, 3, np.int8(3), torch.tensor(3)])
def test_a_whole_number(value: Any) -> None:
    found = checked_number("--n", value, 3, 3)
    assert found == value
    assert type(found) in (int, type(None))


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), torch.tensor(0.5), math.inf])
def test_a_number(value: Any) -> None:
    assert checked_number("--rate", value, 0, whole=False) == value


@pytest.mark.parametrize("value", ["1", b"1", torch.ones(2), 10**400, [1], math.nan])
def test_not_a_number(value: Any) -> None:
    with pytest.raises(UsageError, match="--rate takes a number, got"):
        checked_number("--rate", value, whole=False)
