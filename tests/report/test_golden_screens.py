"""The drawn screens, character by character. After a wanted change: RNNCLI_UPDATE_GOLDEN=1 pytest tests/report"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rnncli.records import Page
from rnncli.report import to_text

GOLDEN = Path(__file__).parents[1] / "golden"
FORMS = {"80": {"width": 80}, "120": {"width": 120}, "80-ascii": {"width": 80, "ascii": True}, "50": {"width": 50}}


@pytest.mark.parametrize("form", FORMS)
def test_screen(page: Page, form: str, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["page"]
    path = GOLDEN / f"{name}-{form}.txt"
    text = to_text(page, **FORMS[form])  # type: ignore[arg-type]
    if os.environ.get("RNNCLI_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
