"""A cell's own options as keys of `model:`: extends a task's Config by them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, create_model
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from rnncli import names
from rnncli.recipe.sections import CoreSection, RecipeConfig
from rnncli.records import Json

AnyConfig = TypeVar("AnyConfig", bound=RecipeConfig)


@dataclass(frozen=True)
class CellOption:
    """Annotated metadata: what a cell's option accepts."""

    option: names.Option

    def choices(self) -> list[str]:
        if isinstance(self.option.default, bool):
            return ["true", "false"]
        return [names.option_text(choice) for choice in self.option.choices]

    def check(self, value: object) -> names.OptionValue:
        try:
            return self.option.checked(value)
        except ValueError:
            raise PydanticCustomError("cell_option", "another kind") from None

    def json_schema(self) -> dict[str, Json]:
        """JSON Schema, without description."""
        option = self.option
        if option.choices:
            return {"enum": [list(one) if isinstance(one, tuple) else one for one in option.choices]}
        if isinstance(option.default, bool):
            return {"type": "boolean"}
        if isinstance(option.default, float):
            return {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
        return {"type": "integer", "minimum": option.least}

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Json]:
        return self.json_schema()


def with_options(config: type[AnyConfig], cell: str) -> type[AnyConfig]:
    """The Config whose `model:` also has this cell's options; unchanged if it already has them all."""
    options = names.CELLS[cell].options if cell in names.CELLS else {}
    section: object = config.model_fields["model"].annotation
    known = section.model_fields.keys() if isinstance(section, type) and issubclass(section, CoreSection) else ()
    return config if options.keys() <= set(known) else _made(config, tuple(options.items()))


@cache
def _made(config: type[AnyConfig], options: tuple[tuple[str, names.Option], ...]) -> type[AnyConfig]:
    field = config.model_fields["model"]
    section: object = field.annotation
    assert isinstance(section, type)
    assert issubclass(section, CoreSection)
    # the kinds of fields are known at run time only
    fields: dict[str, Any] = {
        name: (_hint(option), Field(option.default, description=option.about)) for name, option in options
    }
    model: Any = create_model(section.__name__, __base__=section, __module__=section.__module__, **fields)
    whole: Any = {"model": (model, field)}
    made: type[AnyConfig] = create_model(config.__name__, __base__=config, __module__=config.__module__, **whole)
    return made


def _hint(option: names.Option) -> object:
    kind: object = type(option.default)
    return Annotated[tuple[int, ...] if kind is tuple else kind, CellOption(option)]


def schema_of_options() -> dict[str, Json]:
    """Every option of any cell -> its JSON Schema; where cells differ, what any of them takes."""
    found: dict[str, list[Json]] = {}
    about: dict[str, str] = {}
    for cell in names.CELLS:
        for name, option in names.CELLS[cell].options.items():
            taken: Json = CellOption(option).json_schema()
            if taken not in found.setdefault(name, []):
                found[name].append(taken)
            about.setdefault(name, option.about)
    return {name: {"anyOf": kinds, "description": about[name]} for name, kinds in found.items()}
