"""The command line: the app and its one error boundary. Each command is a file in this folder, listed in start.py.

Nothing here imports torch, pydantic or rich until a command needs them.
"""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from rnncli import __version__
from rnncli.cli import help as help_texts
from rnncli.cli.out import drop_output as _drop_output
from rnncli.cli.out import fitted, open_streams, printed, put, tell
from rnncli.cli.processes import rank_zero_only, should_report_error
from rnncli.cli.reading import shown
from rnncli.cli.settings import settings
from rnncli.cli.start import groups, start_screen
from rnncli.errors import DataError, Missing, RecipeError, RnncliError, UsageError
from rnncli.locale import LANGUAGES, language, no_typed_language, set_language, tr, typed_language
from rnncli.names import did_you_mean

if TYPE_CHECKING:
    from typer._click.core import Command as _ParserCommand
    from typer._click.core import Context, Parameter
    from typer._click.formatting import HelpFormatter
else:
    _ParserCommand = object

# Since 0.26 Typer vendors click; this names its usage errors without importing the vendored copy.
_ParserError: type[Exception] = typer.BadParameter.__bases__[0]

_GLOBAL_FLAGS = ("--debug", "--ascii")  # accepted before and after the command


class _Translated(_ParserCommand):
    """What commands and groups share: translated help, errors that name the command."""

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        help_texts.translate_frame()
        super().format_help(ctx, formatter)

    def get_usage(self, ctx: Context) -> str:
        return super().get_usage(ctx).replace("Usage:", tr("Usage:"), 1)

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = tr("Show this message and exit.")
        return option

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """For a missing value the parser itself does not attach the command to the error."""
        try:
            return super().parse_args(ctx, args)
        except _ParserError as error:
            complaint: Any = error
            complaint.ctx = getattr(complaint, "ctx", None) or ctx
            raise

    def get_params(self, ctx: Context) -> list[Parameter]:
        """A switch takes no value, so its help shows none."""
        parameters = super().get_params(ctx)
        for parameter in parameters:
            if getattr(parameter, "is_flag", False) or getattr(parameter, "count", False):
                parameter.metavar = ""
        return parameters


class Command(_Translated, TyperCommand):
    """A command. The list of views in its help is built only when shown: entry points are slow to read."""

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        for parameter in self.params:
            if isinstance(parameter, TyperArgument) and parameter.help == help_texts.VIEWS:
                parameter.help = help_texts.views()
        super().format_help(ctx, formatter)


class Commands(_Translated, TyperGroup):
    """A command group that suggests the nearest name for an unknown one."""

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, _ParserCommand | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            known = self.list_commands(ctx)
            todo = did_you_mean(name, known, tr("commands: {names}", names=", ".join(known)))
            raise UsageError(tr("unknown command {name!r}", name=name), where=ctx.command_path, todo=todo)
        return super().resolve_command(ctx, args)


LISTED = "--help"  # in place of a command: all of them, for their list, without their options


def make_app(only: str = "") -> typer.Typer:
    """The app with every installed command, with only one, or LISTED: most commands take less time than to read the
    options of all. Built once the language is known, because help texts are translated."""
    app = typer.Typer(cls=Commands, rich_markup_mode="rich", context_settings={"help_option_names": ["--help", "-h"]})
    app.callback(invoke_without_command=True)(_root)
    for group, lines in groups():
        for name, _ in lines:
            if only not in ("", LISTED, name):
                continue
            module = import_module(f"rnncli.cli.{name}")
            if hasattr(module, "app"):  # a command with subcommands
                for inner in module.app.registered_commands:
                    inner.cls = Command
                app.add_typer(
                    module.app if only != LISTED else _documented_app(module.app),
                    name=name,
                    cls=Commands,
                    rich_help_panel=group,
                )
            else:
                function = getattr(module, name)
                called = function if only != LISTED else _documented(function.__doc__)
                app.command(name, cls=Command, rich_help_panel=group)(called)
    return app


def _documented(text: str | None) -> Callable[[], None]:
    """A command with this help, without options."""

    def command() -> None:
        raise AssertionError("only listed")

    command.__doc__ = text
    return command


def _documented_app(of: typer.Typer) -> typer.Typer:
    app = typer.Typer(help=of.info.help)
    app.callback()(_documented(None))
    return app


def _version(show: bool) -> None:
    if show:
        put(f"rnncli {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    lang: Annotated[
        str, typer.Option("--lang", metavar="|".join(LANGUAGES), help="Language of messages and help.")
    ] = "",
    ascii: Annotated[bool, typer.Option("--ascii", help="Use ASCII characters only.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results only: no progress, no notes.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Look inside recurrent networks from the shell: run a cell by hand, train from a recipe, inspect any tensor."""
    settings.quiet = quiet
    if context.invoked_subcommand != "train":
        rank_zero_only()
    if context.invoked_subcommand is None:
        put(fitted(start_screen(), sys.stdout))


def _take_globals(args: list[str]) -> list[str]:
    """Read --debug, --ascii and --lang anywhere before `--`, and return the other arguments."""
    settings.debug = os.environ.get("RNNCLI_DEBUG", "") not in ("", "0")
    settings.ascii = None
    no_typed_language()
    end = args.index("--") if "--" in args else len(args)
    head, tail = args[:end], args[end:]
    if "--debug" in head:
        settings.debug = True
    if "--ascii" in head:
        settings.ascii = True
    head = [word for word in head if word not in _GLOBAL_FLAGS]
    rest: list[str] = []
    words = iter(head)
    for word in words:
        option, equals, value = word.partition("=")
        if option != "--lang":
            rest.append(word)
            continue
        value = value if equals else next(words, "")
        if value not in LANGUAGES:
            raise UsageError(
                tr("unknown language {name!r}", name=value),
                where="--lang",
                todo=tr("one of {names}", names=", ".join(LANGUAGES)),
            )
        typed_language(value)
    if "--json" in head:  # output for programs is always English
        set_language("en")
    return rest + tail


def _command_of(words: list[str]) -> str:
    """The command that is called, or LISTED; "" where all are needed: for completion and unknown names."""
    if words in (["--help"], ["-h"]) and "_RNNCLI_COMPLETE" not in os.environ:
        return LISTED
    first = next((word for word in words if word not in ("--quiet", "-q")), "")
    known = first in (name for _, lines in groups() for name, _ in lines)
    return first if known and "_RNNCLI_COMPLETE" not in os.environ else ""


@cache
def _parser(only: str, language: str) -> _ParserCommand:
    """What reads the words of a command, in a language. A process that runs several builds it once."""
    command = typer.main.get_command(make_app(only))
    help_texts.translate(command)
    return command


def run(args: list[str]) -> int:
    """Run one command line and return its exit code. Every error becomes one message on stderr."""
    open_streams()
    try:
        with _signal_handlers():
            return _guarded(args)
    except KeyboardInterrupt:  # a second Ctrl-C while handling the first
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1


def _guarded(args: list[str]) -> int:
    try:
        code = _run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_output()
        return 0
    except RnncliError as error:
        return print_error(error)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except _ParserError as error:
        from rnncli.cli.usage import usage_error

        return print_error(usage_error(error))
    except MemoryError as error:
        return _no_memory(error)
    except OSError as error:
        return _system_error(error)
    except Exception as error:
        return _unexpected(error)


def _run(args: list[str]) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # the terminal's encoding must never cause a crash
    words = _take_globals(args)
    try:
        with shown():
            command = _parser(_command_of(words), language())
            if "_RNNCLI_COMPLETE" in os.environ:  # called by Typer's completion script
                from rnncli.cli import completion

                completion.prepare(command, os.environ)
            result = command.main(args=words, prog_name="rnncli", standalone_mode=False)
    except SystemExit as stop:  # raised by completion and by SIGTERM
        if isinstance(stop.__context__, BrokenPipeError):  # typer and rich turn a closed pipe into exit code 1
            raise stop.__context__ from None
        result = stop.code
    return result if isinstance(result, int) else 0


@contextmanager
def _signal_handlers() -> Iterator[None]:
    """Make SIGINT and SIGTERM raise, so that files are closed and locks released. A second signal raises again at once;
    a third ends the process. Only the main thread can install handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def unwind(number: int, frame: object) -> NoReturn:
        seen.append(number)
        if len(seen) > 1:
            _end_at_once()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(143)

    before = {number: signal.signal(number, unwind) for number in _handled_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handled_signals() -> list[signal.Signals]:
    """The signals that this process did not inherit as ignored: background jobs of a shell ignore SIGINT."""
    return [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]


def _end_at_once() -> None:
    for number in _handled_signals():
        signal.signal(number, signal.SIG_DFL)


def _system_error(error: OSError) -> int:
    if error.errno == errno.EPIPE:
        _drop_output()
        return 0
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        from rnncli.files import cannot_write

        _drop_output()
        return print_error(cannot_write(error.filename or tr("standard output"), error), error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        todo = tr("close other programs or raise the limit: {command}", command="ulimit -n 4096")
        return print_error(Missing(tr("too many open files"), todo=todo), error)
    if error.errno in (errno.EACCES, errno.EPERM) and error.filename:
        return print_error(DataError(tr("cannot be read: permission denied"), where=str(error.filename)), error)
    return _unexpected(error)


def _unexpected(error: Exception) -> int:
    # torch's exception class, matched by name: this module does not import torch.
    text = str(error)
    if type(error).__name__ == "OutOfMemoryError" or (isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(text)):
        return _no_memory(error)
    if isinstance(error, ImportError):
        todo = tr("find out which one: {command}", command="python -m rnncli.doctor")
        return print_error(
            Missing(tr("a package that rnncli needs is missing or broken: {text}", text=text), todo=todo), error
        )
    what = tr("internal error: {kind}: {text}", kind=type(error).__name__, text=text)
    todo = "" if settings.debug else tr("please report it; run the command again with --debug to see where it happened")
    return print_error(RnncliError(" ".join(what.split())[:500], todo=todo), error)


_OUT_OF_MEMORY = re.compile("can't allocate memory|not enough memory|out of memory")


def _no_memory(error: Exception) -> int:
    todo = tr("reduce train.batch_size or model.hidden_size")
    return print_error(Missing(tr("not enough memory"), todo=todo), error)


def print_error(error: RnncliError, cause: Exception | None = None) -> int:
    """Print an error on stderr (message, location, hint); return its exit code."""
    if not should_report_error():
        return error.exit_code
    lines = [tr("error: {what}", what=error.what)]
    if error.where:
        lines.append(tr("where: {where}", where=error.where))
    if isinstance(error, RecipeError):
        for fault in error.faults:
            place = " ".join(part for part in (fault.where, fault.key) if part)
            lines.append(f"  {place}")
            lines.append(f"      {fault.what}" + (tr("; ") + fault.todo if fault.todo else ""))
    if error.todo:
        lines.append(tr("next:  {todo}", todo=error.todo))
    try:
        sys.stdout.flush()
        if settings.debug:
            tell("".join(traceback.format_exception(cause or error)).rstrip())
        tell(fitted(printed("\n".join(lines)), sys.stderr))
    except OSError:
        _drop_output()
    return error.exit_code


def main() -> NoReturn:
    """The console script."""
    from rnncli.device import share_cores

    share_cores()
    code = run(sys.argv[1:])
    _end_at_once()  # only the interpreter's own cleanup is left
    raise SystemExit(code)
