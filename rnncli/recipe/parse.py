"""The text of a recipe -> a tree of nodes, every value with its line.

YAML 1.2's core rules decide what is a number or a boolean (`1e-3` is a number; `no`, `off`, `2024-01-01` and `1:30` are
text), where PyYAML alone follows YAML 1.1. The tree is built from the parser's events under hard limits, so that a file
with a million nested brackets or aliases that multiply is refused before memory grows. Tags do not exist here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum
from os import PathLike, fspath
from typing import Any, NoReturn

import yaml

from rnncli.errors import Fault, RecipeError
from rnncli.locale import tr, trn
from rnncli.records import Json
from rnncli.starters import MAX_BYTES

MAX_DEPTH = 32
MAX_NODES = 100_000  # with every alias counted at its full size

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_SHOWN = 40  # values of a list or mapping shown in a message
_LONGEST_NUMBER = 400  # Python refuses to read integers of more than 4300 digits

# The fast parser of libyaml where PyYAML has it; both give the same events and marks.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Scalar = str | int | float | bool | None


@dataclass
class Node:
    """A value with its location. where: `hello.yaml:12`, `--set`, `--lr`.

    content: a scalar, a list of nodes, or a dict of nodes. raw: an unquoted scalar as written, None if quoted. start,
    end: character range in the text. folder: base of relative paths.
    """

    content: Scalar | list[Node] | dict[str, Node]
    where: str
    raw: str | None = None
    start: int = 0
    end: int = 0
    flow: bool = True
    folder: str = ""
    size: int = field(default=1, repr=False)

    def value(self) -> Json:
        """Plain Python: the scalar, or lists and dicts of them."""
        if isinstance(self.content, dict):
            return {key: child.value() for key, child in self.content.items()}
        if isinstance(self.content, list):
            return [child.value() for child in self.content]
        return self.content

    def text(self) -> str:
        """The value as shown in a message."""
        return self.raw if self.raw is not None else flow_text(_first(self, _SHOWN)[0])


def _first(node: Node, most: int) -> tuple[Json, int]:
    """The value truncated to a number of inner values, and the remaining budget: for messages."""
    if isinstance(node.content, dict):
        values = {}
        for key, child in node.content.items():
            if most <= 0:
                break
            values[key], most = _first(child, most - 1)
        return values, most
    if isinstance(node.content, list):
        items = []
        for child in node.content:
            if most <= 0:
                break
            item, most = _first(child, most - 1)
            items.append(item)
        return items, most
    return node.content, most


def resolve(text: str) -> Scalar:
    """A plain (unquoted) scalar by the core schema of YAML 1.2."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if len(text) <= _LONGEST_NUMBER:
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _INFINITE.fullmatch(text):
            return float(text.lower().replace(".", "", 1))
    return text


def parse(
    text: str,
    name: str,
    folder: str = "",
    *,
    lines: bool = True,
    max_bytes: int = MAX_BYTES,
    max_nodes: int = MAX_NODES,
) -> tuple[Node, list[Fault]]:
    """The tree of `text`, and the non-fatal errors (duplicate keys, tags).

    name is shown in every mark, with the line unless lines is False. Raises RecipeError: not YAML, too large, too deep.
    """
    return _Builder(text, name, folder, lines, max_bytes, max_nodes).build()


class _Builder:
    def __init__(self, text: str, name: str, folder: str, lines: bool, max_bytes: int, max_nodes: int) -> None:
        self.text, self.name, self.folder, self.lines = text, name, folder, lines
        self.max_bytes, self.max_nodes = max_bytes, max_nodes
        self.faults: list[Fault] = []
        self.anchors: dict[str, Node | None] = {}  # None while the anchored value is still being read
        self.nodes = 0
        self.events: Iterator[Any] = iter(())

    def build(self) -> tuple[Node, list[Fault]]:
        if len(self.text) > self.max_bytes:
            self.refuse(0, tr("this file is too large: at most {n} MB", n=self.max_bytes // 10**6))
        try:
            self.text.encode("utf-8")
        except UnicodeEncodeError as error:  # a command-line argument that is not UTF-8
            self.refuse(self.text[: error.start].count("\n"), tr("a control character that YAML does not allow"))
        try:
            self.events = iter(yaml.parse(self.text, Loader=_Loader))
            next(self.events)  # the stream's start
            event = next(self.events)
            if isinstance(event, yaml.StreamEndEvent):
                return Node(None, self.place(0), folder=self.folder), self.faults
            root = self.node(next(self.events), "", 0)
            next(self.events)  # the document's end
            event = next(self.events)
            if not isinstance(event, yaml.StreamEndEvent):
                self.refuse(event.start_mark.line, tr("a second document starts here; a file holds one recipe"))
            return root, self.faults
        except yaml.reader.ReaderError as error:
            before = self.text[: error.position] if isinstance(error.position, int) else ""
            self.refuse(before.count("\n"), tr("a control character that YAML does not allow"))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.refuse(mark.line if mark else 0, _syntax(self.text, error))

    def place(self, line: int) -> str:
        return f"{self.name}:{line + 1}" if self.lines else self.name

    def refuse(self, line: int, what: str, key: str = "") -> NoReturn:
        raise RecipeError(tr("this recipe cannot be read"), [Fault(self.place(line), key, what)])

    def node(self, event: Any, key: str, depth: int) -> Node:
        line: int = event.start_mark.line
        if depth > MAX_DEPTH:
            self.refuse(line, tr("nested too deeply: at most {n} levels", n=MAX_DEPTH))
        if isinstance(event, yaml.AliasEvent):
            target = self.anchors.get(event.anchor or "")
            if target is None:
                self.refuse(line, tr("undefined alias *{name}", name=event.anchor), key)
            self.count(target.size, line)
            # The subtree is shared: `Document` copies nodes before overlaying values.
            first, last = _span(event)
            return replace(target, where=self.place(line), start=first, end=last, flow=True)
        self.count(1, line)
        if event.tag not in (None, "!"):
            self.faults.append(
                Fault(
                    self.place(line),
                    key,
                    tr("tags such as {tag} are not supported in recipes", tag=_tag(event.tag)),
                    tr("remove it; put quotes around text"),
                )
            )
        if event.anchor:
            self.anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = self.scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(event, key, depth)
        else:
            node = self.mapping(event, key, depth)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def count(self, nodes: int, line: int) -> None:
        self.nodes += nodes
        if self.nodes > self.max_nodes:
            self.refuse(line, tr("too many values: at most {n}", n=self.max_nodes))

    def scalar(self, event: Any) -> Node:
        raw = event.value if not event.style else None  # None in one parser, "" in the other
        content = resolve(raw) if raw is not None else event.value
        if content is None:
            raw = None  # null is never text
        start, end = _span(event)
        return Node(content, self.place(event.start_mark.line), raw, start, end, folder=self.folder)

    def sequence(self, start: Any, key: str, depth: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, f"{key}[{len(items)}]", depth + 1))
        return self.collection(items, items, start, event)

    def mapping(self, start: Any, key: str, depth: int) -> Node:
        items: dict[str, Node] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line: int = event.start_mark.line
            if not isinstance(event, yaml.ScalarEvent):
                self.refuse(line, tr("a key must be a word"), key)
            dotted = f"{key}.{event.value}" if key else event.value
            child = self.node(next(self.events), dotted, depth + 1)
            if event.value in items:
                first = items[event.value].where
                self.faults.append(Fault(self.place(line), dotted, tr("duplicate key, first at {where}", where=first)))
                continue
            if not child.flow or child.content is None:
                child.where = self.place(line)  # a block starts below its key, and an empty value may end there
            items[event.value] = child
        return self.collection(items, list(items.values()), start, event)

    def collection(self, content: list[Node] | dict[str, Node], children: list[Node], start: Any, end: Any) -> Node:
        flow = bool(start.flow_style)
        # A block's end mark is after the comments below it; use the end of its last value.
        last = end.end_mark.index if flow or not children else children[-1].end
        size = 1 + sum(child.size for child in children)
        first = start.start_mark.index
        return Node(content, self.place(start.start_mark.line), None, first, last, flow, self.folder, size)


def _span(event: Any) -> tuple[int, int]:
    return event.start_mark.index, event.end_mark.index


def _tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _syntax(text: str, error: yaml.MarkedYAMLError) -> str:
    """Describes a YAML error for a recipe's author."""
    problem = error.problem or ""
    mark = error.problem_mark or error.context_mark
    lines = text.splitlines()
    line = lines[mark.line] if mark is not None and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "\\t" in problem:
        return tr("a tab; YAML indents with spaces")
    if "nesting depth" in problem:  # libyaml reads ahead to the end of a bracket's line, and may detect it first
        return tr("nested too deeply: at most {n} levels", n=MAX_DEPTH)
    if "mapping values are not allowed" in problem:
        return tr("a second `:` in one line, or a line indented too far; text with `: ` in it needs quotes")
    if "alias" in problem:
        return tr("an undefined alias after *; text that starts with * needs quotes")
    if "end of stream" in problem or "',' or" in problem or "closing" in problem:
        return tr("an unclosed bracket or quote")
    if "expected <block end>" in problem or "did not find expected key" in problem or "':'" in problem:
        return tr("this line does not match the ones above; expected `key: value`, indented like its neighbours")
    if "cannot start any token" in problem:
        return tr("text that starts with @ ` or % needs quotes")
    return tr("this is not YAML: {problem}", problem=problem)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.2's core rules, or 1.1's, would read as something else."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(f"^({_INT.pattern})$"), list("-+0123456789"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^({_FLOAT.pattern})$"), list("-+.0123456789"))


def _text_node(dumper: _Dumper, text: str) -> yaml.Node:
    # Quoted on one line: multi-line text would otherwise be folded over unindented lines.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else None)


class Verbatim(str):
    """Verbatim text, not YAML: a column named 0x1A or [kW]."""


_Dumper.add_representer(str, _text_node)
_Dumper.add_representer(Verbatim, lambda dumper, text: _text_node(dumper, str(text)))


def yaml_value(value: object, key: str) -> object:
    """A Python value as YAML can say it: numpy's and torch's numbers and arrays as plain ones, a path as its text.

    key: dotted, for the message. Raises RecipeError: YAML cannot say it.
    """
    if value is None or type(value) in (bool, int, float, str) or isinstance(value, Verbatim | date):
        return value
    if isinstance(value, Mapping):
        return {str(name): yaml_value(inner, f"{key}.{name}" if key else str(name)) for name, inner in value.items()}
    if isinstance(value, PathLike):
        return fspath(value)
    array = getattr(value, "tolist", None)
    plain = array() if callable(array) else value.value if isinstance(value, Enum) else value
    if type(plain) is not type(value):
        return yaml_value(plain, key)
    for kind in (int, float, str):
        if isinstance(value, kind):  # of a subclass
            return kind(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [yaml_value(inner, f"{key}[{n}]") for n, inner in enumerate(value)]
    what = tr("a recipe cannot hold a value of type {kind}", kind=type(value).__name__)
    fault = Fault("", key, what, tr("give a number, a text, true or false, or a list or dict of them"))
    raise RecipeError(trn("{n} error in the recipe", "{n} errors in the recipe", n=1), [fault])


def dump(values: Mapping[str, object]) -> str:
    """A recipe's text: sections as blocks, their values on one line each; `parse` reads it back unchanged."""
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            lines.append(f"{flow_text(key)}:")
            lines += [f"  {flow_text(name)}: {flow_text(inner)}" for name, inner in value.items()]
        else:
            lines.append(f"{flow_text(key)}: {flow_text(value)}")
    return "\n".join(lines) + "\n"


def flow_text(value: object) -> str:
    """One value on one line, as in a recipe."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...")
