"""`rnncli bench RECIPE`: profiles a recipe's training, compares it with the same model in a bare torch loop, and tries
every engine, thread count and precision."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle, islice
from statistics import median_high

import torch

from rnncli.bench.ceilings import synchronize
from rnncli.bench.measure import (
    ROUNDS,
    Arm,
    Interval,
    Paired,
    Verdict,
    Watch,
    spread_of,
    take_turns,
    warm_up,
)
from rnncli.bench.work import allowed, in_order, require_equal
from rnncli.cells import State, cores_of
from rnncli.data.batch import Batch, Order
from rnncli.device import borrowed, usable_cores
from rnncli.errors import CheckFailed, RnncliError
from rnncli.replay.rounding import Found
from rnncli.tasks import Loss, Recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import Progress, TrainState, fit, start, update

PARTS = ("data", "forward", "backward", "optimizer", "reporting")
BATCHES = 16  # batches that the bare loop and the candidates repeat
Report = Callable[[Progress], object]
LossOfBatch = Callable[[Batch, State | None], Loss]


@dataclass
class Clock:
    """Seconds of each part, summed over the steps of one turn."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    forward_ended: float = 0.0
    step_began: float = 0.0

    def add(self, part: str, since: float) -> None:
        self.seconds[part] += time.perf_counter() - since


class TimedJob(Job):
    """A job whose batches are timed."""

    def __init__(self, job: Job, clock: Clock) -> None:
        super().__init__(**vars(job))
        self.clock = clock

    def batches(self, order: Order) -> Iterator[Batch]:
        found = super().batches(order)
        while True:
            began = time.perf_counter()
            batch = next(found, None)
            self.clock.add("data", began)
            if batch is None:
                return
            yield batch


class WholeLoop:
    """The training loop of `rnncli train`, a few steps at a time, with its parts timed. Work done once per epoch
    (evaluation, keeping the best weights) is excluded from turns and summed in `epochs`."""

    def __init__(self, job: Job, updates: int, report: Report) -> None:
        self.updates = updates
        self.report = report
        self.turns: list[dict[str, float]] = []
        self.epochs: list[float] = []
        self._clock = Clock()
        self._wait = partial(synchronize, job.device)
        endless = {"epochs": 10**9, "max_steps": 0, "max_time": 0.0, "early_stopping": 0}
        train = job.config.train.model_copy(update=endless)
        self.job = TimedJob(
            replace(job, config=job.config.model_copy(update={"train": train}), model=_copy(job)), self._clock
        )
        state = start(self.job)
        state.loss = self._timed(state.loss)
        state.optimizer.register_step_pre_hook(self._before_step)
        state.optimizer.register_step_post_hook(self._after_step)
        self._progress = fit(self.job, state)

    def _timed(self, loss: LossOfBatch) -> LossOfBatch:
        """Waits for a GPU."""

        def timed(batch: Batch, carry: State | None) -> Loss:
            began = time.perf_counter()
            found = loss(batch, carry)
            self._wait()
            self._clock.add("forward", began)
            self._clock.forward_ended = time.perf_counter()
            return found

        return timed

    def _before_step(self, *_: object) -> None:
        self._wait()
        self._clock.add("backward", self._clock.forward_ended)
        self._clock.step_began = time.perf_counter()

    def _after_step(self, *_: object) -> None:
        self._wait()
        self._clock.add("optimizer", self._clock.step_began)

    def turn(self) -> float:
        """Run some steps; returns their seconds, without those of an epoch's end."""
        self._clock.seconds = dict.fromkeys(PARTS, 0.0)
        total = 0.0
        done = 0
        while done < self.updates:
            began = time.perf_counter()
            progress = next(self._progress)
            self.report(progress)
            took = time.perf_counter() - began
            if progress.event == "step":
                total += took
                done += 1
            else:
                self.epochs.append(took)
        parts = self._clock.seconds
        parts["reporting"] = max(0.0, total - sum(parts.values()))
        self.turns.append({part: seconds / self.updates for part, seconds in parts.items()})
        return total


@dataclass(frozen=True)
class Candidate:
    """One way to run the recipe."""

    engine: str
    threads: int
    precision: str

    def sets(self) -> str:
        values = {"model.engine": self.engine, "train.threads": self.threads, "train.precision": self.precision}
        return " ".join(f"--set {key}={value}" for key, value in values.items())


@dataclass(frozen=True)
class Trial:
    """A candidate's step. ratio: speedup over the unchanged recipe. loss: of the first batch before training, which
    bf16 changes."""

    candidate: Candidate
    seconds: float
    spread: float
    ratio: Interval
    verdict: Verdict
    loss: float


@dataclass
class Profile:
    """The results for a recipe. parts: seconds per step; loop, bare: seconds per step, for each round."""

    job: Job
    own: Candidate
    parts: dict[str, float]
    epoch_end: float | None
    loop: list[float]
    bare: list[float]
    tried: list[Trial]
    failed: dict[Candidate, str]  # candidates that cannot run this model, with the reason
    best: Trial | None
    watch: Watch
    differences: dict[str, Found]  # the largest between engines and the tolerance for rounding, by precision
    per_update: float  # what the loss counts, per step


def profile(recipe: Recipe, report: Report, *, rounds: int = ROUNDS, budget: float = 10.0) -> Profile:
    """Profile a recipe. report: what `rnncli train` does at every Progress; its time is the part `reporting`.

    budget: seconds for the rounds of each of the two comparisons. Raises the errors of `prepare`, Diverged,
    CheckFailed.
    """
    watch = Watch()
    with borrowed():
        job = prepare(recipe)
        own = Candidate(job.config.model.engine, int(job.config.train.threads), job.config.train.precision)
        batches = _some_batches(job)
        loop, bare, whole = _against_bare(job, batches, report, rounds, budget)
        tried, failed, differences = _try_all(job, own, batches, rounds, budget)
        parts = {part: median_high([turn[part] for turn in whole.turns[2:]]) for part in PARTS}
        faster = [one for one in tried if one.verdict == "faster"]
        best = max(faster, key=lambda one: one.ratio.value) if faster else None
        with torch.no_grad():
            losses = [job.task.loss(job.config, job.model, batch.to(job.device), None) for batch in batches]
        count = sum(loss.count for loss in losses) / len(losses)
        return Profile(
            job,
            own,
            parts,
            median_high(whole.epochs) if whole.epochs else None,
            loop,
            bare,
            tried,
            failed,
            best,
            watch,
            differences,
            count,
        )


def _copy(job: Job) -> torch.nn.Module:
    return copy.deepcopy(job.model)


def _some_batches(job: Job) -> list[Batch]:
    order = Order(job.config.train.seed, 1)
    return list(islice(job.batches(order), BATCHES))


def _against_bare(
    job: Job, batches: list[Batch], report: Report, rounds: int, budget: float
) -> tuple[list[float], list[float], WholeLoop]:
    """The whole loop and a bare one, alternating; seconds per step, for each round."""
    once = _seconds(lambda: _bare_loop(job, batches, 1)())
    updates = max(1, min(200, math.ceil(0.05 / once)))
    whole = WholeLoop(job, updates, report)
    bare = _bare_loop(job, batches, updates)
    loop_arm = Arm("rnncli", whole.turn, itself=lambda _: whole.turn() / updates)
    bare_arm = Arm("bare", bare, itself=lambda _: _seconds(bare) / updates)
    for _ in range(2):  # not counted: the second turn is the first warm one
        whole.turn()
        bare()
    take_turns([loop_arm, bare_arm], rounds, budget)
    return loop_arm.times, bare_arm.times, whole


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _bare_loop(job: Job, batches: list[Batch], updates: int) -> Callable[[], None]:
    """A loop as in a short script: the same model on prepared batches, with torch's default optimizer."""
    model = _copy(job)
    model.train()
    name, arguments = job.config.train.optimizer_call()
    optimizer = getattr(torch.optim, name)(model.parameters(), **arguments)
    here = [batch.to(job.device) for batch in batches]
    source = cycle(here)
    carried: list[State | None] = [None]
    wait = partial(synchronize, job.device)
    clip = job.config.train.clip_grad_norm

    def run() -> None:
        for _ in range(updates):
            batch = next(source)
            if batch is here[0]:
                carried[0] = None
            optimizer.zero_grad()
            with job.autocast():
                loss = job.task.loss(job.config, model, batch, carried[0])
            (loss.total / loss.count).backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            carried[0] = loss.carry
        wait()

    return run


def candidates(job: Job) -> list[Candidate]:
    """Every engine, thread count and precision for the recipe; `_job_with` determines which can run."""
    counts = (1,) if job.device.type != "cpu" else tuple(dict.fromkeys((1, usable_cores())))
    precisions = ("float32", "bf16") if job.config.train.dtype == "float32" else (job.config.train.precision,)
    engines = tuple(in_order()) if cores_of(job.model) else (job.config.model.engine,)
    return [Candidate(engine, n, precision) for engine in engines for n in counts for precision in precisions]


def _job_with(job: Job, candidate: Candidate) -> Job:
    """The job with the candidate's engine and precision, its weights the same."""
    model_section = job.config.model.model_copy(update={"engine": candidate.engine})
    train = job.config.train.model_copy(update={"threads": candidate.threads, "precision": candidate.precision})
    config = job.config.model_copy(update={"model": model_section, "train": train})
    model = job.task.build(config, job.splits.fitted).to(job.device, next(job.model.parameters()).dtype)
    model.load_state_dict(job.model.state_dict())
    return replace(job, config=config, model=model)


def _try_all(
    job: Job, own: Candidate, batches: list[Batch], rounds: int, budget: float
) -> tuple[list[Trial], dict[Candidate, str], dict[str, Found]]:
    """Time every candidate's step against the recipe's own; returns also why some cannot run, and the largest
    difference of the first loss, by precision."""
    arms: dict[Candidate, Arm] = {}
    losses: dict[Candidate, float] = {}
    failed: dict[Candidate, str] = {}
    expected: dict[str, list[torch.Tensor]] = {}
    differences: dict[str, Found] = {}
    for candidate in dict.fromkeys((own, *candidates(job))):
        try:
            found = _job_with(job, candidate)
            result = _first_loss(found, batches[0])
        except (RnncliError, ValueError, RuntimeError) as error:
            if candidate == own or isinstance(error, CheckFailed):
                raise
            failed[candidate] = str(error).splitlines()[0]
            continue
        losses[candidate] = float(result[0])
        reference = expected.setdefault(candidate.precision, result)
        tolerance = _allowed(job, batches[0], candidate.precision)
        apart = require_equal(reference, result, f"engine {candidate.engine}", tolerance)
        largest = max(apart, differences.get(candidate.precision, (0.0, tolerance))[0])
        differences[candidate.precision] = (largest, tolerance)
        arms[candidate] = Arm(
            str(candidate), _updater(found, batches), partial(torch.set_num_threads, candidate.threads)
        )
    warm_up(list(arms.values()))
    take_turns(list(arms.values()), rounds, budget)
    mine = arms[own].times
    tried = []
    for candidate, arm in arms.items():
        paired = Paired.of(mine, arm.times)
        verdict = paired.verdict if candidate != own else "inconclusive"
        seconds = median_high(arm.times)
        tried.append(Trial(candidate, seconds, spread_of(arm.times), paired.ratio, verdict, losses[candidate]))
    return sorted(tried, key=lambda one: one.seconds), failed, differences


def _allowed(job: Job, batch: Batch, precision: str) -> float:
    """Tolerance for rounding of the first loss, relative."""
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}
    dtype = half.get(precision, next(job.model.parameters()).dtype)
    width = max(spec.input_size + spec.hidden_size for spec in cores_of(job.model).values())
    return allowed(dtype, batch.inputs.shape[0], width)


def _first_loss(job: Job, batch: Batch) -> list[torch.Tensor]:
    """The first batch's loss without dropout, before training. With gradients, as in training: without them torch's
    module would replace bptt."""
    model = _copy(job).eval()
    with job.autocast():
        loss = job.task.loss(job.config, model, batch.to(job.device), None)
    return [(loss.total / loss.count).detach().cpu().reshape(1)]


def _updater(job: Job, batches: list[Batch]) -> Callable[[], None]:
    """One step of the real loop, on prepared batches."""
    state: TrainState = start(job)
    source = cycle(batches)
    wait = partial(synchronize, job.device)

    def once() -> None:
        batch = next(source)
        if batch is batches[0]:
            state.carry = None
        update(job, state, batch)
        wait()

    return once
