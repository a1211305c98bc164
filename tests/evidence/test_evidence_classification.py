"""Names and acceptability at full size, seeds 0 to 4, on the test part, beside their baselines.

The folder of names is not shipped: RNNCLI_NAMES=FOLDER (one .txt a language, as in PyTorch's tutorial) adds it.
"""

import os
from typing import Any

import pytest

from rnncli.tasks import load_recipe
from rnncli.training.job import prepare
from rnncli.training.loop import fit
from tests.evidence.evidence_runs import SEEDS, compared, write
from tests.evidence.measured_runs import figures_on_test

pytestmark = pytest.mark.evidence


def test_acceptability_needs_a_memory() -> None:
    found = figures_on_test("acceptability")
    write("acceptability", [found])
    for run in found["runs"]:
        reached = run["rows"]["lstm"]["accuracy"]
        assert reached >= 0.98, run["seed"]
        for other in ("majority", "n-grams", "feedforward"):
            assert run["rows"][other]["accuracy"] < reached - 0.3, (run["seed"], other)


def test_names_shipped() -> None:
    found = figures_on_test("names")
    write("names", [found])
    for run in found["runs"]:
        assert run["rows"]["gru"]["accuracy"] > 0.6, run["seed"]
        assert run["rows"]["gru"]["macro-f1"] > run["rows"]["majority"]["macro-f1"] + 0.5, run["seed"]


@pytest.mark.skipif("RNNCLI_NAMES" not in os.environ, reason="RNNCLI_NAMES=FOLDER is not set")
def test_names_of_a_real_folder() -> None:
    found = figures_on_test("names", (f"data.path={os.environ['RNNCLI_NAMES']}", "train.epochs=8"))
    write("names-folder", [found])
    assert found["summary"]["gru"]["accuracy"]["mean"] >= 0.78


# builtin:names without early stopping; of the folder fewer names to train on, with about as many updates
FOLDER = f"data.path={os.environ.get('RNNCLI_NAMES', '')}"
LIMITS = {
    "all epochs": ("data.path=builtin:names", "train.early_stopping=0"),
    "6 %": (FOLDER, "data.split={validation: 0.1, test: 0.84}", "train.epochs=105"),
    "25 %": (FOLDER, "data.split={validation: 0.1, test: 0.65}", "train.epochs=26"),
}


@pytest.mark.skipif("RNNCLI_NAMES" not in os.environ, reason="RNNCLI_NAMES=FOLDER is not set")
def test_where_n_grams_alone_are_as_good_as_the_network() -> None:
    """Not for want of names to learn from: of a thousand of the folder, too, the network learns more than n-grams."""

    def run(seed: int, sets: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
        job = prepare(load_recipe("names", ("train.threads=1", *sets, f"train.seed={seed}")))
        *_, last = fit(job)
        metrics = job.task.metrics(job.config, job.model, job.splits.part("test"), job.splits.fitted)
        baselines = {one.name: one.metrics["macro-f1"] for one in job.task.baselines(job.config, job.splits, "test")}
        found = {"epoch": last.epoch, "counts": {part: dict(n) for part, n in job.splits.counts.items()}}
        return {**found, "macro-f1": metrics["macro-f1"], "n-grams": baselines["n-grams"]}, {}

    found = compared("names-limit", {"recipe": "names", "on": "test", "sets": []}, LIMITS, SEEDS, "macro-f1", run)
    for share in ("6 %", "25 %"):
        for run_of in found["rows"][share]["runs"]:
            assert run_of["macro-f1"] > run_of["n-grams"], (share, run_of["seed"])
