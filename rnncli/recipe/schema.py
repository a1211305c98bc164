"""The JSON Schema of recipes, for editors. Whatever it rejects, `recipes validate` rejects, too, but not vice versa:
data files and most checks between keys are left to `validate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from rnncli import names
from rnncli.recipe.options import schema_of_options
from rnncli.recipe.sections import RecipeConfig
from rnncli.records import Json


class _Generator(GenerateJsonSchema):
    def str_schema(self, schema: core_schema.StringSchema) -> dict[str, Any]:
        """Text needs no quotes: `text: 2024` names a column. The `not` keeps editors from suggesting true and false."""
        return {"anyOf": [super().str_schema(schema), {"not": {"type": ["array", "object", "null"]}}]}


def json_schema(configs: Mapping[str, type[RecipeConfig]]) -> dict[str, Json]:
    """One JSON Schema (2020-12) for the recipes of these tasks (task name -> its Config), for editors."""
    found, definitions = models_json_schema(
        [(config, "validation") for config in configs.values()],
        ref_template="#/$defs/{model}",
        schema_generator=_Generator,
    )
    for definition in definitions["$defs"].values():
        _finish(definition)
    branches = []
    for name, config in configs.items():
        reference = found[(config, "validation")]
        branches.append({"if": {"properties": {"task": {"const": name}}, "required": ["task"]}, "then": reference})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rnncli recipe",
        "type": "object",
        "properties": {"task": {"description": RecipeConfig.model_fields["task"].description, "enum": list(configs)}},
        "required": ["task"],
        "allOf": branches,
        **definitions,
    }


def _finish(section: dict[str, Any]) -> None:
    """Add what pydantic does not know: descriptions inherited from RecipeConfig, null for sections with defaults, and
    cell options."""
    properties: dict[str, Any] = section["properties"]
    if "task" in properties:
        for key, field in RecipeConfig.model_fields.items():
            properties[key].setdefault("description", field.description)
    for key, value in properties.items():
        if "$ref" in value and key not in section.get("required", ()):
            value["anyOf"] = [{"$ref": value.pop("$ref")}, {"type": "null"}]
    if {"cell", "engine"} <= properties.keys():
        default = properties["cell"].get("default")
        options = schema_of_options()
        properties |= options
        section["allOf"] = [_only_where(option, default) for option in options]


def _only_where(option: str, default: str | None) -> dict[str, Json]:
    """A cell's option is a valid key in recipes with that cell, given or by default."""
    cells: list[Json] = [name for name in names.CELLS if option in names.CELLS[name].options]
    written: list[Json] = [] if default in cells else ["cell"]
    return {
        "if": {"properties": {"cell": {"enum": cells}}, "required": written},
        "else": {"properties": {option: False}},
    }
