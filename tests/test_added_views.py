"""A view that an installed package adds: listed, helped with, and shown, like our own."""

from __future__ import annotations

import json
from pathlib import Path

from tests.added_package import Typed, install

LENGTHS = """
import torch

from rnncli.records import Column, Table
from rnncli.views import BATCH, Options

GROUP = "how far back"
ABOUT = "how long every row is"
NEEDS = frozenset()
OPTIONS = BATCH
ROWS = 2


def compute(subject, options=Options()):
    made = subject.trace()
    rows = [[core.path, core.num_steps, float(torch.tensor(1.0))] for core in made.cores]
    columns = [Column("core", "core", "text"), Column("steps", "steps", "count"), Column("one", "")]
    return [Table("lengths", columns, rows)]
"""


def test_a_view_of_a_package(tmp_path: Path) -> None:
    install(tmp_path / "site", {"lengths": LENGTHS}, {"rnncli.views": {"lengths": "strangers.lengths"}})
    with Typed(tmp_path / "site", tmp_path / "work") as typed:
        assert "lengths: how long every row is" in typed.well("rnncli inspect --help")
        overview = typed.well("rnncli inspect hello")
        assert "gradients  memory  lengths" in overview
        found = json.loads(typed.well("rnncli inspect hello lengths --json"))
        assert found["schema"] == "rnncli/lengths/1"
        assert found["rows"][0]["steps"] == 5
        assert "how long" not in typed.well("rnncli inspect hello lengths")
        refused = typed("rnncli inspect hello lengths --layer 0")
    assert refused["code"] == 2
    assert "does not support --layer" in refused["err"]
