"""Writes out a validated recipe: as YAML that reads back unchanged, or as a table of values and origins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rnncli.locale import tr
from rnncli.recipe.document import Document
from rnncli.recipe.parse import dump, flow_text
from rnncli.recipe.sections import RecipeConfig, Section
from rnncli.records import Column, Json, Table


def plain(config: RecipeConfig) -> dict[str, Json]:
    """Nested dicts, lists and scalars, defaults included."""
    return config.model_dump(mode="json")


def differences(before: RecipeConfig, after: RecipeConfig) -> list[tuple[str, Json, Json]]:
    """(dotted key, value before, value after) for every value that differs."""
    return list(_differences("", plain(before), plain(after)))


def _differences(prefix: str, before: Json, after: Json) -> list[tuple[str, Json, Json]]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            found
            for key in dict.fromkeys((*before, *after))
            for found in _differences(f"{prefix}.{key}" if prefix else key, before.get(key), after.get(key))
        ]
    return [] if before == after else [(prefix, before, after)]


def resolved_yaml(config: RecipeConfig) -> str:
    """Every value, defaults included, as a recipe that parses to an equal config."""
    return dump(plain(config))


def print_config(document: Document, config: RecipeConfig) -> Table:
    """Each value with its origin: `hello.yaml:12`, `--set`, `--lr`, `default`."""
    columns = (
        Column("key", tr("key"), "text"),
        Column("value", tr("value"), "text"),
        Column("origin", tr("from"), "text"),
    )
    rows = [(key, flow_text(value), document.origin(key)) for key, value in _leaves(config, "")]
    return Table("config", columns, rows)


def _leaves(section: Section, prefix: str) -> Iterator[tuple[str, object]]:
    values = section.model_dump(mode="json")
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, values[name]


def labels_of(keys: Sequence[str]) -> dict[str, str]:
    """Dotted key -> the key without its section, or the full key if ambiguous. A nested key keeps its other components:
    a lone `model.characters.hidden_size` must not read as `model.hidden_size`."""
    ends = [key.partition(".")[2] or key for key in keys]
    return {key: end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)}


def leaves(values: Mapping[str, Json], prefix: str = "") -> Iterator[tuple[str, Json]]:
    """(dotted key, value) of nested dicts."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
