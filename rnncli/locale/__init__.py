"""The words of the screen, in the reader's language.

English is in the code: `tr("engine {name}", name="cell")`, and `trn("{n} token", "{n} tokens", n=n)` where a number
decides the form. Another language is a file, `LANGUAGE/LC_MESSAGES/rnncli.po`, in gettext's format, which maps that
text, placeholders included, to its own. Tests read every call in the package and fail where a language lacks one or its
placeholders differ. JSON, file formats and names of the field never change with the language: what becomes data is made
with `speaking("en")`, or asks a text for its `english`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path
from typing import overload

_FOLDER = Path(__file__).parent
LANGUAGES = ("en", *sorted({file.parts[-3] for file in _FOLDER.glob("*/LC_MESSAGES/rnncli.[mp]o")}))
_language = "en"
_typed = ""  # --lang of this command line, if the locale alone would choose another language
COMMANDS = ("demo", "inspect", "recipes", "train", "predict", "evaluate", "export", "report", "bench", "sweep", "runs",
            "doctor", "schema")  # fmt: skip
_COMMAND = re.compile(rf"(?<![\w/.-])rnncli (?=({'|'.join(COMMANDS)}|COMMAND)\b)")


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


def typed_language(name: str) -> None:
    """Set the language as `--lang` does: suggested commands repeat the option where the locale differs."""
    global _typed
    set_language(name)
    _typed = name if name != language_of_environment() else ""


def no_typed_language() -> None:
    """The locale's language, as at the start of a command line."""
    global _typed
    set_language(language_of_environment())
    _typed = ""


def with_language(text: str) -> str:
    """The text of a screen, with `--lang` in every rnncli command if it was typed and the locale differs: a user who
    runs a suggested command keeps the language."""
    return _COMMAND.sub(f"rnncli --lang {_typed} ", text) if _typed else text


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
    """The language of the locale, where there is one: for zh_TW.UTF-8 zh_TW or zh, else en. The first of LC_ALL,
    LC_MESSAGES, LANG that is set decides."""
    value = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    place = value.partition(".")[0].partition("@")[0].replace("-", "_").lower()
    named = {name.lower(): name for name in LANGUAGES}
    return named.get(place) or named.get(place.partition("_")[0], "en")


@cache
def _translations(name: str) -> GNUTranslations:
    """From the `.po` file where there is one, so that an edited text shows at once; an installation has the `.mo`."""
    file = _FOLDER / name / "LC_MESSAGES" / "rnncli.po"
    if not file.is_file():
        return GNUTranslations(BytesIO(file.with_suffix(".mo").read_bytes()))
    from rnncli.locale.po import compiled

    try:
        return GNUTranslations(BytesIO(compiled(file.read_text(encoding="utf-8"))))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def tr(text: str, /, **values: object) -> str:
    """`text` in the current language, its {placeholders} filled in. An untranslated text stays English."""
    if _language == "en" or not text:  # gettext keeps a file's head under the empty text
        return text.format(**values) if values else text
    return _filled(_translations(_language).gettext(text), text, values)


def trn(one: str, many: str, /, *, n: int, **values: object) -> str:
    """`tr` of a text with a number n in it: `one` for 1, else `many`; other languages have forms of their own.

    {n} is filled in with thousands separated: 12,345.
    """
    english_form = one if n == 1 else many
    values["n"] = f"{n:,}"
    if _language == "en":
        return english_form.format(**values)
    return _filled(_translations(_language).ngettext(one, many, n), english_form, values)


def sentences(parts: Iterable[str]) -> Text:
    """Sentences one after the other: after a full stop of Chinese there is no blank."""
    parts = list(parts)
    found = Text(" ".join(parts).replace("。 ", "。"))
    found.english = " ".join(map(english, parts))
    return found


def _filled(theirs: str, ours: str, values: dict[str, object]) -> Text:
    found = Text(theirs.format(**values) if values else theirs)
    found.english = ours.format(**{key: english(value) for key, value in values.items()}) if values else ours
    return found


@overload
def english(value: str) -> str: ...
@overload
def english(value: object) -> object: ...
def english(value: object) -> object:
    """The English of a text that `tr` gave; anything else as it is."""
    return value.english if isinstance(value, Text) else value
