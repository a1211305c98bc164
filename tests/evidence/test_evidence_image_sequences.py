"""Films of a moving shape at full size, seeds 0 to 4: a single frame must say nothing of how it moves."""

import pytest

from tests.evidence.evidence_runs import write
from tests.evidence.measured_runs import figures_on_test

pytestmark = pytest.mark.evidence


def test_moving_shapes() -> None:
    found = figures_on_test("image-sequences")
    write("image-sequences", [found])
    for run in found["runs"]:
        assert run["rows"]["lstm"]["accuracy"] > 0.85, run["seed"]
        for other in ("single frame", "majority", "feedforward"):
            assert run["rows"][other]["accuracy"] < 0.25, (run["seed"], other)  # one of eight is 0.125
