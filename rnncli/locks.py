"""What the operating system knows of processes: locks on open files, and whether a process runs."""

from __future__ import annotations

import os
import sys
from typing import IO


def lock_file(file: IO[bytes], shared: bool = False) -> bool:
    """Take the operating system's lock on an open file without waiting; False where another process has it. shared:
    others may have it, too, if they share it (Windows knows no such lock)."""
    if sys.platform == "win32":
        import msvcrt

        try:
            # Far behind the process number, which others must be able to read.
            file.seek(1 << 20)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def process_runs(process: int) -> bool:
    """Whether there is such a process on this machine; on Windows, where asking would end it, True."""
    try:
        if sys.platform != "win32":
            os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
