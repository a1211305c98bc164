"""Document + a task's Config -> that Config, or every fault at once, in file order and in our words.

Pydantic finds what is wrong; what is said about it is made here from the annotations and from the document's marks.
"""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from rnncli import names
from rnncli.errors import Fault, RecipeError
from rnncli.locale import tr, trn
from rnncli.recipe.document import Document
from rnncli.recipe.formats import words_of_format_1
from rnncli.recipe.marks import Expected, IsPath, OneOf
from rnncli.recipe.options import CellOption, with_options
from rnncli.recipe.parse import Node
from rnncli.recipe.sections import RecipeConfig, Section

MOST_FAULTS = 50  # shown of one recipe
_MOST_DETAILS = 1000  # of pydantic's that are looked at in one try

AnyConfig = TypeVar("AnyConfig", bound=RecipeConfig)


def task_name(document: Document, known: Iterable[str]) -> str:
    """The recipe's task. Raises RecipeError: missing, or none of the known ones."""
    known = list(known)
    node = document.node("task")
    todo = tr("one of {names}", names=", ".join(known))
    if node is None or node.content is None:
        raise _refusal(
            document, [*document.faults, Fault(document.mark("task"), "task", tr("the key is missing"), todo)]
        )
    name = node.raw if node.raw is not None else node.value()
    if name in known:
        return str(name)
    near = names.nearest(str(name), known)
    what = tr("no task is called {name!r}", name=name)
    todo = tr("did you mean {name}?", name=near) if near else todo
    raise _refusal(document, [*document.faults, Fault(document.mark("task"), "task", what, todo)])


def validate(document: Document, config: type[AnyConfig]) -> AnyConfig:
    """The recipe as the task's Config. Raises RecipeError with every fault, in the order of the file."""
    config = config_of(document, config)
    values = fitted(document, config, _absolute)
    if values.get("format") == 1:
        words_of_format_1(values, config)
    faults = list(document.faults)
    faulty: set[str] = {fault.key for fault in faults}
    # Checks between fields run only where the fields themselves are right. So what is wrong is taken out and the rest
    # is tried again; a clash that names a key which was taken out is no news.
    while True:
        try:
            made = config.model_validate(values)
        except ValidationError as error:
            news, taken = _faults(document, config, error, faulty)
            faults += news
            faulty |= {fault.key for fault in news}
            if len(faults) > MOST_FAULTS or not sum(_take_out(values, key) for key in taken):
                raise _refusal(document, faults) from None
        else:
            if faults:
                raise _refusal(document, faults)
            return made


def _refusal(document: Document, faults: list[Fault]) -> RecipeError:
    def place(fault: Fault) -> tuple[int, int]:
        name, _, line = fault.where.rpartition(":")
        return (0, int(line)) if name and line.isdigit() else (1, 0)  # what was typed comes last

    unique = list(dict.fromkeys(sorted(faults, key=place)))
    n = len(unique)
    if n > MOST_FAULTS:
        unique = [*unique[:MOST_FAULTS], Fault("", "", tr(" and {n} more", n=n - MOST_FAULTS).strip())]
    what = trn("{n} fault in the recipe", "{n} faults in the recipe", n=n)
    return RecipeError(what, unique, where=document.name)


def _take_out(values: object, key: str) -> bool:
    *parents, last = key.split(".")
    for part in parents:
        values = values.get(part) if isinstance(values, dict) else None
    if not isinstance(values, dict) or last not in values:
        return False
    del values[last]
    return True


# --- the values, fitted to the types of their fields ---


Place = Callable[[str, str], str]  # (path as written, folder it is relative to) -> path


def config_of(document: Document, config: type[AnyConfig]) -> type[AnyConfig]:
    """The task's Config, with the options of the cell that the document names."""
    node = document.node("model.cell")
    model = _section(hint_of(config.model_fields["model"]))
    cell = model.model_fields["cell"].default if node is None and model is not None else None
    return with_options(config, str(cell if node is None else node.raw if node.raw is not None else node.content))


def fitted(document: Document, config: type[RecipeConfig], place: Place) -> dict[str, object]:
    """The document's values in the types of their fields, unchecked; `place` rewrites each path."""
    values = _fit(document.root, config_of(document, config), place)
    return values if isinstance(values, dict) else {}


def _fit(node: Node, hint: object, place: Place) -> object:
    """Text fields get what was written, lists become tuples where a tuple is wanted."""
    hint, marks = _peel(hint)
    if _is_union(hint):
        if node.content is None and type(None) in get_args(hint):
            return None
        arm = _arm(node, hint)
        numbers = any(_peel(other)[0] in (int, float, bool) for other in get_args(hint))
        if numbers and _is_text(_peel(arm)[0]) and isinstance(node.content, str):
            return node.content  # where a number may stand too, quotes mean text: column '0', not column 0
        return _fit(node, arm, place)
    if _is_text(hint) and (node.raw is not None or isinstance(node.content, str)):
        text = node.raw if node.raw is not None else str(node.content)
        return place(text, node.folder) if _is_path(marks) else text
    if isinstance(node.content, dict):
        return {
            key: _fit(child, _inside(hint, key), place)
            for key, child in node.content.items()
            if child.content is not None or (section := _section(hint)) is None or not section.may_be_null(key)
        }
    if isinstance(node.content, list):
        items = [_fit(child, _inside(hint, number), place) for number, child in enumerate(node.content)]
        return tuple(items) if get_origin(hint) is tuple else items
    return node.content


def _peel(hint: object) -> tuple[object, tuple[object, ...]]:
    if get_origin(hint) is Annotated:
        inner, *beside = get_args(hint)
        marks = [[*mark.metadata] if isinstance(mark, FieldInfo) else [mark] for mark in beside]
        return inner, tuple(mark for group in marks for mark in group)
    return hint, ()


def hint_of(field: FieldInfo) -> object:
    """The whole type of a field, what stands beside it included."""
    hint: object = field.annotation
    return Annotated[hint, *field.metadata] if field.metadata else hint


def _inside(hint: object, part: str | int) -> object:
    """The type of what stands at a key or place inside a value of type `hint`; `object` where it has none."""
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


def _arm(node: Node, union: object) -> object:
    """The arm of a union that the value's own shape asks for."""
    arms = [arm for arm in get_args(union) if arm is not type(None)]
    if isinstance(node.content, dict):
        mappings = [arm for arm in arms if _section(arm) is not None or get_origin(_peel(arm)[0]) is dict]
        whole = [arm for arm in mappings if (of := _section(arm)) is None or set(node.content) <= set(of.model_fields)]
        if mappings:
            return (whole or mappings)[0]
    if isinstance(node.content, list):
        lists = [arm for arm in arms if get_origin(_peel(arm)[0]) in (list, tuple)]
        if lists:
            return lists[0]
    if isinstance(node.content, bool):
        kinds: tuple[type, ...] = (bool,)
    else:
        kinds = {int: (int, float), float: (float,)}.get(type(node.content), ())
    plain = [arm for arm in arms if _peel(arm)[0] in kinds]
    texts = [arm for arm in arms if _is_text(_peel(arm)[0])]
    durations = [arm for arm in arms if _peel(arm)[0] not in (int, float, bool)]
    return next(iter([*plain, *texts, *durations, *arms]))


def _is_union(hint: object) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _section(hint: object) -> type[Section] | None:
    """The section that this type is, if it is one."""
    hint = _peel(hint)[0]
    return hint if isinstance(hint, type) and issubclass(hint, Section) else None


def _is_text(hint: object) -> bool:
    if get_origin(hint) is Literal:
        return all(isinstance(choice, str) for choice in get_args(hint))
    return hint is str


def _is_path(marks: Iterable[object]) -> bool:
    return any(isinstance(mark, IsPath) for mark in marks)


def _absolute(path: str, folder: str) -> str:
    if not path or path.startswith("builtin:"):
        return path
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


# --- what is wrong, in our words ---


def _faults(
    document: Document, config: type[RecipeConfig], error: ValidationError, faulty: set[str]
) -> tuple[list[Fault], set[str]]:
    """The new faults in `error`, and the keys to take out before the next try."""
    found: dict[str, list[tuple[ErrorDetails, Node | None, object]]] = {}
    for detail in error.errors(include_url=False)[:_MOST_DETAILS]:
        key, node, hint = _follow(document.root, config, detail)
        found.setdefault(key, []).append((detail, node, hint))
    faults: list[Fault] = []
    taken: set[str] = set()
    for key, details in found.items():
        detail, node, hint = details[0]
        if detail["type"] == "clash":
            for clash in detail["ctx"]["clashes"]:
                keys = [f"{key}.{name}" if key else name for name in clash.keys]
                taken.add(".".join(keys[0].split(".")[:2]))
                if not any(bad == name or bad.startswith(f"{name}.") for bad in faulty for name in keys):
                    faults.append(Fault(document.mark(keys[0]), keys[0], clash.what, clash.todo))
            continue
        # Every arm of a union reports; where one arm got further inside, only what it says there counts.
        deeper = any(other.startswith((f"{key}.", f"{key}[")) for other in found)
        if deeper and detail["type"] not in ("missing", "extra_forbidden"):
            continue
        taken.add(key.partition("[")[0])
        if key not in faulty:
            what, todo = _words(config, key, detail, node, hint)
            faults.append(Fault(document.mark(key.partition("[")[0]) if node is None else node.where, key, what, todo))
    return faults, taken


def _follow(root: Node, config: type[RecipeConfig], detail: ErrorDetails) -> tuple[str, Node | None, object]:
    """(dotted key, node, type) of pydantic's location, which also holds the names of union arms: these are no keys."""
    key = ""
    node: Node | None = root
    hint: object = config
    for place, part in enumerate(detail["loc"]):
        holder = _peel(hint)[0]
        if node is not None and _is_union(holder):
            holder = _peel(_arm(node, holder))[0]
        content = node.content if node is not None else None
        last = place == len(detail["loc"]) - 1
        if isinstance(content, dict) and isinstance(part, str):
            if part not in content and not (last and detail["type"] in ("missing", "extra_forbidden")):
                continue
            key, node = (f"{key}.{part}" if key else part), content.get(part)
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            key, node = f"{key}[{part}]", content[part]
        else:
            continue
        hint = _inside(holder, part)
    return key, node, hint


def _words(
    config: type[RecipeConfig], key: str, detail: ErrorDetails, node: Node | None, hint: object
) -> tuple[str, str]:
    if detail["type"] == "missing":
        description = _description(config, key)
        return tr("the key is missing"), description
    if detail["type"] == "extra_forbidden":
        return tr("unknown key"), _nearest_key(config, key)
    if detail["type"] in ("value_error", "assertion_error"):
        return str(detail["ctx"]["error"]), ""
    if detail["type"] == "format":
        return str(detail["ctx"]["text"]), tr("a newer rnncli may read this recipe")
    text = tr("nothing") if node is None or node.content is None else _short(node)
    choices = choices_of(hint)
    near = names.nearest(text, choices) if choices else ""
    return (
        tr("expected {expected}, got {value}", expected=describe(hint), value=text),
        tr("did you mean {name}?", name=near) if near else "",
    )


def _short(node: Node) -> str:
    text = repr(node.content) if isinstance(node.content, str) else node.text()
    return text if len(text) <= 60 else text[:57] + "..."


def _description(config: type[RecipeConfig], key: str) -> str:
    section: object = config
    *parents, last = key.split(".")
    for part in parents:
        section = _peel(_inside(section, part))[0]
    # A task that narrows `data:` to its own section need not describe it again.
    for kind in (_section(section), RecipeConfig):
        if kind is not None and last in kind.model_fields and kind.model_fields[last].description:
            return str(kind.model_fields[last].description)
    return ""


def known_keys(config: type[RecipeConfig]) -> list[str]:
    """Every dotted key that a recipe of this task can hold, sections' own names included."""
    return [key for key, _ in known_fields(config)]


def known_fields(config: type[RecipeConfig]) -> Iterator[tuple[str, FieldInfo]]:
    """The dotted keys of known_keys, each with its field."""

    def walk(section: type[Section], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
        for name, field in section.model_fields.items():
            yield prefix + name, field
            hint = _peel(field.annotation)[0]
            arms = get_args(hint) if _is_union(hint) else (hint,)
            for arm in arms:
                if (inner := _section(arm)) is not None:
                    yield from walk(inner, f"{prefix}{name}.")

    return walk(config, "")


def _nearest_key(config: type[RecipeConfig], key: str) -> str:
    """What to do about an unknown key: a habit from torch, the same key elsewhere, the nearest, or all there are."""
    if key in names.TORCH_HABITS:
        return tr(names.TORCH_HABITS[key])
    section, _, name = key.rpartition(".")
    known = known_keys(config)
    beside = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == section]
    elsewhere = [other for other in known if other.rpartition(".")[2] == name and other.rpartition(".")[0]]
    if elsewhere:
        return tr("it belongs to {key}", key=elsewhere[0])
    others = names.cells_with(name) if section == "model" else []
    if others:
        return tr("it is an option of {cells}", cells=", ".join(others))
    near = names.nearest(name, beside)
    if near:
        return tr("did you mean {name}?", name=near)
    return tr("there are {names}", names=", ".join(beside)) if beside else ""


def choices_of(hint: object) -> list[str]:
    """The words that a value of this type can be; none where it can be any."""
    hint, marks = _peel(hint)
    for mark in marks:
        if isinstance(mark, OneOf | CellOption):
            return mark.choices()
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    return [choice for arm in get_args(hint) for choice in choices_of(arm)] if _is_union(hint) else []


def describe(hint: object) -> str:
    """What a field takes, in words: `a whole number >= 1`, `one of rnn, lstm, gru, feedforward`."""
    hint, marks = _peel(hint)
    for mark in marks:
        if isinstance(mark, Expected):
            return tr(mark.text)
        if isinstance(mark, CellOption):
            return mark.option.expected()
        if isinstance(mark, OneOf):
            return tr("one of {names}", names=", ".join(mark.choices()))
    limits = tr(" and").join(_limit(mark) for mark in marks if _limit(mark))
    origin, arguments = get_origin(hint), get_args(hint)
    if _is_union(hint):
        return tr(" or ").join(describe(arm) for arm in arguments)
    if origin is Literal:
        listed = ", ".join(str(choice) for choice in arguments)
        return listed if len(arguments) == 1 else tr("one of {names}", names=listed)
    if origin is tuple and Ellipsis not in arguments:
        return tr("a list of {n}: {items}", n=len(arguments), items=", ".join(describe(item) for item in arguments))
    if origin in (list, tuple):
        return tr("a list of {items}", items=describe(arguments[0]))
    if (section := _section(hint)) is not None:
        return tr("a section with {names}", names=", ".join(section.model_fields))
    words: dict[object, str] = {
        int: tr("a whole number"),
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
