"""A text of a gigabyte takes no more memory than one of a megabyte, and no more time for a token."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import random
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

from rnncli import __version__
from rnncli.data.text import read_text

pytestmark = pytest.mark.evidence
FILE = Path(__file__).parent / "streaming.json"
SIZES = {"1 MB": 10**6, "10 MB": 10**7, "100 MB": 10**8, "1 GB": 10**9}
# Updates, and rounds of all sizes in turn; words have a softmax over 2,000 of them, which takes its time.
COUNTS = {"characters": (400, 3), "words": (160, 2)}
MOST = 200 << 10  # KiB that a longer text may take beyond the shortest

# VmHWM is the process's own peak; ru_maxrss begins with that of the process that started it.
PEAK = """
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""

TRAIN = f"""
import json, sys, time
from pathlib import Path
{PEAK}
began = time.process_time()
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.runs.train import run_training
text, held_out, kind, steps, folder = sys.argv[1:]
steps = int(steps)
sets = (f"data.train={{text}}", f"data.validation={{held_out}}", f"data.tokens={{kind}}", "data.path=null",
        "data.max_vocab=2000", "model.hidden_size=64", f"train.max_steps={{steps}}", "train.threads=1",
        "train.sample.length=0")
marks = {{}}
def watch(progress):
    if progress.event == "step" and progress.step in (steps // 4, steps):
        marks[progress.step] = progress.counted, time.process_time()
job = prepare(load_recipe("language-model", sets))
read = time.process_time()
outcome = run_training(job, Path(folder), watch)
(a, first), (b, last) = marks[steps // 4], marks[steps]
print(json.dumps({{
    "tokens": len(job.splits.train.ids),
    "peak_kib": peak(),
    "microseconds_a_token": (last - first) / (b - a) * 1e6,
    "reading_cpu_seconds": read - began,
    "baselines": {{b.name: b.metrics["loss"] for b in outcome.baselines}},
}}))
"""

EVALUATE = f"""
import json, sys, time
{PEAK}
from rnncli.runs.evaluation import evaluate
from rnncli.runs.open import open_run
folder, text = sys.argv[1:]
run = open_run(folder).with_threads(1)
began = time.process_time()
found = evaluate(run, text)
print(json.dumps({{"peak_kib": peak(), "cpu_seconds": time.process_time() - began, "loss": found.metrics["loss"]}}))
"""


def mixed(path: Path, size: int) -> str:
    """`size` characters: the lines of Python's documentation in an order drawn from seed 0. Its sha256."""
    lines = "".join(read_text("builtin:python-docs").pieces()).split("\n")
    draw, digest, written = random.Random(0), hashlib.sha256(), 0
    with open(path, "w", encoding="utf-8") as file:
        while written < size:
            piece = ("\n".join(draw.choices(lines, k=20_000)) + "\n")[: size - written]
            file.write(piece)
            digest.update(piece.encode())
            written += len(piece)
    return digest.hexdigest()


def child(script: str, *arguments: object, cache: Path) -> dict[str, Any]:
    found = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"RNNCLI_CACHE": str(cache)},
    )
    row: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return row


def record(name: str, figures: Any) -> None:
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    found |= {"rnncli": __version__, "torch": torch.__version__, "python": platform.python_version()}
    found |= {"cores": os.cpu_count(), name: figures}
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Size -> a text of so many characters, and its hash; "held out": another 100,000."""
    folder = tmp_path_factory.mktemp("texts")
    sizes = SIZES | {"held out": 100_000}
    return {name: (folder / f"{n}.txt", mixed(folder / f"{n}.txt", n)) for name, n in sizes.items()}


@pytest.mark.parametrize("kind", COUNTS)
def test_training(texts: dict[str, tuple[Path, str]], tmp_path: Path, kind: str) -> None:
    """The first round encodes, the others find the file; sizes in turn, so that other work on the machine is shared."""
    rows: dict[str, list[dict[str, Any]]] = {size: [] for size in SIZES}
    steps, rounds = COUNTS[kind]
    for number in range(rounds):
        for size in SIZES:
            folder = tmp_path / f"{size}-{number}".replace(" ", "-")
            folder.mkdir()
            held_out = texts["held out"][0]
            rows[size].append(child(TRAIN, texts[size][0], held_out, kind, steps, folder, cache=tmp_path / "cache"))
    table = {
        size: {
            "sha256": texts[size][1],
            "tokens": found[0]["tokens"],
            "peak_kib": max(row["peak_kib"] for row in found),
            "microseconds_a_token": round(median(row["microseconds_a_token"] for row in found), 3),
            "encoding_cpu_seconds": round(found[0]["reading_cpu_seconds"], 1),
            "reading_cpu_seconds": round(median(row["reading_cpu_seconds"] for row in found[1:]), 1),
            "baselines": found[0]["baselines"],
        }
        for size, found in rows.items()
    }
    record(f"training, {kind}", table)
    for size, row in table.items():
        assert row["peak_kib"] < table["1 MB"]["peak_kib"] + MOST, size
        assert all(row["baselines"] == found["baselines"] for found in rows[size])


def test_what_ten_gigabytes_would_take() -> None:
    """Computed, not measured: ten times the gigabyte's own share of the time, and what does not grow."""
    document = json.loads(FILE.read_text())
    for kind in COUNTS:
        table = document[f"training, {kind}"]
        small, large = table["1 MB"], table["1 GB"]
        tokens = 10 * large["tokens"]

        def grown(name: str, small: dict[str, Any] = small, large: dict[str, Any] = large) -> float:
            """Seconds: a part that is there for any text, and one that grows with it."""
            seconds: float = small[name] + 10 * (large[name] - small[name])
            return round(seconds, 1)

        record(
            f"10 GB computed from 1 GB, {kind}",
            {
                "tokens": tokens,
                "peak_kib": large["peak_kib"],
                "encoding_cpu_seconds": grown("encoding_cpu_seconds"),
                "reading_cpu_seconds": grown("reading_cpu_seconds"),
                "epoch_cpu_hours": round(tokens * large["microseconds_a_token"] / 3.6e9, 1),
            },
        )


def test_evaluating(texts: dict[str, tuple[Path, str]], tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    child(TRAIN, texts["1 MB"][0], texts["held out"][0], "characters", 40, run, cache=tmp_path)
    table = {size: child(EVALUATE, run, texts[size][0], cache=tmp_path) for size in ("1 MB", "10 MB")}
    record("evaluating, characters", table)
    for size, row in table.items():
        assert row["peak_kib"] < table["1 MB"]["peak_kib"] + MOST, size
