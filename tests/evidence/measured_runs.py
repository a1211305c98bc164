"""A recipe trained over seeds 0 to 4 and judged on its test part, which chose neither weights nor epoch."""

import time
from typing import Any

from rnncli.tasks import load_recipe
from rnncli.training.job import Job, prepare, with_cell
from rnncli.training.loop import fit
from tests.evidence.evidence_runs import SEEDS, summary


def figures_on_test(
    recipe: str, sets: tuple[str, ...] = (), without: tuple[str, ...] = ("data.path",)
) -> dict[str, Any]:
    """As evidence_runs.figures. without: keys of `sets` that are not written down: where a file lies here."""
    runs: list[dict[str, Any]] = []
    for seed in SEEDS:
        began = time.process_time()
        job = prepare(load_recipe(recipe, (*sets, f"train.seed={seed}", "train.threads=1")))
        *_, last = fit(job)
        seconds = time.process_time() - began
        cell = job.config.model.cell
        rows: dict[str, dict[str, float]] = {cell: _on_test(job)}
        for other in job.config.train.compared():
            compared = with_cell(job, other)
            *_, _ = fit(compared)
            rows[other] = _on_test(compared)
        rows |= {made.name: made.metrics for made in job.task.baselines(job.config, job.splits, "test")}
        counts = {part: dict(found) for part, found in job.splits.counts.items()}
        runs.append(
            {"seed": seed, "rows": rows, "epoch": last.epoch, "cpu_seconds": round(seconds, 1), "counts": counts}
        )
    said = [text for text in sets if text.partition("=")[0] not in without]
    return {"recipe": recipe, "sets": said, "on": "test", "summary": summary(runs), "runs": runs}


def _on_test(job: Job) -> dict[str, float]:
    return job.task.metrics(job.config, job.model, job.splits.part("test"), job.splits.fitted)
