"""Property tests draw the same examples on every run, and none is judged by its time."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from rnncli import locale
from rnncli.cli import live
from tests import warm
from tests.fixture_types import AsKept, Golden

# One thread, set before torch is loaded: pytest-xdist's workers share the cores already, and what is computed is small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A job in a shell's background ignores Ctrl-C, and so would every process that a test starts, and interrupts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

live.SOON = 600.0  # tests do not depend on how slow the machine is

settings.register_profile("rnncli", deadline=None, derandomize=True)
settings.load_profile("rnncli")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write tests/golden and the .po files anew")


@pytest.fixture
def as_kept(request: pytest.FixtureRequest) -> AsKept:
    """Fails where a text is not that of the file that keeps it. With --rewrite-golden it writes the file."""

    def check(file: Path, text: str) -> None:
        if request.config.getoption("--rewrite-golden"):
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8"), f"{file.name}: if that is wanted: pytest --rewrite-golden"

    return check


@pytest.fixture
def golden(as_kept: AsKept) -> Golden:
    """Compares a screen with tests/golden/NAME.txt."""
    folder = Path(__file__).parent / "golden"

    def check(name: str, text: str) -> None:
        as_kept(folder / f"{name}.txt", text)

    return check


def pytest_configure(config: pytest.Config) -> None:
    if getattr(config.option, "numprocesses", None) and not config.option.collectonly:  # the controller's alone
        warm.share()


def pytest_unconfigure() -> None:
    warm.stop()


@pytest.fixture
def starts_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes that the package itself starts begin at once."""
    monkeypatch.setattr(sys, "executable", warm.python())
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


@pytest.fixture(scope="session", autouse=True)
def _made_once() -> Iterator[None]:
    """The recordings and films that ship as a rule are many, and the same every time: one session makes each once."""
    from rnncli.data.made import shapes, speech

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((speech, "clip"), (shapes, "draw_sequence")):
            patch.setattr(module, name, cache(getattr(module, name)))
        yield


@pytest.fixture
def thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every eighth row of the larger data sets that ship: for tests of something else than what is learned."""
    from rnncli.data import builtin

    whole = builtin._made

    def made(name: str) -> str:
        head, *rows = whole(name).splitlines(keepends=True)
        large = name in ("names", "sentences", "numbers", "digits", "moving-shapes")
        return head + "".join(rows[::8]) if large else whole(name)

    monkeypatch.setattr(builtin, "_made", made)


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """Training makes the processor flush denormal numbers to zero, and a script of an export turns gradients off; no
    other test shall find it so."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
        sys.modules["torch"].set_grad_enabled(True)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """What a test draws does not depend on the tests that ran before it in the same process."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """A command that ran in a test's own process may have changed the language."""
    before = locale.language()
    yield
    locale.no_typed_language()
    locale.set_language(before)
