"""Pages as pictures: SVG and PNG."""

from __future__ import annotations

from rnncli.records import Page


def svg(page: Page) -> str:
    raise NotImplementedError


def png(page: Page) -> bytes:
    raise NotImplementedError
