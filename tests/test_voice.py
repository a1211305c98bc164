"""Plain English: phrases translated word for word from another language stay out of messages, help and docstrings."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import rnncli
from tests.narrowed import of_kind

PACKAGE = Path(rnncli.__file__).parent
# A room is added once it has been read through; the phrases are those that were found most often.
ROOMS = ("api", "baselines", "bench", "cells", "cli", "data", "demos", "doctor", "loggers", "nn", "pages", "recipe",
         "render", "replay", "runs", "sweeps", "targets", "tasks", "training", "views", "weights",
         "files.py", "records.py", "standalone.py")  # fmt: skip
PHRASES = re.compile(
    r"\b(beside|commonest|likeliest|learnt|anew|somebody|anybody|nobody|mend(s|ed)?|go(es|ing)? on|stands? twice"
    r"|leaves? (it|one) away|(?<!there )(?<!There )(is|are) no (?!longer|more)|(holds?|has|have) no (?=file|film|sound)"
    r"|a person('s)?|do(es)? not go (together|with)|as they stand|whatever goes wrong"
    r"|there (is|are) no (option|command|view)"
    r"|(do|does) not read --)\b"
)
IN_CODE = re.compile(
    r"\b(told|lies?|stands? (for|in|under|there)|wants?|(is|are) wanted|so many|put back|make room|surely|leads? out"
    r"|taken for|in the place of|at this moment|from here on)\b"
)


def texts(file: Path) -> list[tuple[int, str]]:
    """(line, text) of every string with a space in it."""
    tree = ast.parse(file.read_text("utf-8"))
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [(node.lineno, of_kind(str, node.value)) for node in strings if " " in str(node.value)]


@pytest.mark.parametrize("room", ROOMS)
def test_plain_english(room: str) -> None:
    found = [
        f"{file.relative_to(PACKAGE)}:{line}: {phrase[0]}"
        for file in sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / room]
        for line, text in texts(file)
        for phrase in (*PHRASES.finditer(text), *IN_CODE.finditer(text))
    ]
    assert found == []


PAGES = [
    path
    for pattern in ("*.md", "docs/*.md", "docs/[!z]*/*.md", "recipes/*.yaml")
    for path in sorted(PACKAGE.parent.glob(pattern))
    if path.name not in ("CHANGELOG.md", "README.zh-CN.md")
]


def test_plain_english_in_docs_and_recipes() -> None:
    found = [
        f"{path.name}:{n}: {phrase[0]}"
        for path in PAGES
        for n, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for phrase in PHRASES.finditer(line)
    ]
    assert found == []


@pytest.mark.parametrize("worn", ["has numbers that are no ones", "the run goes on", "stands twice", "beside it"])
def test_a_worn_phrase_is_found(worn: str) -> None:
    assert PHRASES.search(worn)


@pytest.mark.parametrize("worn", ["a folder is wanted", "the loop is told", "it stands for h"])
def test_a_worn_phrase_of_code_is_found(worn: str) -> None:
    assert IN_CODE.search(worn)


def test_a_long_file_says_why() -> None:
    """Over 400 lines: its docstring says why it is in one file."""
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text("utf-8")
        if text.count("\n") > 400:
            assert "in one file because" in str(ast.get_docstring(ast.parse(text))).lower(), file
