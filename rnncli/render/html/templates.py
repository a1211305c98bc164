"""The templates and other files of this folder.

All output of templates is passed through `fit` (control and invisible characters escaped, as in every other format) and
HTML-escaped, except Markup, which comes from a template or contains no user text.
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
    """Render a template of this folder. Raises jinja2.UndefinedError for a missing value."""
    return as_it_is(_environment().get_template(name).render(values))


def read(name: str) -> str:
    """A file of this folder."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def as_it_is(text: str) -> Markup:
    """Trusted HTML, CSS or script, printed without escaping: never user text."""
    from markupsafe import Markup

    return Markup(text)


def _keeping(text: str, characters: str) -> Markup:
    """A text in which these control characters are kept."""
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
