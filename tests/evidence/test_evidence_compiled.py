"""The compiled engine beside torch's module and bptt: the figures that `faster` of its file is made from."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from rnncli.bench.measure import Arm, load_average, paired_ratio, take_turns, warm_up
from rnncli.bench.sizes import Row
from rnncli.bench.work import Setting, agree, make

pytest.importorskip("numba", reason="needs rnncli[fast]")

EVIDENCE = Path(__file__).parent / "compiled.json"
SIZES = [(8, 8, 20), (32, 50, 50), (128, 50, 50), (128, 1, 100), (512, 20, 20), (32, 512, 20)]  # H, B, T
ROUNDS, BUDGET = 41, 20.0


@pytest.mark.evidence
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("what", ["train", "forward"])
def test_beside_torch_and_bptt(cell: str, what: str) -> None:
    """One thread, its processor time, so that other work on the machine disturbs little; the engines must agree."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = []
    try:
        for H, B, T in SIZES:
            setting = Setting("train" if what == "train" else "forward", torch.float32, torch.device("cpu"))
            made = make(Row(cell, H, B, T), setting)
            difference, _ = agree(made, ["torch", "bptt", "compiled"])
            arms = {name: Arm(name, partial(made.once, name)) for name in ("torch", "bptt", "compiled")}
            warm_up(list(arms.values()), time.process_time)
            take_turns(list(arms.values()), ROUNDS, BUDGET, clock=time.process_time)
            ratios = {
                name: [round(v, 3) for v in paired_ratio(arms["torch"].times, arms[name].times).as_tuple()]
                for name in ("bptt", "compiled")
            }
            rows.append(
                {"H": H, "B": B, "T": T, "rounds": len(arms["torch"].times), "over torch": ratios, "apart": difference}
            )
    finally:
        torch.set_num_threads(threads)
    found = json.loads(EVIDENCE.read_text("utf-8")) if EVIDENCE.exists() else {}
    found[f"{cell}, {what}"] = {"torch": torch.__version__, "load": load_average(), "rows": rows}
    EVIDENCE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
