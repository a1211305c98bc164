"""Devices, cores and memory that this process may use. torch is imported only inside functions."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnncli.errors import Missing, UsageError
from rnncli.locale import tr
from rnncli.render.numbers import size

if TYPE_CHECKING:
    import torch

_CGROUP = Path("/sys/fs/cgroup")
# Number of multiplications per step below which a second thread gains little or slows down. On a busy machine a second
# thread loses far more than it gains on idle cores.
_WORK_FOR_A_THREAD = 4_000_000
WAIT_POLICY = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}  # GNU's: a few microseconds


@dataclass(frozen=True)
class Process:
    """Rank of this process in a process group. local: rank on this machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1


_SET_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def this_process() -> Process:
    """Read torchrun's environment variables; a single process if RANK or WORLD_SIZE is not set. Raises UsageError if
    others are missing or not numbers."""
    if "RANK" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        return Process()
    wrong = [name for name in _SET_BY_TORCHRUN if not os.environ.get(name)]
    wrong += [name for name in _SET_BY_TORCHRUN if name not in (*wrong, "MASTER_ADDR") and not _whole(os.environ[name])]
    if wrong:
        raise UsageError(
            tr("RANK and WORLD_SIZE are set, but not: {names}", names=", ".join(wrong)),
            where=tr("environment variables"),
            todo=tr("start with torchrun; for a single process: unset RANK WORLD_SIZE"),
        )
    rank, world, local_rank, local_world = (int(os.environ[name]) for name in _SET_BY_TORCHRUN[:4])
    return Process(rank, world, local_rank, local_world)


@contextmanager
def borrowed() -> Iterator[None]:
    """Restore torch's thread count, random state and flush-denormal setting afterwards, for functions called from
    programs. A GPU that the program does not use yet is not touched."""
    import torch

    threads = torch.get_num_threads()
    flushed = not torch.tensor(5e-324, dtype=torch.float64).mul(1.0)
    try:
        with torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_initialized() else []):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)


def work_alone() -> None:
    """Make this process and its children run outside the process group."""
    for name in _SET_BY_TORCHRUN:
        os.environ.pop(name, None)


def _whole(text: str) -> bool:
    return text.isascii() and text.isdigit()


def devices() -> list[str]:
    """Devices available to `--device`: cpu, and cuda and mps if torch supports them here."""
    import torch

    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def pick_device(name: str) -> torch.device:
    """auto, cpu, cuda or mps -> the device; auto selects the accelerator if there is one. Raises Missing."""
    import torch

    found = devices()
    if name == "auto":
        return torch.device(found[-1])
    if name not in found:
        here = ", ".join(found)
        raise Missing(
            tr("device {name} is not available", name=name),
            where="train.device",
            todo=tr("torch {version} finds: {devices}", version=torch.__version__, devices=here),
        )
    return torch.device(name)


def dtype_of(name: str) -> torch.dtype:
    """float32, float64 or bfloat16 -> torch dtype."""
    import torch

    return {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}[name]


def usable_cores() -> int:
    """Cores that this process may use: limited by CPU affinity and container quota, rounded up; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return max(1, min(cores, quota) if quota else cores)


def cpu_quota(root: Path = _CGROUP) -> int | None:
    """Cores of the cgroup's quota (version 2, then 1), rounded up; None without a limit."""
    limit, _, period = _read(root / "cpu.max").partition(" ")
    if not limit:
        limit, period = _read(root / "cpu/cpu.cfs_quota_us"), _read(root / "cpu/cpu.cfs_period_us")
    if not limit.isdigit() or not period.isdigit():  # "max", or "-1"
        return None
    return -(-int(limit) // int(period))


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def share_cores() -> None:
    """Let torch's threads sleep while waiting for each other, instead of OpenMP's default spinning.

    Call before importing torch. On a busy machine, spinning takes cores from the threads being waited for: two spinning
    threads do far less than one. Existing environment settings are kept.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
        os.environ |= WAIT_POLICY


def threads_for(batch_size: int, input_size: int, hidden_size: int, gates: int, cores: int) -> int:
    """Threads for torch's CPU kernels: one for a small model, otherwise all cores. Depends only on the arguments.

    A step multiplies (B, I) by (I, G·H) and (B, H) by (H, G·H); the size of these products decides.
    """
    work = batch_size * gates * hidden_size * (input_size + hidden_size)
    return cores if work >= _WORK_FOR_A_THREAD else 1


def memory_available() -> int | None:
    """Bytes available to this process: the machine's, or the rest of its cgroup's limit; None if unknown."""
    found = [n for n in (_machine_memory(), _group_memory(_CGROUP)) if n is not None]
    return min(found) if found else None


def _machine_memory() -> int | None:
    for line in _read(Path("/proc/meminfo")).splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    if sys.platform != "win32" and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _group_memory(root: Path) -> int | None:
    for limit_file, used_file in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit, used = _read(root / limit_file), _read(root / used_file)
        if limit.isdigit() and used.isdigit():
            return max(0, int(limit) - int(used) + _cache(root / limit_file))
    return None


def _cache(limit_file: Path) -> int:
    """Bytes of file cache in the cgroup: counted as used, but reclaimable."""
    for line in _read(limit_file.parent / "memory.stat").splitlines():
        name, _, count = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(count)
    return 0


def require_memory(needed: int, what: str, *, where: str = "", todo: str = "") -> None:
    """Raise Missing, before allocating, if `what` needs more bytes than available."""
    available = memory_available()
    if available is not None and needed > available:
        raise Missing(
            tr(
                "{what} needs {needed} of memory, but only {available} is available",
                what=what,
                needed=size(min(needed, 10**30)),
                available=size(available),
            ),
            where=where,
            todo=todo,
        )
