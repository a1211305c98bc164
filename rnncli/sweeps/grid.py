"""A grid: every combination of the values, each over every seed; seed by seed, so that all trials progress evenly."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from rnncli.sweeps.jobs import RunState, Work
from rnncli.sweeps.matching import Match
from rnncli.sweeps.plan import Plan


def runs_of(plan: Plan, folder: Path, matches: Mapping[str, Match]) -> list[RunState]:
    """Every run of a grid with its state, in execution order: seeds in the outer loop, trials in the inner."""
    cells = plan.cells()
    made = [
        RunState(
            cell.name,
            {**cell.settings, **(matches[cell.name].settings if cell.name in matches else {})},
            seed,
            folder / cell.name / f"seed-{seed}",
        )
        for seed in plan.seeds
        for cell in cells
    ]
    for run in made:
        run.look()
    return made


class Grid(Work):
    """The Work of a grid: unfinished runs in order; a run locked by another process is retried later."""

    def __init__(self, runs: list[RunState]) -> None:
        self.runs = runs

    def take(self) -> RunState | None:
        now = time.monotonic()
        waiting = [run for run in self.runs if run.status == "waiting"]
        held = [run for run in self.runs if run.status == "elsewhere" and run.not_before <= now]
        return next(iter([*waiting, *held]), None)

    def finished(self) -> bool:
        return all(run.ended for run in self.runs)
