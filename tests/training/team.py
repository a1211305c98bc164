"""Two processes that train together, started once for many jobs, and one that trains the same jobs alone.

`python team.py JOBS FILE`: what one of two does. JOBS: [[name, recipe, sets], ...] as JSON; the figures go to FILE.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from rnncli.data.batch import Batch
from rnncli.device import this_process
from rnncli.errors import Diverged
from rnncli.runs.train import run_training
from rnncli.runs.writer import CHECKPOINT
from rnncli.tasks import load_recipe
from rnncli.training.job import Job, prepare
from rnncli.training.loop import fit, start
from rnncli.training.session import distributed_session
from tests import warm

Jobs = Sequence[tuple[str, Any, Sequence[str]]]


def figures(job: Job) -> dict[str, Any]:
    """Loss, count and time of every step, the metrics of every epoch, and what the weights add up to in the end."""
    state = start(job)
    losses, counts, seconds, epochs, total, count = [], [], [], [], 0.0, 0.0
    for progress in fit(job, state):
        if progress.event == "step":
            if state.next_batch == 1:
                total, count = 0.0, 0.0
            losses.append((float(state.total) - total) / max(1e-9, state.count - count))  # 0: the batch was skipped
            counts.append(state.count - count)
            seconds.append(progress.seconds)
            total, count = float(state.total), state.count
        elif progress.event == "epoch":
            epochs.append(progress.metrics)
    sums = {name: float(tensor.double().abs().sum()) for name, tensor in job.model.state_dict().items()}
    return {
        "losses": losses,
        "counts": counts,
        "seconds": seconds,
        "epochs": epochs,
        "best": [state.best_epoch, state.best_metrics],
        "waited": state.waited,
        "norms": [float(norm) for norm in state.norms],
        "weights": sums,
    }


def done(name: str, job: Job) -> dict[str, Any]:
    """What a name asks for: the figures of a task; `poisoned`: the same where one row gives no number; `outcome`: the
    closing figures, of other cells, too; a path: those of the run kept in that folder, which goes on where it was."""
    if name == "outcome":
        found: dict[str, Any] = run_training(job, None).to_json()
    elif Path(name).is_absolute():
        found = run_training(job, Path(name), resume=(Path(name) / CHECKPOINT).exists()).to_json()
    else:
        if name.startswith("poisoned"):
            job.model.get_submodule("front").register_forward_hook(poison)
        found = figures(job)
    return found


def tried(name: str, job: Job) -> dict[str, Any]:
    """The same, by all processes that there are. They part when training fails, too, and can then train again."""
    try:
        with distributed_session(job):
            return done(name, job)
    except Diverged as error:
        assert job.world == 1
        return {"error": str(error)}


def poison(_front: Any, given: tuple[Batch], output: tuple[torch.Tensor, Any]) -> Any:
    x, lengths = output
    return (x * torch.nan, lengths) if 3 in given[0].rows else output


def made(recipe: Any, sets: Sequence[str]) -> Job:
    return prepare(load_recipe(recipe, tuple(sets)))


def alone(jobs: Jobs) -> dict[str, Any]:
    return {name: tried(name, made(recipe, sets)) for name, recipe, sets in jobs}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def environments(world: int = 2) -> list[dict[str, str]]:
    """What torchrun sets for each process; without it the first of them keeps the store."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    numbers = [
        {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world} for rank in range(world)
    ]
    return [os.environ | common | {name: str(n) for name, n in one.items()} for one in numbers]


def begun(jobs: Jobs, folder: Path, world: int = 2) -> Callable[[], dict[str, Any]]:
    """Processes that train the jobs together. What is returned waits for their figures."""
    file, said = folder / "figures.json", folder / "said.txt"
    words = [warm.python(), __file__, json.dumps(jobs), str(file)]
    with said.open("wb") as stream:
        processes = [subprocess.Popen(words, env=env, stdout=stream, stderr=stream) for env in environments(world)]

    def ended() -> dict[str, Any]:
        try:
            for process in processes:
                assert process.wait(timeout=600) == 0, said.read_text()
        finally:
            for process in processes:
                process.kill()
                process.wait()
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    return ended


def both(jobs: Jobs, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures of one process, and of two, which work beside it."""
    two = begun(jobs, folder)
    try:
        one = alone(jobs)
    finally:
        found = two()
    return one, found


def main() -> None:
    found = {}
    for name, recipe, sets in json.loads(sys.argv[1]):
        found[name] = tried(name, made(recipe, sets))
    if this_process().rank == 0:
        Path(sys.argv[2]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
