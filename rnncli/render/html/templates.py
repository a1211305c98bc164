"""The templates and other files of this folder.

Whatever a template prints is fitted (control characters and invisible ones written out, as on every other medium) and
escaped; only Markup, which came out of a template or holds no text of anybody's, is printed as it is.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from rnncli.render import symbols

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render(name: str, /, **values: object) -> Markup:
    """A template of this folder with these values. Raises jinja2.UndefinedError for one that is missing."""
    return as_it_is(_environment().get_template(name).render(values))


def read(name: str) -> str:
    """A file of this folder."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def as_it_is(text: str) -> Markup:
    """HTML, CSS or a script, printed without fitting and escaping: never a text of the user's."""
    from markupsafe import Markup

    return Markup(text)


def _keeping(text: str, characters: str) -> Markup:
    """A text in which these control characters stay."""
    from markupsafe import escape

    return escape(symbols.fit(text, keep=characters))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(read),
        autoescape=True,
        finalize=_fitted,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["keeping"] = _keeping
    return made


def _fitted(value: object) -> object:
    from markupsafe import Markup

    return symbols.fit(value) if isinstance(value, str) and not isinstance(value, Markup) else value
