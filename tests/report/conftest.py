"""A page of fixed_pages for every test that asks for one."""

from __future__ import annotations

import pytest

from rnncli.records import Page
from tests.report.fixed_pages import PAGES


@pytest.fixture(params=PAGES, ids=str)
def page(request: pytest.FixtureRequest) -> Page:
    name: str = request.param
    return PAGES[name]()
