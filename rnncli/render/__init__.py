"""Render `rnncli.records` to the terminal, JSON, CSV, NPZ, YAML, pictures, Markdown, HTML and LaTeX.

Importing it is cheap: Rich, numpy and matplotlib are imported when first needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Json, Page

DATA = (".json", ".csv", ".npz", ".yaml")  # untruncated, in full precision
PICTURES = (".svg", ".md", ".png", ".html", ".tex")  # what the screen shows


def show(
    page: Page, *, width: int | None = None, file: IO[str] | None = None, ascii: bool | None = None, full: bool = False
) -> None:
    """Print a page to `file` (standard output).

    width: in terminal cells; default: the terminal's. ascii: use only ASCII; default: whatever the stream's encoding
    supports. full: do not truncate. Raises BrokenPipeError if the reader has closed the pipe.
    """
    from rnncli.render import terminal

    terminal.show(page, width=width, file=file, ascii=ascii, full=full)


def to_text(page: Page, width: int = 80, color: bool = False, ascii: bool = False, full: bool = False) -> str:
    """The output of `show` as a string."""
    from rnncli.render import terminal

    return terminal.to_text(page, width=width, color=color, ascii=ascii, full=full)


def to_json(page: Page) -> dict[str, Json]:
    """The JSON document of a page: schema, torch, seed, device, dtype, config, tensors, rows, ..., checks."""
    from rnncli.render import documents

    return documents.to_json(page)


def dump_json(page: Page | Json, file: IO[str]) -> None:
    """Write a page, or any plain object, as one strict JSON document on one line."""
    from rnncli.render import documents

    documents.dump_json(page, file)


def to_html(page: Page) -> str:
    """A self-contained HTML fragment, for a notebook."""
    from rnncli.render.html import records

    return records.fragment(page)


def render_file(page: Page, suffix: str) -> bytes:
    """The content of a file in the format of the suffix (".json", ".csv", ".npz", ".yaml": data; ".svg", ".md",
    ".png", ".html", ".tex": what the screen shows).

    Raises UsageError for any other suffix, Missing if matplotlib is missing for .png.
    """
    writer = _writers().get(suffix.lower())
    if writer is None:
        raise UsageError(
            tr("cannot save as {suffix}: the suffix determines the format", suffix=suffix or "''"),
            todo=tr("data: {data}; pictures and pages: {pictures}", data=" ".join(DATA), pictures=" ".join(PICTURES)),
        )
    content = writer(page)
    return content if isinstance(content, bytes) else content.encode("utf-8")


def _writers() -> dict[str, Callable[[Page], str | bytes]]:
    from rnncli.render import documents, latex, pages, pictures
    from rnncli.render.html import records

    return {
        ".json": documents.json_text,
        ".csv": documents.csv_text,
        ".npz": documents.npz_bytes,
        ".yaml": documents.yaml_text,
        ".svg": pictures.svg,
        ".png": pictures.png,
        ".md": pages.markdown,
        ".html": records.document,
        ".tex": latex.document,
    }
