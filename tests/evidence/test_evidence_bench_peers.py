"""Whole training loops of the character model, rnncli and bare torch beside Keras on JAX and plain JAX; and the forward
pass beside ONNX Runtime. Evidence only: it measures a machine, and asserts what was compared, never a time."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from rnncli import report
from rnncli.bench.peers import PEERS, missing
from rnncli.bench.sizes import CELLS
from rnncli.bench.versus import Versus, measure_peers
from rnncli.bench.versus_page import peers_page

FILE = Path(__file__).with_name("bench_peers.json")


@pytest.mark.evidence
def test_peers() -> None:
    assert not missing(list(PEERS)), "pip install 'rnncli[peers]'"
    loops = measure_peers(Versus.of(["keras-jax", "jax"], CELLS, [], None, True, 11, 10.0))
    layers = measure_peers(Versus.of(["onnxruntime"], CELLS, [(128, 50, 50)], "forward", False, 11, 5.0))
    pages = {"training loops": peers_page(loops), "forward pass": peers_page(layers)}
    assert all(page.ok() for page in pages.values())
    assert len(loops.standings) == 9 * 4
    figures = {
        "python": platform.python_version(),
        "versions": loops.versions | layers.versions,
        **{name: report.to_json(page) for name, page in pages.items()},
    }
    FILE.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
