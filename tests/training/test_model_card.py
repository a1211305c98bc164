"""MODEL_CARD.md of an exported run: what the Hugging Face Hub's own reader takes from it, and what no name may do."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import rnncli
from rnncli.runs.export import export
from rnncli.runs.model_card import code, escaped
from rnncli.runs.open import Run
from rnncli.tasks import load_recipe

FIELDS = {"license", "library_name", "tags", "pipeline_tag", "metrics", "model-index"}


def head_of(card: str) -> Any:
    """The YAML, cut out as the Hub's reader does it (huggingface_hub.repocard.REGEX_YAML_BLOCK)."""
    found = re.match(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\r|\n|$))", card)
    assert found
    return yaml.safe_load(found[2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("card")
    export(rnncli.train("hello", out=str(made / "run"), sets=("train.epochs=2",)), str(made / "out"))
    return made


def test_the_head_has_the_fields_of_the_hub(folder: Path) -> None:
    card = (folder / "out" / "MODEL_CARD.md").read_text("utf-8")
    head, result = head_of(card), json.loads((folder / "run" / "result.json").read_text())
    assert head.keys() <= FIELDS
    assert head["license"] == "unknown"
    assert head["pipeline_tag"] == "token-classification"
    (results,) = head["model-index"][0]["results"]
    assert {one["name"]: one["value"] for one in results["metrics"]} == result["metrics"]
    assert (results["dataset"]["name"], results["dataset"]["split"]) == ("inline", "train")


def test_the_hubs_own_reader_takes_it(folder: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard.load(folder / "out" / "MODEL_CARD.md")
    assert card.data.model_name == "run"
    assert card.data.library_name == "pytorch"
    accuracy = next(one for one in card.data.eval_results if one.metric_type == "accuracy")
    assert accuracy.task_type == "token-classification"
    again = hub.ModelCard(str(card))  # what it writes, it reads
    assert again.data.to_dict() == card.data.to_dict()


def test_results_stand_next_to_baselines_and_other_cells(folder: Path) -> None:
    card = (folder / "out" / "MODEL_CARD.md").read_text("utf-8")
    result = json.loads((folder / "run" / "result.json").read_text())
    assert f"| this model | {result['metrics']['accuracy']:.4f} | {result['metrics']['loss']:.4f} |" in card
    assert f"| `most frequent label` | {result['baselines']['most frequent label']['accuracy']:.4f} |  |" in card
    assert f"| `feedforward` | {result['control']['accuracy']:.4f} |" in card
    assert result["control"]
    assert "`OneHot(4) -> RNN(4, 4) tanh -> Linear(4, 4)`" in card
    assert "| parameters | 60, float32 |" in card
    assert json.loads((folder / "run" / "environment.json").read_text())["data_sha256"] in card


HOSTILE = "a\n---\nlicense: mit\n# ![x](http://x) | `<b>`\u202e"


def test_no_name_ends_the_head_or_becomes_markdown(tmp_path: Path) -> None:
    table = tmp_path / "here" / "``` | [a](b).csv"
    table.parent.mkdir()
    with open(table, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([[HOSTILE, "label"], *([f"{label} x", f"{label}{HOSTILE}"] for label in "abab" * 3)])
    data = {"path": str(table), "text": HOSTILE, "label": "label", "split": {"validation": 0, "test": 0}}
    recipe = load_recipe(
        {"task": "classification", "data": data, "model": {"cell": "rnn", "hidden_size": 2}, "train": {}}
    )
    splits = recipe.task.read(recipe.config)
    run = Run(
        tmp_path / HOSTILE.replace("/", " "), recipe, splits.fitted, recipe.task.build(recipe.config, splits.fitted)
    )
    run.folder.mkdir()
    result = {"metrics": {"accuracy": 0.5}, "on": "train", "baselines": {HOSTILE: {"accuracy": 0.1}}, "compared": {},
              "advice": [{"text": HOSTILE}]}  # fmt: skip
    for name, content in {"recipe.yaml": {}, "environment.json": {}, "result.json": result}.items():
        (run.folder / name).write_text(json.dumps(content))
    export(run, str(tmp_path / "out"))
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text("utf-8")
    head = head_of(card)
    assert head["license"] == "unknown"
    assert "license: mit" in head["model-index"][0]["name"]
    assert "\n---\nlicense" not in card
    assert "\u202e" not in card
    assert str(tmp_path) not in card
    outside = re.sub(r"(?ms)^(`{3,})yaml$.*?^\1$|(?<!`)(`+)(?!`).*?(?<!`)\2(?!`)", "", card.split("\n---\n")[1])
    for sign in ("![", "](", "<b>", "://"):
        assert sign not in outside.replace("\\" + sign[0], ""), sign


@pytest.mark.parametrize(
    ("text", "as_code", "as_text"),
    [
        ("a|b", "`a\\|b`", "a\\|b"),
        ("`x`", "`` `x` ``", "\\`x\\`"),
        ("", "` `", ""),
        ("see http://x and www.y.z", "`see http://x and www.y.z`", "see http\\://x and www\\.y.z"),
        ("[a](b) <i> *c* _d_", "`[a](b) <i> *c* _d_`", "\\[a\\](b) \\<i\\> \\*c\\* \\_d\\_"),
    ],
)
def test_text_of_others_in_markdown(text: str, as_code: str, as_text: str) -> None:
    assert code(text) == as_code
    assert escaped(text) == as_text


def test_a_run_that_has_not_ended_says_so(folder: Path, tmp_path: Path) -> None:
    from rnncli.runs.open import open_run

    run = open_run(folder / "run")
    (folder / "run" / "result.json").rename(folder / "kept.json")
    try:
        export(run, str(tmp_path / "out"))
    finally:
        (folder / "kept.json").rename(folder / "run" / "result.json")
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text("utf-8")
    assert "Training has not ended" in card
    assert "model-index" not in head_of(card)
