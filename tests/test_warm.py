"""Processes that begin warm are processes like others: whatever a program can ask, it is told the same."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import warm

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

STREAMS = "import sys; print([(one.encoding, one.errors, one.isatty()) for one in (sys.stdin, sys.stdout, sys.stderr)])"
PROGRAMS = {
    "an exit code": "raise SystemExit(7)",
    "words on exit": "raise SystemExit('no')",
    "exit without a word": "raise SystemExit",
    "an error": "import os\nos.nothing",
    "a signal": "import os; os.kill(os.getpid(), 15)",
    "an interruption": "import signal; signal.raise_signal(2)",
    "standard input": "import sys; print(sys.stdin.read().upper(), file=sys.stderr)",
    "what is not flushed": "import sys; sys.stdout.write('x'); sys.stderr.write('y')",
    "an exit handler": "import atexit; atexit.register(print, 'end'); print('begin')",
    "a thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.05), print('late'))).start()",
    "arguments": "import sys; print(sys.argv, __name__, sys.path[0])",
    "folder, limits and mask": "import os, resource; print(os.getcwd(), resource.getrlimit(resource.RLIMIT_NOFILE),"
    "resource.getrlimit(resource.RLIMIT_AS), oct(os.umask(0)))",
    "environment": "import os; print(os.environ['GIVEN'], os.environ.get('HOME'), os.popen('echo $GIVEN').read())",
    "open files": "import os; print(sorted(map(int, os.listdir('/dev/fd')))[:3], len(os.listdir('/dev/fd')) < 6)",
    "whose child": "import os, sys; print(os.getppid() == int(os.environ['PARENT']))",
    "warnings": "import warnings; warnings.warn('careful')",
    "signals ignored": "import signal; print(signal.getsignal(1), signal.getsignal(2), signal.getsignal(17))",
    "streams": STREAMS,
}


def outcome(python: str, *words: str, folder: Path, **settings: str) -> tuple[int, str, str]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "GIVEN": "ä", "PARENT": str(os.getpid()), **settings}
    done = subprocess.run(
        [python, *words], cwd=folder, env=environment, input="text", capture_output=True, encoding="utf-8", timeout=60
    )
    return done.returncode, done.stdout, done.stderr.splitlines()[-1] if done.stderr else ""


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_told_what_a_cold_one_is(name: str, tmp_path: Path) -> None:
    words = ("-c", PROGRAMS[name], "a", "--b")
    assert outcome(warm.python("light"), *words, folder=tmp_path) == outcome(sys.executable, *words, folder=tmp_path)


@pytest.mark.parametrize("options", [("-W", "error"), ("-P",), ("-I",), ("-u",)], ids=" ".join)
def test_options(options: tuple[str, ...], tmp_path: Path) -> None:
    code = "import sys, warnings; print(sys.path[0], sys.stdout.write_through); warnings.warn('careful')"
    words = (*options, "-c", code)
    found = [outcome(python, *words, folder=tmp_path) for python in (warm.python("light"), sys.executable)]
    assert found[0] == found[1]


@pytest.mark.parametrize("setting", [("PYTHONIOENCODING", "gbk:replace"), ("PYTHONUNBUFFERED", "1")])
def test_settings_of_python(setting: tuple[str, str], tmp_path: Path) -> None:
    code = f"{STREAMS}; print(sys.stdout.write_through)"
    name, value = setting
    words = ("-c", code)
    found = [outcome(one, *words, folder=tmp_path, **{name: value}) for one in (warm.python("light"), sys.executable)]
    assert found[0] == found[1]


def test_modules_and_files(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "__main__.py").write_text("import sys; print(__name__, sys.argv, sys.path[0])")
    (tmp_path / "file.py").write_text("import sys, package; print(__name__, __file__, sys.argv, sys.path[0])")
    for words in (("-m", "package", "-x"), ("file.py", "-x"), ("-m", "nothing.of.this.name")):
        found = [outcome(one, *words, folder=tmp_path)[:2] for one in (warm.python("light"), sys.executable)]
        assert found[0] == found[1]


def test_what_is_imported_and_what_is_not(tmp_path: Path) -> None:
    code = "import sys; print('torch' in sys.modules, 'rnncli.cli' in sys.modules, 'rnncli.nn.model' in sys.modules)"
    root = str(Path(__file__).parents[1])
    added = tmp_path / "site" / "x-1.dist-info"
    added.mkdir(parents=True)
    for kind, path, expected in (
        ("light", root, "False True False"),
        ("torch", root, "True True True"),
        ("torch", f"{root}:{added.parent}", "True False False"),  # which may add to rnncli
    ):
        python = warm.python("light" if kind == "light" else "torch")
        assert outcome(python, "-P", "-c", code, folder=tmp_path, PYTHONPATH=path)[1].strip() == expected
    assert outcome(warm.python(), "-I", "-c", code, folder=tmp_path)[1].strip() == "True False False"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_arrive(number: signal.Signals, tmp_path: Path) -> None:
    """SIGKILL, which nobody can hand on, ends the process, too."""
    code = "import os, time; print(os.getpid(), flush=True)\nwhile True: time.sleep(0.01)"
    with subprocess.Popen(
        [warm.python("light"), "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(60) == -number
    for _ in range(1000):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError("it lives on")


def test_a_client_that_is_killed_early_stops_nobody(tmp_path: Path) -> None:
    place = warm.python("light") + "-socket"
    for begun in (b"", (100).to_bytes(8, "big") + b"{"):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(place)
            client.sendall(begun)
    assert outcome(warm.python("light"), "-c", "print(1)", folder=tmp_path)[:2] == (0, "1\n")
