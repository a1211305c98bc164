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
from functools import cache
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
_SERVERS: list[tuple[subprocess.Popen[bytes], Path]] = []


@cache
def python(kind: Literal["torch", "light"] = "torch") -> str:
    """The path of a `python` that has imported torch and all of rnncli, or (light) what `rnncli --help` does."""
    if not hasattr(os, "fork"):
        return sys.executable
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    place, executable = folder / "socket", folder / "python"
    words = [sys.executable, "-IS", str(HERE / "client.py"), str(place)]
    executable.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', "utf-8")
    executable.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py"), str(place), kind, str(executable)],
        stdin=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OMP_NUM_THREADS")},
        start_new_session=True,
    )
    while not place.exists():
        if server.poll() is not None:
            raise RuntimeError("the server did not start")
    _SERVERS.append((server, folder))
    return str(executable)


def stop() -> None:
    """End the servers, whose processor time is then that of this process's children."""
    while _SERVERS:
        server, folder = _SERVERS.pop()
        assert server.stdin is not None
        server.stdin.close()
        server.wait(60)
        shutil.rmtree(folder)
    python.cache_clear()
