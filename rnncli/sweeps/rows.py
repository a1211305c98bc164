"""The trials of a sweep as rows: scores over seeds, and whether they differ from the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from rnncli.sweeps.jobs import RunState
from rnncli.sweeps.matching import Match
from rnncli.sweeps.plan import Plan
from rnncli.sweeps.statistics import ALPHA, FEWEST, holm, paired_t_test, spread

if TYPE_CHECKING:
    import optuna

Verdict = Literal["best", "worse", "inconclusive", "equal", ""]


@dataclass
class Row:
    """One trial. status: done once every seed is; else its progress, or how it ended. scores: of finished seeds, by
    seed. loss: mean held-out loss, which breaks ties; None in studies of rnncli 0.1. code: exit code of its failed
    run. p: corrected p-value of the paired test against the best; None with too few pairs."""

    name: str
    settings: Mapping[str, str]
    status: str
    scores: Mapping[int, float]
    seeds: int
    hidden_size: int | None = None
    parameters: int | None = None
    seconds: float | None = None
    loss: float | None = None
    what: str = ""
    code: int = 0
    epoch: int = 0
    epochs: int = 0
    p: float | None = None
    verdict: Verdict = ""
    runs: list[str] = field(default_factory=list)

    @property
    def mean(self) -> float | None:
        return fmean(self.scores.values()) if self.scores else None

    @property
    def spread(self) -> float | None:
        return spread(list(self.scores.values()))

    @property
    def ranked(self) -> bool:
        """Whether it has a score for every seed and is therefore ranked."""
        return self.status == "done" and self.mean is not None and math.isfinite(self.mean)

    def sort_key(self, *, lower: bool) -> tuple[float, float]:
        """Sort key, smaller is better: the mean score, then the mean loss."""
        score = math.inf if self.mean is None else self.mean if lower else -self.mean
        return score, math.inf if self.loss is None or math.isnan(self.loss) else self.loss


def rows_of_runs(plan: Plan, runs: Sequence[RunState], matches: Mapping[str, Match]) -> list[Row]:
    """One row per trial of these runs, in order."""
    by_trial: dict[str, list[RunState]] = {}
    for run in runs:
        by_trial.setdefault(run.trial, []).append(run)
    rows = []
    for name, own in by_trial.items():
        done = [run for run in own if run.status == "done" and run.score is not None]
        bad = next((run for run in own if run.status in ("diverged", "failed", "pruned")), None)
        active = next((run for run in own if run.status == "running"), None)
        match = matches.get(name)
        rows.append(
            Row(
                name,
                {key: own[0].settings[key] for key in plan.keys},
                _status(own),
                {run.seed: run.score for run in done if run.score is not None},
                len(own),
                match.hidden_size if match else None,
                match.parameters if match else None,
                _mean([run.seconds for run in done]),
                _mean([run.loss for run in done]),
                f"seed {bad.seed}: {bad.what}" if bad is not None and bad.what else "",
                bad.code if bad is not None else 0,
                active.epoch if active else 0,
                active.epochs if active else 0,
                runs=[str(run.folder) for run in own],
            )
        )
    return rows


def _status(runs: Sequence[RunState]) -> str:
    found = [run.status for run in runs]
    for status in ("running", "diverged", "failed", "pruned", "elsewhere", "waiting"):
        if status in found:
            return status
    return "done"


def row_of_trial(plan: Plan, trial: optuna.trial.FrozenTrial, folder: Path) -> Row:
    """The row of a trial as stored in the study, from any process."""
    attributes = trial.user_attrs
    name, settings = attributes.get("name", f"trial-{trial.number:04d}"), attributes.get("settings", {})
    scores, seconds = attributes.get("scores", {}), attributes.get("seconds")
    running = {"RUNNING": "elsewhere", "WAITING": "waiting"}.get(trial.state.name)
    return Row(
        name,
        {key: settings.get(key, "") for key in plan.keys},
        running or attributes.get("status", "done"),
        {int(seed): float(score) for seed, score in scores.items()},
        len(plan.seeds),
        parameters=attributes.get("parameters"),
        seconds=seconds / len(scores) if seconds is not None and scores else None,
        loss=attributes.get("loss"),
        what=attributes.get("what", ""),
        code=int(attributes.get("code", 0)),
        runs=[str(run) for seed in plan.seeds if (run := folder / name / f"seed-{seed}").is_dir()],
    )


def rows_of_study(plan: Plan, found: Sequence[Row], current: Sequence[RunState]) -> list[Row]:
    """The rows found in a study; those of this process are read from its runs instead."""
    own = {row.name: row for row in rows_of_runs(plan, current, {})}
    for row in found:
        if row.name in own:
            own[row.name].parameters = row.parameters
    return [own.get(row.name, row) for row in found]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def with_verdicts(rows: Sequence[Row], *, lower: bool) -> list[Row]:
    """Best first, then those without a score; every ranked row compared with the best."""
    ranked = [row for row in rows if row.ranked]
    ranked.sort(key=lambda row: row.sort_key(lower=lower))
    rest = [row for row in rows if not row.ranked]
    if not ranked:
        return rest
    best, others = ranked[0], ranked[1:]
    best.verdict = "best" if others else ""
    tests = [(row, paired_t_test(row.scores, best.scores)) for row in others]
    decided = [(row, p) for row, p in tests if p is not None]
    for (row, _), p in zip(decided, holm([p for _, p in decided]), strict=True):
        row.p = p
    for row in others:
        if row.scores == best.scores and len(row.scores) >= FEWEST:
            row.verdict = "equal"
        else:
            row.verdict = "worse" if row.p is not None and row.p < ALPHA else "inconclusive"
    return ranked + rest
