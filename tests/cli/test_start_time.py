"""How long the quick commands take, beside `import torch`, in turn. Evidence only: it measures a machine."""

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
COMMANDS = {
    "import torch": ["-c", "import torch"],
    "--help": ["-m", "rnncli", "--help"],
    "recipes list": ["-m", "rnncli", "recipes", "list"],
    "recipes validate hello": ["-m", "rnncli", "recipes", "validate", "hello"],
}


@pytest.mark.evidence
def test_quick_commands_take_at_most_a_quarter_of_import_torch() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(12):
        for name, words in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *words], env=environment, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}  # the first fills the caches
    shares = {name: median / medians["import torch"] for name, median in medians.items()}
    import torch

    figures = {
        "python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine(),
        "cores": os.cpu_count(), "rounds": 11, "median_seconds": medians, "share_of_import_torch": shares,
    }  # fmt: skip
    file = ROOT / "tests" / "evidence" / "start_time.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    assert all(share <= 0.25 for name, share in shares.items() if name != "import torch"), shares
