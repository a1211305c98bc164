"""The JSON Schema of recipes: it refuses typos, and nothing that rnncli takes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from rnncli import names
from rnncli.errors import RecipeError
from rnncli.recipe import RecipeConfig, document_of, json_schema, known_keys, packaged_recipes, validate
from rnncli.recipe.parse import dump, parse
from rnncli.starters import find_recipe, recipe_text
from rnncli.tasks import config_class, load_recipe, task_names
from tests.json_schema import admits
from tests.narrowed import as_read

ROOT = Path(__file__).parents[2]
PROBES: list[Any] = [
    *(
        0,
        1,
        7,
        -1,
        0.5,
        -0.5,
        1e12,
        2024,
        True,
        None,
        "",
        "x",
        "7",
        "30s",
        "5x",
        "auto",
        "none",
        "loop",
        "scan",
        "adam",
    ),
    *([], [1], [[1, 2]], ["x"], ["gru"], {}, {"x": 1}, {"name": "sgd", "momentum": 0.9}, {"name": "step"}),
    *({"name": "step", "step_size": 2.0}, {"validation": 0.5}, {"validation": ["x"]}, {"length": 3}),
]


@cache
def schema() -> Any:
    return as_read(json_schema({name: config_class(name) for name in task_names()}))


def read(text: str) -> Any:
    return parse(text, "recipe")[0].value()


def fits(values: Any) -> bool:
    """As an editor sees it; where jsonschema is installed, it says so too."""
    found = admits(schema(), values, schema())
    if (library := checked_by_jsonschema()) is not None:
        assert library.is_valid(values) == found, values
    return found


@cache
def checked_by_jsonschema() -> Any:
    try:
        jsonschema = import_module("jsonschema")
    except ImportError:
        return None
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def with_value(values: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    inner = values.get(first)
    return {**values, first: with_value(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}


def accepted(values: Mapping[str, Any], config: type[RecipeConfig]) -> bool:
    try:
        validate(document_of(values, "recipe"), config)
    except RecipeError:
        return False
    return True


@pytest.mark.parametrize("name", packaged_recipes())
def test_every_packaged_recipe_fits(name: str) -> None:
    assert fits(read(recipe_text(find_recipe(name)[0])))


@pytest.mark.parametrize(
    "file", sorted((ROOT / "tests" / "data").glob("v01*/**/recipe.yaml")), ids=lambda f: f.parent.name
)
def test_recipes_of_0_1_fit(file: Path) -> None:
    assert fits(read(file.read_text("utf-8")))


RIGHT = {
    "hello": [
        *(
            "train.max_time: 30s",
            "train.max_time: 1.5m",
            "train.checkpoint_time: 90",
            "model.engine: scan",
            "format: 1",
        ),
        *("train.optimizer: {name: sgd, momentum: 1}", "train.schedule: {name: step, step_size: 3}"),
        *("model.cell: linear", "data.pairs: [[no, 12]]", "train.compare: [gru, rnn-relu]", "train.schedule: cosine"),
    ],
    "forecasting": ["data.target: 2024", "data.target: true", "data.split: null"],
}
WRONG = {
    "hello": [
        *("task: taging", "modle: {}", "model.hiden_size: 3", "model.cell: grru", "model.hidden_size: four"),
        *("model.hidden_size: 0", "model.hidden_size: 2.5", "train.lr: 0", "train.lr: '0.1'", "train.max_time: 5x"),
        *("train.optimizer: addam", "train.optimizer: {name: sgd, momentun: 0.9}", "train.schedule: step"),
        *(
            "train.optimizer: {momentum: 0.9}",
            "train.schedule: {name: step, step_size: 2.5}",
            "train: 3",
            "model: null",
        ),
        *("format: 3", "data.path: [[a]]", "data.path: {a: b}", "model.bias: 1", "model.eigenvalues: [0, 1]"),
        *("train.compare: [grru]", "data.horizon: 3", "train.device: tpu", "train.on_nan: null"),
    ],
    "forecasting": ["data.tokens: words", "data.target: [[a]]"],
}


def cases(of: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, text) for name, texts in of.items() for text in texts]


def changed(name: str, text: str) -> tuple[dict[str, Any], str]:
    key, _, value = text.partition(": ")
    return with_value(load_recipe(name).document.values, key, read(value)), load_recipe(name).config.task


@pytest.mark.parametrize(("name", "text"), cases(RIGHT))
def test_what_rnncli_takes_fits(name: str, text: str) -> None:
    values, task = changed(name, text)
    assert accepted(values, config_class(task))
    assert fits(values)


@pytest.mark.parametrize(("name", "text"), cases(WRONG))
def test_faults_that_an_editor_flags(name: str, text: str) -> None:
    values, task = changed(name, text)
    assert values["task"] != task or not accepted(values, config_class(task))
    assert not fits(values)


def test_options_are_keys_of_the_cells_that_have_them() -> None:
    values = load_recipe("hello", ["model.cell=linear"]).document.values
    assert fits(with_value(values, "model.eigenvalues", [-1, 1]))
    assert not fits(with_value(values, "model.eigenvalues", [0, 2]))
    assert not fits(with_value(with_value(values, "model.cell", "gru"), "model.eigenvalues", [-1, 1]))


def test_every_choice_is_offered() -> None:
    train = schema()["$defs"]["rnncli__tasks__tagging__Train"]["properties"]
    assert train["optimizer"]["anyOf"][0]["enum"] == list(names.OPTIMIZERS)
    alone = ["none", *(name for name in names.SCHEDULES if name not in names.SCHEDULE_NEEDS)]
    assert train["schedule"]["anyOf"][0]["enum"] == alone
    assert all(value.get("description") for value in train.values())


def _no_false_alarm(name: str, every: int) -> int:
    """Of all probes at all keys, each `every`-th: what the schema refuses, rnncli refuses. Returns how many it did."""
    recipe = load_recipe(name)
    refused = 0
    pairs = itertools.product(known_keys(type(recipe.config)), PROBES)
    for key, probe in itertools.islice(pairs, 0, None, every):
        values = read(dump(with_value(recipe.document.values, key, probe)))
        if not fits(values):
            refused += 1
            if (key, probe) == ("model.subsampling", True):
                continue  # rnncli reads it as 1, which is no reason to write it
            assert key == "task" or not accepted(values, type(recipe.config)), (key, probe)
    return refused


@pytest.mark.parametrize("name", ["hello", "language-model", "forecasting", "translation"])
def test_no_false_alarm(name: str) -> None:
    assert _no_false_alarm(name, 97) > 3


@pytest.mark.evidence
@pytest.mark.parametrize("name", packaged_recipes())
def test_no_false_alarm_for_any_probe(name: str) -> None:
    assert _no_false_alarm(name, 1) > 500
