"""What holds for every view: the protocol, every cell, every task, every screen and file.

The fast tier shows each view over each core on one of four screens and in two of six files, over each task at one of
two widths, in turn: every view, core and task is on every screen, every view and core in every file. All of them
together are of the evidence tier.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from rnncli import render, views
from rnncli.errors import UsageError
from rnncli.recipe import packaged_recipes
from rnncli.records import Page
from rnncli.render.lines import cells as width_of
from rnncli.tasks import AnySplits, Recipe, load_recipe, task_names
from rnncli.views import (
    BATCH,
    PROTOCOL,
    VIEWS,
    Options,
    Subject,
    about_views,
    load_view,
    page,
    refuse_unread,
    view_names,
)

NAMES = view_names()
CORES: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "relu": {"cell": "rnn", "nonlinearity": "relu"},
    "linear": {"cell": "rnn", "nonlinearity": "none"},
    "feedforward": {"cell": "feedforward"},
    "gru": {"cell": "gru", "layers": 2},
    "lstm": {"cell": "lstm", "both": True},
    "lstm-all": {"cell": "lstm", "layers": 2, "both": True, "proj_size": 2},
    "padded": {"cell": "gru", "both": True, "lengths": [6, 3]},
    "no-bias": {"cell": "lstm", "bias": False},
    "one-step": {"cell": "gru", "T": 1, "B": 1},
    "one-unit": {"cell": "lstm", "H": 1, "I": 1},
}
NEEDY = tuple(name for name in NAMES if load_view(name).NEEDS)  # random cores have nothing of it


SCREENS = [(width, ascii) for width in (80, 120) for ascii in (False, True)]
FILES = [".json", ".csv", ".npz", ".md", ".svg", ".yaml"]


def _shown(found: Page, turn: int | None = None) -> None:
    """Every screen and every file of a page, or those whose turn it is."""
    for width, ascii in SCREENS if turn is None else [SCREENS[turn % 4]]:
        text = render.to_text(found, width=width, ascii=ascii)
        assert all(width_of(line) <= width for line in text.splitlines()), text
        if ascii:
            text.encode("ascii")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="gbk")
    render.show(found, width=80, file=stream)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    render.dump_json(found, stream)
    stream.seek(0)
    document = json.loads(stream.read(), parse_constant=lambda text: pytest.fail(f"{text} in JSON"))
    assert document["schema"] == found.schema
    for suffix in FILES if turn is None else FILES[turn % 3 :: 3]:
        assert render.render_file(found, suffix)


@pytest.mark.parametrize("name", NAMES)
def test_protocol(name: str) -> None:
    view = load_view(name)
    assert [part for part in PROTOCOL if not hasattr(view, part)] == []
    fields = {field.name for field in dataclasses.fields(Options)}
    assert fields | BATCH >= view.OPTIONS
    assert {"tokens", "attention", "crf", "automaton"} >= view.NEEDS
    assert view.ROWS >= 1
    for option in sorted((fields | BATCH) - view.OPTIONS):
        with pytest.raises(UsageError, match="does not support"):
            refuse_unread(name, [option])


def test_the_overview_names_every_view_once() -> None:
    assert sorted(name for listed in about_views().values() for name, _ in listed) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_listed_without_loading_it_is_what_it_says(name: str) -> None:
    view = load_view(name)
    assert VIEWS.constants(name) == VIEWS.constants(name) | {"GROUP": view.GROUP, "ABOUT": view.ABOUT}
    assert 0 < len(view.ABOUT) <= 90
    assert not view.ABOUT.endswith(".")


def test_an_unknown_view_has_a_nearest_name() -> None:
    with pytest.raises(UsageError) as error:
        load_view("gradient")
    assert "gradients" in error.value.todo


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", [name for name in NAMES if name not in NEEDY])
@pytest.mark.parametrize("ways", ["some", pytest.param("all", marks=pytest.mark.evidence)])
def test_every_view_over_every_core(ways: str, name: str, core: str, make: Callable[..., Subject]) -> None:
    found = page(name, make(**CORES[core]))
    assert [check.text for check in found.checks() if not check.ok] == []
    _shown(found, None if ways == "all" else NAMES.index(name) + list(CORES).index(core))


@pytest.mark.parametrize("name", NEEDY)
def test_what_a_subject_lacks_is_said(name: str, make: Callable[..., Subject]) -> None:
    with pytest.raises(UsageError, match="needs"):
        page(name, make())


@pytest.mark.parametrize("core", CORES)
def test_the_overview_over_every_core(core: str, make: Callable[..., Subject]) -> None:
    _shown(views.overview(make(**CORES[core])))


@cache
def _recipe_of(task: str, *sets: str) -> tuple[Recipe, AnySplits]:
    """The first packaged recipe of a task, and its data."""
    for name in packaged_recipes():
        recipe = load_recipe(name, sets)
        if recipe.config.task == task:
            return recipe, recipe.task.read(recipe.config)
    pytest.skip(f"no packaged recipe of {task} yet")


@pytest.mark.parametrize("task", task_names())
@pytest.mark.parametrize("name", ["", *NAMES])
@pytest.mark.parametrize("ways", ["some", pytest.param("all", marks=pytest.mark.evidence)])
def test_every_view_over_every_task(ways: str, name: str, task: str, thinned: None) -> None:
    recipe, splits = _recipe_of(task, *(["model.hidden_size=12"] if name == "memory" else []))
    rows = min(2, load_view(name).ROWS) if name else 1
    subject = views.subject_of_recipe(recipe, splits=splits, rows=rows)
    try:
        found = page(name, subject) if name else views.overview(subject)
    except UsageError as error:
        assert name in NEEDY, error  # noqa: PT017
        return
    assert [check.text for check in found.checks() if not check.ok] == []
    turn = ["", *NAMES].index(name) + task_names().index(task)
    for width in (80, 120) if ways == "all" else [(80, 120)[turn % 2]]:
        assert all(width_of(line) <= width for line in render.to_text(found, width=width).splitlines())
    render.render_file(found, ".json")


@pytest.mark.parametrize("task", task_names())
def test_the_overview_of_every_task_is_one_screen(task: str, thinned: None) -> None:
    recipe, splits = _recipe_of(task)
    found = views.overview(views.subject_of_recipe(recipe, splits=splits))
    assert len(render.to_text(found, width=80).splitlines()) <= 24


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NEEDY])
def test_two_targets_side_by_side(name: str, make: Callable[..., Subject]) -> None:
    """Other sizes, another cell, another length: nothing is lost."""
    first, second = page(name, make("rnn", T=5)), page(name, make("lstm", T=9, H=3, layers=2))
    both = views.side_by_side(first, second, ("a", "b"))
    assert len(both.checks()) == len(first.checks()) + len(second.checks())
    _shown(both)
    same = views.side_by_side(first, first, ("x", "x"))
    assert len({check.name for check in same.checks()}) == len(both.checks()) or len(same.checks()) == 2 * len(
        first.checks()
    )
    _shown(same)
