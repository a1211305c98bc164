"""A search: Optuna proposes settings, trials run their seeds one after the other, hopeless ones are given up.

The study lies in a journal file of the sweep's folder, or in any storage that Optuna knows by its URL: then the same
command on several machines shares one study. Optuna's own heartbeat exists for relational databases only, so a trial
keeps its own: the time at which its process was last alive, every half minute, as an attribute. A trial whose process
has gone is failed and put in line again under its old name, so that its finished seeds are taken as they are; where its
folder is on this machine, the lock there tells at once, elsewhere the heartbeat's age does.

Only the first seed of a trial is watched for pruning: the seeds after it are trained for trials that came through.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from rnncli.errors import CannotWrite, RnncliError, UsageError
from rnncli.files import FolderLock, cannot_write
from rnncli.sweeps.jobs import Event, RunState
from rnncli.sweeps.matching import Matcher
from rnncli.sweeps.plan import Plan, Space, value_text
from rnncli.sweeps.study import Found, found_of, host, is_stale, open_study, sampler

if TYPE_CHECKING:
    import optuna

ALIVE = 30.0  # seconds between two heartbeats
LOOK = 1.0  # seconds between two looks at what others do
HELD = 30.0  # seconds until a trial is begun, where one in line has a folder that is locked


@dataclass
class Going:
    """A trial of this process. lock: on its folder, held for as long as this process lives."""

    trial: optuna.Trial
    name: str
    settings: dict[str, str]
    folder: Path
    runs: list[RunState]
    lock: FolderLock
    beat: float = field(default_factory=time.monotonic)


class Search:
    """The Work of a search. storage: a URL, or "" for the journal of the folder."""

    def __init__(self, plan: Plan, folder: Path, jobs: int, storage: str, prune: bool) -> None:
        self.plan, self.folder, self.jobs, self.storage = plan, folder, jobs, storage
        self.going: list[Going] = []
        self.matcher = Matcher(plan) if plan.match_params else None
        epochs = plan.recipe.config.train.epochs
        self.study = open_study(plan, folder, storage, max(1, epochs // 10) if prune else None)
        self.prune = prune
        self._not_before = 0.0  # on time.monotonic's clock
        self._looked = 0.0
        self._others = False

    # ------------------------------------------------------------------------------------------------ what is next

    def take(self) -> RunState | None:
        now = time.monotonic()
        for going in list(self.going):
            if not any(run.status == "running" for run in going.runs):
                run = next((run for run in going.runs if not run.ended), None)
                if run is not None and run.not_before <= now:
                    return run
        while len(self.going) < self.jobs and self._not_before <= now:
            began = self._begin()
            if began is None:
                return None
            if not self._settle(began):
                return next(run for run in began.runs if not run.ended)
        return None

    def told(self, run: RunState, event: Event) -> str:
        if run.status == "failed" and run.code == CannotWrite.exit_code:
            raise CannotWrite(run.what)  # a full disk is the next run's, too
        going = next((going for going in self.going if run in going.runs), None)
        if going is None:  # its trial was left to another process
            return "stop"
        if event["event"] == "epoch" and run.ask:
            try:
                going.trial.report(run.score, step=run.epoch)
                return "prune" if going.trial.should_prune() else "go"
            except RuntimeError:  # failed by another process, which took this one for dead
                self._leave(going)
                return "stop"
        self._settle(going)
        return "go"

    def tick(self) -> None:
        for going in self.going:
            if time.monotonic() - going.beat > ALIVE:
                going.beat = time.monotonic()
                with suppress(RuntimeError):  # failed by another process, which took this one for dead
                    going.trial.set_user_attr("alive", time.time())

    def over(self) -> bool:
        """Nothing runs here, nothing is left to begin, and nothing runs elsewhere."""
        if self.going:
            return False
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            self._retry_stale()
            trials = self.study.get_trials(deepcopy=False)
            names = [trial.state.name for trial in trials]
            self._others = "RUNNING" in names or "WAITING" in names
            self._others |= len(names) - names.count("FAIL") < self.plan.trials
        return not self._others

    # ------------------------------------------------------------------------------------------------ one trial

    def _begin(self) -> Going | None:
        """Ask for a trial, where there are fewer than wanted; None where there are enough."""
        self._retry_stale()
        before = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.name != "FAIL"]
        if len(before) >= self.plan.trials and all(trial.state.name != "WAITING" for trial in before):
            return None
        self.study.sampler = sampler(self.plan, len(before), shared=bool(self.storage))
        trial = self.study.ask()
        # Another process may have asked at the same moment: of those beyond the number that is wanted, the later go.
        others = [one for one in self.study.get_trials(deepcopy=False) if one.number != trial.number]
        others = [one for one in others if one.state.name != "FAIL"]
        rank = sum(one.number < trial.number for one in others)
        if rank >= self.plan.trials:
            self._fail(trial.number)
            return None
        settings = {key: rounded(self._suggest(trial, key), space) for key, space in self.plan.search.items()}
        try:
            name, lock = self._folder_of(trial, rank, {one.user_attrs.get("name") for one in others})
        except UsageError:  # a process that another machine took for dead still works there
            self._retry(trial)
            self._not_before = time.monotonic() + HELD
            return None
        folder = self.folder / name
        trial.set_user_attr("name", name)
        trial.set_user_attr("settings", settings)
        trial.set_user_attr("alive", time.time())
        trial.set_user_attr("folder", str(folder.resolve()))
        trial.set_user_attr("host", host())  # last: from here on the lock speaks for the process
        going = Going(trial, name, settings, folder, [], lock)
        self.going.append(going)
        self._plan_runs(going)
        return going

    def _folder_of(self, trial: optuna.Trial, rank: int, taken: set[str | None]) -> tuple[str, FolderLock]:
        """(name, the lock on its folder): the name that a trial put in line again had, else the first that is free."""
        if "name" in trial.user_attrs:
            return trial.user_attrs["name"], self._lock(trial.user_attrs["name"])
        for number in count(rank):
            name = f"trial-{number:04d}"
            if name not in taken:
                with suppress(UsageError):  # another process has asked at this moment, and has it
                    return name, self._lock(name)
        raise AssertionError("numbers do not end")

    def _lock(self, name: str) -> FolderLock:
        folder = self.folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from error
        lock = FolderLock(folder)
        lock.__enter__()
        return lock

    def _plan_runs(self, going: Going) -> None:
        fixed: dict[str, str] = {}
        if self.matcher is not None:
            try:
                match = self.matcher.match(going.settings)
            except RnncliError as error:
                run = RunState(going.name, going.settings, self.plan.seeds[0], going.folder, "failed", what=error.what)
                going.runs.append(run)
                return
            going.trial.set_user_attr("parameters", match.parameters)
            fixed = match.settings
        going.settings = {**going.settings, **fixed}
        for seed in self.plan.seeds:
            run = RunState(going.name, going.settings, seed, going.folder / f"seed-{seed}")
            run.ask = self.prune and seed == self.plan.seeds[0]
            run.look()
            going.runs.append(run)

    def _suggest(self, trial: optuna.Trial, key: str) -> str | float:
        space = self.plan.search[key]
        if space.kind == "choice":
            value: str | float = trial.suggest_categorical(key, list(space.choices))
        elif space.kind == "int":
            value = trial.suggest_int(key, int(space.low), int(space.high))
        else:
            value = trial.suggest_float(key, space.low, space.high, log=space.kind == "log")
        return value

    def _settle(self, going: Going) -> bool:
        """Tell the study how the trial ended, if it has; whether it has."""
        ended = next((run for run in going.runs if run.status in ("diverged", "failed", "pruned")), None)
        if ended is None and not all(run.status == "done" for run in going.runs):
            return False
        done = [run for run in going.runs if run.status == "done"]
        scores = {str(run.seed): run.score for run in done}
        losses = [run.loss for run in done if run.loss is not None]
        with suppress(RuntimeError, ValueError):  # failed by another process, which took this one for dead
            going.trial.set_user_attr("scores", scores)
            going.trial.set_user_attr("loss", fmean(losses) if losses else None)
            going.trial.set_user_attr("seconds", sum(run.seconds or 0.0 for run in going.runs))
            going.trial.set_user_attr("status", "done" if ended is None else ended.status)
            going.trial.set_user_attr("what", "" if ended is None else f"seed {ended.seed}: {ended.what}")
            self._tell(going, ended)
        self._leave(going)
        return True

    def _tell(self, going: Going, ended: RunState | None) -> None:
        from optuna.trial import TrialState

        if ended is None:
            self.study.tell(going.trial, fmean(run.score for run in going.runs if run.score is not None))
        elif ended.status == "pruned":
            self.study.tell(going.trial, state=TrialState.PRUNED)
        else:
            # Optuna forgets failed trials and would propose their like again; the worst score keeps it away from them.
            self.study.tell(going.trial, float("inf") if self.plan.lower else float("-inf"))

    def stop(self) -> None:
        """Leave what is going on to whoever goes on with the study: failed and in line again when that begins."""
        for going in list(self.going):
            self._leave(going)

    def _leave(self, going: Going) -> None:
        self.going.remove(going)
        going.lock.__exit__()

    # ------------------------------------------------------------------------------------------------ other processes

    def _retry_stale(self) -> None:
        """Fail the trials whose process has gone, and put their settings in line again."""
        mine = {going.trial.number for going in self.going}
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state.name == "RUNNING" and trial.number not in mine and is_stale(trial):
                self._retry(trial)

    def _retry(self, trial: optuna.Trial | optuna.trial.FrozenTrial) -> None:
        """Fail a trial and put its settings in line again, under its old name."""
        if self._fail(trial.number):
            name = trial.user_attrs.get("name", f"trial-{trial.number:04d}")
            self.study.enqueue_trial(trial.params, user_attrs={"name": name})

    def _fail(self, number: int) -> bool:
        """Whether this process was the one to fail it."""
        from optuna.trial import TrialState

        try:
            self.study.tell(number, state=TrialState.FAIL)
        except (ValueError, RuntimeError):
            return False
        return True

    def found(self) -> list[Found]:
        """Every trial of the study but the failed ones, whoever ran it."""
        return [found_of(trial) for trial in self.study.get_trials(deepcopy=False) if trial.state.name != "FAIL"]


def rounded(value: str | float, space: Space) -> str:
    """A proposed value as text, a number to four digits: what is shown is what was trained."""
    if not isinstance(value, float):
        return value_text(value)
    short = float(f"{value:.4g}")
    return value_text(short if space.low <= short <= space.high else value)
