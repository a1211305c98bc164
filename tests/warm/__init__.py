"""Python processes that begin at once: a server (server.py) has imported torch, and forks for each.

`python()` and `python("light")` are paths to put in the place of `sys.executable`, in a command line or in
`sys.executable` itself. The process is one of its own in everything but its start: folder, environment, streams,
signals, limits, exit code. Tests of what is imported, of broken packages and of installed commands take the real one.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
KINDS = ("light", "torch")
SHARED = "WARM_PYTHONS"  # the folder of the servers that the controller of pytest-xdist started for its workers
_SERVERS: list[tuple[subprocess.Popen[bytes], Path]] = []


@cache
def python(kind: Literal["torch", "light"] = "torch") -> str:
    """The path of a `python` that has imported torch and all of rnncli, or (light) what `rnncli --help` does."""
    if not hasattr(os, "fork"):
        return sys.executable
    shared = os.environ.get(SHARED)
    folder = Path(shared or tempfile.mkdtemp(prefix="warm-"))
    server = None if shared else _start(kind, folder)
    while not (folder / f"{kind}-socket").exists():
        if not folder.exists() or (server is not None and server.poll() is not None):
            raise RuntimeError("the server did not start, or has ended")
        time.sleep(0.01)
    return str(folder / kind)


def share() -> None:
    """Start both servers for other processes, without waiting for them."""
    if hasattr(os, "fork"):
        folder = Path(tempfile.mkdtemp(prefix="warm-"))
        for kind in KINDS:
            _start(kind, folder)
        os.environ[SHARED] = str(folder)


def _start(kind: str, folder: Path) -> subprocess.Popen[bytes]:
    place, executable = folder / f"{kind}-socket", folder / kind
    words = [sys.executable, "-IS", str(HERE / "client.py"), str(place)]
    executable.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', "utf-8")
    executable.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py"), str(place), kind, str(executable)],
        stdin=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OMP_NUM_THREADS")},
        start_new_session=True,
    )
    _SERVERS.append((server, folder))
    return server


def stop() -> None:
    """End the servers, whose processor time is then that of this process's children."""
    while _SERVERS:
        server, folder = _SERVERS.pop()
        assert server.stdin is not None
        server.stdin.close()
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)  # two may share it
    os.environ.pop(SHARED, None)
    python.cache_clear()
