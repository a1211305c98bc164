"""bptt and the compiled engine beside torch's module: the figures that `engine: auto` chooses by.

`rnncli/ratios.py` is written from them: `pytest --rewrite-golden tests/nn/test_measured.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rnncli.bench.measure import Arm, load_average, paired_ratio, take_turns, warm_up
from rnncli.bench.sizes import Pass, Row
from rnncli.bench.work import Prepared, Setting, agree, make
from rnncli.nn.recurrent import run_by

pytest.importorskip("numba", reason="needs rnncli[fast]")

EVIDENCE = Path(__file__).parent / "compiled.json"
FEW = [(32, 50, 50), (128, 50, 50), (128, 1, 100), (32, 512, 20)]  # H, B, T
MANY = [*FEW, (8, 8, 20), (256, 32, 100), (512, 20, 20)]
FORWARD = [*MANY, (2, 1, 20), (32, 1, 1), (256, 1, 1), (128, 512, 20)]
# What is measured: pass, dtype, whether rows differ in length, sizes, threads.
KINDS: dict[str, tuple[Pass, torch.dtype, bool, list[tuple[int, int, int]], int]] = {
    "train": ("train", torch.float32, False, MANY, 1),
    "train, float64": ("train", torch.float64, False, FEW, 1),
    "train, padded": ("train", torch.float32, True, FEW, 1),
    "forward": ("forward", torch.float32, False, FORWARD, 1),
    "forward, padded": ("forward", torch.float32, True, FEW, 1),
    "train, 2 threads": ("train", torch.float32, False, MANY, 2),
    "forward, 2 threads": ("forward", torch.float32, False, FORWARD, 2),
}
ROUNDS, BUDGET = 41, 1.2  # seconds of processor time


@pytest.mark.evidence
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("kind", KINDS)
def test_beside_torch(cell: str, kind: str) -> None:
    """One thread: its processor time, so that other work on the machine disturbs little. Several: wall time, on an
    idle machine, with OMP_WAIT_POLICY=passive and GOMP_SPINCOUNT=1000, as commands set them. The engines must agree."""
    what, dtype, padded, sizes, count = KINDS[kind]
    clock = time.process_time if count == 1 else time.perf_counter
    engines = ["torch", "bptt", "compiled"]
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    torch.set_flush_denormal(True)
    rows = []
    try:
        for size in sizes:
            made = make(Row(cell, *size), Setting(what, dtype, torch.device("cpu")))
            difference, _ = agree(made, engines)
            arms = {name: Arm(name, _run(made, name, padded)) for name in engines}
            warm_up(list(arms.values()), clock)
            take_turns(list(arms.values()), ROUNDS, BUDGET, clock=clock)
            ratios = {
                name: [round(v, 3) for v in paired_ratio(arms["torch"].times, arms[name].times).as_tuple()]
                for name in engines[1:]
            }
            sized = dict(zip("HBT", size, strict=True))
            rows.append({**sized, "rounds": len(arms["torch"].times), "over torch": ratios, "apart": difference})
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
    found = json.loads(EVIDENCE.read_text("utf-8")) if EVIDENCE.exists() else {}
    found[f"{cell}, {kind}"] = {"torch": torch.__version__, "load": load_average(), "rows": rows}
    EVIDENCE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _run(made: Prepared, engine: str, padded: bool) -> Callable[[], object]:
    if not padded:
        return partial(made.once, engine)
    T, B = made.x.shape[:2]
    lengths = torch.randint(max(1, T // 2), T + 1, (B,), generator=torch.Generator().manual_seed(0))
    lengths[0], lengths[-1] = T, max(1, T // 2)

    def train() -> None:
        made.core.zero_grad()
        made.x.grad = None
        output, _ = run_by(engine, made.core, made.x, lengths)
        output.backward(made.d_output)

    def forward() -> Tensor:
        with torch.no_grad():
            return run_by(engine, made.core, made.x, lengths)[0]

    return train if made.setting.what == "train" else forward
