"""`rnncli recipes`, as its user types it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from rnncli.recipe import RecipeConfig, packaged_recipes, recipe_folder
from rnncli.recipe.edit import without_result
from rnncli.tasks import config_class, load_recipe, task_names
from tests.fixture_types import Run, Typed


def test_list(rnncli: Run) -> None:
    found = rnncli("recipes", "list")
    assert found.returncode == 0
    assert all(name in found.stdout for name in packaged_recipes())
    document = json.loads(rnncli("recipes", "list", "--json").stdout)
    assert [row["name"] for row in document["rows"]] == packaged_recipes()
    assert all(row["about"] for row in document["rows"])


@pytest.mark.parametrize("name", packaged_recipes())
def test_every_shipped_recipe_is_valid_and_says_how_to_run_it(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.config.task in task_names()
    first = recipe.document.text.splitlines()[0]
    assert first.startswith("# rnncli ")
    assert name in first.split()


def test_show(rnncli: Run, tmp_path: Path) -> None:
    text = (recipe_folder() / "hello.yaml").read_text("utf-8")
    assert rnncli("recipes", "show", "hello").stdout == text
    (tmp_path / "hello.yaml").write_text("mine\n")
    found = rnncli("recipes", "show", "hello")
    assert found.stdout == text
    assert found.stderr == "note: hello is the packaged recipe; the file here is ./hello.yaml\n"
    assert rnncli("-q", "recipes", "show", "hello").stderr == ""
    assert rnncli("recipes", "show", "./hello.yaml").stdout == "mine\n"
    found = rnncli("recipes", "show", "helo")
    assert found.returncode == 2
    assert "did you mean hello?" in found.stderr
    assert rnncli("recipes", "show", "nothing/here").returncode == 3


def test_copy(rnncli: Run, tmp_path: Path) -> None:
    (tmp_path / "my data.txt").write_text("long enough for the recipe's own window\n" * 5000)
    found = rnncli(
        "recipes", "copy", "language-model", "mine.yaml", "--data", "my data.txt", "--set", "model.hidden_size=8"
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert "rnncli train mine.yaml" in found.stdout
    old = without_result((recipe_folder() / "language-model.yaml").read_text("utf-8")).splitlines()
    new = (tmp_path / "mine.yaml").read_text("utf-8").splitlines()
    assert new.pop(1).startswith("# yaml-language-server: $schema=file:///")
    assert new[:3] == [
        "# rnncli train mine.yaml",
        "# Copied from language-model; for its description: rnncli recipes show language-model",
        "",
    ]
    old, new = old[old.index("") :], new[2:]  # what it is about is about other data
    assert len(new) == len(old)
    changed = [after for before, after in zip(old, new, strict=True) if before != after]
    assert [line.split("#")[0].strip() for line in changed] == [
        "path: my data.txt",
        "hidden_size: 8",
        "epochs: 23",
        "early_stopping: 4",
    ]
    assert any("# 88 steps each: 2,024 in total" in line for line in changed)  # 180,000 characters / (64 x 32)
    assert rnncli("recipes", "validate", "mine.yaml").returncode == 0


def test_copy_refuses_to_overwrite(rnncli: Run, tmp_path: Path) -> None:
    assert rnncli("recipes", "copy", "hello").returncode == 0
    before = (tmp_path / "hello.yaml").read_bytes()
    again = rnncli("recipes", "copy", "hello", "--set", "train.lr=0.5")
    assert again.returncode == 6
    assert (tmp_path / "hello.yaml").read_bytes() == before
    assert rnncli("recipes", "copy", "hello", "--force", "--set", "train.lr=0.5").returncode == 0
    assert (tmp_path / "hello.yaml").read_bytes() != before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("hello", "mine"), 2),
        (("hello", "no/such/mine.yaml"), 6),
        (("hello", "mine.yaml", "--set", "model.cell=grru"), 2),
        (("hello", "mine.yaml", "--set", "model.cell"), 2),
        (("helo", "mine.yaml"), 2),
    ],
)
def test_copy_that_cannot_be_leaves_nothing(rnncli: Run, tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    found = rnncli("recipes", "copy", *words)
    assert found.returncode == code
    assert "Traceback" not in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_validate(rnncli: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("task: tagging\nmodel: {cell: grru, batch_first: true}\n")
    found = rnncli("recipes", "validate", "hello", "bad.yaml", "missing.yaml")
    assert found.returncode == 2
    assert found.stdout == "ok  hello  (tagging)\n"
    for part in (
        "bad.yaml:2 model.cell",
        "did you mean gru?",
        "always (T, B, feature)",
        "bad.yaml data",
        "missing.yaml",
    ):
        assert part in found.stderr
    assert rnncli("recipes", "validate", "missing.yaml").returncode == 3
    document = json.loads(rnncli("recipes", "validate", "hello", "bad.yaml", "--json").stdout)
    assert [row["ok"] for row in document["rows"]] == [True, False]
    assert "model.cell" in [fault["key"] for fault in document["rows"][1]["faults"]]


def test_schema(rnncli: Run) -> None:
    document = json.loads(rnncli("recipes", "schema").stdout)
    assert document["properties"]["task"]["enum"] == task_names()
    assert len(document["allOf"]) == len(task_names())


@pytest.mark.parametrize("name", task_names())
def test_every_key_of_every_task_is_described(name: str) -> None:
    def undescribed(section: type[BaseModel]) -> list[str]:
        found = []
        for key, field in section.model_fields.items():
            if not field.description and key not in RecipeConfig.model_fields:
                found.append(key)
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found += [f"{key}.{inner}" for inner in undescribed(field.annotation)]
        return found

    assert undescribed(config_class(name)) == []


def test_show_and_copy_in_chinese(typed: Typed, tmp_path: Path) -> None:
    _, shown, _ = typed("--lang", "zh", "recipes", "show", "hello")
    assert "hidden_size: 4              # h 的大小\n" in shown
    typed("recipes", "copy", "hello", "en.yaml", "--set", "model.hidden_size=7")
    typed("--lang", "zh", "recipes", "copy", "hello", "zh.yaml", "--set", "model.hidden_size=7")
    written = (tmp_path / "zh.yaml").read_text("utf-8")
    assert "hidden_size: 7              # h 的大小\n" in written
    assert load_recipe("zh.yaml").config == load_recipe("en.yaml").config
    typed("--lang", "zh", "recipes", "copy", "zh.yaml", "again.yaml")
    assert (tmp_path / "again.yaml").read_text("utf-8") == written.replace("zh.yaml", "again.yaml")


def test_a_chinese_copy_for_other_data(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(
        "".join(f"{2000 + n},{n}\n" for n in range(40)).replace("2000", "year,sold\n2000", 1)
    )
    code, _, err = typed("--lang", "zh", "recipes", "copy", "forecasting", "mine.yaml", "--data", "sales.csv")
    assert code == 0, err
    text = (tmp_path / "mine.yaml").read_text("utf-8")
    assert "# rnncli train mine.yaml" in text
    assert "# 看多少步" in text
    assert not re.search("# .*(steps|column)", text)
