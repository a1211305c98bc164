"""`--help` in the reader's language: every text that it shows of our commands is one of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperGroup, TyperOption

from rnncli.locale import language, tr

if TYPE_CHECKING:
    from rich.text import Text
    from typer._click.core import Command

VIEWS = "{views}"  # help that is made when it is shown: the list of views


def views() -> str:
    from rnncli.views import about_views

    listed = [f"{name}: {tr(line)}" for group in about_views().values() for name, line in group]
    return "\n\n".join([tr("One of these; without one, an overview."), *listed])


def usage(line: str) -> str:
    return line.replace("Usage:", tr("Usage:"), 1)


def named(option: TyperOption | None) -> TyperOption | None:
    """--help itself, which is the parser's own."""
    if option is not None:
        option.help = tr("Show this message and exit.")
    return option


def texts(command: Command) -> set[str]:
    """Every English text of a command, as its file has it, and of those below it."""
    found = {getattr(holder, name) for holder, name in _places(command)}
    return {text for text in found if text and text != VIEWS}


def translate(command: Command) -> None:
    """Put the current language's texts into a command, into those below it, and into what Typer adds to them."""
    if language() == "en":
        return
    for holder, name in _places(command):
        text = getattr(holder, name)
        if text and text != VIEWS:
            setattr(holder, name, tr(text))
    added = {
        "install_completion": tr("Install completion for the current shell."),
        "show_completion": tr("Show completion for the current shell, to copy it or customize the installation."),
    }
    for parameter in command.params:
        if isinstance(parameter, TyperOption) and parameter.name in added:
            parameter.help = added[parameter.name]


def translate_frame() -> None:
    """The titles that Rich draws around the texts. Only once help is shown: importing Rich takes time."""
    from typer import rich_utils

    rich_utils.ARGUMENTS_PANEL_TITLE = tr("Arguments")
    rich_utils.OPTIONS_PANEL_TITLE = tr("Options")
    rich_utils.COMMANDS_PANEL_TITLE = tr("Commands")
    rich_utils.REQUIRED_LONG_STRING = tr("[required]")
    rich_utils.DEFAULT_STRING = tr("[default: {value}]", value="{}")

    class Folding(rich_utils.OptionHighlighter):
        """Breaks a text anywhere where it has no spaces: Rich would cut Chinese off at the end of its column."""

        def __call__(self, text: str | Text) -> Text:
            found = super().__call__(text)
            found.overflow = "fold"
            return found

    rich_utils.highlighter = Folding()


def _places(command: Command) -> Iterator[tuple[Any, str]]:
    """(object, attribute) of every text that a file of ours gives."""
    yield command, "help"
    for parameter in command.params:
        if isinstance(parameter, TyperArgument | TyperOption) and not str(parameter.name).endswith("_completion"):
            yield parameter, "help"
            yield parameter, "rich_help_panel"
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            yield from _places(inner)
