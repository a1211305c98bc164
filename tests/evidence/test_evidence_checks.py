"""Every packaged recipe, trained to its end and three times as long, passes its own checks in every view that applies,
and planted faults are called FAILED in each. Writes checks.json, recipe by recipe: `-k hello` adds to it.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import pytest
import torch

from rnncli import __version__, views
from rnncli.recipe import packaged_recipes
from rnncli.records import Check
from rnncli.replay.rounding import ratio
from rnncli.runs.train import run_training
from rnncli.tasks import load_recipe
from rnncli.training.job import Job, prepare
from rnncli.views import Subject, load_view, view_names
from rnncli.views._page import applies
from rnncli.views._subject import sample_batch
from tests.faults import PLANT, planted

pytestmark = pytest.mark.evidence
FILE = Path(__file__).parent / "checks.json"
TIMES = (1, 3)
# These show numbers of the model, and run no loop that could be wrong.
WITHOUT_LOOP = {"shapes", "embeddings"}
WITHOUT_PADDING = {"influence", "params"}  # they make batches of their own, of equal lengths


def _trained(name: str, times: int) -> Job:
    """The recipe with `times` its epochs, to the last of them: no early stop, the weights as they are at the end."""
    epochs = load_recipe(name).config.train.epochs
    sets = (f"train.epochs={epochs * times}", "train.early_stopping=0", "train.threads=1")
    job = prepare(load_recipe(name, sets))
    run_training(job, None, baselines=False)
    return job


def _subject(job: Job, view: str) -> Subject:
    """As `inspect` has it: the overview and some views look at one row, others at several."""
    rows = load_view(view).ROWS if view else 1
    batch = sample_batch(job.task, job.config, job.splits, 0, rows)
    return Subject(job.recipe.name, "trained", job.model.eval(), batch, 0, "", job.task, job.config, job.splits.fitted)


def _checks(job: Job, view: str) -> list[Check]:
    subject = _subject(job, view)
    return list((views.page(view, subject) if view else views.overview(subject)).checks())


def _faults(job: Job, view: str) -> dict[str, bool]:
    """Of each fault that this view can see, whether one of its checks failed."""
    subject = _subject(job, view)
    made = subject.trace()
    if view in WITHOUT_LOOP:
        return {}
    padded = any(core.lengths is not None and len(set(core.lengths.tolist())) > 1 for core in made.cores)
    gated = any(core.spec.num_gates > 1 for core in made.cores)
    seen = {}
    for name in PLANT:
        if (name == "gates swapped" and not gated) or (name == "a stale weight" and view == "params"):
            continue
        if name == "state not held after the end" and (not padded or view in WITHOUT_PADDING):
            continue
        with planted(name, job.model):
            seen[name] = not all(check.ok for check in _checks(job, view))
    return seen


def _write(name: str, times: int, found: dict[str, Any]) -> None:
    document = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {"recipes": {}}
    document |= {
        "rnncli": __version__,
        "torch": str(torch.__version__),
        "machine": f"{platform.machine()}, one thread",
        "figures": "of each view, its worst check: the difference beside what rounding may cost, and their ratio",
    }
    document["recipes"].setdefault(name, {})[f"{times} x epochs"] = found
    document["recipes"] = dict(sorted(document["recipes"].items()))
    FILE.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("name", packaged_recipes())
def test_a_trained_recipe_passes_every_view_and_no_fault_does(name: str, times: int) -> None:
    threads = torch.get_num_threads()
    try:
        job = _trained(name, times)
        found: dict[str, Any] = {}
        for view in ["", *view_names()]:
            if view and not applies(view, _subject(job, view)):
                continue
            checks = [check for check in _checks(job, view) if check.diff is not None and check.tol is not None]
            pairs = [(check.diff or 0.0, check.tol or 0.0) for check in checks]
            worst = max(pairs, key=ratio, default=(0.0, 0.0))
            found[view or "overview"] = {
                "failed": [check.text for check in checks if not check.ok],
                "difference": worst[0],
                "tolerance": worst[1],
                "ratio": ratio(worst),
                "faults_found": _faults(job, view),
            }
    finally:
        torch.set_num_threads(threads)
    _write(name, times, found)
    assert {view: row["failed"] for view, row in found.items() if row["failed"]} == {}
    missed = {view: [fault for fault, ok in row["faults_found"].items() if not ok] for view, row in found.items()}
    assert {view: faults for view, faults in missed.items() if faults} == {}
