"""The types of a recipe's fields: what they contain, the keys they define, and descriptions of valid values."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from rnncli.locale import tr
from rnncli.recipe.marks import Expected, IsPath, OneOf
from rnncli.recipe.options import CellOption
from rnncli.recipe.parse import Node
from rnncli.recipe.sections import RecipeConfig, Section


def peel(hint: object) -> tuple[object, tuple[object, ...]]:
    if get_origin(hint) is Annotated:
        inner, *beside = get_args(hint)
        marks = [[*mark.metadata] if isinstance(mark, FieldInfo) else [mark] for mark in beside]
        return inner, tuple(mark for group in marks for mark in group)
    return hint, ()


def hint_of(field: FieldInfo) -> object:
    """The full type of a field, including Annotated metadata."""
    hint: object = field.annotation
    return Annotated[hint, *field.metadata] if field.metadata else hint


def inside(hint: object, part: str | int) -> object:
    """The type of the value at a key or index inside a value of type `hint`; `object` if there is none."""
    if isinstance(hint, type) and issubclass(hint, Section):
        return hint_of(hint.model_fields[part]) if part in hint.model_fields else object
    arguments = get_args(hint)
    if get_origin(hint) is dict and isinstance(part, str):
        return arguments[1]
    if get_origin(hint) is list and isinstance(part, int):
        return arguments[0]
    if get_origin(hint) is tuple and isinstance(part, int):
        inner = [argument for argument in arguments if argument is not Ellipsis]
        return inner[min(part, len(inner) - 1)]
    return object


def arm_of(node: Node, union: object) -> object:
    """The arm of a union that matches the value's shape."""
    arms = [arm for arm in get_args(union) if arm is not type(None)]
    if isinstance(node.content, dict):
        mappings = [arm for arm in arms if section_of(arm) is not None or get_origin(peel(arm)[0]) is dict]
        whole = [
            arm for arm in mappings if (of := section_of(arm)) is None or set(node.content) <= set(of.model_fields)
        ]
        if mappings:
            return (whole or mappings)[0]
    if isinstance(node.content, list):
        lists = [arm for arm in arms if get_origin(peel(arm)[0]) in (list, tuple)]
        if lists:
            return lists[0]
    if isinstance(node.content, bool):
        kinds: tuple[type, ...] = (bool,)
    else:
        kinds = {int: (int, float), float: (float,)}.get(type(node.content), ())
    plain = [arm for arm in arms if peel(arm)[0] in kinds]
    texts = [arm for arm in arms if is_text(peel(arm)[0])]
    durations = [arm for arm in arms if peel(arm)[0] not in (int, float, bool)]
    return next(iter([*plain, *texts, *durations, *arms]))


def is_union(hint: object) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def section_of(hint: object) -> type[Section] | None:
    """The section class, if this type is one."""
    hint = peel(hint)[0]
    return hint if isinstance(hint, type) and issubclass(hint, Section) else None


def is_text(hint: object) -> bool:
    if get_origin(hint) is Literal:
        return all(isinstance(choice, str) for choice in get_args(hint))
    return hint is str


def is_path(hints: Iterable[object]) -> bool:
    """Whether any of these types and marks, or a part of one, says that it is a path."""
    return any(
        isinstance(hint, IsPath) or is_path([*get_args(hint), *getattr(hint, "__metadata__", ())]) for hint in hints
    )


def known_keys(config: type[RecipeConfig]) -> list[str]:
    """Every dotted key of this task's recipes, including section names."""
    return [key for key, _ in known_fields(config)]


def known_fields(config: type[RecipeConfig]) -> Iterator[tuple[str, FieldInfo]]:
    """The dotted keys of known_keys, each with its field."""

    def walk(section: type[Section], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
        for name, field in section.model_fields.items():
            yield prefix + name, field
            hint = peel(field.annotation)[0]
            arms = get_args(hint) if is_union(hint) else (hint,)
            for arm in arms:
                if (inner := section_of(arm)) is not None:
                    yield from walk(inner, f"{prefix}{name}.")

    return walk(config, "")


def choices_of(hint: object) -> list[str]:
    """The valid words for a value of this type; empty if any value is allowed."""
    hint, marks = peel(hint)
    for mark in marks:
        if isinstance(mark, OneOf | CellOption):
            return mark.choices()
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    return [choice for arm in get_args(hint) for choice in choices_of(arm)] if is_union(hint) else []


def describe(hint: object) -> str:
    """Describes what a field accepts: `an integer >= 1`, `one of rnn, lstm, gru, feedforward`."""
    hint, marks = peel(hint)
    for mark in marks:
        if isinstance(mark, Expected):
            return tr(mark.text)
        if isinstance(mark, CellOption):
            return mark.option.expected()
        if isinstance(mark, OneOf):
            return tr("one of {names}", names=", ".join(mark.choices()))
    limits = tr(" and").join(_limit(mark) for mark in marks if _limit(mark))
    origin, arguments = get_origin(hint), get_args(hint)
    if is_union(hint):
        return tr(" or ").join(describe(arm) for arm in arguments)
    if origin is Literal:
        plain = all(any(map(str.isalnum, str(choice))) for choice in arguments)
        listed = ", ".join(map(str if plain else repr, arguments))  # punctuation is quoted
        return listed if len(arguments) == 1 else tr("one of {names}", names=listed)
    if origin is tuple and Ellipsis not in arguments:
        return tr("a list of {n}: {items}", n=len(arguments), items=", ".join(describe(item) for item in arguments))
    if origin in (list, tuple):
        return tr("a list of {items}", items=describe(arguments[0]))
    if (section := section_of(hint)) is not None:
        return tr("a section with {names}", names=", ".join(section.model_fields))
    words: dict[object, str] = {
        int: tr("an integer"),
        float: tr("a number"),
        bool: tr("true or false"),
        str: tr("text"),
    }
    words[type(None)] = "null"
    return words.get(hint, tr("a mapping") if origin is dict or hint is dict else tr("another value")) + limits


def _limit(mark: object) -> str:
    for name, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        if hasattr(mark, name) and getattr(mark, name) is not None:
            return f" {sign} {getattr(mark, name)}"
    return ""
