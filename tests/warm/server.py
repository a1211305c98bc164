"""A process that has imported what commands need, and forks for each: they begin at once.

Runs as `python server.py SOCKET KIND` for `__init__.py`, and ends when its standard input does. It runs no computation,
so that it has no threads, which a fork would lose.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import random
import resource
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
import types
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from itertools import takewhile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
QUICK = ("typer.rich_utils", "yaml", "pydantic.main", "rich.markdown", "rich.traceback", "rich.columns", "numpy")
HEAVY = ("torch._dynamo", "torch.distributed.run", "torch.optim", "safetensors.torch")


def preload(kind: str) -> None:
    """light: the commands, and what they need without torch; torch: torch, and every module of rnncli."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in (*QUICK, *(HEAVY if kind == "torch" else ())):
            importlib.import_module(name)
        for package in ("rnncli.cli", "rnncli.tasks") if kind == "light" else ("rnncli",):
            for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
                if not module.name.startswith("rnncli.bench.peers.") and not module.name.endswith("__main__"):
                    import_if_possible(module.name)
    from rnncli.cli import live

    live.SOON = 600.0  # as in tests/conftest.py
    gc.collect()
    gc.freeze()


def import_if_possible(name: str) -> None:
    """Import a module of ours, unless it needs the package of an extra that is not installed."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("rnncli"):
            raise


def accept(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A request, and the streams that came with it. EOFError: the client has gone."""
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    data, whole = b"", int.from_bytes(size, "big")
    while len(data) < whole or not whole:
        part = connection.recv(whole - len(data))
        if not part:
            for stream in streams:
                os.close(stream)
            raise EOFError
        data += part
    request: dict[str, Any] = json.loads(data)
    return request, streams


@dataclass
class Server:
    """clients: the connection of each process that lives; None where the client has gone."""

    listener: socket.socket
    woken: socket.socket
    clients: dict[int, socket.socket | None] = field(default_factory=dict)

    def serve(self) -> tuple[dict[str, Any], list[int]] | None:
        """Returns in every fork, with its request, and in the end, with None."""
        while True:
            connected = {client: process for process, client in self.clients.items() if client is not None}
            watched: list[Any] = [sys.stdin, self.listener, self.woken, *connected]
            ready, _, _ = select.select(watched, [], [])
            if sys.stdin in ready:
                for process in self.clients:
                    os.kill(process, signal.SIGKILL)
                return None
            if self.woken in ready:
                self.woken.recv(4096)
                self._tell()
            for client in connected.keys() & ready:
                if connected[client] in self.clients and self.clients[connected[client]] is client:
                    os.kill(connected[client], signal.SIGKILL)  # its client was killed
                    self.clients[connected[client]] = None
                    client.close()
            if self.listener in ready and (found := self._begin()) is not None:
                return found

    def _begin(self) -> tuple[dict[str, Any], list[int]] | None:
        client, _ = self.listener.accept()
        try:
            request, streams = accept(client)
        except EOFError:
            client.close()
            return None
        process = os.fork()
        if process == 0:
            for one in (self.listener, self.woken, client, *filter(None, self.clients.values())):
                one.close()
            return request, streams
        for stream in streams:
            os.close(stream)
        self.clients[process] = client
        with contextlib.suppress(OSError):
            client.sendall(b"%d\n" % process)
        return None

    def _tell(self) -> None:
        """Tell the clients of those that have ended how they did."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                client = self.clients.pop(ended[0])
                if client is not None:
                    with client, contextlib.suppress(OSError):
                        client.sendall(b"%d\n" % os.waitstatus_to_exitcode(ended[1]))


def become(request: dict[str, Any], streams: list[int]) -> None:
    """Take the folder, environment, limits and streams of a request, as a new interpreter would find them."""
    atexit._clear()  # what the imports registered: torch would report on compilations
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in request["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    for fd in range(3):
        if fd in request["streams"]:
            os.dup2(streams[request["streams"].index(fd)], fd)
        else:
            os.close(fd)
    for fd in streams:
        os.close(fd)
    os.umask(request["umask"])
    os.getppid = lambda: parent(request["parent"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    settings = {} if isolated(request["words"]) else os.environ
    sys.stdin, sys.stdout, sys.stderr = (opened(fd, settings) if fd in request["streams"] else None for fd in range(3))
    for name, limits in request["limits"].items():
        resource.setrlimit(getattr(resource, name), tuple(limits))
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules and "OMP_NUM_THREADS" in os.environ:  # read when it was loaded
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def parent(process: int) -> int:
    """The process that started the command, while it lives; the server stands between the two."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return 1
    return process


def opened(fd: int, settings: Mapping[str, str]) -> Any:
    """A standard stream in the encoding that PYTHONIOENCODING says, or in UTF-8: a locale of another encoding needs a
    cold process."""
    given = (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    plain = next(filter(None, given), "C") in ("C", "POSIX", "C.UTF-8", "C.utf8", "UTF-8")
    encoding, _, errors = settings.get("PYTHONIOENCODING", "").partition(":")
    errors = errors or ("surrogateescape" if plain and not encoding else "strict")
    buffer: Any = open(fd, "rb" if fd == 0 else "wb", closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(
        buffer, encoding or "utf-8", "backslashreplace" if fd == 2 else errors, line_buffering=fd == 2
        or buffer.isatty(), write_through=fd > 0 and bool(settings.get("PYTHONUNBUFFERED")),
    )  # fmt: skip


def isolated(words: list[str]) -> bool:
    """Whether `python WORDS` does not look at the environment: -I."""
    return "-I" in takewhile(lambda word: word not in ("-c", "-m"), words)


def find(first: list[str], paths: list[str], alone: bool) -> None:
    """Set sys.path. rnncli is forgotten where that leads to another one, or to packages that add to it; and for a
    process that is isolated, which may be there to show that it does without."""
    given = [] if alone else [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    sys.path[:] = first + given + paths
    importlib.invalidate_caches()
    spec = PathFinder.find_spec("rnncli", sys.path)
    other = spec is not None and spec.origin != str(ROOT / "rnncli" / "__init__.py")
    if alone or other or any(list(Path(path).glob("*.dist-info")) for path in given):
        for name in [name for name in sys.modules if name.partition(".")[0] == "rnncli"]:
            del sys.modules[name]


def execute(code: str, name: str, **more: str) -> None:
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__dict__.update(more)
    exec(compile(code, name, "exec"), main.__dict__)


def run(words: list[str], paths: list[str]) -> None:
    """`python WORDS`: -W, -P, -I and -u, then -m MODULE, -c CODE or a file."""
    queue: Iterator[str] = iter(words)
    safe = alone = isolated(words)
    for word in queue:
        if word in ("-P", "-I"):
            safe = True
        elif word == "-u":
            for stream in (sys.stdout, sys.stderr):
                stream.reconfigure(write_through=True)  # type: ignore[union-attr]
        elif word == "-W":
            warnings.simplefilter(next(queue))  # type: ignore[arg-type]
        else:
            break
    else:
        raise SystemExit("server.py: nothing to run")
    if word == "-m":
        module, sys.argv = next(queue), ["-m", *queue]
        find([] if safe else [os.getcwd()], paths, alone)
        sys.modules.pop(module, None)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    elif word == "-c":
        code, sys.argv = next(queue), ["-c", *queue]
        find([] if safe else [""], paths, alone)
        execute(code, "<string>")
    elif word.startswith("-"):
        raise SystemExit(f"server.py: not known here: {word}")
    else:
        sys.argv = [word, *queue]
        find([] if safe else [str(Path(word).resolve().parent)], paths, alone)
        file = os.path.abspath(word)
        execute(Path(file).read_text("utf-8"), file, __file__=file)


def ended(words: list[str], paths: list[str]) -> int:
    """Run to the exit code, without taking the interpreter down module by module, which takes longer than a start."""
    code = 0
    try:
        run(words, paths)
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        code = -signal.SIGINT
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except OSError as error:
        print(f"Exception ignored: {error!r}", file=sys.stderr)
        code = 120
    return code


def main() -> None:
    place, kind, executable = sys.argv[1:]
    paths = [path for path in sys.path if path != str(Path(__file__).parent)]
    sys.path[:] = [str(ROOT), *paths]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(128)
    woken, waker = socket.socketpair()
    for one in (woken, waker):
        one.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    preload(kind)
    found = Server(listener, woken).serve()
    if found is None:
        return
    waker.close()
    request, streams = found
    become(request, streams)
    sys.executable = executable  # what the command starts begins at once, too
    code = ended(request["words"], paths)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
