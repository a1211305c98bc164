"""Other libraries doing the same work, each in a process of its own (`python -m rnncli.bench.peers.NAME`).

A peer is one file: it builds one layer or the character model from given weights, runs it once, and returns its
results. It reads JSON requests from standard input, one per line, and answers each with one line. Nothing here imports
torch, and a peer's process imports nothing from rnncli but this folder, unless it measures rnncli.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rnncli.device import WAIT_POLICY
from rnncli.errors import CheckFailed, Missing
from rnncli.locale import tr

if TYPE_CHECKING:
    from rnncli.bench.peers.worker import Answer


@dataclass(frozen=True)
class PeerKind:
    """module: its file here. needs: packages to import. passes: the passes it can run; loops: whether it can train."""

    module: str
    needs: tuple[str, ...]
    passes: tuple[str, ...]
    loops: bool


PEERS: dict[str, PeerKind] = {
    "keras-jax": PeerKind("keras_jax", ("keras", "jax"), ("forward", "train"), True),
    "jax": PeerKind("jax_", ("jax",), ("forward", "train"), True),
    "onnxruntime": PeerKind("onnxruntime_", ("onnx", "onnxruntime"), ("forward",), False),
}
OURS: dict[str, PeerKind] = {
    "rnncli": PeerKind("rnncli_", (), ("forward", "train"), True),
    "torch": PeerKind("torch_", (), ("forward", "train"), True),
}
ALL = OURS | PEERS


def missing(peers: Sequence[str]) -> dict[str, list[str]]:
    """Peer -> its missing packages; only peers that lack some."""
    lacks = {peer: [name for name in PEERS[peer].needs if find_spec(name) is None] for peer in peers}
    return {peer: names for peer, names in lacks.items() if names}


def require(peers: Sequence[str]) -> None:
    """Raises Missing, naming what is not installed and the command that installs it."""
    lacks = missing(peers)
    if lacks:
        packages = sorted({name for names in lacks.values() for name in names})
        raise Missing(
            tr("{peers}: not installed here: {packages}", peers=", ".join(lacks), packages=", ".join(packages)),
            where="--against",
            todo=f"pip install 'rnncli[peers]', {tr('or')} pip install {' '.join(packages)}",
        )


class PeerFailed(CheckFailed):
    """A peer's process ended, or answered with an error."""


class Process:
    """A running peer: `with Process("jax", threads=1) as peer: peer.ask({...})`."""

    def __init__(self, peer: str, threads: int, log: Path) -> None:
        self.peer = peer
        self.threads = threads
        self._log: IO[bytes] = open(log, "wb")  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"rnncli.bench.peers.{ALL[peer].module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(peer, threads, log.parent),
            text=True,
            encoding="utf-8",
        )
        self.versions: dict[str, str] = {}

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # its current work no longer matters
            self._process.kill()
        self.close()

    def start(self) -> None:
        """Wait until it has imported its library."""
        self.versions = self.ask({"do": "hello", "threads": self.threads})["versions"]

    def ask(self, request: Mapping[str, object]) -> Answer:
        """The answer to one request. Raises PeerFailed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer: Answer = json.loads(line) if line else {"error": self._last_error()}
        if "error" in answer:
            raise PeerFailed(tr("{peer} failed: {why}", peer=self.peer, why=answer["error"]), where="--against")
        return answer

    def _last_error(self) -> str:
        self._process.wait(10)
        self._log.flush()
        lines = Path(self._log.name).read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else tr("its process exited with code {code}", code=self._process.returncode)

    def close(self) -> None:
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()


def environment(peer: str, threads: int, folder: Path) -> dict[str, str]:
    """Environment variables of a peer's process. Every library has its own variable for the thread count, mostly read
    at import. Each keeps its own wait policy; rnncli's is the one that its commands set, or the user's."""
    ours, count = peer == "rnncli", str(threads)
    found = {
        **(WAIT_POLICY if ours else {}),
        **{name: value for name, value in os.environ.items() if ours or name not in WAIT_POLICY},
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "NPROC": count,  # JAX's thread pool
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": "jax",
        "KERAS_HOME": str(folder),  # it writes a settings file
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    if threads == 1:
        found["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    return found
