"""Pages as Markdown and HTML."""

from __future__ import annotations

from rnncli.records import Page


def markdown(page: Page) -> str:
    raise NotImplementedError


def fragment(page: Page) -> str:
    raise NotImplementedError


def html(page: Page) -> str:
    raise NotImplementedError
