"""LaTeX: balanced and escaped everywhere; compiled where pdflatex is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rnncli.records import Check, Checks, Column, Commands, Entry, Message, Page, Record, Table
from rnncli.render import render_file
from rnncli.render.latex import document, maths, text
from tests.report.fixed_pages import PAGES

HOSTILE = [
    r"\end{document}",
    r"\input{/etc/passwd}",
    "50% & more_of #1 ~ ^ {open $x$",
    "}} ]] [[",
    "^^41 \\^^M",
    "--- ``quoted'' <<a>> ,, ?`",
    "\x1b[31m\u202e red\u2028",
    "☃ 🙂 ﬀ ß é ñ ¿ Ð",
    "Σ·⊙∞²",
    "中文（标题）",
    "\\",
    "* [0]",
]


def sound(source: str) -> None:
    """One document: braces, environments and dollars balanced; no character that reads as markup without its escape."""
    assert source.startswith("% ")
    body = source.partition("\n")[2]
    body = re.sub(r"\\[\\{}$&#%_]", "", body)
    assert "%" not in body
    assert "#" not in body
    assert "~" not in re.sub(r"\\mbox\{[^\n]*", "", body)
    depth = 0
    for character in body:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", body):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    assert body.count(r"\begin{document}") == body.count(r"\end{document}") == 1
    assert body.rstrip().endswith(r"\end{document}")
    for paragraph in body.split("\n"):
        pieces = paragraph.split("$")
        assert len(pieces) % 2, paragraph
        for outside in pieces[::2]:
            assert "_" not in outside, paragraph
            assert "^" not in re.sub(r"\{\}\^\{[^{}]*\}", "", outside), paragraph
    assert not any(ord(character) < 32 and character != "\n" for character in source)


def page(words: str) -> Page:
    columns = [
        Column("unit", words, "count"),
        Column("term", words, "formula"),
        Column("written", words, "text"),
        Column("value", words, "number"),
    ]
    rows: list[list[Entry]] = [[1, words, words, -0.5], [1, "W_hh·h_(t-1)", "", None]]
    table = Table("t", columns, rows, title=words, caption=words, total=rows[0], sheet=True)
    records: list[Record] = [
        Message(words),
        Message(words, "formula"),
        Message(words, "code"),
        Message(f"Name: {'_' * 12}"),
        table,
        table,
        Checks([Check("c", False, words, 1e-9, 1e-6)], title=words),
        Commands(words, [(words, words)]),
    ]
    return Page("s/1", words, records, seed=0, torch="2.13")


@pytest.mark.parametrize("words", HOSTILE)
def test_nothing_that_a_page_says_is_markup(words: str) -> None:
    sound(document(page(words)))


@pytest.mark.parametrize("name", PAGES)
def test_every_kind_of_page_is_sound(name: str) -> None:
    sound(render_file(PAGES[name](), ".tex").decode("utf-8"))


def test_chinese_takes_its_own_class() -> None:
    assert r"{ctexart}" in document(page("中文"))
    assert r"{article}" in document(page("plain"))


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        ("W_ih·x_t + b_ih", r"W_{ih}\cdot x_{t} + b_{ih}"),
        ("h_(t-1)", "h_{t-1}"),
        ("(1-z)⊙n", r"(1-z)\odot n"),
        ("tanh(a_0)", r"{\tanh}(a_{0})"),
        ("dL/dW_hh[0,1]", r"\mathrm{dL}/\mathrm{dW}_{hh}[0,1]"),
        ("(1 - 0.5^2)·(-1)", r"(1 - 0.5{}^{2})\cdot (-1)"),
        ("1.5e-05", r"1.5\cdot 10^{-5}"),
        ("1,234", "1{,}234"),
        ("h_start", r"h_{\text{start}}"),
        ("the sum of these", r"\text{the sum of these}"),
        ("L contains it once", r"L \ \text{contains it once}"),
        ("x^2^2 and _ & $", r"x{}^{2}{}^{2} \mathrm{and} \text{\_} \text{\&} \text{\$}"),
    ],
)
def test_formulas_become_maths(formula: str, wanted: str) -> None:
    assert maths(formula) == wanted


def test_a_line_to_write_on() -> None:
    assert text("Name: ________ a_b") == r"Name: \rule[-1pt]{16mm}{0.4pt} a\_b"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
def test_pdflatex_compiles_it(tmp_path: Path) -> None:
    """All hostile texts that need no Chinese fonts, and every kind of record, in one document: one run is enough."""
    pages = [*(page(words) for words in HOSTILE if "中" not in words), *(PAGES[name]() for name in PAGES)]
    plain = [one for one in pages if "{article}" in document(one)]
    assert len(plain) > len(HOSTILE)
    source = document(Page("s/1", HOSTILE[0], [record for one in plain for record in one.records]))
    (tmp_path / "page.tex").write_text(source, encoding="utf-8")
    line = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-2000:]
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
