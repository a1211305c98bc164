"""What demo costs beside the plain script, in turn. Evidence only: it measures a machine."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROUNDS = 15


@pytest.mark.evidence
def test_demo_costs_at_most_a_fifth_of_import_torch(tmp_path: Path) -> None:
    from rnncli.demos.script import code
    from rnncli.demos.settings import Settings

    plain = tmp_path / "plain.py"
    plain.write_text(code(Settings()), "ascii")
    arms = {
        "import torch": [sys.executable, "-c", "import torch"],
        "plain script": [sys.executable, str(plain)],
        "demo": [sys.executable, "-m", "rnncli", "demo"],
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(ROUNDS + 1):
        for name, words in arms.items():
            start = time.perf_counter()
            subprocess.run(words, env=environment, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    seconds = {name: times[1:] for name, times in seconds.items()}  # the first fills the caches
    more = [demo - plain for demo, plain in zip(seconds["demo"], seconds["plain script"], strict=True)]
    median = statistics.median(seconds["import torch"])
    import torch

    share = statistics.median(more) / median
    figures = {
        "python": platform.python_version(), "torch": str(torch.__version__), "machine": platform.machine(),
        "cores": os.cpu_count(), "load": os.getloadavg()[0], "rounds": ROUNDS,
        "median_seconds": {name: statistics.median(times) for name, times in seconds.items()},
        "overhead_seconds": {"median": statistics.median(more), "quartiles": statistics.quantiles(more, n=4)},
        "overhead_of_import_torch": share, "at_most": 0.2,
    }  # fmt: skip
    (ROOT / "tests" / "evidence" / "demo_overhead.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    assert share <= 0.2, figures
