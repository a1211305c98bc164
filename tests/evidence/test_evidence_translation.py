"""What the recipe translation reaches over seeds 0 to 4, both directions."""

import pytest

from tests.evidence.evidence_runs import figures, write

pytestmark = pytest.mark.evidence

TURNED = ("data.columns=[1, 0]", "data.source_tokens=characters", "data.target_tokens=words")


def test_both_directions_beat_their_baselines() -> None:
    found = [figures("translation"), figures("translation", TURNED)]
    write("translation", found)
    for direction in found:
        for run in direction["runs"]:
            assert run["rows"]["lstm"]["exact-match"] > 0.95, run["seed"]
            assert run["rows"]["lstm"]["exact-match"] > run["rows"]["word by word"]["exact-match"] + 0.3
