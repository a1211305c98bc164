"""A search: Optuna proposes settings, each trial runs its seeds one after the other, unpromising trials are pruned.

The study is stored in a journal file in the sweep's folder, or in any Optuna storage given by URL: then the same
command on several machines shares one study. Optuna's own heartbeat supports relational databases only, so each trial
has its own: every half minute its process stores the current time as an attribute. A trial whose process is gone is
failed and enqueued again under its old name, so that its finished seeds are reused; if its folder is on this machine,
the lock reveals that at once, elsewhere the heartbeat's age does.

Only the first seed of a trial is considered for pruning: later seeds are trained only for surviving trials.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from rnncli.errors import RnncliError, UsageError
from rnncli.files import FolderLock, write_errors
from rnncli.sweeps.jobs import Event, RunState, Work
from rnncli.sweeps.matching import Matcher
from rnncli.sweeps.plan import Plan, Space, value_text
from rnncli.sweeps.rows import Row, row_of_trial
from rnncli.sweeps.study import host, is_stale, open_study, sampler

if TYPE_CHECKING:
    import optuna

ALIVE = 30.0  # seconds between heartbeats
LOOK = 1.0  # seconds between checks on other processes
HELD = 30.0  # seconds to wait before starting a trial while an enqueued one's folder is locked


@dataclass
class RunningTrial:
    """A trial of this process. lock: on its folder, held as long as this process lives."""

    trial: optuna.Trial
    name: str
    settings: dict[str, str]
    folder: Path
    runs: list[RunState]
    lock: FolderLock
    beat: float = field(default_factory=time.monotonic)


class Search(Work):
    """The Work of a search. storage: a URL, or "" for the journal of the folder."""

    def __init__(self, plan: Plan, folder: Path, jobs: int, storage: str, prune: bool) -> None:
        self.plan, self.folder, self.jobs, self.storage = plan, folder, jobs, storage
        self.running: list[RunningTrial] = []
        self.matcher = Matcher(plan) if plan.match_params else None
        epochs = plan.recipe.config.train.epochs
        self.study = open_study(plan, folder, storage, max(1, epochs // 10) if prune else None)
        self.prune = prune
        self._not_before = 0.0  # in time.monotonic's time
        self._looked = 0.0
        self._others = False

    # ------------------------------------------------------------------------------------------------ what is next

    def take(self) -> RunState | None:
        now = time.monotonic()
        for current in list(self.running):
            if not any(run.status == "running" for run in current.runs):
                run = next((run for run in current.runs if not run.ended), None)
                if run is not None and run.not_before <= now:
                    return run
        while len(self.running) < self.jobs and self._not_before <= now:
            began = self._begin()
            if began is None:
                return None
            if not self._finish(began):
                return next(run for run in began.runs if not run.ended)
        return None

    def handle(self, run: RunState, event: Event) -> str:
        super().handle(run, event)
        current = next((current for current in self.running if run in current.runs), None)
        if current is None:  # its trial was taken over by another process
            return "stop"
        if event["event"] == "epoch" and run.ask:
            try:
                current.trial.report(run.score, step=run.epoch)
                return "prune" if current.trial.should_prune() else "go"
            except RuntimeError:  # failed by another process, which believed this one dead
                self._release(current)
                return "stop"
        self._finish(current)
        return "go"

    def tick(self) -> None:
        for current in self.running:
            if time.monotonic() - current.beat > ALIVE:
                current.beat = time.monotonic()
                with suppress(RuntimeError):  # failed by another process, which believed this one dead
                    current.trial.set_user_attr("alive", time.time())

    def finished(self) -> bool:
        """Whether nothing runs here or elsewhere and nothing is left to start."""
        if self.running:
            return False
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            self._retry_stale()
            states = [trial.state.name for trial in self._trials()]
            self._others = "RUNNING" in states or "WAITING" in states or len(states) < self.plan.trials
        return not self._others

    # ------------------------------------------------------------------------------------------------ one trial

    def _begin(self) -> RunningTrial | None:
        """Ask for a trial if there are fewer than requested; None if there are enough."""
        self._retry_stale()
        before = self._trials()
        if len(before) >= self.plan.trials and all(trial.state.name != "WAITING" for trial in before):
            return None
        self.study.sampler = sampler(self.plan, len(before), shared=bool(self.storage))
        trial = self.study.ask()
        # Another process may have asked at the same time: of the surplus trials, the latest are dropped.
        others = [one for one in self._trials() if one.number != trial.number]
        rank = sum(one.number < trial.number for one in others)
        if rank >= self.plan.trials:
            self._fail(trial.number)
            return None
        settings = {key: rounded(self._suggest(trial, key), space) for key, space in self.plan.search.items()}
        try:
            name, lock = self._folder_of(trial, rank, {one.user_attrs.get("name") for one in others})
        except UsageError:  # a process that another machine believed dead still works there
            self._retry(trial)
            self._not_before = time.monotonic() + HELD
            return None
        folder = self.folder / name
        trial.set_user_attr("name", name)
        trial.set_user_attr("settings", settings)
        trial.set_user_attr("alive", time.time())
        trial.set_user_attr("folder", str(folder.resolve()))
        trial.set_user_attr("host", host())  # last: from here on the lock shows that the process is alive
        current = RunningTrial(trial, name, settings, folder, [], lock)
        self.running.append(current)
        self._plan_runs(current)
        return current

    def _folder_of(self, trial: optuna.Trial, rank: int, taken: set[str | None]) -> tuple[str, FolderLock]:
        """(name, the lock on its folder): the previous name of a re-enqueued trial, else the first free one."""
        if "name" in trial.user_attrs:
            return trial.user_attrs["name"], self._lock(trial.user_attrs["name"])
        for number in count(rank):
            name = f"trial-{number:04d}"
            if name not in taken:
                with suppress(UsageError):  # another process asked at the same time, and has it
                    return name, self._lock(name)
        raise AssertionError("unreachable")

    def _lock(self, name: str) -> FolderLock:
        folder = self.folder / name
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(folder)
        lock.__enter__()
        return lock

    def _plan_runs(self, current: RunningTrial) -> None:
        if self.matcher is not None:
            try:
                match = self.matcher.match(current.settings)
            except RnncliError as error:
                run = RunState(current.name, current.settings, self.plan.seeds[0], current.folder, "failed")
                run.what, run.code = error.what, error.exit_code
                current.runs.append(run)
                return
            current.trial.set_user_attr("parameters", match.parameters)
            current.settings = {**current.settings, **match.settings}
        for seed in self.plan.seeds:
            run = RunState(current.name, current.settings, seed, current.folder / f"seed-{seed}")
            run.ask = self.prune and seed == self.plan.seeds[0]
            run.look()
            current.runs.append(run)

    def _suggest(self, trial: optuna.Trial, key: str) -> str | float:
        space = self.plan.search[key]
        if space.kind == "choice":
            value: str | float = trial.suggest_categorical(key, list(space.choices))
        elif space.kind == "int":
            value = trial.suggest_int(key, int(space.low), int(space.high))
        else:
            value = trial.suggest_float(key, space.low, space.high, log=space.kind == "log")
        return value

    def _finish(self, current: RunningTrial) -> bool:
        """Report a trial's end to the study; returns whether it has ended."""
        ended = next((run for run in current.runs if run.status in ("diverged", "failed", "pruned")), None)
        if ended is None and not all(run.status == "done" for run in current.runs):
            return False
        done = [run for run in current.runs if run.status == "done"]
        losses = [run.loss for run in done if run.loss is not None]
        about = {
            "scores": {str(run.seed): run.score for run in done},
            "loss": fmean(losses) if losses else None,
            "seconds": sum(run.seconds or 0.0 for run in current.runs),
            "status": "done" if ended is None else ended.status,
            "what": "" if ended is None else f"seed {ended.seed}: {ended.what}",
            "code": 0 if ended is None else ended.code,
        }
        with suppress(RuntimeError, ValueError):  # failed by another process, which believed this one dead
            for name, value in about.items():
                current.trial.set_user_attr(name, value)
            self._report(current, ended)
        self._release(current)
        return True

    def _report(self, current: RunningTrial, ended: RunState | None) -> None:
        from optuna.trial import TrialState

        if ended is None:
            self.study.tell(current.trial, fmean(run.score for run in current.runs if run.score is not None))
        elif ended.status == "pruned":
            self.study.tell(current.trial, state=TrialState.PRUNED)
        else:
            # Optuna ignores failed trials and would propose similar ones again; the worst score prevents that.
            self.study.tell(current.trial, float("inf") if self.plan.lower else float("-inf"))

    def stop(self) -> None:
        """Leave unfinished trials to the next process of the study, which will fail and re-enqueue them."""
        for current in list(self.running):
            self._release(current)

    def _release(self, current: RunningTrial) -> None:
        self.running.remove(current)
        current.lock.__exit__()

    # ------------------------------------------------------------------------------------------------ other processes

    def _retry_stale(self) -> None:
        """Fail the trials whose process is gone, and enqueue their settings again."""
        mine = {current.trial.number for current in self.running}
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.name == "RUNNING" and trial.number not in mine and is_stale(trial):
                self._retry(trial)

    def _retry(self, trial: optuna.Trial | optuna.trial.FrozenTrial) -> None:
        """Fail a trial and enqueue its settings again, under its old name."""
        if self._fail(trial.number):
            name = trial.user_attrs.get("name", f"trial-{trial.number:04d}")
            self.study.enqueue_trial(trial.params, user_attrs={"name": name})

    def _fail(self, number: int) -> bool:
        """Fail a trial; returns whether this process was the one to do so."""
        from optuna.trial import TrialState

        try:
            self.study.tell(number, state=TrialState.FAIL)
        except (ValueError, RuntimeError):
            return False
        return True

    def found(self) -> list[Row]:
        """All trials of the study except failed ones, from any process."""
        return [row_of_trial(self.plan, trial, self.folder) for trial in self._trials()]

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.name != "FAIL"]


def rounded(value: str | float, space: Space) -> str:
    """A proposed value as text, numbers rounded to four digits: the value shown is the value trained with."""
    if not isinstance(value, float):
        return value_text(value)
    short = float(f"{value:.4g}")
    return value_text(short if space.low <= short <= space.high else value)
