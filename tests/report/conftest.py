"""A page of fixed_pages for every test that asks for one."""

from __future__ import annotations

import pytest
from fixed_pages import PAGES

from rnncli.records import Page


@pytest.fixture(params=PAGES, ids=str)
def page(request: pytest.FixtureRequest) -> Page:
    return PAGES[request.param]()
