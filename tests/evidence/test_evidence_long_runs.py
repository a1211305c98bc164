"""Ten thousand steps take no more memory than a thousand; four processes on two cores keep their speed."""

from __future__ import annotations

import json
import os
import platform
import random
import signal
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
from rnncli.runs.train import run_training
def resident():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1])
found = {}
def watch(progress):
    if progress.event == "step" and progress.step in (1000, 2000, 5000, 10000):
        found[progress.step] = resident()
sets = ("train.max_steps=10000", "train.epochs=100000", "train.threads=1", "train.checkpoint_every=500",
        "model.hidden_size=8", "train.control=false", "train.compare=[]", "train.early_stopping=0", *sys.argv[3:])
run_training(prepare(load_recipe(sys.argv[2], sets)), Path(sys.argv[1]), watch, baselines=False)
print(json.dumps(found))
"""

CHECKPOINTS = """
import json, sys, time
from pathlib import Path
from rnncli.tasks import load_recipe
from rnncli.runs import train as run
from rnncli.training.job import prepare
spent = {"checkpoints": 0, "seconds": 0.0}
save = run._save
def timed(*arguments):
    began = time.process_time()
    save(*arguments)
    spent["checkpoints"] += 1
    spent["seconds"] += time.process_time() - began
run._save = timed
sets = ("train.max_steps=400", "train.checkpoint_every=20", "train.threads=1", "train.control=false",
        "train.compare=[]", "train.sample.length=0", "train.epochs=9")
marks = {}
def watch(progress):
    if progress.event == "step":
        marks[progress.step] = (time.process_time(), dict(spent))
run.run_training(prepare(load_recipe("language-model", sets)), Path(sys.argv[1]), watch, baselines=False)
(begin, before), (end, after) = marks[20], marks[400]
checkpoints = after["checkpoints"] - before["checkpoints"]
saving = after["seconds"] - before["seconds"]
print(json.dumps({"updates": 380, "seconds of updates": end - begin - saving, "checkpoints": checkpoints,
                  "seconds of checkpoints": saving}))
"""

PLAIN = """
import json, sys, time
import torch
from torch import nn
text, H = open(sys.argv[1]).read(), int(sys.argv[2])
torch.set_num_threads(2)
torch.manual_seed(0)
tokens = sorted(set(text))
ids = torch.tensor([tokens.index(c) for c in text])
B, T = 32, 64
lanes = ids[: len(ids) // B * B].view(B, -1).T.contiguous()
embedding, rnn, head = nn.Embedding(len(tokens), 32), nn.LSTM(32, H), nn.Linear(H, len(tokens))
parameters = [*embedding.parameters(), *rnn.parameters(), *head.parameters()]
optimizer = torch.optim.Adam(parameters, lr=0.002, fused=True)
told = time.monotonic()
counted = 0
while True:
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
"""


def record(name: str, figures: dict[str, Any]) -> None:
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    found |= {"torch": torch.__version__, "python": platform.python_version(), "cores": os.cpu_count()}
    found[name] = figures
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("recipe", "sets"),
    [
        ("hello", ()),
        ("names", ("train.batch_size=4", "model.embedding_size=4")),
        ("pos-tagging", ("train.batch_size=2",)),
    ],
)
def test_memory_over_ten_thousand_steps(tmp_path: Path, recipe: str, sets: tuple[str, ...]) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(folder), recipe, *sets], capture_output=True, text=True, check=True
    )
    found = {int(step): kib for step, kib in json.loads(done.stdout).items()}
    record(f"{recipe}: resident KiB after updates, a checkpoint every 500", {str(n): kib for n, kib in found.items()})
    assert found[10000] < found[1000] * 1.05


def test_what_checkpoints_cost(tmp_path: Path) -> None:
    """Processor time of updates and of checkpoints in the same run: what stays for updates with one checkpoint a minute
    (the default), and with one every 100 updates."""
    folder = tmp_path / "run"
    folder.mkdir()
    done = subprocess.run([sys.executable, "-c", CHECKPOINTS, str(folder)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    each, update = (
        found["seconds of checkpoints"] / found["checkpoints"],
        found["seconds of updates"] / found["updates"],
    )
    found["throughput kept, one a minute"] = 60 / (60 + each)
    found["throughput kept, one every 100 updates"] = 100 * update / (100 * update + each)
    record("checkpoints of language-model, processor time", found)
    assert found["throughput kept, one a minute"] > 0.98


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
        with self.process.stdout:
            for line in self.process.stdout:
                found = json.loads(line)
                if "counted" in found:
                    self.marks.append((time.monotonic(), found["counted"]))
                elif found["schema"] == "rnncli/epoch/1":
                    self.marks.append((time.monotonic(), found["per_second"] * found["seconds"]))

    def stop(self) -> None:
        self.process.terminate()
        self.reader.join()
        assert self.process.wait() in (-signal.SIGTERM, 143)

    def at(self, when: float) -> float:
        """Tokens until then: between two marks on a straight line, behind the last what that says."""
        later = next((i for i, (seconds, _) in enumerate(self.marks) if seconds >= when), None)
        if later is None:
            return self.marks[-1][1]
        (t0, n0), (t1, n1) = self.marks[max(0, later - 1)], self.marks[later]
        return n0 + (n1 - n0) * (when - t0) / (t1 - t0) if t1 > t0 else n1


def together(commands: list[list[str]]) -> dict[str, float]:
    """Tokens a second of all commands, started at once, from when the last of them is at work."""
    workers = [Worker(words) for words in commands]
    while not all(worker.marks for worker in workers):
        time.sleep(0.1)
    begin = time.monotonic()
    time.sleep(SPEED_SECONDS)
    end = time.monotonic()
    for worker in workers:
        worker.stop()
    tokens = sum(worker.at(end) - worker.at(begin) for worker in workers)
    return {"tokens_per_second": tokens / (end - begin), "seconds": end - begin}


def train_words(text: Path, hidden_size: int, threads: str, out: Path) -> list[str]:
    sets = {
        "data.path": text, "model.hidden_size": hidden_size, "train.sample.length": 0, "train.control": "false",
        "train.compare": "[]", "train.early_stopping": 0, "train.epochs": 100_000,
    }  # fmt: skip
    words = ["-m", "rnncli", "train", "language-model", "--json", "--out", str(out), "--threads", threads]
    return words + [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]


@pytest.mark.parametrize("hidden_size", [64, 256])
def test_four_processes_on_two_cores(tmp_path: Path, hidden_size: int) -> None:
    """Language models, small (one thread each) and large (a thread for each core), and the same without rnncli. Fewer
    seconds for a look: RNNCLI_SPEED_SECONDS=8."""
    text = tmp_path / "text.txt"
    rng = random.Random(0)
    text.write_text(" ".join("".join(rng.choices("etaoinshrdlu", k=rng.randrange(2, 9))) for _ in range(2000)))
    plain = ["-c", PLAIN, str(text), str(hidden_size)]
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
