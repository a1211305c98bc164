"""Forecasting at full size, seeds 0 to 4, on the test part, beside last value and seasonal naive.

ETTh1 is not shipped: RNNCLI_ETTH1=ETTh1.csv (Electricity Transformer Dataset) adds it.
"""

import os
from typing import Any

import pytest

from tests.evidence.evidence_runs import write
from tests.evidence.measured_runs import figures_on_test

pytestmark = pytest.mark.evidence

HOURLY = (
    "data.target=OT",
    "data.window=96",
    "data.horizon=24",
    "data.season=24",
    "data.stride=24",
    "data.split.validation=0.1",
    "train.epochs=5",
    "train.lr=0.003",
)


def beats_both(found: dict[str, Any]) -> None:
    for run in found["runs"]:
        for other in ("last value", "seasonal naive"):
            assert run["rows"]["lstm"]["mae"] < run["rows"][other]["mae"], (run["seed"], other)


def test_monthly_shipped() -> None:
    found = figures_on_test("forecasting")
    write("forecasting", [found])
    beats_both(found)


@pytest.mark.skipif("RNNCLI_ETTH1" not in os.environ, reason="RNNCLI_ETTH1=ETTh1.csv is not set")
def test_hourly_transformer_readings() -> None:
    found = figures_on_test("forecasting", (f"data.path={os.environ['RNNCLI_ETTH1']}", *HOURLY))
    write("forecasting-etth1", [found])
    baselines = found["runs"][0]["rows"]
    assert baselines["last value"]["mae"] == pytest.approx(1.67, abs=0.005)  # an origin a day, the last fifth
    assert baselines["seasonal naive"]["mae"] == pytest.approx(1.71, abs=0.005)
    beats_both(found)
