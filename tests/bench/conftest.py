from __future__ import annotations

import pytest

from rnncli.bench import ceilings, versus


@pytest.fixture(autouse=True, scope="session")
def quick_measurements() -> None:
    """The ceiling of a small product, and no wait for other libraries' threads: these tests look at what is done with
    the figures, not at the machine."""
    ceilings.SQUARE, versus.SETTLE = 64, 0.0
