"""`optimizer:` and `schedule:`: a name, or a mapping with the name and its arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import WithJsonSchema

from rnncli import names
from rnncli.locale import tr
from rnncli.recipe.marks import Clash
from rnncli.records import Json

Named = dict[str, object]  # {name: ..., its arguments}


def name_and_arguments(value: str | Named) -> tuple[object, dict[str, object]]:
    if isinstance(value, str):
        return value, {}
    return value.get("name"), {key: argument for key, argument in value.items() if key != "name"}


def _fits(value: object, kind: type) -> bool:
    if kind is list:
        return isinstance(value, list) and all(_fits(item, float) for item in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


KIND_WORDS = {float: "a number", int: "an integer", bool: "true or false", list: "a list of numbers"}
_KIND_SCHEMAS: dict[type, dict[str, Json]] = {
    float: {"type": "number"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    list: {"type": "array", "items": {"type": "number"}},
}


def named_schema(known: Mapping[str, tuple[str, Mapping[str, type]]], extra: tuple[str, ...] = ()) -> WithJsonSchema:
    """JSON Schema of `optimizer:` and `schedule:`: a name, or a mapping with the name and its arguments."""
    alone = [*extra, *(name for name in known if name not in names.SCHEDULE_NEEDS)]
    forms: list[Json] = [{"type": "string", "enum": list(alone)}]
    for name in (*extra, *known):
        arguments = {key: _KIND_SCHEMAS[kind] for key, kind in known[name][1].items()} if name in known else {}
        forms.append(
            {
                "type": "object",
                "properties": {"name": {"const": name}, **arguments},
                "required": ["name", *names.SCHEDULE_NEEDS.get(name, ())],
                "additionalProperties": name in extra,
            }
        )
    return WithJsonSchema({"anyOf": forms})


def named_clashes(
    field: str,
    value: str | Named,
    known: Mapping[str, tuple[str, Mapping[str, type]]],
    elsewhere: Mapping[str, str],
    extra: tuple[str, ...] = (),
) -> Iterator[Clash]:
    """Errors in `optimizer:` and `schedule:`. elsewhere: arguments with a recipe key of their own; extra: other valid
    names."""
    name, arguments = name_and_arguments(value)
    at = field if isinstance(value, str) else f"{field}.name"
    if name is None:
        yield Clash((field,), tr("the key `name` is missing"), tr("one of {names}", names=", ".join(known)))
    elif not isinstance(name, str) or name not in (*known, *extra):
        todo = names.did_you_mean(str(name), (*known, *extra), tr("one of {names}", names=", ".join((*extra, *known))))
        yield Clash((at,), tr("no {field} is named {name!r}", field=field, name=name), todo)
    elif name in known:
        types = known[name][1]
        for key, argument in arguments.items():
            if key in elsewhere:
                yield Clash((f"{field}.{key}",), tr("this has its own recipe key"), tr("use {key}", key=elsewhere[key]))
            elif key not in types:
                todo = names.did_you_mean(key, types, tr("its arguments: {names}", names=", ".join(types)))
                yield Clash((f"{field}.{key}",), tr("{name} has no argument {key!r}", name=name, key=key), todo)
            elif not _fits(argument, types[key]):
                expected = tr(KIND_WORDS[types[key]])
                yield Clash(
                    (f"{field}.{key}",), tr("expected {expected}, got {value}", expected=expected, value=repr(argument))
                )
