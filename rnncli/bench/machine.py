"""Identifies the machine, so that figures are compared only with figures of the same machine. No torch here."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

from rnncli.device import usable_cores
from rnncli.records import Json

IDENTITY = ("processor", "cores", "system", "machine")  # must be equal for figures to be compared


def machine() -> dict[str, Json]:
    """processor: its model. cores: those usable by this process. machine: a hash of its name, not the name itself."""
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "system": platform.system(),
        "machine": hashlib.sha256(platform.node().encode("utf-8", "replace")).hexdigest()[:12],
        "python": platform.python_version(),
    }


def processor() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
