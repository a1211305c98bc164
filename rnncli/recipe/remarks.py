"""Remarks on a valid recipe: values with old names, and keys without effect."""

from __future__ import annotations

from rnncli.locale import tr
from rnncli.recipe.document import Document
from rnncli.recipe.hints import known_fields
from rnncli.recipe.marks import OneOf
from rnncli.recipe.parse import Node
from rnncli.recipe.sections import RecipeConfig


def renamed(document: Document, config: type[RecipeConfig]) -> list[str]:
    """A sentence for each value given by a misleading old name."""
    said = []
    for key, field in known_fields(config):
        node = document.node(key)
        for mark in field.metadata:
            if isinstance(mark, OneOf) and node is not None and node.content in mark.misleading:
                now = mark.aliases[node.content]
                said.append(tr("{key}: {old} is now called {new}", key=key, old=node.content, new=now))
    return said


def without_effect(document: Document, config: RecipeConfig) -> list[str]:
    """A sentence for each given key that has no effect in combination with the others. In a section changed on the
    command line, only keys from the command line count: the file's keys belong to its own values."""
    said = []
    for key, why in config.idle():
        section, name = key.split(".")[:2]
        node = document.node(section)
        written = node.content if node is not None and isinstance(node.content, dict) else {}
        typed = [other for other, value in written.items() if _typed(value)]
        if document.node(key) is not None and (not typed or name in typed):
            said.append(tr("{key} has no effect with {why}", key=key, why=why))
    return said


def _typed(node: Node) -> bool:
    """Whether it, or anything in it, is from the command line."""
    below = node.content.values() if isinstance(node.content, dict) else ()
    return node.where.startswith("--") or any(map(_typed, below))
