"""What a sweep runs: the grid against nested loops, names, spaces, and everything that is refused before it begins."""

from __future__ import annotations

import itertools
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.errors import DataError, RecipeError, UsageError
from rnncli.sweeps.folder import find_folder, open_folder
from rnncli.sweeps.plan import Plan, combinations, described, grid_values, make_plan, parse_space, trial_name

CELLS = ("rnn", "gru", "lstm")
SIZES = ("4", "8")
TASK = ["model.cell=rnn,gru,lstm", "model.hidden_size=4,8"]


def test_a_grid_is_nested_loops() -> None:
    plan = make_plan("hello", (), {}, grid=TASK, seeds=3)
    wanted = []
    for cell in CELLS:
        for size in SIZES:
            wanted.append({"model.cell": cell, "model.hidden_size": size})
    assert [dict(trial.settings) for trial in plan.cells()] == wanted
    assert plan.seeds == (0, 1, 2)
    for trial in plan.cells():
        for seed in plan.seeds:
            config = plan.load(trial.settings, seed).config
            assert (config.model.cell, config.model.hidden_size, config.train.seed) == (
                trial.settings["model.cell"], int(trial.settings["model.hidden_size"]), seed,
            )  # fmt: skip
            assert not config.train.control  # hello asks for it; a sweep compares its own trials


texts = st.text(string.ascii_letters + string.digits + "{}[]:,. é/\"'", min_size=1, max_size=6)


@given(st.lists(st.tuples(texts, texts), min_size=2, max_size=12, unique=True))
def test_two_settings_never_share_a_folder(settings: list[tuple[str, str]]) -> None:
    names = [trial_name({"a.b": one, "c.d": other}) for one, other in settings]
    assert len(set(names)) == len(names)
    for name in names:
        assert name not in (".", "..")
        assert len(name.encode()) < 200
        assert set(name) <= set(string.ascii_letters + string.digits + "_.=,+-")


def test_names_can_be_read() -> None:
    assert trial_name({"model.cell": "gru", "model.hidden_size": "16"}) == "cell=gru,hidden_size=16"
    assert trial_name({"a.size": "1", "b.size": "2"}) == "a.size=1,b.size=2"
    assert trial_name({"model.characters.hidden_size": "8"}) == "hidden_size=8", "an older sweep goes on in its folders"
    assert described({"model.characters.hidden_size": "8"}) == "characters.hidden_size=8"
    assert trial_name({"train.lr": "0.1"}) == trial_name({"train.lr": "0.1"})


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(), min_size=1, max_size=3), min_size=1))
def test_combinations_are_the_product(grid: dict[str, list[int]]) -> None:
    typed = {key: [str(value) for value in values] for key, values in grid.items()}
    found = [tuple(settings.values()) for settings in combinations(typed)]
    assert found == list(itertools.product(*typed.values()))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a,b", ("a", "b")),
        ("adam,{name: sgd, momentum: 0.9}", ("adam", "{name: sgd, momentum: 0.9}")),
        ("[1, 2],[3]", ("[1, 2]", "[3]")),
        ("'a,b',c", ("'a,b'", "c")),
        ("it's,x", ("it's", "x")),
        ("1e-3", ("1e-3",)),
    ],
)
def test_values_are_parted_at_commas(text: str, wanted: tuple[str, ...]) -> None:
    assert grid_values("k", text) == wanted


@pytest.mark.parametrize("text", ["a,,b", ",", "a,a", "a,"])
def test_values_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        grid_values("k", text)


def test_spaces() -> None:
    space = parse_space("k", "log:1e-4..1e-1")
    assert (space.kind, space.low, space.high) == ("log", 1e-4, 1e-1)
    assert (parse_space("k", "0..0.5").kind, parse_space("k", "-1..1").low) == ("float", -1.0)
    assert parse_space("k", "int:8..128").ends() == ("8", "128")
    assert parse_space("k", "a,b,c").choices == ("a", "b", "c")


@pytest.mark.parametrize(
    "text",
    ["log:0..1", "2..1", "1..1", "int:1.5..2", "x..y", "nan..1", "0..inf", "lin:1..2", "1", "log:", "a..", "0..1e999"],
)
def test_spaces_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_space("k", text)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "nothing to vary"),
        ({"grid": ["a"]}, "takes KEY=VALUES"),
        ({"grid": ["model.cell="]}, "takes KEY=VALUES"),
        ({"grid": ["model.cell=rnn", "model.cell=gru"]}, "is given twice"),
        ({"grid": ["train.seed=1,2"]}, "cannot vary"),
        ({"grid": ["task=tagging,classification"]}, "cannot vary"),
        ({"grid": ["train.best_by=loss,accuracy"]}, "cannot vary"),
        ({"grid": ["train.lr=0.1,1e-1"]}, "the same recipe"),
        ({"grid": ["train.lr=0.1,0.2"], "sets": ["train.lr=1"]}, "is both set and varied"),
        ({"grid": ["model.hidden_size=1,2"], "match_params": 100}, "chooses model.hidden_size"),
        ({"grid": ["train.lr=0.1,0.2"], "search": ["model.cell=rnn,gru"]}, "cannot be combined"),
        ({"grid": ["train.lr=0.1,0.2"], "trials": 3}, "requires --search"),
        ({"grid": ["train.lr=" + ",".join(map(str, range(1, 200)))], "seeds": 1000}, "more than 10,000 runs"),
    ],
)
def test_what_is_refused(options: dict[str, Any], said: str) -> None:
    sets = options.pop("sets", ())
    with pytest.raises(UsageError, match=said):
        make_plan("hello", sets, {}, **options)


def test_faults_of_every_trial_at_once() -> None:
    with pytest.raises(RecipeError) as found:
        make_plan("hello", (), {}, grid=["model.cell=rnn,grus,lstn", "train.lr=0.1,-1"])
    told = [(fault.where, fault.key) for fault in found.value.faults]
    assert told == [
        ("--grid train.lr=-1", "train.lr"),
        ("--grid model.cell=grus", "model.cell"),
        ("--grid model.cell=lstn", "model.cell"),
    ]
    with pytest.raises(RecipeError):  # the end of a range that no recipe takes
        make_plan("hello", (), {}, search=["model.hidden_size=int:0..8"])


def plan_of(**changed: Any) -> Plan:
    options: dict[str, Any] = {"grid": TASK, "seeds": 2, "match_params": None} | changed
    sets = options.pop("sets", ())
    return make_plan("hello", sets, {}, **options)


def test_the_same_sweep_goes_on_and_another_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_folder(plan_of(), None) is None
    assert open_folder(plan_of(), None) == (Path("sweeps/hello-001"), False)
    assert open_folder(plan_of(), None) == (Path("sweeps/hello-001"), True)
    assert find_folder(plan_of(seeds=3), None) == Path("sweeps/hello-001")
    assert open_folder(plan_of(sets=["train.epochs=3"]), None) == (Path("sweeps/hello-002"), False)
    assert open_folder(plan_of(seeds=3, grid=["model.cell=rnn,gru,lstm", "model.hidden_size=4,8,16"]), None) == (
        Path("sweeps/hello-001"), True,
    )  # fmt: skip
    assert open_folder(plan_of(), None) == (Path("sweeps/hello-003"), False)  # smaller than what 001 holds by now


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sets": ["train.epochs=3"]}, "train.epochs: 30 -> 3"),
        ({"grid": ["model.cell=rnn,gru"]}, "model.cell: rnn,gru,lstm -> rnn,gru"),
        ({"grid": [*TASK, "train.lr=0.1,0.2"]}, "train.lr: nothing -> 0.1,0.2"),
        ({"seeds": 1}, "--seeds: 0,1 -> 0"),
        ({"grid": ["model.cell=rnn,gru,lstm"], "match_params": 100}, "--match-params: nothing -> 100"),
    ],
)
def test_another_sweeps_folder_is_refused_with_what_differs(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    out = str(tmp_path / "mine")
    assert open_folder(plan_of(), out) == (Path(out), False)
    assert open_folder(plan_of(), out) == (Path(out), True)
    with pytest.raises(UsageError) as refused:
        open_folder(plan_of(**changed), out)
    assert said in refused.value.what
    with pytest.raises(UsageError):
        find_folder(plan_of(**changed), out)


def test_folders_that_hold_something_else(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        open_folder(plan_of(), str(tmp_path / "full"))
    with pytest.raises(UsageError, match="is a file"):
        open_folder(plan_of(), str(tmp_path / "full" / "thesis.txt"))
    for text in ("", "[]", "{}", '{"schema": "rnncli/sweep-folder/1", "base": {}, "grid": {"a": 1}}'):
        (tmp_path / "full" / "sweep.json").write_text(text)
        with pytest.raises(DataError):
            open_folder(plan_of(), str(tmp_path / "full"))
