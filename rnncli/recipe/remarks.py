"""What is said of a recipe that is valid: values by former names, and keys without effect."""

from __future__ import annotations

from rnncli.locale import tr
from rnncli.recipe.document import Document
from rnncli.recipe.hints import known_fields
from rnncli.recipe.marks import OneOf
from rnncli.recipe.parse import Node
from rnncli.recipe.sections import RecipeConfig


def renamed(document: Document, config: type[RecipeConfig]) -> list[str]:
    """A sentence for each value that is written by a former name whose meaning may mislead."""
    said = []
    for key, field in known_fields(config):
        node = document.node(key)
        for mark in field.metadata:
            if isinstance(mark, OneOf) and node is not None and node.content in mark.misleading:
                now = mark.aliases[node.content]
                said.append(tr("{key}: {old} is called {new} now", key=key, old=node.content, new=now))
    return said


def without_effect(document: Document, config: RecipeConfig) -> list[str]:
    """A sentence for each key that was written and, beside the others, has no effect. Of a section that the command
    line changed, only what was typed: what stands in the file was for what stood there."""
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
    """Whether it, or something in it, is from the command line."""
    below = node.content.values() if isinstance(node.content, dict) else ()
    return node.where.startswith("--") or any(map(_typed, below))
