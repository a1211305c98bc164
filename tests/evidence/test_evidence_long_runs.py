"""Ten thousand steps take no more memory than a thousand; four processes on two cores keep their speed."""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.evidence
FILE = Path(__file__).parent / "long-runs.json"
SPEED_SECONDS = float(os.environ.get("RNNCLI_SPEED_SECONDS", "20"))

MEMORY = """
import json, sys
from pathlib import Path
from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.training.run import run_training
def resident():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1])
found = {}
def watch(progress):
    if progress.event == "step" and progress.step in (1000, 2000, 5000, 10000):
        found[progress.step] = resident()
sets = ("train.max_steps=10000", "train.epochs=100000", "train.threads=1", "train.checkpoint_every=500",
        "model.hidden_size=8", "train.control=false", "train.compare=[]", "train.early_stopping=0")
run_training(prepare(load_recipe("hello", sets)), Path(sys.argv[1]), watch, baselines=False)
print(json.dumps(found))
"""

PLAIN = """
import json, sys, time
import torch
from torch import nn
text, H, seconds = open(sys.argv[1]).read(), int(sys.argv[2]), float(sys.argv[3])
torch.set_num_threads(2)
torch.manual_seed(0)
tokens = sorted(set(text))
ids = torch.tensor([tokens.index(c) for c in text])
B, T = 32, 64
lanes = ids[: len(ids) // B * B].view(B, -1).T.contiguous()
embedding, rnn, head = nn.Embedding(len(tokens), 32), nn.LSTM(32, H), nn.Linear(H, len(tokens))
parameters = [*embedding.parameters(), *rnn.parameters(), *head.parameters()]
optimizer = torch.optim.Adam(parameters, lr=0.002, fused=True)
began = told = time.monotonic()
counted = 0
while time.monotonic() - began < seconds:
    state = None
    for start in range(0, len(lanes) - T - 1, T):
        x, y = lanes[start : start + T], lanes[start + 1 : start + T + 1]
        out, state = rnn(embedding(x), state)
        loss = nn.functional.cross_entropy(head(out).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        state = tuple(part.detach() for part in state)
        counted += y.numel()
        if time.monotonic() - told > 0.2:
            told = time.monotonic()
            print(json.dumps({"counted": counted}), flush=True)
        if time.monotonic() - began > seconds:
            break
"""


def record(name: str, figures: dict[str, Any]) -> None:
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    found |= {"torch": torch.__version__, "python": platform.python_version(), "cores": os.cpu_count()}
    found[name] = figures
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def test_memory_over_ten_thousand_steps(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    done = subprocess.run([sys.executable, "-c", MEMORY, str(folder)], capture_output=True, text=True, check=True)
    found = {int(step): kib for step, kib in json.loads(done.stdout).items()}
    record("resident KiB after steps, a checkpoint every 500", {str(step): kib for step, kib in found.items()})
    assert found[10000] < found[1000] * 1.05


class Worker:
    """A process that says now and then, as JSON lines, how much it has done; when each line came is kept."""

    def __init__(self, words: list[str]) -> None:
        self.marks: list[tuple[float, float]] = []  # (seconds, tokens so far)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
        self.process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, env=environment, text=True)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = json.loads(line)
            if "counted" in found:
                self.marks.append((time.monotonic(), found["counted"]))
            elif found["schema"] == "rnncli/epoch/1":
                self.marks.append((time.monotonic(), found["per_second"] * found["seconds"]))

    def done(self) -> None:
        self.reader.join()
        assert self.process.wait() == 0

    def at(self, when: float) -> float:
        """Tokens until then, between two marks on a straight line."""
        later = next(i for i, (seconds, _) in enumerate(self.marks) if seconds >= when)
        (t0, n0), (t1, n1) = self.marks[max(0, later - 1)], self.marks[max(1, later)]
        return n0 + (n1 - n0) * (when - t0) / (t1 - t0)


def together(commands: list[list[str]]) -> dict[str, float]:
    """Tokens a second of all commands, started at once, while every one of them was at work."""
    workers = [Worker(words) for words in commands]
    for worker in workers:
        worker.done()
    begin = max(worker.marks[0][0] for worker in workers)
    end = min(worker.marks[-1][0] for worker in workers)
    assert end > begin
    tokens = sum(worker.at(end) - worker.at(begin) for worker in workers)
    return {"tokens_per_second": tokens / (end - begin), "seconds": end - begin}


def train_words(text: Path, hidden_size: int, threads: str, out: Path) -> list[str]:
    sets = {
        "data.path": text, "model.hidden_size": hidden_size, "train.sample.length": 0, "train.control": "false",
        "train.compare": "[]", "train.early_stopping": 0, "train.epochs": 100_000,
    }  # fmt: skip
    words = ["-m", "rnncli", "train", "language-model", "--json", "--out", str(out), "--threads", threads]
    words += ["--max-time", f"{SPEED_SECONDS}s"]
    return words + [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]


@pytest.mark.parametrize("hidden_size", [64, 256])
def test_four_processes_on_two_cores(tmp_path: Path, hidden_size: int) -> None:
    """Language models, small (one thread each) and large (a thread for each core), and the same without rnncli. Fewer
    seconds for a look: RNNCLI_SPEED_SECONDS=3."""
    text = tmp_path / "text.txt"
    rng = random.Random(0)
    text.write_text(" ".join("".join(rng.choices("etaoinshrdlu", k=rng.randrange(2, 9))) for _ in range(3500)))
    plain = ["-c", PLAIN, str(text), str(hidden_size), str(SPEED_SECONDS)]
    arms: dict[str, list[list[str]]] = {
        "plain torch, one, two threads": [plain],
        "plain torch, four, two threads each": [plain] * 4,
        "rnncli, one, two threads": [train_words(text, hidden_size, "2", tmp_path / "one")],
        "rnncli, four, as it chooses": [
            train_words(text, hidden_size, "auto", tmp_path / f"four{n}") for n in range(4)
        ],
    }
    found: dict[str, Any] = {"load before": os.getloadavg()[0], "hidden_size": hidden_size}
    found |= {name: together(commands) for name, commands in arms.items()}
    speed = {name: found[name]["tokens_per_second"] for name in arms}
    found["before: four over one"] = (
        speed["plain torch, four, two threads each"] / speed["plain torch, one, two threads"]
    )
    found["four over one"] = speed["rnncli, four, as it chooses"] / speed["rnncli, one, two threads"]
    record(f"processes, hidden_size {hidden_size}", found)
    assert found["four over one"] >= 0.8
