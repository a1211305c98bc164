"""Usage errors of the command-line parser in our own words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from typer.core import TyperOption

from rnncli.errors import UsageError
from rnncli.locale import tr
from rnncli.names import did_you_mean

if TYPE_CHECKING:
    from typer._click.core import Context

_KINDS = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "a value"}
_LIMITS = {"greater_than_equal": "ge", "less_than_equal": "le", "greater_than": "gt", "less_than": "lt"}
_SIGNS = {"ge": ">=", "le": "<=", "gt": ">", "lt": "<"}


def usage_error(error: Any) -> UsageError:
    """The parser's error in our own words. Its classes are matched by name: they are private to typer."""
    kind, message = type(error).__name__, str(error.format_message())
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "rnncli"
    todo = tr("see: {command} --help", command=where)
    parameter = getattr(error, "param", None)
    name = parameter.opts[-1] if parameter is not None and parameter.opts else getattr(error, "option_name", "")
    if parameter is not None and parameter.param_type_name == "argument":
        name = str(parameter.metavar or parameter.name).upper()
    if kind == "NoSuchOption":
        what = tr("unknown option {name}", name=name)
        todo = did_you_mean(name, getattr(error, "possibilities", None) or (), todo)
    elif kind == "MissingParameter":
        what = tr("missing {name}", name=name)
    elif kind == "BadOptionUsage":
        what = _no_value(name, context)
    elif kind == "BadParameter" and name:
        what, choice = _bad_value(name, error)
        todo = choice or todo
    elif "unexpected extra argument" in message:
        what = tr("too many arguments: {words}", words=message.partition("(")[2].partition("(")[2].rstrip(")"))
    else:
        what = message
    return UsageError(what, where=where, todo=todo)


def _no_value(name: str, context: Context | None) -> str:
    """An option without a value, or a switch with one."""
    parameters = context.command.get_params(context) if context is not None else []
    parameter = next((one for one in parameters if name in (*one.opts, *one.secondary_opts)), None)
    if getattr(parameter, "is_flag", False):
        return tr("{name} takes no value", name=name)
    kind = parameter.display_type(context).strip("<>") if context and isinstance(parameter, TyperOption) else ""
    expected = _KINDS.get(kind, _KINDS["str"])
    return tr("{name} needs {expected}", name=name, expected=tr(expected))


def _bad_value(name: str, error: Any) -> tuple[str, str]:
    """(message about an option's value, hint with the nearest choice)."""
    details = error.__cause__.errors(include_url=False) if hasattr(error.__cause__, "errors") else []
    if not details:
        return tr("{name}: {message}", name=name, message=error.message), ""
    kind, value, limits = details[0]["type"], str(details[0]["input"]), details[0].get("ctx", {})
    if kind in _LIMITS:
        sign = _LIMITS[kind]
        limit = f"{_SIGNS[sign]} {limits[sign]}"
        return tr("{name} takes a number {limit}, got {value!r}", name=name, limit=limit, value=value), ""
    _, is_choice, offered = str(limits.get("error", "")).rpartition(" is not one of ")
    if is_choice:
        choices = re.findall(r"'([^']*)'", offered)
        listed = ", ".join(choices)
        what = tr("{name} takes one of {names}, got {value!r}", name=name, names=listed, value=value)
        return what, did_you_mean(value, choices)
    if kind.partition("_")[0] not in _KINDS:
        return tr("{name}: {message}", name=name, message=error.message), ""
    expected = _KINDS[kind.partition("_")[0]]
    return tr("{name} takes {expected}, got {value!r}", name=name, expected=tr(expected), value=value), ""
