"""Peak memory of one piece of work: on a GPU what torch's allocator counts, on Linux what the kernel does."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_of(run: Callable[[], object], device: torch.device) -> int | None:
    """How far the memory in use grows while it runs, in bytes, whatever is left of runs before it; None where it is not
    counted. On a GPU, all that is in use there.

    On a CPU: the largest resident set above the one before, after freed memory has gone back to the system. It includes
    what is outside of torch's allocator, and is whole pages, so below some 100 kB it says little.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return int(torch.cuda.max_memory_allocated(device))
    if device.type != "cpu" or not _forgotten():
        return None
    before = _resident("VmRSS")
    run()
    return max(0, _resident("VmHWM") - before)


def _forgotten() -> bool:
    """Whether free memory was given back and the kernel's high-water mark set back: Linux, with glibc."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        _CLEAR.write_text("5", "ascii")
    except (OSError, AttributeError, TypeError):
        return False
    return True


def _resident(line: str) -> int:
    found = re.search(rf"^{line}:\s+(\d+) kB", _STATUS.read_text("ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
