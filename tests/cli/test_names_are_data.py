"""The name of a run's folder and the words of its data, in everything that is generated from them: a script, a model
card, web pages, YAML, LaTeX, drawings. They are text there, never code, markup or another document's end."""

from __future__ import annotations

import ast
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import rnncli
from tests.fixture_types import Typed

NAME = (
    '''a"+__import__("os").system("touch PWNED")+'b"""\n---\nx: {{ 7 }} <script>PWNED()<marquee>]]> \\input{x}$.run'''
)
WORDS = "</script><script>PWNED()</script><marquee>\"\n\n```\n\n'\\input{x}$]]>-->{{ 7 * 7 }}&"


class Elements(HTMLParser):
    """The elements of a page, and what its scripts say."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1] == "script":
            self.scripts += data


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sets = {"train.epochs": 1, "train.control": False, "data.pairs": [[WORDS, WORDS]], "model.hidden_size": 2}
    return rnncli.train("hello", sets=sets, out=tmp_path_factory.mktemp("trained") / NAME).folder


@pytest.fixture
def run(trained: Path, typed: Typed) -> str:
    shutil.copytree(trained, NAME)
    return f"./{NAME}"


def test_a_script_and_a_model_card(run: str, typed: Typed) -> None:
    assert typed("export", run, "out")[0] == 0
    tree = ast.parse(Path("out/load.py").read_text("utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert "__import__" not in called
    assert "PWNED" not in called
    _, head, rest = Path("out/MODEL_CARD.md").read_text("utf-8").split("---\n", 2)
    assert isinstance(yaml.safe_load(head), dict)
    text = re.sub(r"(?ms)^(`{3,})[a-z]*\n.*?^\1$", "", rest)  # but for code between its fences
    assert "<marquee>" not in text
    assert "<script>" not in text
    assert not list(Path().rglob("PWNED"))


@pytest.mark.parametrize("view", [("steps",), ("draw",)])
def test_files_of_a_view(view: tuple[str, ...], run: str, typed: Typed) -> None:
    for ending in ("svg", "html", "tex", "yaml", "json"):
        code, _, err = typed("-q", "inspect", run, *view, "--save", f"x.{ending}")
        assert code == 0, err
        assert "PWNED" in Path(f"x.{ending}").read_text("utf-8")
    svg = ElementTree.parse("x.svg")
    assert not [one for one in svg.iter() if one.tag.rpartition("}")[2] in ("script", "marquee", "image", "a")]
    page = Elements(Path("x.html").read_text("utf-8"))
    assert "PWNED" not in page.scripts
    assert "marquee" not in page.found
    assert "\\input{" not in Path("x.tex").read_text("utf-8")
    assert yaml.safe_load(Path("x.yaml").read_text("utf-8")) == json.loads(Path("x.json").read_text("utf-8"))


def test_a_report(run: str, typed: Typed) -> None:
    pytest.importorskip("plotly")
    code, _, err = typed("-q", "report", run, "--out", "x.html")
    assert code == 0, err
    page = Elements(Path("x.html").read_text("utf-8"))
    assert "marquee" not in page.found
    assert "<marquee>" not in page.scripts  # as data, where < is \\u003c
