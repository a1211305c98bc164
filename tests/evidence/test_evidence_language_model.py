"""What each option of a language model brings, in bits per character, on a text of about a megabyte.

RNNCLI_TEXT=FILE names the text, such as the tiny Shakespeare of char-rnn's examples: nine tenths train, a twentieth
judges epochs and rates, and the last twentieth is what is reported. RNNCLI_SEEDS=N: seeds 0 to N - 1, by default five.
RNNCLI_EPOCHS=N: by default eight.
"""

from __future__ import annotations

import os
import time
from statistics import mean, stdev
from typing import Any

import pytest

from rnncli.tasks import load_recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import fit
from tests.evidence.evidence_runs import write

pytestmark = pytest.mark.evidence

SEEDS = range(int(os.environ.get("RNNCLI_SEEDS", "5")))
# as wide as h, so that it can be tied
SETS = ("model.embedding_size=128", "train.sample.length=0", "train.threads=1", "data.split.validation=0.05",
        "data.split.test=0.05", f"train.epochs={os.environ.get('RNNCLI_EPOCHS', '8')}")  # fmt: skip
ROWS = {
    "recipe": (),
    "tied weights": ("model.tie_weights=true",),
    "embedding dropout": ("model.embedding_dropout=0.05",),
    "weight drop": ("model.weight_drop=0.1",),
}
RATES = (0.03, 0.1)


def bits(job: Job, part: str, rate: float = 0.0) -> float:
    given = (job.config, job.model, job.splits.part(part), job.splits.fitted)
    return (job.task.dynamic_metrics(*given, rate) if rate else job.task.metrics(*given))["bits"]


def dynamic(job: Job) -> dict[str, float]:
    """On the test part, at the rate that is best on the validation part."""
    rate = min(RATES, key=lambda rate: bits(job, "validation", rate))
    return {"rate": rate, "bits": bits(job, "test", rate)}


@pytest.mark.skipif("RNNCLI_TEXT" not in os.environ, reason="RNNCLI_TEXT=FILE is not set")
def test_what_each_option_of_a_language_model_brings() -> None:
    path = f"data.path={os.environ['RNNCLI_TEXT']}"
    found: dict[str, Any] = {"recipe": "language-model", "on": "test", "sets": list(SETS), "rows": {}}
    for row, added in ROWS.items():
        runs: list[dict[str, Any]] = []
        for seed in SEEDS:
            began = time.process_time()
            job = prepare(load_recipe("language-model", (path, *SETS, *added, f"train.seed={seed}")))
            *_, last = fit(job)
            run: dict[str, Any] = {"seed": seed, "epoch": last.epoch, "bits": bits(job, "test")}
            if not added:
                run["dynamic"] = dynamic(job)
                found["bigram"] = job.task.baselines(job.config, job.splits, "test")[1].metrics["bits"]
            runs.append({**run, "cpu_seconds": time.process_time() - began})
        found["rows"][row] = {"sets": list(added), "bits": summary([run["bits"] for run in runs]), "runs": runs}
        if not added:
            found["rows"]["dynamic evaluation"] = {"bits": summary([run["dynamic"]["bits"] for run in runs])}
        write("language-model-options", [found])
    reached = {row: figures["bits"]["mean"] for row, figures in found["rows"].items()}
    assert reached["dynamic evaluation"] < reached["recipe"] < found["bigram"]


def summary(values: list[float]) -> dict[str, float | None]:
    return {"mean": mean(values), "sd": stdev(values) if len(values) > 1 else None}
