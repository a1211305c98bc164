"""Document + a task's Config -> that Config, or all errors at once, in file order and in our words.

Pydantic detects errors; the messages are built here from the annotations and the document's marks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rnncli import names
from rnncli.errors import Fault, RecipeError
from rnncli.locale import tr, trn
from rnncli.recipe.document import Document
from rnncli.recipe.formats import as_meant_in_format_1
from rnncli.recipe.hints import (
    arm_of,
    choices_of,
    describe,
    hint_of,
    inside,
    is_path,
    is_text,
    is_union,
    known_keys,
    peel,
    section_of,
)
from rnncli.recipe.options import with_options
from rnncli.recipe.parse import Node
from rnncli.recipe.sections import RecipeConfig

MOST_FAULTS = 50  # shown per recipe
_MOST_DETAILS = 1000  # of pydantic's errors examined in one pass

AnyConfig = TypeVar("AnyConfig", bound=RecipeConfig)


def task_name(document: Document, known: Iterable[str]) -> str:
    """The recipe's task. Raises RecipeError: missing or unknown."""
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
    what = tr("no task named {name!r}", name=name)
    todo = names.did_you_mean(str(name), known, todo)
    raise _refusal(document, [*document.faults, Fault(document.mark("task"), "task", what, todo)])


def validate(document: Document, config: type[AnyConfig]) -> AnyConfig:
    """The recipe as the task's Config. Raises RecipeError with all errors, in file order."""
    config = config_of(document, config)
    values = fitted(document, config, _absolute)
    if values.get("format") == 1:
        as_meant_in_format_1(values, config)
    faults = list(document.faults)
    faulty: set[str] = {fault.key for fault in faults}
    # Checks between fields run only if the fields themselves are valid. So invalid keys are removed and validation is
    # repeated; a clash that names a removed key is ignored.
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
        return (0, int(line)) if name and line.isdigit() else (1, 0)  # the command line comes last

    unique = list(dict.fromkeys(sorted(faults, key=place)))
    n = len(unique)
    if n > MOST_FAULTS:
        unique = [*unique[:MOST_FAULTS], Fault("", "", tr(" and {n} more", n=n - MOST_FAULTS).strip())]
    what = trn("{n} error in the recipe", "{n} errors in the recipe", n=n)
    return RecipeError(what, unique, where=document.name)


def _take_out(values: object, key: str) -> bool:
    *parents, last = key.split(".")
    for part in parents:
        values = values.get(part) if isinstance(values, dict) else None
    if not isinstance(values, dict) or last not in values:
        return False
    del values[last]
    return True


# --- the values, converted to the types of their fields ---


Place = Callable[[str, str], str]  # (path as written, folder it is relative to) -> path


def config_of(document: Document, config: type[AnyConfig]) -> type[AnyConfig]:
    """The task's Config, extended by the options of the document's cell."""
    node = document.node("model.cell")
    model = section_of(hint_of(config.model_fields["model"]))
    cell = model.model_fields["cell"].default if node is None and model is not None else None
    return with_options(config, str(cell if node is None else node.raw if node.raw is not None else node.content))


def fitted(document: Document, config: type[RecipeConfig], place: Place) -> dict[str, object]:
    """The document's values converted to their fields' types, unchecked; `place` rewrites each path."""
    values = _fit(document.root, config_of(document, config), place)
    return values if isinstance(values, dict) else {}


def _fit(node: Node, hint: object, place: Place) -> object:
    """Text fields get the text as written; lists become tuples if a tuple is expected."""
    hint, marks = peel(hint)
    if is_union(hint):
        if node.content is None and type(None) in get_args(hint):
            return None
        arm = arm_of(node, hint)
        numbers = any(peel(other)[0] in (int, float, bool) for other in get_args(hint))
        if numbers and is_text(peel(arm)[0]) and isinstance(node.content, str):
            return node.content  # where numbers are allowed, too, quotes mean text: column '0', not column 0
        return _fit(node, arm, place)
    if is_text(hint) and (node.raw is not None or isinstance(node.content, str)):
        text = node.raw if node.raw is not None else str(node.content)
        return place(text, node.folder) if is_path(marks) else text
    if isinstance(node.content, dict):
        return {
            key: _fit(child, inside(hint, key), place)
            for key, child in node.content.items()
            if child.content is not None or (section := section_of(hint)) is None or not section.may_be_null(key)
        }
    if isinstance(node.content, list):
        items = [_fit(child, inside(hint, number), place) for number, child in enumerate(node.content)]
        return tuple(items) if get_origin(hint) is tuple else items
    return node.content


def _absolute(path: str, folder: str) -> str:
    if not path or path.startswith("builtin:"):
        return path
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


# --- errors, in our words ---


def _faults(
    document: Document, config: type[RecipeConfig], error: ValidationError, faulty: set[str]
) -> tuple[list[Fault], set[str]]:
    """The new errors in `error`, and the keys to remove before the next pass."""
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
        # Every arm of a union reports errors; if one arm got deeper into the value, only its errors count.
        deeper = any(other.startswith((f"{key}.", f"{key}[")) for other in found)
        if deeper and detail["type"] not in ("missing", "extra_forbidden"):
            continue
        taken.add(key.partition("[")[0])
        if key not in faulty:
            what, todo = _words(config, key, detail, node, hint)
            faults.append(Fault(document.mark(key.partition("[")[0]) if node is None else node.where, key, what, todo))
    return faults, taken


def _follow(root: Node, config: type[RecipeConfig], detail: ErrorDetails) -> tuple[str, Node | None, object]:
    """(dotted key, node, type) of pydantic's location, which also contains names of union arms, which are not keys."""
    key = ""
    node: Node | None = root
    hint: object = config
    for place, part in enumerate(detail["loc"]):
        holder = peel(hint)[0]
        if node is not None and is_union(holder):
            holder = peel(arm_of(node, holder))[0]
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
        hint = inside(holder, part)
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
        return str(detail["ctx"]["text"]), tr("a newer rnncli may be able to read this recipe")
    text = tr("nothing") if node is None or node.content is None else _short(node)
    what = tr("expected {expected}, got {value}", expected=describe(hint), value=text)
    return what, names.did_you_mean(text, choices_of(hint))


def _short(node: Node) -> str:
    text = repr(node.content) if isinstance(node.content, str) else node.text()
    return text if len(text) <= 60 else text[:57] + "..."


def _description(config: type[RecipeConfig], key: str) -> str:
    section: object = config
    *parents, last = key.split(".")
    for part in parents:
        section = peel(inside(section, part))[0]
    # A task that narrows `data:` to its own section does not have to describe it again.
    for kind in (section_of(section), RecipeConfig):
        if kind is not None and last in kind.model_fields and kind.model_fields[last].description:
            return str(kind.model_fields[last].description)
    return ""


def _nearest_key(config: type[RecipeConfig], key: str) -> str:
    """The hint for an unknown key: a torch name, the same key elsewhere, the nearest key, or all valid keys."""
    if key in names.TORCH_HABITS:
        return tr(names.TORCH_HABITS[key])
    section, _, name = key.rpartition(".")
    known = known_keys(config)
    siblings = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == section]
    elsewhere = [other for other in known if other.rpartition(".")[2] == name and other.rpartition(".")[0]]
    if elsewhere:
        return tr("it belongs to {key}", key=elsewhere[0])
    others = names.cells_with(name) if section == "model" else []
    if others:
        return tr("it is an option of {cells}", cells=", ".join(others))
    return names.did_you_mean(name, siblings, tr("valid keys: {names}", names=", ".join(siblings)) if siblings else "")
