"""Under torchrun: which process works and which one prints. In a single process this only reads the environment."""

from __future__ import annotations

import os

import typer

from rnncli.cli.out import tell
from rnncli.cli.settings import settings
from rnncli.errors import UsageError
from rnncli.locale import tr


def _alone() -> bool:
    return os.environ.get("WORLD_SIZE", "1") == "1"


def rank_zero_only() -> None:
    """For commands other than train: rank 0 runs them alone, the other ranks exit here."""
    if _alone():
        return
    from rnncli.device import this_process, work_alone

    try:
        process = this_process()
    except UsageError:  # not caused by torchrun
        return
    if process.rank:
        raise typer.Exit
    work_alone()
    if not settings.quiet and process.world > 1:
        tell(tr("only `train` is distributed; rank 0 of {n} runs this", n=process.world))


def should_report_error() -> bool:
    """Whether this process should report the error."""
    if _alone():
        return True
    from rnncli.device import this_process

    try:
        if this_process().world == 1:
            return True
    except UsageError:
        return True
    from rnncli.training.distributed import should_report_error

    return should_report_error()
