"""Options that a cell has for itself: from the recipe to the step, and in a demo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rnncli import cells, names
from rnncli.cells import CELLS, CoreSpec, Gates, Option, OptionValue, State, Weights, _modules, weights_of
from rnncli.demos.settings import DemoOptions, Settings, options_of, spec_for, typed_options
from rnncli.errors import RecipeError, UsageError
from rnncli.nn.recurrent import make_core, run_by, spec_of_section
from rnncli.recipe import json_schema, resolved_yaml
from rnncli.tasks import config_class, load_recipe
from rnncli.training.job import is_own_cell, model_with_cell

GRU = CELLS["gru"]
OPTIONS = {
    "eigenvalues": Option((0, 1), "where they lie", ((0, 1), (-1, 1))),
    "heads": Option(1, "how many"),
    "keep": Option(0.0, "a share"),
    "style": Option("plain", "which", ("plain", "odd")),
    "doubled": Option(False, "twice h"),
}


def step(x: Tensor, state: State, w: Weights) -> tuple[State, Gates]:
    (h,), gates = GRU.step(x, state, w)
    return (2 * h if w.options["doubled"] else h,), gates


def fits(options: Mapping[str, OptionValue], hidden_size: int) -> dict[str, str]:
    return {"heads": "too many"} if int(str(options["heads"])) > hidden_size else {}


@pytest.fixture(autouse=True)
def optional(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """gru, as if its file had these options. Specs are kept by their sizes: none of another gru may be met."""
    made = replace(GRU, step=step, options=OPTIONS, fits=fits)
    monkeypatch.setitem(cells.CELLS.loaded, "gru", made)
    assert names.CELLS["gru"]
    monkeypatch.setitem(names.CELLS.loaded, "gru", made)
    for kept in (_modules._spec, _modules._names):
        kept.cache_clear()
    yield
    for kept in (_modules._spec, _modules._names):
        kept.cache_clear()


def hello(*sets: str) -> CoreSpec:
    return spec_of_section(load_recipe("hello", ["model.cell=gru", *(f"model.{one}" for one in sets)]).config.model, 3)


def test_from_a_recipe_to_the_step() -> None:
    spec = hello("doubled=true", "eigenvalues=[-1, 1]", "heads=2", "keep=0.25", "style=odd")
    assert {name: spec.option(name) for name in OPTIONS} == {
        "eigenvalues": (-1, 1), "heads": 2, "keep": 0.25, "style": "odd", "doubled": True,
    }  # fmt: skip
    assert hello().options == hello("heads=1").options == ()
    assert str(hello("doubled=true", "eigenvalues=[-1,1]")) == "GRU(3, 4, eigenvalues [-1, 1], doubled)"
    torch.manual_seed(0)
    core = make_core(hello("doubled=true"))
    assert not isinstance(core, torch.nn.GRU)
    assert weights_of(core).options["doubled"] is True
    x = torch.randn(1, 2, 3)
    torch.manual_seed(0)
    plain, _ = run_by("loop", make_core(hello()), x)
    torch.testing.assert_close(run_by("loop", core, x)[0], 2 * plain)
    for engine in ("torch", "bptt", "compiled"):
        with pytest.raises(UsageError, match="gru with doubled"):
            run_by(engine, core, x)


def test_written_out_and_read_again() -> None:
    recipe = load_recipe("hello", ["model.cell=gru", "model.eigenvalues=[-1, 1]", "model.style=odd"])
    text = resolved_yaml(recipe.config)
    assert "eigenvalues: [-1, 1]" in text
    assert "heads: 1" in text
    assert "heads" not in resolved_yaml(load_recipe("hello").config)
    found = json_schema({"tagging": config_class("tagging")})
    assert str(found).count("'eigenvalues': {'anyOf'") == 1


@pytest.mark.parametrize(
    ("sets", "key", "what"),
    [
        ("model.heads=0", "model.heads", "expected an integer >= 1, got 0"),
        ("model.heads=2.5", "model.heads", "expected an integer >= 1, got 2.5"),
        ("model.heads=9", "model.heads", "too many"),
        ("model.keep=1", "model.keep", "expected a number >= 0 and < 1, got 1"),
        ("model.doubled=1", "model.doubled", "expected true or false, got 1"),
        ("model.style=ofd", "model.style", "expected one of plain, odd, got 'ofd'"),
        ("model.eigenvalues=[0, 2]", "model.eigenvalues", "expected one of [0, 1], [-1, 1], got [0, 2]"),
        ("model.engine=torch model.heads=2", "model.engine", "torch has no module for this cell"),
        ("model.eigenvalue=1", "model.eigenvalue", "unknown key"),
    ],
)
def test_faults(sets: str, key: str, what: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("hello", ["model.cell=gru", *sets.replace(" model", "\nmodel").split("\n")])
    (fault,) = caught.value.faults
    assert (fault.key, fault.what) == (key, what)
    assert key != "model.eigenvalue" or fault.todo == "did you mean eigenvalues?"


def test_another_cell_has_it() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("hello", ["model.heads=2"])
    (fault,) = caught.value.faults
    assert (fault.what, fault.todo) == ("unknown key", "it is an option of gru, slstm")


def test_in_a_demo() -> None:
    values = typed_options(["heads=2", "model.eigenvalues=[-1,1]"], ["gru", "rnn"])
    options = options_of("gru", values)
    settings = DemoOptions(cell="gru", options=options).settings()
    assert settings.command() == "rnncli demo --cell gru --set 'eigenvalues=[-1, 1]' --set heads=2"
    assert spec_for(settings).option("heads") == 2
    assert settings.config()["eigenvalues"] == [-1, 1]
    assert options_of("rnn", values) == ()
    for wrong, where in (("heads=x", "gru"), ("heads=2", "rnn"), ("heads", "gru"), ("head=2", "gru")):
        with pytest.raises(UsageError):
            options_of(where, typed_options([wrong], [where]))
    with pytest.raises(UsageError, match="too many"):
        Settings(cell="gru", options=(("heads", 5),))


def test_train_compare_names_the_values_of_an_option_that_has_few() -> None:
    taken = [name for name in names.compared_cells() if name.startswith("gru")]
    assert taken == [
        "gru",
        "gru eigenvalues=[0, 1]",
        "gru eigenvalues=[-1, 1]",
        "gru style=plain",
        "gru style=odd",
        "gru doubled=false",
        "gru doubled=true",
    ]
    compare = 'train.compare=["gru eigenvalues=[-1, 1]", "gru doubled=true", gru, rnn]'
    config = load_recipe("hello", ["model.cell=gru", "model.eigenvalues=[-1, 1]", compare]).config
    made = {name: model_with_cell(config.model, name) for name in config.train.compare}
    specs = [spec_of_section(model, 3).options for model in made.values()]
    assert specs == [(("eigenvalues", (-1, 1)),), (("eigenvalues", (-1, 1)), ("doubled", True)), specs[0], ()]
    assert [is_own_cell(config.model, name) for name in made] == [True, False, True, False]
    plain = load_recipe("hello", [compare]).config  # of an rnn, without these keys
    assert spec_of_section(model_with_cell(plain.model, "gru doubled=true"), 3).options == (("doubled", True),)
    with pytest.raises(RecipeError, match="compare"):
        load_recipe("hello", ['train.compare=["gru heads=2"]'])
