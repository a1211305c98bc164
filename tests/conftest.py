"""Property tests draw the same examples on every run, and none is judged by its time."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from rnncli import locale

settings.register_profile("rnncli", deadline=None, derandomize=True)
settings.load_profile("rnncli")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write tests/golden and the .po files anew")


@pytest.fixture
def as_kept(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Fails where a text is not that of the file that keeps it. With --rewrite-golden it writes the file."""

    def check(file: Path, text: str) -> None:
        if request.config.getoption("--rewrite-golden"):
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8"), f"{file.name}: if that is wanted: pytest --rewrite-golden"

    return check


@pytest.fixture
def golden(as_kept: Callable[[Path, str], None]) -> Callable[[str, str], None]:
    """Compares a screen with tests/golden/NAME.txt."""
    folder = Path(__file__).parent / "golden"
    return lambda name, text: as_kept(folder / f"{name}.txt", text)


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
