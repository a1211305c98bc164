"""Dispatches runs to worker processes, a few at a time, and handles their messages."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, Required, TypedDict

from rnncli.device import usable_cores
from rnncli.errors import CannotWrite
from rnncli.runs.read import read_run
from rnncli.sweeps.plan import Plan

TICK = 0.5  # seconds between ticks without messages
RETRY = 1.0  # seconds until a run locked by another process is retried
PATIENCE = 60.0  # seconds that a worker has to save its state after a stop request
LOG = "workers.log"

Status = Literal["waiting", "running", "elsewhere", "done", "diverged", "failed", "pruned"]
ENDS = ("done", "diverged", "failed", "pruned")


@dataclass
class RunState:
    """One run of a sweep. score: of the best epoch once done, before that of the last epoch. loss: held-out loss of the
    best epoch, once done. ask: whether its worker waits for a reply after every epoch."""

    trial: str
    settings: dict[str, str]
    seed: int
    folder: Path
    status: Status = "waiting"
    epoch: int = 0
    epochs: int = 0
    score: float | None = None
    loss: float | None = None
    seconds: float | None = None
    what: str = ""
    code: int = 0
    ask: bool = False
    not_before: float = 0.0  # in time.monotonic's time

    @property
    def ended(self) -> bool:
        return self.status in ENDS

    def look(self) -> None:
        """Read the folder's existing outcome: a result, or that it diverged."""
        found = read_run(self.folder, curves=False) if (self.folder / "recipe.yaml").is_file() else None
        if found is None:
            return
        self.seconds = found.seconds
        if found.state == "finished":
            self.status, self.score, self.epoch = "done", found.score, found.best_epoch
            self.loss = found.metrics.get("loss")
            if self.score is None or self.score != self.score:
                self.status, self.what = "diverged", "no epoch has a finite score"
        elif found.state in ("diverged", "pruned"):
            self.status, self.what = found.state, found.note
            self.code = 4 if found.state == "diverged" else 0


class Request(TypedDict):
    """A training request to a worker. flags: dotted key -> [the flag as typed, its value]."""

    target: str
    sets: list[str]
    flags: dict[str, list[object]]
    folder: str
    threads: int
    ask: bool
    parent: int


class Event(TypedDict, total=False):
    """A message from a worker. The other keys belong to some events only: see worker.py."""

    event: Required[str]
    epochs: int
    epoch: int
    score: float | str
    seconds: float
    code: int
    what: str


class Work(ABC):
    """Chooses the runs: a grid or a search."""

    @abstractmethod
    def take(self) -> RunState | None:
        """The next run to start, or None if there is none at the moment."""

    def handle(self, run: RunState, event: Event) -> str:
        """Handle a run's event, already stored in the run; returns the reply if one is requested: go, prune or stop."""
        if run.status == "failed" and run.code == CannotWrite.exit_code:
            raise CannotWrite(run.what)  # a full disk affects the next run, too
        return "go"

    def tick(self) -> None:  # noqa: B027  # a grid does not depend on time
        """Called about every half second."""

    @abstractmethod
    def finished(self) -> bool:
        """Whether every run has ended."""


def threads_each(jobs: int) -> int:
    """Threads per job: the cores usable by this process, divided among jobs."""
    return max(1, usable_cores() // jobs)


def run_all(plan: Plan, work: Work, jobs: int, log: Path) -> Generator[None]:
    """Run everything, `jobs` at a time; yields after every event and every tick. Closing the iterator, or an exception
    in it, asks the workers to save their state and waits for them."""
    events: queue.Queue[tuple[Worker, Event]] = queue.Queue()
    workers: list[Worker] = []
    threads = threads_each(jobs)

    def start() -> Worker:
        return Worker(events, threads, log)

    try:
        while not work.finished():
            _hand_out(plan, work, workers, jobs, start)
            try:
                worker, event = events.get(timeout=TICK)
            except queue.Empty:
                work.tick()
                yield
                continue
            _on_event(work, worker, event)
            # A worker stopped by a signal is about to exit and takes no run; the later exit message is ignored.
            if event["event"] in ("stopped", "died") and worker in workers:
                workers.remove(worker)
                _stop([worker])
            yield
    finally:
        _stop(workers)


def _hand_out(plan: Plan, work: Work, workers: list[Worker], jobs: int, start: Callable[[], Worker]) -> None:
    """Give every idle worker a run, and start workers while there are fewer than `jobs`."""
    while True:
        idle = next((worker for worker in workers if worker.run is None), None)
        if idle is None and len(workers) >= jobs:
            return
        run = work.take()
        if run is None:
            return
        run.status = "running"
        if idle is None:
            idle = start()
            workers.append(idle)
        idle.begin(
            run,
            {
                "target": plan.target,
                "sets": plan.sets_of(run.settings),
                "flags": {key: list(value) for key, value in plan.flags_of(run.seed).items()},
                "folder": str(run.folder),
                "threads": idle.threads,
                "ask": run.ask,
                "parent": os.getpid(),
            },
        )


def _on_event(work: Work, worker: Worker, event: Event) -> None:
    run, kind = worker.run, event["event"]
    if run is None:  # a worker that exited while idle, or has already reported why
        return
    if kind == "begin":
        run.epochs = event["epochs"]
    elif kind == "epoch":
        run.epoch, run.score, run.seconds = event["epoch"], float(event["score"]), event["seconds"]
    elif kind == "busy":
        run.status, run.not_before = "elsewhere", time.monotonic() + RETRY
    elif kind == "stopped":  # by a signal sent only to it
        run.status = "waiting"
    elif kind == "failed":
        run.status, run.what, run.code = ("diverged" if event["code"] == 4 else "failed"), event["what"], event["code"]
    elif kind == "died":
        run.status, run.what, run.code = "failed", event["what"], 1
    elif kind == "pruned":
        run.status = "pruned"
    else:
        run.look()
    if kind not in ("begin", "epoch"):
        worker.run = None
    answer = work.handle(run, event)
    if kind == "epoch" and run.ask:
        worker.say(answer)


@dataclass(eq=False)
class Worker:
    """A worker process, and a thread that puts its messages into a queue."""

    events: queue.Queue[tuple[Worker, Event]]
    threads: int
    log: Path
    run: RunState | None = None
    process: subprocess.Popen[str] = field(init=False)
    listener: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads), "PYTHONUNBUFFERED": "1"}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rnncli.sweeps.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                env=environment,
                start_new_session=True,  # Ctrl-C reaches only the sweep, which notifies its workers
            )
        assert self.process.stdout is not None
        self.listener = threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True)
        self.listener.start()

    def _listen(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                self.events.put((self, json.loads(line)))
        code = self.process.wait()
        what = f"its process was killed by signal {-code}" if code < 0 else f"its process exited with code {code}"
        self.events.put((self, {"event": "died", "what": what}))

    def begin(self, run: RunState, request: Request) -> None:
        self.run = run
        self.say(json.dumps(request))

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):  # it has just exited, and reports that itself
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()


def _stop(workers: list[Worker]) -> None:
    """Stop every worker; one that is training saves its state first. A second signal kills them at once."""
    try:
        for worker in workers:
            if worker.run is not None:
                with suppress(OSError):
                    worker.process.send_signal(signal.SIGINT)
            assert worker.process.stdin is not None
            with suppress(OSError):
                worker.process.stdin.close()
        until = time.monotonic() + PATIENCE
        for worker in workers:
            worker.process.wait(max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        pass
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()
            worker.listener.join()
