"""Render `rnncli.records` to the terminal, JSON, CSV, NPZ, YAML, pictures, Markdown, HTML and LaTeX.

Importing it is cheap: Rich, numpy and matplotlib are imported when first needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.records import Page
from rnncli.registry import on_first_use

if TYPE_CHECKING:
    from rnncli.render.documents import dump_json as dump_json
    from rnncli.render.documents import to_json as to_json
    from rnncli.render.html.records import to_html as to_html
    from rnncli.render.terminal import show as show
    from rnncli.render.terminal import to_text as to_text

DATA = (".json", ".csv", ".npz", ".yaml")  # untruncated, in full precision
PICTURES = (".svg", ".md", ".png", ".html", ".tex")  # what the screen shows
_HOMES = {
    "dump_json": "documents",
    "show": "terminal",
    "to_html": "html.records",
    "to_json": "documents",
    "to_text": "terminal",
}
__getattr__ = on_first_use(__name__, _HOMES)


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
