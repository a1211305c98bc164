"""The documentation: reference pages are what the program says, the glossary is what the Chinese screens say, the site
builds without a warning and loads nothing from elsewhere. Its commands are run by tests/test_readme.py."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import docs_reference
from tests.fixture_types import AsKept
from tests.test_locale import translations

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("name", docs_reference.PAGES)
def test_a_reference_page_is_what_the_program_says(name: str, as_kept: AsKept) -> None:
    as_kept(docs_reference.FOLDER / name, docs_reference.PAGES[name]().rstrip("\n") + "\n")


def glossary() -> dict[str, str]:
    rows = re.findall(r"^\| ([a-z ]+) \| (\S+) \| .*\|$", (DOCS / "zh" / "glossary.md").read_text("utf-8"), re.M)
    return dict(rows)


def test_the_catalogue_uses_the_words_of_the_glossary() -> None:
    """A term in plain English text has its Chinese; a key or a command of that name stays as it is typed."""
    assert len(glossary()) > 30
    texts = [(key if isinstance(key, str) else key[1], forms[0]) for key, forms in translations("zh").items()]
    for term, chinese in glossary().items():
        plain = re.compile(rf"(?<![\w.{{-]){term}s?\b(?![\w.=:}}-])")
        found = [(english, form) for english, form in texts if plain.search(english)]
        assert found, term
        assert [pair for pair in found if chinese not in pair[1] and term not in pair[1]] == [], term


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs the extra docs")
def test_the_site_builds_and_links_to_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    build(load_config(str(DOCS.parent / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))
    notebook = (tmp_path / "site" / "tutorials" / "notebook" / "index.html").read_text("utf-8")
    assert notebook.count('<div class="rnncli">') >= 6  # with its outputs
    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text("utf-8")
        loaded = re.findall(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?(https?:[^"' >]+)""", text)
        assert loaded == [], page
