"""Edits single values in the text of a recipe, keeping comments in place."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping

from rnncli.errors import RecipeError, UsageError
from rnncli.locale import tr
from rnncli.recipe.check import fitted
from rnncli.recipe.comments import localized
from rnncli.recipe.document import Document
from rnncli.recipe.parse import Node, flow_text, parse
from rnncli.recipe.sections import RecipeConfig
from rnncli.records import json_object
from rnncli.render import symbols
from rnncli.render.lines import cells
from rnncli.starters import SCHEMA_FILE

MODELINE = "# yaml-language-server: $schema="
_SCHEMA = re.compile(r"#\s+(yaml-language-server\s*:|\$schema\s*[:=])")
_OWN_SCHEMA = re.compile(rf"{re.escape(MODELINE)}\S*/{re.escape(SCHEMA_FILE)}\s*$")
COLUMN = 30  # where the packaged recipes' comments begin
_PARAGRAPH = re.compile(r"#\s*$|# [A-Z][a-z ]*:")  # end of a paragraph of the header comment
_OWN_LINE = re.compile(r" {0,8}#")  # a comment that does not continue one above


def edited(text: str, changes: Mapping[str, object]) -> str:
    """The text with these dotted keys set in turn. Raises UsageError if one cannot be set in place."""
    for key, value in changes.items():
        values = parse(text, "", lines=False)[0].value()
        wanted = _with(values, key, value)
        if wanted == values:
            continue
        text = _set(text, key, value)
        try:
            same = parse(text, "", lines=False)[0].value() == wanted
        except RecipeError:
            same = False
        if not same:
            raise UsageError(
                tr("{key} cannot be changed in place", key=key), todo=tr("copy the recipe without it and edit the copy")
            )
    return text


def commented(text: str, key: str, comment: str) -> str:
    """The text with this comment after the value of a dotted key, replacing the existing one.

    Unchanged if the value does not have a line of its own ({a: 1, b: 2}).
    """
    node = parse(text, "", lines=False)[0]
    for depth, part in enumerate(key.split(".")):
        if not isinstance(node.content, dict) or (node.flow and depth) or part not in node.content:
            return text
        node = node.content[part]
    found = re.compile(r"[^\r\n]*").match(text, node.end)
    rest = found[0] if found else ""
    if rest.strip() and not rest.lstrip().startswith("#"):
        return text
    column = cells(text[text.rfind("\n", 0, node.end) + 1 : node.end])
    return text[: node.end] + " " * max(2, COLUMN - column) + f"# {symbols.fit(comment)}" + text[node.end + len(rest) :]


def without_keys(text: str, keys: Iterable[str]) -> str:
    """The text without these `section.key`s and their comments. One that is not on a line of its own stays."""
    for key in keys:
        section, _, name = key.partition(".")
        line = rf"(?ms)^({re.escape(section)}:.*?\n)( +){re.escape(name)}:[^\n]*\n(?: {{9,}}#[^\n]*\n)*"
        shorter = re.sub(line, r"\1", text, count=1)
        values = json_object(parse(text, "", lines=False)[0].value())
        below = {other: value for other, value in json_object(values[section]).items() if other != name}
        try:
            same = parse(shorter, "", lines=False)[0].value() == {**values, section: below}
        except RecipeError:
            same = False
        text = shorter if same else text
    return text


def for_file(text: str, name: str, file: str) -> str:
    """Line 1 of the recipe `name`, packaged or a copy, is the command that runs it; change it to run `file`."""
    first, newline, rest = text.partition("\n")
    file = shlex.quote(symbols.fit(file))
    command = re.compile(rf"(rnncli \w+ ){re.escape(name)}(\.ya?ml)?(?=\s|$)")
    return command.sub(lambda found: found[1] + file, first) + newline + rest


def with_schema(text: str, uri: str) -> str:
    """The text with the comment that points YAML language servers to the JSON Schema, after the command in line 1. An
    existing comment that names another schema is kept."""
    lines = [line for line in text.splitlines(keepends=True) if not _OWN_SCHEMA.match(line)]
    if not any(_SCHEMA.match(line) for line in lines):
        first = 1 if lines and lines[0].startswith("#") else 0
        lines.insert(first, f"{MODELINE}{uri}\n")
    return "".join(lines)


def without_result(text: str) -> str:
    """The header comment without its `Result:`, which does not apply to an untrained copy."""
    lines = text.splitlines(keepends=True)
    kept: list[str] = []
    within = False
    for i, line in enumerate(lines):
        if not line.startswith("#"):
            return "".join(kept + lines[i:])
        if line.startswith("# Result"):
            within = True
            _, _, rest = line.partition(".  ")  # two blanks separate it from the rest of its line
            if rest:
                kept.append(f"# {rest}")
        elif within and _PARAGRAPH.match(line):
            within = False
        if not within:
            kept.append(line)
    return "".join(kept)


def without_story(text: str, name: str) -> str:
    """The recipe `name` for other data: keeps only the command (without --data) of the header comment, and drops
    comments on their own lines. Comments after a value explain the key and are kept with their continuation lines."""
    first, newline, rest = text.partition("\n")
    head = re.sub(r" --data \S+", "", first) + newline
    if first.startswith("#"):
        head += "# " + tr("Copied from {name}; for its description: rnncli recipes show {name}", name=name) + newline
    lines = rest.splitlines(keepends=True)
    kept = [line for line in lines if not _OWN_LINE.match(line)]
    return head + "".join(kept)


def copied(
    document: Document,
    config: type[RecipeConfig],
    file: str,
    comments: Mapping[str, str] | None = None,
    schema: str = "",
    idle: Iterable[str] = (),
) -> str:
    """The recipe's text for a new location, `file`: command-line settings are written in, and comments are kept except
    those replaced by `comments` (dotted key -> comment). schema: URI of the JSON Schema for editors. idle: keys without
    effect on other data; those of the recipe itself are left out.

    Comments are in the current language. Relative paths are rewritten to the new location, line 1 runs `file`, and the
    result is not copied; nor are comments about the original data if `document` has been given other data.
    """

    def moved(path: str, folder: str) -> str:
        if path.startswith(("builtin:", "~")) or os.path.isabs(path):
            return path
        return os.path.relpath(os.path.join(folder, path), os.path.dirname(os.path.abspath(file)))

    old = fitted(document, config, lambda path, folder: path)
    new = fitted(document, config, moved)
    changes = {key: _at(new, key) for key in document.typed}
    for section, keys in new.items():
        for key, value in keys.items() if isinstance(keys, dict) else ():
            if value != json_object(old[section])[key] and f"{section}.{key}" not in changes:
                changes[f"{section}.{key}"] = value
    name = os.path.splitext(os.path.basename(document.name))[0]
    text = without_result(document.text)
    if "data.path" in document.typed:
        text = without_keys(without_story(text, name), [key for key in idle if key not in document.typed])
    text = edited(localized(text), changes)
    for key, comment in (comments or {}).items():
        text = commented(text, key, comment)
    text = for_file(text, name, file)
    return with_schema(text, schema) if schema else text


def _at(values: object, key: str) -> object:
    """None for a section omitted with null."""
    *parents, last = key.split(".")
    for part in parents:
        values = json_object(values)[part]
    return json_object(values).get(last)


def _with(old: object, key: str, value: object) -> dict[str, object]:
    values: dict[str, object] = dict(old) if isinstance(old, Mapping) else {}
    first, _, rest = key.partition(".")
    below = values.get(first)
    values[first] = _with(below if isinstance(below, dict) else {}, rest, value) if rest else value
    return values


def _set(text: str, key: str, value: object) -> str:
    node = parse(text, "", lines=False)[0]
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(node.content, dict):
            return _replace(text, node, _with({}, ".".join(parts[depth:]), value))
        if node.flow and depth:  # {a: 1, b: 2}: rewritten as a whole
            return _replace(text, node, _with(node.value(), ".".join(parts[depth:]), value))
        child = node.content.get(part)
        if child is None:
            return _insert(text, node, part, parts[depth + 1 :], value, depth)
        node = child
    return _replace(text, node, value)


def _replace(text: str, node: Node, value: object) -> str:
    new = flow_text(value)
    before, old, after = text[: node.start], text[node.start : node.end], text[node.end :]
    if not old:  # `key:` with nothing after it
        new = f" {new}"
    comment = re.match(r" +(?=#)", after)
    if comment and "\n" not in old:  # the comment stays in its column if there is room
        after = " " * max(2, len(comment[0]) - (cells(new) - cells(old))) + after[comment.end() :]
    return before + new + after


def _insert(text: str, section: Node, part: str, below: list[str], value: object, depth: int) -> str:
    for name in reversed(below):
        value = {name: value}
    children = list(section.content.values()) if isinstance(section.content, dict) else []
    if not children:
        return f"{text.rstrip()}\n{flow_text(part)}: {flow_text(value)}\n"
    last = text.find("\n", children[-1].end - 1)
    at = len(text) if last < 0 else last
    indent = "" if depth == 0 else _indent(text, children[0])
    while follows := re.match(rf"\n{indent} +#[^\n]*", text[at:]):  # comments that continue the line above
        at += follows.end()
    return f"{text[:at]}\n{indent}{flow_text(part)}: {flow_text(value)}{text[at:]}"


def _indent(text: str, child: Node) -> str:
    """Indentation of the key of `child`, the first value of a block section."""
    above = text[: child.start].splitlines() or [""]
    line = next(line for line in reversed(above) if line.strip() and not line.strip().startswith(("#", "-")))
    return line[: len(line) - len(line.lstrip())]
