"""A sweep from its plan to its rows: `for _ in sweep.go(): show(sweep.rows())`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from rnncli.errors import checked_number
from rnncli.notebook import Displayed
from rnncli.records import Page
from rnncli.runs.read import read_run
from rnncli.sweeps import jobs as workers
from rnncli.sweeps.folder import find_folder, open_folder
from rnncli.sweeps.grid import Grid, runs_of
from rnncli.sweeps.jobs import RunState
from rnncli.sweeps.matching import Match, Matcher
from rnncli.sweeps.pages import closing as closing_page
from rnncli.sweeps.plan import Plan
from rnncli.sweeps.rows import Row, rows_of_runs, rows_of_study, with_verdicts
from rnncli.sweeps.search import Search
from rnncli.sweeps.storage import storage_errors
from rnncli.sweeps.study import JOURNAL


@dataclass(repr=False)
class Sweep(Displayed):
    """A sweep with its folder. resumed: whether the folder already contained part of it."""

    plan: Plan
    folder: Path
    resumed: bool
    jobs: int
    storage: str = ""
    prune: bool = True
    runs: list[RunState] = field(default_factory=list)  # of a grid
    matches: dict[str, Match] = field(default_factory=dict)  # of a grid, by trial
    search: Search | None = None

    def go(self) -> Generator[None]:
        """Train unfinished runs; yields whenever something may have changed. Close the iterator to stop early: workers
        save their state. Raises CannotWrite, and for a search DataError."""
        work, log = self.search or Grid(self.runs), self.folder / workers.LOG
        with nullcontext() if self.search is None else storage_errors(self.storage or str(self.folder / JOURNAL)):
            try:
                with closing(workers.run_all(self.plan, work, self.jobs, log)) as steps:
                    for _ in steps:
                        yield
            finally:
                if self.search is not None:
                    self.search.stop()
                if log.exists() and log.stat().st_size == 0:
                    log.unlink()

    def rows(self) -> list[Row]:
        """The current trials, best first."""
        if self.search is None:
            rows = rows_of_runs(self.plan, self.runs, self.matches)
        else:
            current = [run for one in self.search.running for run in one.runs]
            rows = rows_of_study(self.plan, self.search.found(), current)
        return with_verdicts(rows, lower=self.plan.lower)

    def best(self) -> Row | None:
        """The trial with the best mean score; None if there is none yet."""
        return next((row for row in self.rows() if row.ranked), None)

    def page(self) -> Page:
        """The current trials, best first, and what to do next."""
        return closing_page(self.plan, self.rows(), self.folder, self.part())

    def __repr__(self) -> str:
        done, total = self.progress()
        best = self.best()
        first = "" if best is None else f"; best: {best.name}, {self.plan.metric} {best.mean:.4g}"
        return f"Sweep({self.folder}: {done} of {total} done{first})"

    def progress(self) -> tuple[int, int]:
        """(ended runs of a grid or trials of a search, total number)."""
        if self.search is None:
            return sum(run.ended for run in self.runs), len(self.runs)
        return sum(one.status not in ("elsewhere", "waiting") for one in self.search.found()), self.plan.trials

    def part(self) -> str:
        """The split on which scores are computed; "" if no run knows."""
        for row in self.rows():
            for run in row.runs:
                found = read_run(Path(run), curves=False)
                if found.on:
                    return found.on
        return ""


def begin(plan: Plan, out: str | None, jobs: int, storage: str = "", prune: bool = True) -> Sweep:
    """Find or create the sweep's folder, and read its contents.

    Raises UsageError (another sweep's folder), DataError, Missing (no Optuna), CannotWrite.
    """
    jobs = checked_number("--jobs", jobs, 1, 1024)
    matches = matches_of(plan)
    folder, resumed = open_folder(plan, out)
    sweep = Sweep(plan, folder, resumed, jobs, storage, prune, matches=matches)
    if plan.search:
        sweep.search = Search(plan, folder, jobs, storage, prune)
    else:
        sweep.runs = runs_of(plan, folder, matches)
    return sweep


def preview(plan: Plan, out: str | None) -> tuple[list[Row], Path | None]:
    """The runs of a grid, and the folder that it would resume; writes nothing."""
    matches = matches_of(plan)
    folder = find_folder(plan, out)
    return rows_of_runs(plan, runs_of(plan, folder or Path("."), matches), matches), folder


def matches_of(plan: Plan) -> dict[str, Match]:
    """Trial name -> matched hidden size, for a grid; empty without --match-params."""
    if plan.match_params is None or plan.search:
        return {}
    matcher = Matcher(plan)
    return {cell.name: matcher.match(cell.settings) for cell in plan.cells()}
