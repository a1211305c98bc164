"""What stands next to a field's type in a section, and what a section finds wrong between fields."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from rnncli.records import Json


@dataclass(frozen=True)
class Clash:
    """Values right by themselves and wrong together. keys: inside their section; the first is pointed at."""

    keys: tuple[str, ...]
    what: str
    todo: str = ""


@dataclass(frozen=True)
class Expected:
    """Beside a type: how a fault says what was expected there."""

    text: str


@dataclass(frozen=True)
class IsPath:
    """Beside `str`: a path, made absolute by `validate` (relative to the recipe, or to here when typed)."""


@dataclass(frozen=True)
class OneOf:
    """Beside `str`: one of these names, which are looked up when a value is checked. aliases: old name -> name;
    misleading: those that are better not written any more."""

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
        """Aliases are accepted, and not proposed."""
        known: dict[str, Json] = {"type": "string", "enum": list(self.choices())}
        others: dict[str, Json] = {"type": "string", "pattern": f"^({'|'.join(self.aliases)})$"}
        return {"anyOf": [known, others]} if self.aliases else known
