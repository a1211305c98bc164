"""The one error boundary: exit codes, streams, and no traceback for anybody who did not ask for one."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer

from rnncli import cli, errors
from rnncli.cli.settings import settings

ROOT = Path(__file__).parents[2]


class Colour(StrEnum):
    red = "red"
    blue = "blue"


Boundary = Callable[..., tuple[int, str, str]]


@pytest.fixture
def boundary(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Boundary:
    """Runs an app whose one command does what it is given; returns (exit code, stdout, stderr)."""

    def run(action: Callable[[], None], *words: str) -> tuple[int, str, str]:
        def make_app(only: str) -> typer.Typer:
            app = typer.Typer(cls=cli.Commands, add_completion=False)
            app.callback(invoke_without_command=True)(cli._root)

            @app.command()
            def act(
                number: int = 0,
                share: Annotated[float, typer.Option(min=0, max=1)] = 0.5,
                cell: Literal["gru", "lstm"] = "gru",
                colour: Colour = Colour.red,
            ) -> None:
                action()

            return app

        monkeypatch.setattr(cli, "_parser", lambda only, language: typer.main.get_command(make_app(only)))  # anew
        monkeypatch.setattr(cli, "_drop_output", lambda: None)
        code = cli.run([*(words or ("act",))])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def raising(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


FAMILIES = [
    (errors.CheckFailed, 1),
    (errors.UsageError, 2),
    (errors.DataError, 3),
    (errors.Diverged, 4),
    (errors.Missing, 5),
    (errors.CannotWrite, 6),
]


@pytest.mark.parametrize(("family", "code"), FAMILIES)
def test_every_family_has_its_code_and_three_parts(
    boundary: Boundary, family: type[errors.RnncliError], code: int
) -> None:
    found = boundary(raising(family("it broke", where="a.txt:3", todo="mend it")))
    assert found == (code, "", "error: it broke\nwhere: a.txt:3\nnext:  mend it\n")


def test_every_kind_of_error_has_a_family() -> None:
    def children(kind: type[Exception]) -> list[type[Exception]]:
        return [kind, *(grandchild for child in kind.__subclasses__() for grandchild in children(child))]

    families = tuple(kind for kind, _ in FAMILIES)
    assert all(issubclass(kind, families) for kind in children(errors.RnncliError)[1:])


def test_faults_are_listed(boundary: Boundary) -> None:
    faults = [errors.Fault("r.yaml:3", "model.cell", "unknown", "did you mean gru?"), errors.Fault("--set", "a", "no")]
    code, _, err = boundary(raising(errors.RecipeError("2 faults", faults, where="r.yaml")))
    assert code == 2
    assert err == (
        "error: 2 faults\nwhere: r.yaml\n  r.yaml:3 model.cell\n      unknown; did you mean gru?\n  --set a\n      no\n"
    )


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (SystemExit(143), 143),
        (MemoryError(), 5),
        (OutOfMemoryError("CUDA"), 5),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried"), 5),
        (RuntimeError("MPS backend out of memory"), 5),
        (RuntimeError("shape mismatch"), 1),
        (OSError(errno.ENOSPC, "No space left on device"), 6),
        (OSError(errno.EROFS, "Read-only file system", "/x/y"), 6),
        (OSError(errno.EMFILE, "Too many open files", "/x/y"), 5),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 3),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 0),
        (RecursionError("deep"), 1),
        (typer.Exit(1), 1),
        (typer.Abort(), 130),
        (EOFError(), 130),
    ],
)
def test_what_python_raises(boundary: Boundary, error: BaseException, code: int) -> None:
    found, out, err = boundary(raising(error))
    assert found == code
    assert out == ""
    assert "Traceback" not in err


def test_the_unexpected_asks_for_debug_and_debug_shows_it(boundary: Boundary, monkeypatch: pytest.MonkeyPatch) -> None:
    action = raising(ValueError("odd\nlines"))
    code, _, err = boundary(action)
    assert code == 1
    assert err.splitlines() == [
        "error: internal error: ValueError: odd lines",
        "next:  please report it; run the command again with --debug to see where it happened",
    ]
    for words in (("act", "--debug"), ("--debug", "act")):
        code, _, err = boundary(action, *words)
        assert code == 1
        assert "Traceback" in err
    monkeypatch.setenv("RNNCLI_DEBUG", "1")
    assert "Traceback" in boundary(action)[2]
    monkeypatch.setenv("RNNCLI_DEBUG", "0")
    assert "Traceback" not in boundary(action)[2]


def test_a_terminal_is_not_fooled_by_what_a_file_holds(boundary: Boundary) -> None:
    _, _, err = boundary(raising(errors.DataError("bad \x1b[31m\x07 value")))
    assert err == "error: bad \\x1b[31m\\x07 value\n"


def test_global_options_after_the_command(boundary: Boundary) -> None:
    seen: dict[str, object] = {}

    def action() -> None:
        from rnncli.locale import language

        seen.update(ascii=settings.ascii, language=language())

    assert boundary(action, "act", "--ascii", "--lang", "zh")[0] == 0
    assert seen == {"ascii": True, "language": "zh"}
    assert boundary(action, "--lang=en", "act")[0] == 0
    assert seen == {"ascii": None, "language": "en"}
    code, _, err = boundary(action, "act", "--lang", "fr")
    assert code == 2
    assert "one of en, zh" in err
    assert boundary(action, "act", "--lang")[0] == 2


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("act", "--nmber", "3"), ("unknown option --nmber", "did you mean --number?")),
        (("act", "--number", "x"), ("--number takes an integer, got 'x'",)),
        (("act", "--number"), ("--number",)),
        (("act", "--share", "1.5"), ("--share takes a number <= 1", "got '1.5'")),
        (("act", "--share", "half"), ("--share takes a number, got 'half'",)),
        (("act", "--cell", "grru"), ("--cell takes one of gru, lstm, got 'grru'", "did you mean gru?")),
        (("act", "--colour", "blu"), ("--colour takes one of red, blue, got 'blu'", "did you mean blue?")),
        (("act", "a", "b"), ("too many arguments: a b",)),
        (("--wrong",), ("unknown option --wrong",)),
    ],
)
def test_wrong_usage_in_our_words(boundary: Boundary, words: tuple[str, ...], parts: tuple[str, ...]) -> None:
    code, out, err = boundary(lambda: None, *words)
    assert code == 2
    assert out == ""
    assert all(part in err for part in parts), err
    assert "Usage:" not in err


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    line = command.replace("RNNCLI", f"{sys.executable} -m rnncli")
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("words", ["recipes schema", "--help", "recipes list --json", "", "recipes show hello"])
def test_a_reader_that_leaves_is_no_failure(words: str, tmp_path: Path) -> None:
    for reader in ("head -c 1", "true"):
        found = shell(f"RNNCLI {words} | {reader}", tmp_path)
        assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_behind_stdout(tmp_path: Path) -> None:
    for words in ("recipes schema", "--help", "--version", ""):
        found = shell(f"RNNCLI {words} > /dev/full", tmp_path)
        assert found.returncode == 6
        assert found.stderr.startswith("error: the disk is full\nwhere: standard output\n")
        assert "Traceback" not in found.stderr


def test_closed_streams(tmp_path: Path) -> None:
    assert shell("RNNCLI recipes schema >&-", tmp_path).returncode == 0
    assert shell("RNNCLI nothing 2>&-", tmp_path).returncode == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_is_imported_shows_no_traceback(number: signal.Signals) -> None:
    script = f"""
import os, runpy, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "rnncli.cli":
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Finder())
runpy.run_module("rnncli", run_name="__main__")
"""
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout, found.stderr) == (-number, "", "")


def test_signals(tmp_path: Path) -> None:
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with subprocess.Popen(
            [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out, "Traceback" in err) == (code, "unwound\n", False)


@pytest.mark.parametrize("numbers", [(2, 2), (2, 15), (15, 15), (15, 2)])
def test_a_second_signal_while_the_first_unwinds_shows_no_traceback(numbers: tuple[int, int]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, "slowly"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(numbers[0])
        assert process.stdout.readline() == "unwinding\n"
        process.send_signal(numbers[1])
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (128 + numbers[1], "", "")


WAITING = """
import time, typer
from rnncli import cli
def make_app(only):
    app = typer.Typer(cls=cli.Commands)
    app.callback()(lambda: None)
    @app.command()
    def act():
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            if sys.argv[1:]:
                print("unwinding", flush=True)
                time.sleep(60)
            print("unwound", flush=True)
    return app
cli.make_app = make_app
import sys
sys.exit(cli.run(["act"]))
"""
