from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from rnncli.errors import RecipeError
from rnncli.recipe import (
    Clash,
    CoreSection,
    DataPath,
    Document,
    RecipeConfig,
    Section,
    TrainSection,
    read_document,
    validate,
)


class Data(Section):
    path: DataPath | list[DataPath] | None = Field(None, description="file")
    text: int | str = Field("text", description="column")
    tokens: Literal["characters", "words"] = Field("characters", description="what a step is")
    pairs: list[tuple[str, str]] = Field(default_factory=list, description="inline")
    split: dict[str, float] = Field(default_factory=dict, description="parts")


class Sample(Section):
    length: Annotated[int, Field(ge=1)] = Field(300, description="how much")
    prompt: str = Field("", description="its start")


class Model(CoreSection):
    head: Literal["linear", "none"] = Field("linear", description="what follows the core")


class Train(TrainSection):
    sample: Sample = Field(Sample(), description="written at the end")


class Config(RecipeConfig):
    data: Data = Field(description="data")
    model: Model = Field(description="model")
    train: Train = Field(description="train")

    def clashes(self) -> Iterator[Clash]:
        yield from super().clashes()
        if self.data.pairs and self.model.head == "none" and self.model.hidden_size != 4:
            yield Clash(("model.hidden_size", "model.head"), "without a head, hidden_size is the number of classes, 4")


BASE = """task: toy
data: {path: a.txt}
model:
  cell: rnn
  hidden_size: 4
train:
  lr: 0.1
"""


class Recipes:
    """Writes a recipe, reads and validates it as this folder's Config."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "r.yaml"

    def read(self, text: str, *sets: str, **flags: tuple[str, object]) -> Document:
        self.path.write_text(text, "utf-8")
        return read_document(str(self.path), sets, {key.replace("__", "."): value for key, value in flags.items()})

    def config(self, text: str, *sets: str, **flags: tuple[str, object]) -> Config:
        return validate(self.read(text, *sets, **flags), Config)

    def faults(self, text: str, *sets: str) -> list[tuple[str, str, str, str]]:
        """(line or flag, key, what, todo) of each fault, in the order shown."""
        with pytest.raises(RecipeError) as caught:
            self.config(text, *sets)
        assert caught.value.exit_code == 2
        return [(f.where.rpartition(":")[2], f.key, f.what, f.todo) for f in caught.value.faults]


@pytest.fixture
def recipes(tmp_path: Path) -> Recipes:
    return Recipes(tmp_path)


@pytest.fixture
def base() -> str:
    return BASE


@pytest.fixture
def toy() -> type[Config]:
    return Config
