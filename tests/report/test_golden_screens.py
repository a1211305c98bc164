"""The drawn screens, character by character. After a wanted change: pytest tests/report --rewrite-golden"""

from __future__ import annotations

import pytest

from rnncli.records import Page
from rnncli.render import to_text
from tests.fixture_types import Golden

FORMS = {"80": {"width": 80}, "120": {"width": 120}, "80-ascii": {"width": 80, "ascii": True}, "50": {"width": 50}}


@pytest.mark.parametrize("form", FORMS)
def test_screen(page: Page, form: str, request: pytest.FixtureRequest, golden: Golden) -> None:
    name = request.node.callspec.params["page"]
    golden(f"{name}-{form}", to_text(page, **FORMS[form]))  # type: ignore[arg-type]
