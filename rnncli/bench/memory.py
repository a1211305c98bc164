"""Peak memory of a function: from torch's allocator on a GPU, from the kernel on Linux."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_of(run: Callable[[], object], device: torch.device) -> int | None:
    """Growth of the memory in use while it runs, in bytes, regardless of earlier runs; None if unavailable. On a GPU,
    all memory in use.

    On a CPU: peak resident set minus the one before, after freed memory was returned to the system. It includes memory
    outside torch's allocator, in whole pages, so values below about 100 kB mean little.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return int(torch.cuda.max_memory_allocated(device))
    if device.type != "cpu" or not _reset_peak():
        return None
    before = _resident("VmRSS")
    run()
    return max(0, _resident("VmHWM") - before)


def _reset_peak() -> bool:
    """Returns free memory to the system and resets the kernel's high-water mark; whether that worked (Linux with
    glibc)."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        _CLEAR.write_text("5", "ascii")
    except (OSError, AttributeError, TypeError):
        return False
    return True


def _resident(line: str) -> int:
    found = re.search(rf"^{line}:\s+(\d+) kB", _STATUS.read_text("ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
