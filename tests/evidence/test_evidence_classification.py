"""Names and acceptability at full size, seeds 0 to 4, on the test part, beside their baselines.

The folder of names is not shipped: RNNCLI_NAMES=FOLDER (one .txt a language, as in PyTorch's tutorial) adds it.
"""

import os

import pytest

from tests.evidence.evidence_runs import write
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
