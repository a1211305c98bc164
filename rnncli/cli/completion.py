"""Shell completion. The metavar of an argument or option decides what is offered, so a new command gets completion by
using the same metavars; without offers, the shell completes file names.

Typer provides the shells' scripts (`rnncli --install-completion`), which call this module. It imports no torch and
never prints: on any error it offers nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from typer.core import CompletionItem  # type: ignore[attr-defined]  # Typer's own click has no public name

from rnncli.names import CELLS, LOGGERS
from rnncli.runs.folder import runs_here
from rnncli.targets import RECIPES, WEIGHTS, find_target

if TYPE_CHECKING:
    from typer._click.core import Command, Context, Parameter

VARIABLE = "_RNNCLI_COMPLETE"  # set by the shells' scripts
Offers = Iterator[tuple[str, str]]  # (word, description)
_FREE = ("N", "STEP")  # free parts of a metavar such as auto|N


def prepare(command: Command, environment: MutableMapping[str, str]) -> None:
    """Add completion to every parameter of all commands. No effect unless a shell asks for completion."""
    if not environment.get(VARIABLE, "").startswith("complete_"):
        return
    typed = _join_words(environment) if environment[VARIABLE] == "complete_bash" else None
    for each in _all(command):
        for parameter in each.params:
            parameter.shell_complete = partial(_completed, parameter, typed)  # type: ignore[method-assign]


def _all(command: Command) -> Iterator[Command]:
    yield command
    for child in getattr(command, "commands", {}).values():
        yield from _all(child)


def _join_words(environment: MutableMapping[str, str]) -> int:
    """bash splits `model.cell=gr` into three words and replaces only the last one: join them again. Returns the length
    of the part that bash replaces."""
    words, count = environment["COMP_WORDS"].split("\n"), int(environment["COMP_CWORD"])
    current = words[count] if count < len(words) else ""
    joined: list[str] = []
    place = count
    for number, word in enumerate(words):
        glued = word in ("=", ":") or (number > 0 and words[number - 1] in ("=", ":"))
        if glued and len(joined) > 1:
            joined[-1] += word
            place -= number <= count
        else:
            joined.append(word)
    environment["COMP_WORDS"], environment["COMP_CWORD"] = "\n".join(joined), str(place)
    return 0 if current in ("=", ":") else len(current)


def _completed(parameter: Parameter, typed: int | None, context: Context, incomplete: str) -> list[CompletionItem]:
    """typed: number of characters that the shell replaces, if not the whole word."""
    offer = offers_of(str(parameter.metavar or ""))
    try:
        found = list(offer(context, incomplete)) if offer is not None else []
    except Exception:  # a broken recipe or unreadable folder must not print errors at the shell's prompt
        return []
    kept = 0 if typed is None else max(0, len(incomplete) - typed)
    return [CompletionItem(word[kept:], help=_short(about)) for word, about in found if word.startswith(incomplete)]


def _short(about: str) -> str:
    """A one-line description: Typer wraps longer ones at the terminal's width, and shells take each line for a word."""
    return shorten(about.replace("[", "("), 60, placeholder="...")


def offers_of(metavar: str) -> Callable[[Context, str], Offers] | None:
    """The function that makes offers for this metavar; None for file names and free values."""
    words = metavar.strip("[]").removesuffix("...")
    if words in _OFFERS:
        return _OFFERS[words]
    if re.fullmatch(r"[\w-]+(\|[\w-]+)+", words):
        return partial(_words, [word for word in words.split("|") if word not in _FREE])
    if re.fullmatch(r"[a-z][\w-]*(,[a-z][\w-]*)+", words):
        return partial(_listed, words.split(","))
    return None


def _words(words: Iterable[str], context: Context, incomplete: str) -> Offers:
    yield from ((word, "") for word in words)


def _listed(words: Iterable[str], context: Context, incomplete: str) -> Offers:
    """Offers for the last element of a comma-separated list."""
    before, comma, _ = incomplete.rpartition(",")
    yield from ((before + comma + word, "") for word in words if word not in before.split(","))


def _recipes(context: Context, incomplete: str) -> Offers:
    from rnncli.starters import about, packaged_recipes

    yield from ((name, about(name)) for name in packaged_recipes() if name.startswith(incomplete))
    yield from _files(incomplete, RECIPES)


def _runs(context: Context, incomplete: str) -> Offers:
    runs = runs_here()
    if runs:
        yield "last", "the newest run"
    yield from ((path.name, "") for path in runs)


def _targets(context: Context, incomplete: str) -> Offers:
    yield from _runs(context, incomplete)
    yield from _recipes(context, incomplete)
    yield from _files(incomplete, WEIGHTS)


def _files(incomplete: str, endings: tuple[str, ...]) -> Offers:
    """Files in this folder with this prefix; nothing for an empty prefix, which would match too many."""
    if incomplete and os.sep not in incomplete:
        yield from ((path.name, "") for path in sorted(Path().glob("*")) if path.name.endswith(endings))


def _views(context: Context, incomplete: str) -> Offers:
    from rnncli.views import about_views

    for listed in about_views().values():
        yield from listed


def _data(context: Context, incomplete: str) -> Offers:
    from rnncli.data.builtin import BUILTINS, PREFIX

    if incomplete:  # else: files
        yield from ((PREFIX + name, "") for name in BUILTINS)


def _keys(context: Context, incomplete: str) -> Offers:
    """`model.hid` -> model.hidden_size=, `model.cell=` -> its cells; after a comma the next of a grid's values.

    A single matching key is offered twice, with and without a value, so that no shell appends a space.
    """
    from rnncli.recipe import config_of, keys, read_document, task_name
    from rnncli.tasks import config_class, load_task, task_names

    document = read_document(_recipe_of(context), (), {})
    task = task_name(document, task_names())
    known = {key.name: key for key in keys(config_of(document, config_class(task)))}
    name, equals, value = incomplete.partition("=")
    fitting = [key for key in known.values() if key.name.startswith(name)]
    if not equals and len(fitting) > 1:
        yield from ((f"{key.name}=", key.about) for key in fitting)
        return
    key = known[name] if equals else fitting[0]
    before, comma, last = value.rpartition(",")
    choices = list(load_task(task).METRICS) if key.name == "train.best_by" else key.choices
    now = document.node(key.name)
    if not choices and not key.is_path and now is not None and now.content is not None and not comma:
        choices = [now.text()]
    if not equals:
        yield f"{key.name}=", key.about
    for choice in (choice for choice in choices if choice not in before.split(",")):
        yield f"{key.name}={before}{comma}{choice}", key.about
    if key.is_path and equals:
        yield from ((f"{key.name}={before}{comma}{word}", "") for word, _ in _paths(context, last))


def _paths(context: Context, incomplete: str) -> Offers:
    """Builtin data, and files where the shell does not recognize a path."""
    yield from _data(context, incomplete)
    folder = os.path.dirname(incomplete)
    for path in sorted(Path(folder or ".").glob("*")):
        word = os.path.join(folder, path.name)
        if word.startswith(incomplete):
            yield (f"{word}/" if path.is_dir() else word), ""


def _recipe_of(context: Context) -> str:
    """The recipe named earlier on the command line: a packaged name, a path, or a run's."""
    given = [context.params.get(name) for name in ("recipe", "target", "name", "files", "targets")]
    # after an option without a value the parser has not named its arguments yet
    named = next(word for word in (*given, context.args) if word)
    return find_target(named if isinstance(named, str) else named[0]).recipe_source


_OFFERS: dict[str, Callable[[Context, str], Offers]] = {
    "RECIPE": _recipes,
    "TARGET": _targets,
    "RUN": _runs,
    "VIEW": _views,
    "CELL": partial(_listed, CELLS),
    "LOGGER": partial(_words, LOGGERS),
    "PATH": _data,
    "KEY=VALUE": _keys,
    "KEY=A,B": _keys,
    "KEY=RANGE": _keys,
}
