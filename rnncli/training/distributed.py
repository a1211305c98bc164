"""Data-parallel training: torchrun starts the processes, DistributedDataParallel all-reduces their gradients.

Each process reads the data itself and takes its rows of every batch (`Order`), so that together they form exactly the
batch of a single process. Every decision (is the loss finite, is the time over, was a signal received, is this the best
epoch) is based on values that all processes share: all-reduced, or broadcast by rank 0, which alone evaluates, writes
and prints. Processes exchange tensors and JSON, no pickles.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shlex
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from rnncli.cells import State
from rnncli.data.batch import Batch, generator
from rnncli.device import Process, this_process
from rnncli.errors import Missing, UsageError
from rnncli.locale import tr
from rnncli.recipe.show import plain
from rnncli.records import Json, json_object
from rnncli.tasks import Loss
from rnncli.training.job import Job
from rnncli.training.process_group import LossFunction, Made, ProcessGroup
from rnncli.version import __version__

PATIENCE = timedelta(hours=1)  # timeout for a silent process: reading its data, or evaluating after an epoch
GRACE = 2.0  # seconds for a machine's first process to report an error for all
ENDED = "rnncli/ended"  # a key of the store: some process has exited early
PATHS = ("path", "train", "validation", "test")  # data keys that may differ between machines
_GROUPS = itertools.count()
# A model's buffers never change, so they need not be broadcast before every step. torch 2.13 renamed this option.
_NAME = "forward_sync_buffers"
_KEEP_BUFFERS: Any = {_NAME if _NAME in signature(DistributedDataParallel).parameters else "broadcast_buffers": False}


class TorchGroup(ProcessGroup):
    """A group over torch.distributed: every exchange also carries signals and the clock of rank 0."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self.process, self.rank, self.world = process, process.rank, process.world
        self._stop = 0
        self._waited = 0.0
        self._seconds = 0.0
        self._began = 0.0

    def status(self) -> tuple[int, float]:
        return self._stop, self._waited

    def clock(self, began: float) -> Callable[[], float]:
        """By the clock of rank 0, as of the last exchange."""
        self._began = began
        self._seconds = time.perf_counter() - began
        return lambda: self._seconds

    def data_parallel(self, loss: LossFunction, model: nn.Module, seed: int) -> LossFunction:
        """Broadcast the weights of rank 0. From here on every rank draws its own dropout; rank 0 as it would alone."""
        shared = DistributedDataParallel(_Step(loss, model), gradient_as_bucket_view=True, **_KEEP_BUFFERS)
        # DDP rebuilds its buckets, in order of arrival, after the first backward pass; with three or more processes, an
        # element's position determines the order of summation. A pass without data fixes the positions before the first
        # step, so that a resumed run has the same.
        shared(None, None).total.backward()
        if self.rank:
            torch.manual_seed(int(generator(seed, self.rank).randint(2**31)))
        return shared

    def all_reduce(self, total: Tensor, count: float) -> tuple[Tensor, float]:
        if total.device.type == "cpu":
            sums = self._sum([float(total), count])
            return torch.tensor(sums[0], dtype=torch.float64), sums[1]
        total = total.double()  # stays on the device, to avoid waiting for it
        distributed.all_reduce(total)
        return total, self._sum([count])[0]

    def sync(self) -> None:
        """all_reduce does so too."""
        self._sum([])

    def _sum(self, numbers: list[float]) -> list[float]:
        number, waited = self.local_status()
        alone = [waited, time.perf_counter() - self._began] if self.rank == 0 else [0.0, 0.0]
        mine = [*numbers, float(number == signal.SIGINT), float(number == signal.SIGTERM), *alone]
        ours = torch.tensor(mine, dtype=torch.float64)
        distributed.all_reduce(ours)
        *sums, interrupted, terminated, self._waited, self._seconds = ours.tolist()
        self._stop = int(signal.SIGINT) if interrupted else int(signal.SIGTERM) if terminated else 0
        return sums

    def broadcast(self, make: Callable[[], Made]) -> Made:
        value: Made = json.loads(self.all_gather(json.dumps(make()).encode() if self.rank == 0 else b"")[0])
        self.sync()  # creating it took time
        return value

    def all_gather(self, data: bytes) -> list[bytes]:
        size = torch.tensor([len(data)])
        sizes = [torch.zeros_like(size) for _ in range(self.world)]
        distributed.all_gather(sizes, size)
        longest = int(max(sizes))
        mine = torch.frombuffer(bytearray(data.ljust(longest, b"\0") or b"\0"), dtype=torch.uint8)
        all_of_them = [torch.zeros_like(mine) for _ in sizes]
        distributed.all_gather(all_of_them, mine)
        return [bytes(one[: int(n)].numpy()) for one, n in zip(all_of_them, sizes, strict=True)]

    def resume_command(self, run: str = "") -> str:
        process = self.process
        options = f"--nproc-per-node {process.local_world}" if process.world == process.local_world else "..."
        return f"torchrun {options} -m rnncli train --resume {run or shlex.quote(self.folder)}"


class _Step(nn.Module):
    """A batch's loss as a module, as DistributedDataParallel requires."""

    def __init__(self, loss: LossFunction, model: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.model = model

    def forward(self, batch: Batch | None, carry: State | None) -> Loss:
        if batch is not None and batch.size:
            return self.loss(batch, carry)
        nothing = torch.stack([0 * parameter.sum() for parameter in self.model.parameters()]).sum()
        return Loss(nothing, 0, carry)  # no data: the last batch has fewer rows than there are processes


@contextmanager
def joined(job: Job) -> Iterator[TorchGroup]:
    """The group of all processes started by torchrun, which train this job. It is destroyed on exit; after an error it
    is kept, since destroying it waits for pending operations, and this process's next job reuses it.

    Raises UsageError, in every process, if versions, recipes or data differ; Missing if one of them exits early or
    cannot be reached.
    """
    process = this_process()
    store = PrefixStore(f"rnncli/{next(_GROUPS)}", _store())
    _check_same(job, process, store)
    cuda = job.device.type == "cuda"
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    if not distributed.is_initialized():
        distributed.init_process_group(
            backend,
            store=store,
            rank=process.rank,
            world_size=process.world,
            timeout=PATIENCE,
            device_id=torch.device("cuda", process.local_rank) if cuda else None,
        )
    group = TorchGroup(process)
    try:
        yield group
    except RuntimeError as error:
        if not (isinstance(error, distributed.DistError) or "gloo" in str(error)):  # gloo has no exception class
            raise
        raise _lost(group) from error
    else:
        distributed.destroy_process_group()


def _lost(group: TorchGroup) -> Missing:
    process = group.process
    return Missing(
        tr("one of the {n} training processes has exited or cannot be reached", n=process.world),
        where=_place(process.rank, process.world, socket.gethostname()),
        todo=tr("resume from the last checkpoint: {command}", command=group.resume_command())
        if group.folder and Path(group.folder).exists()
        else tr("restart training"),
    )


def _place(rank: int, n: int, host: str) -> str:
    return tr("process {rank} of {n} on {host}", rank=rank, n=n, host=host)


def _check_same(job: Job, process: Process, store: Store) -> None:
    """Raise UsageError in every process if one is about to train something different from process 0."""
    config = plain(job.config)
    # CPU cores and paths may differ between machines.
    for section, own in (("train", ("threads",)), ("data", PATHS)):
        config[section] = {name: value for name, value in json_object(config[section]).items() if name not in own}
    # Means and standard deviations in vocab.json differ by rounding between processors.
    vocab = json.loads(json.dumps(job.splits.fitted.to_json()), parse_float=lambda text: "")
    mine = {
        "rnncli": __version__,
        "torch": torch.__version__,
        "recipe": _digest(config),
        "data": _digest([job.splits.fingerprint, job.splits.counts, vocab]),
    }
    spoken = {"recipe": tr("the recipe"), "data": tr("the data")}  # each process may use a different language
    first, *others = _from_all(process, store, json.dumps([socket.gethostname(), mine]))
    for rank, (host, theirs) in enumerate(map(json.loads, others), 1):
        differing = [spoken.get(name, name) for name in mine if theirs[name] != json.loads(first)[1][name]]
        if differing:
            raise UsageError(
                tr("different from process 0: {names}", names=", ".join(differing)),
                where=_place(rank, process.world, host),
                todo=tr("use the same files and versions on every machine"),
            )


def _digest(value: Json) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _from_all(process: Process, store: Store, text: str) -> list[str]:
    """All-gather one text per process. Raises Missing if one has exited instead: torchrun does not report exits across
    machines."""
    keys = [f"job {rank}" for rank in range(process.world)]
    began = time.monotonic()
    try:
        store.set(f"job {process.rank}", text)
        while not store.check(keys):
            if _store().check([ENDED]) or time.monotonic() - began > PATIENCE.total_seconds():
                raise _lost(TorchGroup(process))
            time.sleep(0.05)
        return [store.get(key).decode() for key in keys]
    except distributed.DistError as error:  # process 0 hosted the store and is gone
        raise _lost(TorchGroup(process)) from error


@cache
def _store() -> Store:
    """The key-value store shared by all processes from the start; hosted by torchrun, else by process 0."""
    try:
        store: Store = next(rendezvous("env://", timeout=PATIENCE))[0]
    except (RuntimeError, ValueError) as error:
        raise Missing(
            tr("the other processes cannot be reached: {why}", why=str(error).splitlines()[0]),
            where=f"MASTER_ADDR={os.environ['MASTER_ADDR']} MASTER_PORT={os.environ['MASTER_PORT']}",
            todo=tr("start the processes with torchrun"),
        ) from error
    return store


def should_report_error() -> bool:
    """Whether this process should report the error: one per machine does, preferably its first.

    From here on SIGTERM is ignored: torchrun sends it to all as soon as one has exited, possibly while one is still
    printing.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        store, process = _store(), this_process()
        store.add(ENDED, 1)
        key = f"rnncli/said/{process.rank - process.local_rank}"
        began = time.monotonic()
        while process.local_rank and not store.check([key]) and time.monotonic() - began < GRACE:
            time.sleep(0.05)
        return bool(store.add(key, 1) == 1)
    except (RuntimeError, Missing):  # process 0 hosted the store and is gone
        return True
