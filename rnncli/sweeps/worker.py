"""`python -m rnncli.sweeps.worker`: trains one run after another for a sweep, in a process of its own.

Each line of standard input is a request, a JSON object; each line of standard output an event about it. If the sweep is
killed, this process's parent changes, and training saves its state and exits, so that nothing is lost and no folder
stays locked.

    request  {"target", "sets", "flags", "folder", "threads", "ask", "parent"}
    events   {"event": "begin", "epochs"}  {"event": "epoch", "epoch", "score", "seconds"}  and one of
             {"event": "done"}  {"event": "busy"}  {"event": "stopped"}  {"event": "pruned"}
             {"event": "failed", "code", "what"}

After an epoch's event, if the request has `ask`, one more line is read: "go", "prune", or "stop", after which training
saves its state and this process exits.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rnncli.errors import Diverged, Missing, RnncliError, UsageError
from rnncli.files import FolderLock, read_json, write_errors
from rnncli.render.documents import strict
from rnncli.runs.read import end_early
from rnncli.tasks import load_recipe

if TYPE_CHECKING:
    from rnncli.sweeps.jobs import Request
    from rnncli.training.job import Job
    from rnncli.training.loop import Progress

Send = Callable[..., None]


class Claim(FolderLock):
    """A worker's lock on a run, held longer than training's own: it also covers the check for work left to do."""

    NAME = ".claim"


class Pruned(Exception):
    """The sweep prunes this trial."""


class Watch:
    """Reports every epoch to the sweep, and checks at every step that the sweep is still alive."""

    def __init__(self, send: Send, answers: IO[str] | None, best_by: str, parent: int) -> None:
        self.send, self.answers, self.best_by, self.parent = send, answers, best_by, parent

    def __call__(self, progress: Progress) -> None:
        if os.getppid() != self.parent:
            signal.raise_signal(signal.SIGTERM)  # training finishes the step, saves, and stops
            return
        if progress.event != "epoch":
            return
        try:
            score = progress.metrics[self.best_by]
            self.send("epoch", epoch=progress.epoch, score=score, seconds=progress.seconds)
        except OSError:  # the sweep is gone
            signal.raise_signal(signal.SIGTERM)
            return
        answer = self.answers.readline().strip() if self.answers is not None else "go"
        if answer == "prune":
            raise Pruned
        if answer == "stop":
            signal.raise_signal(signal.SIGTERM)


def work(request: Request, send: Send, answers: IO[str]) -> None:
    """Train or resume the requested run, and report how it ended."""
    folder = Path(request["folder"])
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    claim = Claim(folder)
    try:
        claim.__enter__()
    except UsageError:
        send("busy")
        return
    try:
        if FolderLock.holder(folder):
            send("busy")
        elif (folder / "result.json").exists():
            send("done")
        else:
            _train(request, folder, send, answers)
    finally:
        claim.__exit__()


def _train(request: Request, folder: Path, send: Send, answers: IO[str]) -> None:
    from rnncli.runs.train import StoppedBySignal, run_training

    try:
        job, resume = _job(request, folder)
        send("begin", epochs=job.config.train.epochs)
        watch = Watch(send, answers if request["ask"] else None, job.config.train.best_by, request["parent"])
        run_training(job, folder, watch, resume=resume)
    except Pruned:
        end_early(folder, "pruned", "")
        send("pruned")
    except StoppedBySignal:
        send("stopped")
        raise
    except Diverged as error:
        # The same seed would diverge again at the same step.
        end_early(folder, "diverged", f"{error.where}: {error.what}")
        raise
    else:
        send("done")


def _job(request: Request, folder: Path) -> tuple[Job, bool]:
    """(the job, whether it resumes the run in the folder)."""
    import torch

    from rnncli.runs.resume import check_same, recipe_of
    from rnncli.training.job import prepare

    resume = (folder / "recipe.yaml").is_file()
    if resume:
        recipe = recipe_of(folder)
        job = prepare(recipe, fresh=False)
        check_same(read_json(folder / "environment.json"), job, folder)
        return job, True
    flags = {key: (str(flag), value) for key, (flag, value) in request["flags"].items()}
    recipe = load_recipe(request["target"], request["sets"], flags)
    job = prepare(recipe)
    threads = min(int(job.config.train.threads), request["threads"])
    if recipe.config.train.threads == "auto":  # a number in the recipe is kept
        train = job.config.train.model_copy(update={"threads": threads})
        job.config = job.config.model_copy(update={"train": train})
        torch.set_num_threads(threads)
    return job, False


def main() -> None:
    """Until standard input ends."""
    from rnncli.runs.train import StoppedBySignal

    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # output printed by libraries is not an event

    def send(event: str, **values: object) -> None:
        out.write(json.dumps(strict({"event": event, **values})) + "\n")
        out.flush()

    with suppress(StoppedBySignal, KeyboardInterrupt, BrokenPipeError):  # in a run, or between two
        while line := sys.stdin.readline():
            try:
                work(json.loads(line), send, sys.stdin)
            except (StoppedBySignal, BrokenPipeError):
                raise
            except RnncliError as error:
                send("failed", code=error.exit_code, what=f"{error.where}: {error.what}" if error.where else error.what)
            except MemoryError:
                send("failed", code=Missing.exit_code, what="not enough memory")
            except Exception as error:
                traceback.print_exc()
                text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                send("failed", code=Missing.exit_code if "memory" in text else 1, what=text)


if __name__ == "__main__":
    main()
