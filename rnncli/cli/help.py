"""`--help` in the user's language: every text of our commands is in the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from typer.core import TyperArgument, TyperGroup, TyperOption

from rnncli.locale import language, tr

if TYPE_CHECKING:
    from rich.text import Text
    from typer._click.core import Command

VIEWS = "{views}"  # placeholder of the list of views, filled in when help is shown


def views() -> str:
    from rnncli.views import about_views

    listed = [f"{name}: {tr(line)}" for group in about_views().values() for name, line in group]
    return "\n\n".join([tr("One of the following; default: an overview."), *listed])


def texts(command: Command) -> set[str]:
    """Every English help text of a command and its subcommands, as written in the source."""
    found = {getattr(holder, name) for holder, name in _places(command)}
    return {text for text in found if text and text != VIEWS}


def translate(command: Command) -> None:
    """Translate the help texts of a command, its subcommands and the options that Typer adds."""
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
    """Translate the panel titles. Only when help is shown: importing Rich takes time."""
    from typer import rich_utils

    rich_utils.ARGUMENTS_PANEL_TITLE = tr("Arguments")
    rich_utils.OPTIONS_PANEL_TITLE = tr("Options")
    rich_utils.COMMANDS_PANEL_TITLE = tr("Commands")
    rich_utils.REQUIRED_LONG_STRING = tr("[required]")
    rich_utils.DEFAULT_STRING = tr("[default: {value}]", value="{}")

    class Folding(rich_utils.OptionHighlighter):
        """Make text without spaces breakable anywhere: Rich would truncate Chinese at the end of its column."""

        def __call__(self, text: str | Text) -> Text:
            found = super().__call__(text)
            found.overflow = "fold"
            return found

    rich_utils.highlighter = Folding()


def _places(command: Command) -> Iterator[tuple[Any, str]]:
    """(object, attribute) of every help text that our source defines."""
    yield command, "help"
    for parameter in command.params:
        if isinstance(parameter, TyperArgument | TyperOption) and not str(parameter.name).endswith("_completion"):
            yield parameter, "help"
            yield parameter, "rich_help_panel"
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            yield from _places(inner)
