"""What JSON Schema 2020-12 says of a value: those of its keywords that our schemas use, and no others.

For tests that must run where jsonschema is not installed; where it is, test_schema.py and test_schemas.py compare the
two.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

NOTES = {"$schema", "$defs", "$comment", "title", "description", "default", "then", "else"}  # that check nothing alone
KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0,
}
LIMITS: dict[str, Callable[[float, float], bool]] = {
    "minimum": operator.ge,
    "exclusiveMinimum": operator.gt,
    "maximum": operator.le,
    "exclusiveMaximum": operator.lt,
}
OF_ONE_KIND = {
    *LIMITS,
    *("pattern", "minLength", "minItems", "maxItems", "items", "prefixItems"),
    *("required", "properties", "additionalProperties", "propertyNames"),
}  # these say nothing of values of another kind


def same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def admits(schema: Any, value: Any, root: Mapping[str, Any]) -> bool:
    """Whether a value fits a schema. root: the whole schema, which references are looked up in."""
    if isinstance(schema, bool):
        return schema
    return all(_holds(key, rule, schema, value, root) for key, rule in schema.items() if key not in NOTES)


def document_fits(document: Mapping[str, Any]) -> bool:
    """Whether a document fits the schema that it names."""
    from rnncli.schemas import schema_of

    schema = schema_of(str(document["schema"]))
    return admits(schema, json.loads(json.dumps(document)), schema)


def _holds(key: str, rule: Any, schema: Mapping[str, Any], value: Any, root: Mapping[str, Any]) -> bool:
    def ok(inner: Any, what: Any = value) -> bool:
        return admits(inner, what, root)

    is_a = {name: test(value) for name, test in KINDS.items()}
    match key:
        case "$ref":
            return ok(root["$defs"][rule.removeprefix("#/$defs/")])
        case "type":
            return any(is_a[name] for name in ([rule] if isinstance(rule, str) else rule))
        case "const":
            return same(value, rule)
        case "enum":
            return any(same(value, one) for one in rule)
        case "anyOf":
            return any(ok(one) for one in rule)
        case "allOf":
            return all(ok(one) for one in rule)
        case "not":
            return not ok(rule)
        case "if":
            return ok(schema.get("then" if ok(rule) else "else", True))
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum" if is_a["number"]:
            return LIMITS[key](value, rule)
        case "pattern" if is_a["string"]:
            return re.search(rule, value) is not None
        case "minLength" if is_a["string"]:
            return bool(len(value) >= rule)
        case "minItems" | "maxItems" if is_a["array"]:
            return bool(len(value) >= rule if key == "minItems" else len(value) <= rule)
        case "items" if is_a["array"]:
            return all(ok(rule, one) for one in value[len(schema.get("prefixItems", ())) :])
        case "prefixItems" if is_a["array"]:
            return all(ok(inner, one) for inner, one in zip(rule, value, strict=False))
        case "required" if is_a["object"]:
            return set(rule) <= set(value)
        case "properties" if is_a["object"]:
            return all(ok(rule[name], one) for name, one in value.items() if name in rule)
        case "additionalProperties" if is_a["object"]:
            return all(ok(rule, one) for name, one in value.items() if name not in schema.get("properties", ()))
        case "propertyNames" if is_a["object"]:
            return all(ok(rule, name) for name in value)
    assert key in OF_ONE_KIND, f"a keyword that this does not know: {key}"
    return True
