"""Runs to make pages of, and what a page holds, read back."""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnncli.pages import Target, web_page
from rnncli.render import html
from rnncli.runs.train import run_training
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare

HOSTILE = ["</script><img/src=x/onerror=window.hacked=1>", "<b>bold</b>", "&lt;", "%{y}", "'\"`", "普通"]
SENTENCES = [[*zip(HOSTILE, ["a", "b", "a", "b", "a", "</title>"], strict=True)]]
SENTENCES += [[("one", "a"), ("two", "b"), ("three", "a")], [("two", "b"), ("one", "a")]]
WORDS = {
    "task": "tagging",
    "data": {"format": "tsv", "min_count": 1},
    "model": {"cell": "lstm", "hidden_size": 3, "num_layers": 2, "bidirectional": True, "input": "one-hot"},
    "train": {"epochs": 3, "batch_size": 2, "seed": 1},
}


def trained(folder: Path, recipe: Any, *sets: str, baselines: bool = True) -> Target:
    """A run of that recipe, opened."""
    folder.mkdir(parents=True)
    run_training(prepare(load_recipe(recipe, sets)), folder, baselines=baselines)
    return Target("run", str(folder), folder.name)


@pytest.fixture(scope="session")
def train_run() -> Callable[..., Target]:
    return trained


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> list[Target]:
    """Two runs of one data set whose words are HTML: two layers and two directions of an LSTM, and a GRU."""
    home = tmp_path_factory.mktemp("hostile")
    data = home / "words.tsv"
    rows = ["".join(f"{word}\t{tag}\n" for word, tag in sentence) for sentence in SENTENCES]
    data.write_text("\n".join(rows), encoding="utf-8")
    path = f"data.train={data}"
    return [trained(home / "lstm", WORDS, path), trained(home / "gru", WORDS, path, "model.cell=gru", "train.lr=0.01")]


@pytest.fixture(scope="session")
def hostile_page(hostile: list[Target], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(html.render(web_page(hostile)), encoding="utf-8")
    return file


def embedded(text: str) -> dict[str, Any]:
    """The JSON of a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document


def numbers(packed: dict[str, Any]) -> list[list[float]]:
    """[row][column] of what a page packs, read by another way than it was written."""
    flat = struct.unpack(f"<{packed['rows'] * packed['columns']}f", base64.b64decode(packed["data"]))
    return [list(flat[i * packed["columns"] : (i + 1) * packed["columns"]]) for i in range(packed["rows"])]


@pytest.fixture(scope="session")
def read_page() -> Callable[[str], dict[str, Any]]:
    return embedded


@pytest.fixture(scope="session")
def unpacked() -> Callable[[dict[str, Any]], list[list[float]]]:
    return numbers
