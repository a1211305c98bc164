"""Property tests draw the same examples on every run, and none is judged by its time."""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from rnncli import locale
from tests import warm
from tests.fixture_types import AsKept, Golden

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


@pytest.fixture(scope="session", autouse=True)
def _warm_servers() -> Iterator[None]:
    yield
    warm.stop()


@pytest.fixture
def starts_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes that the package itself starts begin at once."""
    monkeypatch.setattr(sys, "executable", warm.python())
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


@pytest.fixture(scope="session", autouse=True)
def _spoken_once() -> Iterator[None]:
    """The recordings that ship as a rule are many, and the same every time: one session makes each once."""
    from rnncli.data.made import speech

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speech, "clip", cache(speech.clip))
        yield


@pytest.fixture(autouse=True)
def _denormals() -> Iterator[None]:
    """Training makes the processor flush denormal numbers to zero; no other test shall find it so."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """A command that ran in a test's own process may have changed the language."""
    before = locale.language()
    yield
    locale.set_language(before)
