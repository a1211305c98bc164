"""`builtin:NAME`: data that is there on a fresh machine, each made by us or by code, the same on every run.

Each is the text of a file in the format that its readers read, so that a builtin and a person's own file take the same
way through the program.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from rnncli.errors import DataError
from rnncli.locale import tr
from rnncli.names import nearest

PREFIX = "builtin:"


@dataclass(frozen=True)
class Builtin:
    """kind: which readers read it. what: one line. make: its text."""

    name: str
    kind: Literal["text", "table", "conllu", "pairs"]
    what: str
    make: Callable[[], str]


def is_builtin(source: str | Path) -> bool:
    return isinstance(source, str) and source.startswith(PREFIX)


def builtin_names() -> tuple[str, ...]:
    return tuple(BUILTINS)


def builtin_text(name: str) -> str:
    """The text of `NAME` or `builtin:NAME`. DataError with the nearest name for one that is not there."""
    return _made(find(name).name)


def find(name: str) -> Builtin:
    short = name.removeprefix(PREFIX)
    if short not in BUILTINS:
        near = nearest(short, BUILTINS)
        todo = tr("did you mean {name}?", name=PREFIX + near) if near else ""
        known = tr("there are: {names}", names=", ".join(BUILTINS))
        raise DataError(
            tr("there is no shipped data of this name"), where=PREFIX + short, todo=f"{todo} {known}".strip()
        )
    return BUILTINS[short]


@cache
def _made(name: str) -> str:
    return BUILTINS[name].make()


def _python_docs() -> str:
    """The interpreter's documentation topics, in order of name, each under its name.

    They differ a little between Python versions; whoever reads them says length and hash.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:  # some distributions ship Python without it
        raise DataError(
            tr("this Python was installed without its documentation topics"),
            where=PREFIX + "python-docs",
            todo=tr("take a text of your own: --data my.txt"),
        ) from error
    return "".join(f"{name}\n\n{topics[name].strip()}\n\n\n" for name in sorted(topics))


BUILTINS: dict[str, Builtin] = {
    made.name: made
    for made in (
        Builtin("python-docs", "text", "the documentation topics of this Python, half a megabyte", _python_docs),
    )
}
