"""What each option of a language model brings, in bits per character, on a text of about a megabyte.

RNNCLI_TEXT=FILE names the text, such as the tiny Shakespeare of char-rnn's examples: nine tenths train, a twentieth
judges epochs and rates, and the last twentieth is what is reported. RNNCLI_SEEDS=N: seeds 0 to N - 1, by default five.
RNNCLI_EPOCHS=N: by default eight. What the file already has of the same settings is not measured again.
"""

from __future__ import annotations

import os
from statistics import mean
from typing import Any

import pytest

from rnncli.tasks import load_recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import fit
from tests.evidence.evidence_runs import compared

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
    "locked dropout": ("model.variational_dropout=0.1",),
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

    def run(seed: int, added: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
        job = prepare(load_recipe("language-model", (path, *SETS, *added, f"train.seed={seed}")))
        *_, last = fit(job)
        figures: dict[str, Any] = {"epoch": last.epoch, "bits": bits(job, "test")}
        if not added:
            figures["dynamic"] = dynamic(job)
        return figures, {"bigram": job.task.baselines(job.config, job.splits, "test")[1].metrics["bits"]}

    spec = {"recipe": "language-model", "on": "test", "sets": list(SETS)}
    found = compared("language-model-options", spec, ROWS, SEEDS, "bits", run)
    reached = {row: figures["bits"]["mean"] for row, figures in found["rows"].items()}
    assert mean(run["dynamic"]["bits"] for run in found["rows"]["recipe"]["runs"]) < reached["recipe"] < found["bigram"]
