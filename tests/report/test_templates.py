"""HTML stands in templates, which escape; Python writes none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import rnncli
from rnncli.render.html import templates

PACKAGE = Path(rnncli.__file__).parent
TAG = re.compile(r"</?[a-z][a-z0-9]*[\s>/]|&[a-z]+;")


def markup(tree: ast.Module) -> Iterator[str]:
    """The f-strings that write HTML, and calls of str.format on it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Attribute) and node.attr == "format" and isinstance(node.value, ast.Constant):
            text = str(node.value.value)
        else:
            continue
        if TAG.search(text):
            yield text


def test_python_writes_no_html() -> None:
    files = [file for room in ("render", "pages") for file in sorted((PACKAGE / room).rglob("*.py"))]
    assert len(files) > 15
    files.remove(PACKAGE / "render" / "pictures.py")  # puts colours into what Rich has drawn and escaped
    files.remove(PACKAGE / "render" / "scene.py")  # SVG of its own marks; what a mark says is escaped in one place
    found = {file.name: list(markup(ast.parse(file.read_text(encoding="utf-8")))) for file in files}
    assert {name: texts for name, texts in found.items() if texts} == {}


@pytest.mark.parametrize("code", ["f'<p>{x}</p>'", "f'a{b}</td>'", "'<b>{}</b>'.format(x)", "f'&nbsp;{x}'"])
def test_that_search_finds_it(code: str) -> None:
    assert list(markup(ast.parse(code)))


def test_no_template_turns_escaping_off() -> None:
    files = sorted((PACKAGE / "render" / "html").glob("*.html"))
    assert len(files) > 8
    for file in files:
        assert not re.search(r"\bsafe\b|autoescape", file.read_text(encoding="utf-8")), file.name


def test_what_is_put_into_a_template_is_text() -> None:
    drawn = templates.render("message.html", kind='"><b>', text="a<b>\n\u202e\t{{ x }}")
    assert drawn.split("<p ", 1)[1].strip() == 'class="&#34;&gt;&lt;b&gt;">a&lt;b&gt;<br>\\u202e\t{{ x }}</p>'


def test_a_forgotten_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="text"):
        templates.render("message.html", kind="note")
