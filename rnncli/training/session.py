"""Training a job with the other processes that torchrun started, where it did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rnncli.device import this_process
from rnncli.training.job import Job
from rnncli.training.process_group import Alone


@contextmanager
def distributed_session(job: Job) -> Iterator[None]:
    """From here to the end, however that comes, the job's group is that of all processes.

    Raises UsageError, in every process, where they have different versions, recipes or data; Missing where one of them
    ends before its time, or cannot be reached.
    """
    if this_process().world == 1:
        yield
        return
    from rnncli.training.distributed import joined  # one process needs none of it

    with joined(job) as job.group:
        try:
            yield
        finally:
            job.group = Alone()
