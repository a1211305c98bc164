"""Property tests draw the same examples on every run, and none is judged by its time."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from rnncli import locale

settings.register_profile("rnncli", deadline=None, derandomize=True)
settings.load_profile("rnncli")


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
