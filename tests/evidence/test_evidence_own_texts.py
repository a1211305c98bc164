"""Names with a linear path over their n-grams; and what `recipes copy` now chooses for messages, next to the recipe.

RNNCLI_SMS=FILE: the SMS Spam collection as a table with columns Label and SMS.
"""

from __future__ import annotations

import os
import time
from statistics import mean, stdev
from typing import Any

import pytest

from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.training.loop import fit
from tests.evidence.evidence_runs import SEEDS, write

pytestmark = pytest.mark.evidence

COPIED = ("data.tokens=words", "model.head=max")


def measured(sets: tuple[str, ...], *, baseline: bool = False) -> dict[str, Any]:
    """Seeds 0 to 4, on the validation and on the test part; by the first only was anything chosen."""
    runs: list[dict[str, Any]] = []
    for seed in SEEDS:
        began = time.process_time()
        job = prepare(load_recipe("names", (*sets, f"train.seed={seed}", "train.threads=1")))
        *_, last = fit(job)
        run: dict[str, Any] = {"seed": seed, "epoch": last.epoch, "cpu_seconds": time.process_time() - began}
        for part in ("validation", "test"):
            run[part] = job.task.metrics(job.config, job.model, job.splits.part(part), job.splits.fitted)
            if baseline:
                run[f"n-grams, {part}"] = job.task.baselines(job.config, job.splits, part)[1].metrics
        runs.append(run)
    parts = [name for name, value in runs[0].items() if isinstance(value, dict)]
    reached = {name: [run[name]["macro-f1"] for run in runs] for name in parts}
    summary = {name: {"mean": mean(values), "sd": stdev(values)} for name, values in reached.items()}
    return {"macro-f1": summary, "runs": runs}


def test_names_with_a_linear_path_over_n_grams() -> None:
    found = measured((), baseline=True)  # as the recipe has them
    write("names-ngrams", [{"recipe": "names", "sets": [], "rows": {"gru": found}}])
    figures = found["macro-f1"]
    assert figures["validation"]["mean"] > figures["n-grams, validation"]["mean"]


@pytest.mark.skipif("RNNCLI_SMS" not in os.environ, reason="RNNCLI_SMS=FILE is not set")
def test_messages_with_what_recipes_copy_chooses() -> None:
    sets = ("data.text=SMS", "data.label=Label", f"train.epochs={os.environ.get('RNNCLI_EPOCHS', '8')}")
    rows: dict[str, Any] = {}
    for name, added in {"recipes copy": COPIED, "recipe": ()}.items():
        rows[name] = measured((f"data.path={os.environ['RNNCLI_SMS']}", *sets, *added))
        write("names-sms", [{"recipe": "names", "sets": list(sets), "rows": rows}])
    # With the recipe's n-grams next to the network, what it reads and how it pools no longer tell.
    reached = [row["macro-f1"]["test"]["mean"] for row in rows.values()]
    assert min(reached) > 0.95
    assert max(reached) - min(reached) < 0.02
