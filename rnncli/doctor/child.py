"""Runs the self-test in a child process: starts it, reads its output, and stops waiting if it exits or takes too
long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from rnncli.locale import tr
from rnncli.records import Json

LONGEST = 120  # seconds; importing torch from a slow disk takes a minute


@dataclass
class Answers:
    """facts: by name. checks: name -> {ok, diff, tol, why}, including, as failed, the part that crashed the process."""

    facts: dict[str, dict[str, Json]] = field(default_factory=dict)
    checks: dict[str, dict[str, Json]] = field(default_factory=dict)

    def failed(self, name: str, why: str) -> None:
        self.checks[name] = {"ok": False, "diff": None, "tol": None, "why": why}


def self_test(modules: list[str]) -> Answers:
    """Import these modules and run the self-test in a separate process."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))}
    for name in ("RANK", "WORLD_SIZE"):  # train in a single process, even under torchrun
        environment.pop(name, None)
    command = [sys.executable, "-P", "-m", "rnncli.doctor.selftest", *modules]
    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=said, timeout=LONGEST)  # fmt: skip
            lines, ended = done.stdout, _ending(done.returncode)
        except subprocess.TimeoutExpired as late:
            lines, ended = late.stdout or b"", tr("no answer after {n} s", n=LONGEST)
        said.seek(0)
        words = said.read().decode("utf-8", "replace").strip().splitlines()
    return _read(lines.decode("utf-8", "replace"), ended, words[-1] if words else "")


def _read(lines: str, ended: str, last_words: str) -> Answers:
    found, trying = Answers(), "start"
    for line in lines.splitlines():
        message = json.loads(line)
        if "trying" in message:
            trying = message["trying"]
        elif "fact" in message:
            found.facts[message["fact"]] = message["value"]
        else:
            found.checks[message["check"]] = {key: message.get(key) for key in ("ok", "diff", "tol", "why")}
    if trying:  # the process did not finish
        found.failed(trying, f"{ended}: {last_words}" if last_words else ended)
    return found


def _ending(code: int) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        return tr("killed by signal {name}", name=name)
    return tr("its process exited with code {code}", code=code)
