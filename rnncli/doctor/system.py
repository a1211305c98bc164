"""Information on the machine and the terminal, and which folders are writable. No torch here."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rnncli.device import cpu_quota, usable_cores
from rnncli.files import cache_folder, cannot_write
from rnncli.records import Json
from rnncli.runs.folder import RUNS

# The instruction sets that torch's kernels use, oldest first; /proc/cpuinfo lists hundreds of others.
_FEATURES = "sse4_2 avx avx2 fma avx512f avx512_vnni avx512_bf16 amx_bf16 asimd bf16 sve"
SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "RNNCLI_CACHE")


def without_home(text: str) -> str:
    """The text with the home folder as ~, so that pasted reports do not reveal the user's name."""
    with contextlib.suppress(RuntimeError):
        home = str(Path.home())
        if len(home) > 1:
            return text.replace(home, "~")
    return text


def python() -> dict[str, Json]:
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "virtual_environment": sys.prefix != sys.base_prefix,
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
    }


def features() -> list[str]:
    """The relevant processor features; empty if the system does not report them."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    words = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return [name for name in _FEATURES.split() if name in words]


def cores() -> dict[str, Json]:
    """machine: all cores. affinity: those this process may run on. quota: the container's. usable: the minimum."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {"machine": os.cpu_count(), "affinity": affinity, "quota": cpu_quota(), "usable": usable_cores()}


def settings() -> dict[str, str]:
    """Environment variables that affect rnncli, if set."""
    return {name: without_home(os.environ[name]) for name in SETTINGS if os.environ.get(name)}


@dataclass(frozen=True)
class Folder:
    """A folder that rnncli writes to. shown: for display. free: bytes, None if unknown. why, todo: "" if a file could
    be written and removed."""

    name: str
    shown: str
    free: int | None
    why: str = ""
    todo: str = ""


def folders() -> list[Folder]:
    """The folders for runs, caches and temporary files, each tested by writing and removing a file."""
    found = [_tried("runs", Path(RUNS), f"{RUNS}/"), _tried("cache", cache_folder())]
    try:
        return [*found, _tried("temporary", Path(tempfile.gettempdir()))]
    except OSError as error:  # no folder for temporary files
        return [*found, Folder("temporary", "TMPDIR", None, without_home(error.strerror or str(error)))]


def _tried(name: str, folder: Path, shown: str = "") -> Folder:
    shown = shown or without_home(str(folder))
    made: list[Path] = []
    try:
        for path in reversed([folder, *folder.parents]):
            if not path.exists():
                path.mkdir()
                made.append(path)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".rnncli-doctor-") as file:
            file.write(b"probe" * 1000)
            file.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        refused = cannot_write(shown, error)
        return Folder(name, shown, None, without_home(refused.what), without_home(refused.todo))
    finally:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir()
    return Folder(name, shown, free)
