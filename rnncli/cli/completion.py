"""What the shells complete. The metavar of an argument or option says what belongs there, so a new command completes
by using the same words; where nothing is offered, the shell completes file names.

Typer has the shells' scripts (`rnncli --install-completion`) and asks here. Nothing here imports torch, and nothing is
ever printed: whatever goes wrong, there is nothing to offer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, MutableMapping
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from typer.core import CompletionItem  # type: ignore[attr-defined]  # Typer's own click has no public name

from rnncli.runs.folder import runs_here
from rnncli.targets import RECIPES, WEIGHTS, find_target

if TYPE_CHECKING:
    from typer._click.core import Command, Context, Parameter

VARIABLE = "_RNNCLI_COMPLETE"  # set by the shells' scripts
Offers = Iterator[tuple[str, str]]  # (word, what it is)
_FREE = ("N", "STEP")  # in a metavar such as auto|N: anything


def prepare(command: Command, environment: MutableMapping[str, str]) -> None:
    """Make every parameter of a command line's commands offer its words. Changes nothing unless a shell asks."""
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
    """bash takes `model.cell=gr` for three words, and replaces the last of them only: they become one word again.
    Returns the length of what bash replaces."""
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
    """typed: characters that the shell replaces, where these are not the whole word."""
    offer = offers_of(str(parameter.metavar or ""))
    try:
        found = list(offer(context, incomplete)) if offer is not None else []
    except Exception:  # a broken recipe, a folder that cannot be read: a shell's prompt is no place to say so
        return []
    kept = 0 if typed is None else max(0, len(incomplete) - typed)
    return [CompletionItem(word[kept:], help=_short(about)) for word, about in found if word.startswith(incomplete)]


def _short(about: str) -> str:
    """One line: Typer breaks longer ones at the terminal's width, and a shell takes each line for a word."""
    return shorten(about.replace("[", "("), 60, placeholder="...")


def offers_of(metavar: str) -> Callable[[Context, str], Offers] | None:
    """What to offer where this metavar stands; None: file names, or nothing that could be known."""
    words = metavar.strip("[]").removesuffix("...")
    if words in _OFFERS:
        return _OFFERS[words]
    if re.fullmatch(r"[\w-]+(\|[\w-]+)+", words):
        return partial(_words, [word for word in words.split("|") if word not in _FREE])
    if re.fullmatch(r"[a-z][\w-]*(,[a-z][\w-]*)+", words):
        return partial(_listed, words.split(","))
    return None


def _words(words: list[str], context: Context, incomplete: str) -> Offers:
    yield from ((word, "") for word in words)


def _loggers(context: Context, incomplete: str) -> Offers:
    from rnncli.names import LOGGERS

    yield from ((name, "") for name in LOGGERS)


def _cells(context: Context, incomplete: str) -> Offers:
    """Every cell, one after the other where commas separate several."""
    from rnncli.names import CELLS

    return _listed(list(CELLS), context, incomplete)


def _listed(words: list[str], context: Context, incomplete: str) -> Offers:
    """One more word of a list with commas."""
    before, comma, _ = incomplete.rpartition(",")
    yield from ((before + comma + word, "") for word in words if word not in before.split(","))


def _recipes(context: Context, incomplete: str) -> Offers:
    from rnncli.recipe.locate import about, packaged_recipes

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
    """Files here that begin so; without a letter typed there would be too many."""
    if incomplete and os.sep not in incomplete:
        yield from ((path.name, "") for path in sorted(Path().glob("*")) if path.name.endswith(endings))


def _views(context: Context, incomplete: str) -> Offers:
    from rnncli.views import about_views

    for listed in about_views().values():
        yield from listed


def _data(context: Context, incomplete: str) -> Offers:
    from rnncli.data.builtin import PREFIX, builtin_names

    if incomplete:  # else: files
        yield from ((PREFIX + name, "") for name in builtin_names())


def _keys(context: Context, incomplete: str) -> Offers:
    """`model.hid` -> model.hidden_size=, `model.cell=` -> its cells; after a comma the next of a grid's values.

    A lone key is offered twice, bare and with a value: so no shell ends it with a blank.
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
    """Builtin data and files, where the shell does not know that a path stands."""
    yield from _data(context, incomplete)
    folder = os.path.dirname(incomplete)
    for path in sorted(Path(folder or ".").glob("*")):
        word = os.path.join(folder, path.name)
        if word.startswith(incomplete):
            yield (f"{word}/" if path.is_dir() else word), ""


def _recipe_of(context: Context) -> str:
    """The recipe that the command line names before: a packaged name, a path, or that of a run."""
    given = [context.params.get(name) for name in ("recipe", "target", "name", "files", "targets")]
    # behind an option that has no value yet the parser has not come to name its arguments
    named = next(word for word in (*given, context.args) if word)
    return find_target(named if isinstance(named, str) else named[0]).recipe_source


_OFFERS: dict[str, Callable[[Context, str], Offers]] = {
    "RECIPE": _recipes,
    "TARGET": _targets,
    "RUN": _runs,
    "VIEW": _views,
    "CELL": _cells,
    "LOGGER": _loggers,
    "PATH": _data,
    "KEY=VALUE": _keys,
    "KEY=A,B": _keys,
    "KEY=RANGE": _keys,
}
