"""The parallel engine beside the loop: how much faster it is and what memory it takes, where `faster` of its file has
its figures from."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from rnncli.bench.measure import Arm, load_average, paired_ratio, take_turns, warm_up
from rnncli.bench.memory import peak_of
from rnncli.bench.sizes import Row
from rnncli.bench.work import Setting, agree, make
from rnncli.cells import CELLS

EVIDENCE = Path(__file__).parent / "parallel.json"
SIZES = [(32, 16, T) for T in (2, 3, 5, 10, 100, 1000)] + [(32, 1, 1000), (64, 32, 1000), (256, 64, 200)]  # H, B, T
ENGINES = ("loop", "parallel")
ROUNDS, BUDGET = 21, 12.0
CPU = torch.device("cpu")


@pytest.mark.evidence
@pytest.mark.parametrize("what", ["train", "forward"])
@pytest.mark.parametrize("cell", [name for name in CELLS if CELLS[name].parallel is not None])
def test_beside_the_loop(cell: str, what: str) -> None:
    """One thread, its processor time, so that other work on the machine disturbs little; the engines must agree."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = []
    try:
        for H, B, T in SIZES:
            made = make(Row(cell, H, B, T), Setting("train" if what == "train" else "forward", torch.float32, CPU))
            difference, tolerance = agree(made, ENGINES)
            assert difference <= tolerance
            arms = {name: Arm(name, partial(made.once, name)) for name in ENGINES}
            warm_up(list(arms.values()), time.process_time)
            take_turns(list(arms.values()), ROUNDS, BUDGET, clock=time.process_time)
            ratio = paired_ratio(arms["loop"].times, arms["parallel"].times).as_tuple()
            peaks = {name: peak_of(partial(made.once, name), CPU) for name in ENGINES}
            row = {"H": H, "B": B, "T": T, "rounds": len(arms["loop"].times), "apart": difference}
            rows.append(row | {"over the loop": [round(value, 3) for value in ratio], "peak bytes": peaks})
    finally:
        torch.set_num_threads(threads)
    found = json.loads(EVIDENCE.read_text("utf-8")) if EVIDENCE.exists() else {}
    found[f"{cell}, {what}"] = {"torch": torch.__version__, "load": load_average(), "rows": rows}
    EVIDENCE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
