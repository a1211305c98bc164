"""What the schemas of documents are put together from. JSON Schema 2020-12, in Python's own dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]
Kind = str | Schema  # a word of WORDS, with `?` behind it where null may stand, or a schema
Columns = dict[str, Kind]

NUMBER: Schema = {"$ref": "#/$defs/number"}
DEFINITIONS: Mapping[str, Schema] = {
    "number": {
        "anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}],
        "description": "a number; those that JSON lacks are these texts",
    },
    "values": {
        "anyOf": [{"$ref": "#/$defs/number"}, {"type": "array", "items": {"$ref": "#/$defs/values"}}],
        "description": "nested lists, one level for each axis",
    },
}
WORDS: Mapping[str, Schema] = {
    "text": {"type": "string"},
    "int": {"type": "integer"},
    "num": NUMBER,
    "flag": {"type": "boolean"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "ints": {"type": "array", "items": {"type": "integer"}},
    "nums": {"type": "array", "items": NUMBER},
    "interval": {"type": "array", "items": NUMBER, "minItems": 3, "maxItems": 3},
    "object": {"type": "object"},
    "entry": {"anyOf": [{"type": ["string", "null"]}, NUMBER, {"type": "array", "items": NUMBER}]},
}


def kind(of: Kind) -> Schema:
    """The schema of a word, or itself."""
    if not isinstance(of, str):
        return of
    found = WORDS[of.removesuffix("?")]
    return {"anyOf": [found, {"type": "null"}]} if of.endswith("?") else found


def obj(required: Mapping[str, Kind], optional: Mapping[str, Kind] | None = None, rest: Kind | None = None) -> Schema:
    """An object with these keys, and no others unless `rest` says what they hold."""
    known = {**required, **(optional or {})}
    return {
        "type": "object",
        "properties": {name: kind(of) for name, of in known.items()},
        "required": list(required),
        "additionalProperties": False if rest is None else kind(rest),
    }


def array(of: Kind, least: int = 0) -> Schema:
    return {"type": "array", "items": kind(of), **({"minItems": least} if least else {})}


def maps(to: Kind) -> Schema:
    """An object whose keys are names."""
    return {"type": "object", "additionalProperties": kind(to)}


def one_of(*words: str | None) -> Schema:
    return {"enum": list(words)}


def any_of(*schemas: Kind) -> Schema:
    return {"anyOf": [kind(one) for one in schemas]}


METRICS = maps("num")  # name -> value
CHECK = obj({"name": "text", "ok": "flag", "max_abs_diff": "num?", "tol": "num?"})
STATE = obj({"label": "text", "note": "text", "centre": "nums", "points": array("nums")})
MOVE = {
    "type": "array",
    "prefixItems": [{"type": "integer"}, {"type": "integer"}, {"type": "string"}],
    "items": False,
    "minItems": 3,
}
LINE = obj(
    {"formula": "text", "role": one_of("term", "sum", "step", "result"), "values": "nums", "products": array("nums")}
)
NODE_KIND = one_of("input", "between", "gate", "state")
NODE = obj({"name": "text", "title": "text", "kind": NODE_KIND, "values": "nums", "lines": array(LINE, 1)})
EDGE = obj({"from": "text", "to": "text", "line": "int", "values": "nums"})
PARTS: Mapping[str, Schema] = {
    "tensors": obj({"name": "text", "axes": "texts", "shape": "ints", "values": {"$ref": "#/$defs/values"}}),
    "series": obj(
        {"name": "text", "x": "nums", "lines": maps("nums"), "marks": maps("num")}, {"band": "texts", "ticks": "texts"}
    ),
    "heatmaps": obj({"name": "text", "rows": "texts", "columns": "texts", "values": array("nums")}),
    "texts": obj({"name": "text", "tokens": "texts", "values": "nums", "low": "num", "high": "num"}),
    "diagrams": obj({"name": "text", "states": array(STATE), "moves": array(MOVE)}),
    "drawings": obj(
        {
            "name": "text",
            "steps": "ints",
            "inputs": "texts",
            "answers": "texts",
            "answer": "text",
            "rows": array(obj({"name": "text", "values": maps("nums")})),
            "place": "text",
            "opened": array(obj({"step": "int", "unit": "int", "nodes": array(NODE), "edges": array(EDGE)})),
        }
    ),
}
ROW = maps("entry")  # of a table whose columns follow from the model


def page(
    config: Kind,
    rows: Schema,
    *,
    totals: Schema | None = None,
    parts: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
) -> Schema:
    """A result in the envelope that all pages share. rows: one row of its tables; totals: the last one of those that
    add up. parts: the lists that it holds besides; optional: those that it may lack, "rows" among them."""
    held = {"rows": array(rows), **{name: array(PARTS[name]) for name in parts}}
    always = {name: of for name, of in held.items() if name not in optional}
    others = {name: of for name, of in held.items() if name in optional}
    about: dict[str, Kind] = {"torch": "text", "seed": "int?", "device": "text", "dtype": "text", "config": config}
    return obj(
        {**about, **always, "checks": array(CHECK)}, {**others, **({} if totals is None else {"totals": maps(totals)})}
    )


def tables(**columns: Mapping[str, Kind]) -> Schema:
    """A row of one of several tables, which it names."""
    return any_of(*(row({"table": one_of(name), **of}) for name, of in columns.items()))


def row(columns: Mapping[str, Kind]) -> Schema:
    """A row of a table. A column with `?` behind its name is there in some documents only; `*` is what columns of other
    names hold."""
    known = {name: of for name, of in columns.items() if name != "*"}
    required = {name: of for name, of in known.items() if not name.endswith("?")}
    optional = {name.removesuffix("?"): of for name, of in known.items() if name.endswith("?")}
    return obj(required, optional, columns.get("*"))


def named(name: str, body: Schema) -> Schema:
    """An object, or each of several forms of one, that says its own name first."""
    if "properties" not in body:
        return {**body, "anyOf": [named(name, form) for form in body["anyOf"]]}
    properties = {"schema": {"const": f"rnncli/{name}"}, **body["properties"]}
    return {**body, "properties": properties, "required": ["schema", *body["required"]]}


def whole(name: str, about: str, body: Schema) -> Schema:
    """The schema of a document, with the definitions that it refers to. about: the command that prints it."""
    text = str(body)
    used = DEFINITIONS if "#/$defs/values" in text else {k: v for k, v in DEFINITIONS.items() if f"#/$defs/{k}" in text}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"rnncli/{name}",
        "description": about,
        **body,
        **({"$defs": dict(used)} if used else {}),
    }
