"""Annotated metadata for section fields, and conflicts between fields."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from rnncli.records import Json


@dataclass(frozen=True)
class Clash:
    """Values that are valid separately but conflict. keys: inside their section; the error points to the first."""

    keys: tuple[str, ...]
    what: str
    todo: str = ""


@dataclass(frozen=True)
class Expected:
    """Annotated metadata: how an error describes the expected value."""

    text: str


@dataclass(frozen=True)
class IsPath:
    """Annotated metadata for `str`: a path, made absolute by `validate` (relative to the recipe, or to the current
    folder if given on the command line)."""


@dataclass(frozen=True)
class OneOf:
    """Annotated metadata for `str`: one of these names, looked up when a value is checked. aliases: old name -> name;
    misleading: discouraged old names."""

    known: Callable[[], Collection[str]]
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)
    misleading: tuple[str, ...] = ()

    def choices(self) -> list[str]:
        return list(self.known())

    def check(self, value: str) -> str:
        name = self.aliases.get(value, value)
        if name in self.known():
            return name
        raise PydanticCustomError("one_of", "unknown name")

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Json]:
        """Aliases are accepted but not suggested."""
        known: dict[str, Json] = {"type": "string", "enum": list(self.choices())}
        others: dict[str, Json] = {"type": "string", "pattern": f"^({'|'.join(self.aliases)})$"}
        return {"anyOf": [known, others]} if self.aliases else known
