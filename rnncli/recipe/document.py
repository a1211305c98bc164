"""A recipe as written, overlaid with settings from the command line; every value knows its location."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

from rnncli.errors import Fault, RecipeError, UsageError
from rnncli.locale import tr
from rnncli.recipe.parse import Node, Verbatim, dump, flow_text, parse, yaml_value
from rnncli.records import Json, json_object
from rnncli.starters import find_recipe, recipe_text, shown

# Over a recipe: `a.b=value` texts, or dotted key -> value. The keys of a section given as a whole are set one by one.
Sets = Sequence[str] | Mapping[str, object]


@dataclass(frozen=True)
class Document:
    """name: the file name shown in marks. root: the tree. faults: errors found while reading, reported by `validate`
    together with its own. note: a remark for the user (a local file with the packaged recipe's name). text: the file's
    text. typed: the keys set on the command line.
    """

    name: str
    root: Node
    faults: list[Fault] = field(default_factory=list)
    note: str = ""
    text: str = ""
    typed: list[str] = field(default_factory=list)

    @property
    def values(self) -> Mapping[str, Json]:
        return json_object(self.root.value())

    def node(self, key: str) -> Node | None:
        """The node at a dotted key (`data.pairs.0`: the first of a list), or None."""
        node: Node | None = self.root
        for part in key.split("."):
            content = node.content if node is not None else None
            if isinstance(content, list) and part.isdigit() and int(part) < len(content):
                node = content[int(part)]
            else:
                node = content.get(part) if isinstance(content, dict) else None
        return node

    def mark(self, key: str) -> str:
        """`hello.yaml:12`, `--set` or `--lr`: the key's location, or that of the nearest enclosing node."""
        parts = key.split(".")
        for length in range(len(parts), 0, -1):
            node = self.node(".".join(parts[:length]))
            if node is not None:
                return node.where
        return self.name

    def origin(self, key: str) -> str:
        """The value's origin: a mark, or `default`."""
        return self.mark(key) if self.node(key) is not None else "default"


def read_document(target: str, sets: Sets = (), flags: Mapping[str, tuple[str, object]] | None = None) -> Document:
    """The recipe `target` (a packaged name, or a path) overlaid with `--set` texts and flags.

    sets: `a.b=value` texts, or dotted key -> value. flags: dotted key -> (the flag as typed, its value), such as
    `train.lr: ("--lr", "0.1")`.
    Raises DataError (a file that cannot be read), RecipeError (not YAML, not a mapping), UsageError (a wrong --set).
    """
    path, note = find_recipe(target)
    text = recipe_text(path)
    name = shown(path)
    root, faults = parse(text, name, os.path.dirname(os.path.abspath(path)))
    document = Document(name, root, faults, note, text)
    if root.content is None:
        raise RecipeError(
            tr("this recipe is empty"), [], where=name, todo=tr("start from one: rnncli recipes copy hello")
        )
    if not isinstance(root.content, dict):
        what = tr("expected `task:`, `data:`, `model:` and `train:`, got {value}", value=_kind(root))
        raise RecipeError(tr("this is not a recipe"), [Fault(root.where, "", what)])
    _lay_over(document, sets, flags or {})
    return document


def document_of(
    values: Mapping[str, object],
    name: str,
    sets: Sets = (),
    flags: Mapping[str, tuple[str, object]] | None = None,
) -> Document:
    """A Document of plain values, for recipes created in Python. name: shown in error messages. sets, flags: as for
    read_document."""
    plain = {str(key): yaml_value(value, str(key)) for key, value in values.items()}
    root, _ = parse(dump(plain), name, os.getcwd(), lines=False)
    document = Document(name, root)
    _lay_over(document, sets, flags or {})
    return document


def _kind(node: Node) -> str:
    if isinstance(node.content, list):
        return tr("a list")
    return node.text() if len(node.text()) < 40 else tr("text")


def typed_of(sets: Sets) -> dict[str, tuple[str, object]]:
    """Dotted key -> (where it was given, its value). A section given as a whole, `train: {epochs: 2}`, sets the keys it
    names, `train.epochs`, and leaves the recipe's others; the value of a key is replaced, a mapping too
    (`train.optimizer`). Raises UsageError (not KEY=VALUE), RecipeError (a value that YAML cannot say)."""
    typed: dict[str, tuple[str, object]] = {}
    if isinstance(sets, Mapping):
        for key, value in ((str(name), yaml_value(given, str(name))) for name, given in sets.items()):
            if isinstance(value, dict) and "." not in key:
                typed |= {f"{key}.{name}": ("sets", inner) for name, inner in value.items()}
            else:
                typed[key] = ("sets", value)
        return typed
    for text in [sets] if isinstance(sets, str) else sets:
        key, equals, written = text.partition("=")
        key = key.strip()
        if not equals or not key or not all(key.split(".")):
            raise UsageError(
                tr("--set takes KEY=VALUE, got {text!r}", text=text), todo=tr("for example --set model.hidden_size=64")
            )
        whole = None if "." in key else _typed("--set", written).content
        if isinstance(whole, dict):
            typed |= {f"{key}.{name}": ("--set", _text(inner)) for name, inner in whole.items()}
        else:
            typed[key] = ("--set", written)
    return typed


def _text(node: Node) -> str:
    """The value as it would be typed after --set."""
    return node.raw if node.raw is not None else flow_text(node.value())


def _lay_over(document: Document, sets: Sets, flags: Mapping[str, tuple[str, object]]) -> None:
    typed = typed_of(sets)
    for key, (flag, value) in flags.items():
        if key in typed and typed[key][1] != str(value):
            raise UsageError(
                tr("{flag} and --set {key} are both given", flag=flag, key=key), todo=tr("omit one of them")
            )
        typed[key] = (flag, yaml_value(value, key))
    for key, (where, value) in typed.items():
        _put(document, key, where, value)
        document.typed.append(key)
    _other_source(document, {key: where for key, (where, value) in typed.items() if not _is_null(value)})


def _is_null(value: object) -> bool:
    return value is None or (isinstance(value, str) and value in ("null", "~"))


def _other_source(document: Document, typed: Mapping[str, str]) -> None:
    """Data given on the command line replaces the recipe's data and its split."""
    data = document.node("data")
    chosen = next((key for key in ("data.path", "data.train", "data.pairs") if key in typed), "")
    if not chosen or data is None or not isinstance(data.content, dict):
        return
    away = ["path", "pairs", "split"] if chosen == "data.train" else ["train", "validation", "test", "path", "pairs"]
    for name in away:
        node, key = data.content.get(name), f"data.{name}"
        if node is not None and node.content is not None and not any(f"{one}.".startswith(f"{key}.") for one in typed):
            _put(document, key, typed[chosen], None)
            document.typed.append(key)


def _put(document: Document, key: str, where: str, value: object) -> None:
    node = document.root
    *parents, last = key.split(".")
    for depth, part in enumerate(parents):
        assert isinstance(node.content, dict)
        child = node.content.get(part, Node({}, where))
        # Copied, because an alias may refer to the same node elsewhere.
        child = replace(child, content={} if child.content is None else copy(child.content))
        node.content[part] = child
        if not isinstance(child.content, dict):
            above = ".".join(parents[: depth + 1])
            what = tr("{key} is a single value here, {value}, not a section", key=above, value=child.text())
            document.faults.append(Fault(where, key, what, tr("set {key} as a whole", key=above)))
            return
        node = child
    assert isinstance(node.content, dict)
    node.content[last] = _typed(where, value)


def _typed(where: str, value: object) -> Node:
    """A node from the command line: parsed as YAML, and kept verbatim for text fields unless --set has it in quotes."""
    folder = os.getcwd()
    if isinstance(value, Verbatim) or not isinstance(value, str):
        node, _ = parse(flow_text(value), where, folder, lines=False)
        return replace(node, raw=str(value)) if isinstance(value, Verbatim) else node
    whole = Node(value, where, raw=value, folder=folder)  # if it is not YAML
    try:
        node, faults = parse(value, where, folder, lines=False)
    except RecipeError:
        return whole
    quoted = where == "--set" and value[:1] in ("'", '"') and isinstance(node.content, str)
    return whole if faults else node if quoted else replace(node, raw=value)
