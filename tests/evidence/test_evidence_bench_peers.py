"""Whole training loops of the character model, rnncli and bare torch beside Keras on JAX; and the forward pass beside
ONNX Runtime. Evidence only: it measures a machine, and asserts what was compared, never a time.

For an idle machine, some ten minutes:

    pytest -m evidence tests/evidence/test_evidence_bench_peers.py
"""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from rnncli import render
from rnncli.bench.peers import missing
from rnncli.bench.sizes import CELLS
from rnncli.bench.versus import ArmsOfRow, Compared, Versus, measure_peers
from rnncli.bench.versus_page import peers_page, row_line
from rnncli.records import Json

FILE = Path(__file__).with_name("bench_peers.json")
PEERS = ["keras-jax", "onnxruntime"]
ROUNDS = 11
SIZES = [(2, 1, 20), (32, 32, 100), (256, 32, 100), (128, 50, 50), (32, 1, 672), (256, 16, 150)]  # H, B, T
# What is aimed at: times as fast as a bare torch script at H = 32, 128, 512; and as any peer, and torch's module.
LOOPS = {"rnn": (2.5, 2.0, 1.5), "gru": (3.5, 2.2, 1.5), "lstm": (1.5, 1.2, 1.0)}
KERAS, FORWARD, SHARE = 1.3, 1.0, 0.85


def _aims(found: Compared) -> list[dict[str, Json]]:
    """Each ratio beside what is aimed at, reached or not; and the best share of the product ceiling at H >= 256."""
    aims: list[dict[str, Json]] = []
    for row in found.rows:
        ours = next(s for s in row.results if s.paired is None)
        about: dict[str, Json] = {"cell": row.row.cell, "sizes": row.row.sizes, "loop": found.plan.loop}
        if row.row.H >= 256:
            share = row.of_ceiling(ours, found.plan.loop)
            aims.append({**about, "of": "product ceiling", "aim": SHARE, "got": share, "reached": share >= SHARE})
        for s in row.results:
            if s.paired is None:
                continue
            aim = FORWARD
            if found.plan.loop:
                aim = LOOPS[row.row.cell][(32, 128, 512).index(row.row.H)] if s.arm == "torch" else KERAS
            got = s.paired.ratio.value
            aims.append({**about, "over": s.arm, "aim": aim, "got": got, "reached": got >= aim})
    return aims


def _told(row: ArmsOfRow) -> None:
    print(row_line(row), flush=True)


PLANS = {
    "training loops": Versus.of(["keras-jax"], CELLS, [], None, True, ROUNDS, float("inf")),
    "forward pass": Versus.of(["onnxruntime"], CELLS, SIZES, "forward", False, ROUNDS, float("inf")),
}


@pytest.mark.evidence
@pytest.mark.parametrize("name", PLANS)
def test_peers(name: str) -> None:
    """Every row has its rounds, whatever they take."""
    assert not missing(PEERS), "pip install 'rnncli[peers]'"
    plan = PLANS[name]
    found = measure_peers(plan, done=_told)
    page = peers_page(found)
    assert page.ok()
    assert len(found.results) == len(plan.rows) * 3
    assert {s.paired.rounds for s in found.results if s.paired is not None} == {ROUNDS}
    figures = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {"aims": [], "versions": {}}
    aims = _aims(found)
    figures["python"] = platform.python_version()
    figures["versions"] |= found.versions
    figures["aims"] = sorted(
        [*(aim for aim in figures["aims"] if aim["loop"] != plan.loop), *aims], key=lambda aim: not aim["loop"]
    )
    figures[name] = render.to_json(page)
    # a budget without end is no number of JSON
    FILE.write_text(json.dumps(figures, indent=1).replace("Infinity", "null") + "\n", "utf-8")
    for aim in aims:
        print(aim)
