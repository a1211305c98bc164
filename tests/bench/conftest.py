from __future__ import annotations

import pytest

from rnncli.bench import ceilings


@pytest.fixture(autouse=True, scope="session")
def small_ceiling() -> None:
    """The ceiling of a small product: these tests look at what is done with it, not at the machine."""
    ceilings.SQUARE = 64
