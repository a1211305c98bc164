"""From a recipe to a task's Config: overrides, types, faults."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel

from rnncli import names
from rnncli.errors import RecipeError, UsageError
from rnncli.recipe import (
    CoreSection,
    RecipeConfig,
    TrainSection,
    document_of,
    json_schema,
    print_config,
    read_document,
    resolved_yaml,
    task_name,
    validate,
)
from rnncli.recipe.hints import choices_of, describe
from tests.narrowed import as_read
from tests.recipe.conftest import Config, Recipes


def test_every_fault_at_once_in_file_order(recipes: Recipes) -> None:
    text = """task: toy
data: {path: 1, tokens: wrds, pairs: [[a, 12], [no, b, c]], foo: 1, split: {a: x}}
model:
  cell: grru
  hiden_size: 4
  batch_first: true
  num_layers: abc
  dropout: 0.5
  lr: 3
  proj_size: 3
  bias: 1
train:
  optimizer: {name: sgdd, momentum: 0.9}
  schedule: {name: step, gamma: x}
  epochs: 0
  epochs: 3
  lr: .nan
  weight_decay: -1
  max_time: 5x
  threads: two
  learning_rate: 3
  sample: {length: 0, prmpt: x}
modle: 3
"""
    faults = recipes.faults(text, "train.seed=-1", "train.optimzer=x", "a.b=3")
    assert [(place, key) for place, key, _, _ in faults] == [
        ("2", "data.tokens"),
        ("2", "data.pairs[1]"),
        ("2", "data.split.a"),
        ("2", "data.foo"),
        ("3", "model.hidden_size"),
        ("4", "model.cell"),
        ("5", "model.hiden_size"),
        ("6", "model.batch_first"),
        ("7", "model.num_layers"),
        ("9", "model.lr"),
        ("11", "model.bias"),
        ("13", "train.optimizer.name"),
        ("14", "train.schedule.gamma"),
        ("14", "train.schedule"),
        ("16", "train.epochs"),
        ("17", "train.lr"),
        ("18", "train.weight_decay"),
        ("19", "train.max_time"),
        ("20", "train.threads"),
        ("21", "train.learning_rate"),
        ("22", "train.sample.length"),
        ("22", "train.sample.prmpt"),
        ("23", "modle"),
        ("--set", "train.seed"),
        ("--set", "train.optimzer"),
        ("--set", "a"),
    ]
    said = {key: (what, todo) for _, key, what, todo in faults}
    assert said["model.cell"] == (f"expected one of {', '.join(names.CELLS)}, got 'grru'", "did you mean gru?")
    assert said["model.num_layers"] == ("expected an integer >= 1, got 'abc'", "")
    assert said["model.hiden_size"] == ("unknown key", "did you mean hidden_size?")
    assert said["model.batch_first"] == ("unknown key", names.TORCH_HABITS["model.batch_first"])
    assert said["model.lr"] == ("unknown key", "it belongs to train.lr")
    assert said["model.hidden_size"][0] == "the key is missing"
    assert said["train.threads"][0] == "expected auto or an integer >= 1, got 'two'"
    assert said["train.optimizer.name"][1] == "did you mean sgd?"
    assert said["data.pairs[1]"][0] == "expected a list of 2: text, text, got ['no', b, c]"


@pytest.mark.parametrize(
    ("line", "key", "part"),
    [
        ("  dropout: 0.5", "model.dropout", "one layer"),
        ("  proj_size: 2", "model.proj_size", "only lstm"),
        ("  cell: lstm\n  proj_size: 4", "model.proj_size", "smaller than hidden_size"),
        ("  cell: gru\n  nonlinearity: relu", "model.nonlinearity", "gru"),
        ("  cell: feedforward\n  engine: torch", "model.engine", "no module"),
        ("  hidden_size: yes", "model.hidden_size", "got 'yes'"),
        ("  hidden_size: true", "model.hidden_size", "got true"),
        ("  hidden_size: 4.0", "model.hidden_size", "got 4.0"),
        ("  hidden_size:", "model.hidden_size", "got nothing"),
        ("  hidden_size: {a: 1}", "model.hidden_size", "got {a: 1}"),
        ("  bidirectional: no", "model.bidirectional", "true or false, got 'no'"),
        ("  dropout: 1e999", "model.dropout", "got 1e999"),
    ],
)
def test_clashes_and_types(recipes: Recipes, base: str, line: str, key: str, part: str) -> None:
    names_of = {entry.split(":")[0].strip() for entry in line.splitlines()}
    kept = [old for old in base.splitlines() if old.split(":")[0].strip() not in names_of]
    kept.insert(kept.index("model:") + 1, line)
    faults = recipes.faults("\n".join(kept))
    assert [fault[1] for fault in faults] == [key]
    assert part in faults[0][2]


def test_a_clash_with_a_faulty_key_is_no_news(recipes: Recipes, base: str) -> None:
    faults = recipes.faults(base.replace("cell: rnn", "num_layers: x\n  dropout: 0.5"))
    assert [fault[1] for fault in faults] == ["model.num_layers"]


def test_clashes_between_sections_come_with_the_faults_of_sections(recipes: Recipes, base: str) -> None:
    text = base.replace("{path: a.txt}", "{pairs: [[a, b]]}").replace("hidden_size: 4", "hidden_size: 5\n  head: none")
    assert [fault[1] for fault in recipes.faults(text + "  epochs: 0\n")] == ["model.hidden_size", "train.epochs"]


def test_whole_sections_missing_or_wrong(recipes: Recipes) -> None:
    assert [fault[1] for fault in recipes.faults("task: toy\n")] == ["data", "model", "train"]
    faults = recipes.faults("task: toy\ndata: 3\nmodel: [1]\ntrain: words\n")
    assert [fault[1] for fault in faults] == ["data", "model", "train"]
    assert faults[0][2].startswith("expected a section with path, text")


def test_format(recipes: Recipes, base: str) -> None:
    assert recipes.config("format: 1\n" + base).format == 1
    assert recipes.faults("format: 3\n" + base)[0][1:3] == ("format", "this rnncli reads format 2")


def test_text_is_taken_verbatim_and_the_rest_is_yaml(
    recipes: Recipes, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in ("2024", "no", "[draft].txt", "a=b", "1e-3", "x #y", "*star", "it's", "true"):
        config = recipes.config(base, f"data.path={value}", f"train.sample.prompt={value}")
        assert config.data.path == str(tmp_path / value)
        assert config.train.sample.prompt == value
    assert recipes.config(base, "train.sample.prompt=").train.sample.prompt == ""
    assert recipes.config(base, "data.path=null").data.path is None
    assert recipes.config(base, "data.path=[a, b]").data.path == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert recipes.config(base, "data.text=0").data.text == 0
    assert recipes.config(base, "data.text='0'").data.text == "0"
    for quoted in ("'cpu'", '"cpu"'):
        assert recipes.config(base, f"train.device={quoted}").train.device == "cpu"
        assert recipes.config(base, f"train.sample.prompt={quoted}").train.sample.prompt == "cpu"
        typed = recipes.config(base, train__sample__prompt=("--prompt", quoted))
        assert typed.train.sample.prompt == quoted  # of a flag the shell has removed the quotes
    assert recipes.config(base, "train.lr=1e-3").train.lr == 0.001
    assert recipes.config(base.replace("a.txt", "2024, pairs: [[12, no]]")).data.pairs == [("12", "no")]
    assert recipes.config(base, "train.optimizer={name: sgd, momentum: 0.9}").train.optimizer_call() == (
        "SGD",
        {"lr": 0.1, "momentum": 0.9},
    )


def test_choices_that_are_punctuation_are_quoted() -> None:
    assert describe(Literal[".", ","]) == "one of '.', ','"
    assert describe(Literal["", "\t", "tab"] | None) == "one of '', '\\t', 'tab' or null"
    assert describe(Literal["gru", "lstm"]) == "one of gru, lstm"


def test_paths_are_relative_to_where_they_were_written(
    recipes: Recipes, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert recipes.config(base).data.path == str(tmp_path / "a.txt")
    assert recipes.config(base, "data.path=a.txt").data.path == str(elsewhere / "a.txt")
    assert recipes.config(base, data__path=("--data", Path("a.txt"))).data.path == str(elsewhere / "a.txt")
    assert recipes.config(base, "data.path=builtin:x").data.path == "builtin:x"
    assert recipes.config(base, "data.path=/x/../y").data.path == "/y"


def test_precedence_and_origins(recipes: Recipes, base: str, toy: type[Config]) -> None:
    document = recipes.read(base, "train.lr=1", "train.lr=2", "model.bias=false", train__seed=("--seed", 7))
    config = validate(document, toy)
    assert (config.train.lr, config.train.seed, config.model.bias) == (2.0, 7, False)
    rows = {key: (value, origin) for key, value, origin in print_config(document, config).rows}
    assert rows["train.lr"] == ("2.0", "--set")
    assert rows["train.seed"] == ("7", "--seed")
    assert rows["model.cell"] == ("rnn", f"{recipes.path}:4")
    assert rows["train.epochs"] == ("10", "default")
    assert rows["train.sample.length"] == ("300", "default")


def test_a_flag_and_a_set_that_disagree(recipes: Recipes, base: str) -> None:
    assert recipes.config(base, "train.seed=7", train__seed=("--seed", 7)).train.seed == 7
    with pytest.raises(UsageError, match=r"--seed and --set train\.seed"):
        recipes.config(base, "train.seed=1", train__seed=("--seed", 7))


@pytest.mark.parametrize("text", ["train.lr", "=3", "train..lr=3", ".=1", ""])
def test_set_without_a_key_or_value(recipes: Recipes, base: str, text: str) -> None:
    with pytest.raises(UsageError, match="KEY=VALUE"):
        recipes.config(base, text)


def test_set_below_a_single_value(recipes: Recipes, base: str) -> None:
    faults = recipes.faults(base.replace("lr: 0.1", "optimizer: adam"), "train.optimizer.momentum=0.9")
    assert [fault[:2] for fault in faults] == [("--set", "train.optimizer.momentum")]


def test_durations(recipes: Recipes, base: str) -> None:
    for text, seconds in (("90", 90.0), ("30s", 30.0), ("1.5m", 90.0), ("2h", 7200.0)):
        assert recipes.config(base, f"train.max_time={text}").train.max_time == seconds


def test_resolved_yaml_reads_back_equal(recipes: Recipes, base: str, tmp_path: Path) -> None:
    config = recipes.config(
        base, "train.optimizer={name: adam, betas: [0.9, 0.99]}", "data.pairs=[[a, '1']]", "train.max_time=5m"
    )
    other = tmp_path / "deeper" / "r.yaml"
    other.parent.mkdir()
    other.write_text(resolved_yaml(config), "utf-8")
    assert validate(read_document(str(other)), type(config)) == config


def test_a_recipe_made_in_python(toy: type[Config]) -> None:
    values = {"task": "toy", "data": {"pairs": [["a", "1"]]}, "model": {"hidden_size": 4}, "train": {"lr": 1e-3}}
    assert validate(document_of(values, "mine"), toy).data.pairs == [("a", "1")]
    with pytest.raises(RecipeError) as caught:
        validate(document_of(values | {"model": {}}, "mine"), toy)
    assert [fault.key for fault in caught.value.faults] == ["model.hidden_size"]


def test_task_name(recipes: Recipes, base: str) -> None:
    assert task_name(recipes.read(base), ["toy"]) == "toy"
    with pytest.raises(RecipeError) as caught:
        task_name(recipes.read(base.replace("toy", "taging")), ["tagging", "language-model"])
    fault = caught.value.faults[0]
    assert (fault.key, fault.todo) == ("task", "did you mean tagging?")
    assert fault.where.endswith("r.yaml:1")
    for text in ("data: {}\n", "task:\n"):
        with pytest.raises(RecipeError) as caught:
            task_name(recipes.read(text), ["tagging"])
        assert caught.value.faults[0].what == "the key is missing"


def test_optimizers_and_schedules_by_name(recipes: Recipes, base: str) -> None:
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    for name in names.OPTIMIZERS:
        kind, arguments = recipes.config(base, f"train.optimizer={name}").train.optimizer_call()
        assert getattr(torch.optim, kind)([parameter], **arguments).param_groups[0]["lr"] == 0.1
    config = recipes.config(base, "train.optimizer=adamw", "train.weight_decay=0")
    assert config.train.optimizer_call() == ("AdamW", {"lr": 0.1, "weight_decay": 0.0})
    assert recipes.config(base).train.schedule_call() is None
    assert recipes.config(base, "train.schedule={name: step, step_size: 3}").train.schedule_call() == (
        "StepLR",
        {"step_size": 3},
    )
    assert recipes.faults(base, "train.optimizer={name: adam, lr: 3}")[0][1:] == (
        "train.optimizer.lr", "this has its own recipe key", "use train.lr",
    )  # fmt: skip
    assert recipes.faults(base, "train.optimizer={momentum: 3}")[0][1] == "train.optimizer"
    assert recipes.faults(base, "train.schedule={name: step, step_size: 1.5}")[0][1] == "train.schedule.step_size"
    assert recipes.faults(base, "train.optimizer=rprop", "train.weight_decay=0.1")[0][1] == "train.weight_decay"


@pytest.mark.parametrize("section", [CoreSection, TrainSection, RecipeConfig])
def test_every_key_is_described(section: type[BaseModel]) -> None:
    assert not [name for name, field in section.model_fields.items() if not field.description]


def test_choices_are_those_of_names() -> None:
    def choices(section: type[BaseModel], name: str) -> tuple[str, ...]:
        return typing.get_args(section.model_fields[name].annotation)

    assert choices_of(Annotated[str, *CoreSection.model_fields["cell"].metadata]) == list(names.CELLS)
    assert choices_of(Annotated[str, *CoreSection.model_fields["engine"].metadata]) == names.engines()
    assert choices(CoreSection, "nonlinearity") == names.NONLINEARITIES
    assert choices(TrainSection, "device") == names.DEVICES
    assert choices(TrainSection, "dtype") == names.DTYPES


def test_json_schema_has_every_key(toy: type[Config]) -> None:
    schema = as_read(json_schema({"toy": toy}))
    assert schema["properties"]["task"]["enum"] == ["toy"]
    model = schema["$defs"]["Model"]
    options = {option for cell in names.CELLS for option in names.CELLS[cell].options}
    assert set(model["properties"]) == {*CoreSection.model_fields, "head", *options}
    assert model["additionalProperties"] is False
    assert model["properties"]["cell"]["description"]
