"""Under torchrun: which process works, and which speaks. Alone, this costs a look at the environment."""

from __future__ import annotations

import os

import typer

from rnncli.cli.out import tell
from rnncli.cli.settings import settings
from rnncli.errors import UsageError
from rnncli.locale import tr


def _alone() -> bool:
    return os.environ.get("WORLD_SIZE", "1") == "1"


def only_one_process() -> None:
    """For all that is not training: process 0 does it as if there were no others, and they end here."""
    if _alone():
        return
    from rnncli.device import this_process, work_alone

    try:
        process = this_process()
    except UsageError:  # not torchrun's doing
        return
    if process.rank:
        raise typer.Exit
    work_alone()
    if not settings.quiet and process.world > 1:
        tell(tr("only training is shared by processes: one of {n} does this alone", n=process.world))


def may_speak() -> bool:
    """Whether this process is the one of several to say what went wrong."""
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
