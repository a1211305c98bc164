"""Which processor this is: only on the same one are results the same to the last bit."""

from __future__ import annotations

from pathlib import Path


def processor() -> str:
    """Of this machine as expected.json names it; nothing where the system does not say."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return ""
    lines = (line.partition(":") for line in cpuinfo.read_text().split("\n\n")[0].splitlines())
    facts = {name.strip(): value.strip() for name, _, value in lines}
    return " ".join(facts.get(name, "") for name in ("model name", "cpu family", "model", "stepping"))
