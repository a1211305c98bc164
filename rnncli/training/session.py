"""Trains a job together with the other processes started by torchrun, if any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rnncli.device import this_process
from rnncli.training.job import Job
from rnncli.training.process_group import ProcessGroup


@contextmanager
def distributed_session(job: Job) -> Iterator[None]:
    """A context in which the job's group is that of all processes.

    Raises UsageError, in every process, if versions, recipes or data differ; Missing if one of them exits early or
    cannot be reached.
    """
    if this_process().world == 1:
        yield
        return
    from rnncli.training.distributed import joined  # not needed for a single process

    with joined(job) as job.group:
        try:
            yield
        finally:
            job.group = ProcessGroup()
