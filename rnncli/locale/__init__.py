"""The words of the screen, in the reader's language.

English stands in the code, as `tr("same weights at every step: {n} parameters", n=16)`; a dictionary of another
language (`zh/`) maps that text, placeholders included, to its own. A test reads every `tr(...)` of the package and
fails where a dictionary lacks one or its placeholders differ. JSON, file formats and names of the field never change
with the language: what becomes data is made with `speaking("en")`, or asks a text for its `english`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

LANGUAGES = ("en", "zh")
_language = "en"


class Text(str):
    """A translated text that knows its English."""

    english: str


def language() -> str:
    return _language


def set_language(name: str) -> None:
    global _language
    if name not in LANGUAGES:
        raise ValueError(f"no language {name!r}; there are {', '.join(LANGUAGES)}")
    _language = name


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """The language for as long as the block runs."""
    before = language()
    set_language(name)
    try:
        yield
    finally:
        set_language(before)


def language_of_environment() -> str:
    """`zh` where the locale is Chinese, else `en`. The first of LC_ALL, LC_MESSAGES, LANG that is set decides."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


@cache
def _dictionary(name: str) -> dict[str, str]:
    texts: dict[str, str] = import_module(f"rnncli.locale.{name}").TEXTS
    return texts


def tr(text: str, /, **values: Any) -> str:
    """`text` in the current language, its {placeholders} filled in. An untranslated text stays English."""
    if _language == "en":
        return text.format(**values) if values else text
    theirs = _dictionary(_language).get(text, text)
    found = Text(theirs.format(**values) if values else theirs)
    found.english = text.format(**{key: english(value) for key, value in values.items()}) if values else text
    return found


def english(value: Any) -> Any:
    """The English of a text that `tr` gave; anything else as it is."""
    return value.english if isinstance(value, Text) else value
