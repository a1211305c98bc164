"""Settings of the calls as Python holds them: numbers of numpy and torch, sections given as a whole."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rnncli
from rnncli.errors import RecipeError, UsageError
from rnncli.recipe import Sets
from rnncli.sweeps.plan import grid_values, parse_space


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Size(enum.IntEnum):
    SMALL = 3


def value(key: str, sets: Sets) -> object:
    section, name = key.split(".")
    return getattr(getattr(rnncli.load_recipe("hello", sets).config, section), name)


@pytest.mark.parametrize(
    ("key", "given", "plain"),
    [
        ("train.epochs", np.int64(2), 2),
        ("train.epochs", torch.tensor(2), 2),
        ("train.lr", np.logspace(-2, -1, 2)[0], 0.01),
        ("train.lr", torch.tensor(0.5, requires_grad=True), 0.5),
        ("model.bidirectional", np.True_, True),
        ("model.cell", np.str_("gru"), "gru"),
        ("model.hidden_size", Size.SMALL, 3),
        ("train.compare", np.array(["gru", "lstm"]), ["gru", "lstm"]),
        ("train.compare", ("gru",), ["gru"]),
        ("train.optimizer", {"name": "sgd", "momentum": np.float64(0.5)}, {"name": "sgd", "momentum": 0.5}),
    ],
)
def test_numbers_of_other_packages_are_plain_ones(key: str, given: object, plain: object) -> None:
    section, name = key.split(".")
    for sets in ({key: given}, {section: {name: given}}):
        found = value(key, sets)
        assert found == plain
        assert type(found) is type(plain)


def test_a_recipe_of_values_holds_them_too() -> None:
    sections: dict[str, object] = {"model": {"hidden_size": np.int64(3)}, "train": {"epochs": torch.tensor(2)}}
    values = {"task": "tagging", "data": {"path": Path("a.txt")}, **sections}
    config = rnncli.load_recipe(values).config
    assert (config.model.hidden_size, config.train.epochs) == (3, 2)
    assert vars(config.data)["path"] == str(Path("a.txt").absolute())


@pytest.mark.parametrize(
    ("sets", "key", "kind"),
    [
        ({"train.lr": 1j}, "train.lr", "complex"),
        ({"train": {"lr": np.longdouble(1)}}, "train.lr", "longdouble"),
        ({"data.pairs": [["ab", object()]]}, "data.pairs[0][1]", "object"),
        ({"train.compare": b"gru"}, "train.compare", "bytes"),
    ],
)
def test_what_yaml_cannot_say_is_refused_with_its_key(sets: dict[str, object], key: str, kind: str) -> None:
    with pytest.raises(RecipeError) as raised:
        rnncli.load_recipe("hello", sets)
    (fault,) = raised.value.faults
    assert fault.key == key
    assert fault.what == f"a recipe cannot hold a value of type {kind}"


def test_a_sweep_of_numpy_values(starts_warm: None) -> None:
    sets = {"train": {"epochs": np.int64(1)}}
    done = rnncli.sweep("hello", grid={"train.lr": np.array([0.01, 0.1])}, sets=sets)
    assert sorted(row.settings["train.lr"] for row in done.rows()) == ["0.01", "0.1"]
    assert {row.status for row in done.rows()} == {"done"}
    assert "rnncli train hello --set train.lr=0.1 --set train.epochs=1" in str(done.page())
    with pytest.raises(UsageError, match="is both set and varied"):
        rnncli.sweep("hello", grid={"train.lr": [0.1]}, sets={"train": {"lr": 0.2}})


def test_an_empty_list_of_values() -> None:
    given: Iterable[object]
    for given in ([], np.array([])):
        with pytest.raises(UsageError, match=r"train\.lr has an empty list of values"):
            grid_values("train.lr", given)
    with pytest.raises(UsageError, match=r"train\.lr has an empty list of values"):
        parse_space("train.lr", [])


def test_a_sweep_takes_a_file_or_a_name() -> None:
    recipes: list[Any] = [{"task": "tagging"}, rnncli.load_recipe("hello")]
    for recipe in recipes:
        with pytest.raises(UsageError, match="takes the name of a recipe, or the path of its file"):
            rnncli.sweep(recipe, grid={"model.cell": ["rnn", "gru"]})


SECTIONS: list[Sets] = [
    {"train": {"epochs": 2, "optimizer": {"name": "sgd", "nesterov": True}}},
    ["train={epochs: 2, optimizer: {name: sgd, nesterov: true}}"],
    "train={epochs: 2, optimizer: {name: sgd, nesterov: true}}",
]


@pytest.mark.parametrize("sets", SECTIONS)
def test_a_section_given_as_a_whole_keeps_the_other_keys_of_the_recipe(sets: Sets) -> None:
    values = {"task": "tagging", "data": {"pairs": [["ab", "ba"]]}, "model": {"hidden_size": 3}}
    train = {"lr": 0.3, "epochs": 9, "optimizer": {"name": "sgd", "momentum": 0.9}}
    found = rnncli.load_recipe({**values, "train": train}, sets).config.train
    assert (found.lr, found.epochs) == (0.3, 2)
    assert found.optimizer == {"name": "sgd", "nesterov": True}, "a key's value is replaced as a whole"


def test_a_section_given_as_a_whole_is_its_dotted_keys(tmp_path: Path) -> None:
    (tmp_path / "2024").write_text("a\tb\n")
    for whole in ({"data": {"path": "2024"}}, ["data={path: 2024}"], ["data={path: '2024'}"]):
        data = rnncli.load_recipe("hello", whole).config.data
        assert data == rnncli.load_recipe("hello", {"data.path": "2024"}).config.data
    assert value("train.lr", {"train": {}}) == value("train.lr", ()) == 0.1
    with pytest.raises(RecipeError, match="train: expected a section"):
        value("train.lr", {"train": None})
    with pytest.raises(RecipeError, match=r"train\.epoch: unknown key"):
        value("train.lr", {"train": {"epoch": 2}})
