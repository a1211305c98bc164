"""Values changed in a recipe's text: nothing else moves, and what is read back is what was asked for."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from rnncli.recipe import copied, edited, packaged_recipes, read_document, recipe_folder
from rnncli.recipe.edit import commented, for_file, without_keys
from rnncli.recipe.parse import parse
from rnncli.render.lines import cells
from tests.recipe.conftest import Config, Recipes


def values(text: str) -> object:
    return parse(text, "r.yaml")[0].value()


TEXT = """# rnncli train toy --data my.txt
# about it

task: toy                     # which

data:
  path: builtin:x             # a file
  split: {validation: 0.1}    # parts
  empty:
  # path: another
model:
  layers:                     # a block
    - [1, 2]                  # first
    - [3, 4]
  head: linear                # one of two,
                              #   said here
  bias: true
"""


def test_a_value_is_replaced_and_its_comment_stays_in_its_column() -> None:
    assert edited(TEXT, {"data.path": "my.txt"}) == TEXT.replace("builtin:x  ", "my.txt     ")
    long = edited(TEXT, {"data.path": "a much longer name.txt"})
    assert "  path: a much longer name.txt  # a file\n" in long


def test_an_equal_value_changes_nothing() -> None:
    assert edited(TEXT, {"model.bias": True, "data.split": {"validation": 0.1}}) == TEXT


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.split.test", 0.2), ("data.split.validation", 0.3), ("data.empty", "full"), ("data.empty", [1, "2"]),
        ("data.new", None), ("model.layers", [[5, 6]]), ("model.layers", "none"), ("train.lr", 0.1), ("top", "no"),
        ("data.path", "line\nline: #"), ("data.path", ["a", "b: c"]), ("model.bias", {"a": {"b": 1}}), ("x.y.z", 1),
        ("data.path", "名字.txt"), ("data.path", ""), ("data.path", "2024"), ("model.head.kind", 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("crlf", [False, True])
def test_only_the_key_changes(key: str, value: object, crlf: bool) -> None:
    text = TEXT.replace("\n", "\r\n") if crlf else TEXT
    new = edited(text, {key: value})
    expected: dict[str, Any] = values(text)  # type: ignore[assignment]
    place = expected
    *parents, last = key.split(".")
    for part in parents:
        if not isinstance(place.get(part), dict):
            place[part] = {}
        place = place[part]
    place[last] = value
    assert values(new) == expected
    comments = re.findall(r"#[^\r\n]*", text)
    assert [comment for comment in comments if comment not in new] in ([], ["# first"])


def test_a_new_key_goes_below_the_comment_of_the_last() -> None:
    lines = edited(TEXT.replace("  bias: true\n", ""), {"model.new": 1}).splitlines()
    assert lines[-3:] == ["  head: linear                # one of two,", " " * 30 + "#   said here", "  new: 1"]


@pytest.mark.parametrize("name", packaged_recipes())
def test_shipped_recipes_can_be_edited_at_every_key(name: str) -> None:
    text = (recipe_folder() / f"{name}.yaml").read_text("utf-8")
    found: dict[str, Any] = values(text)  # type: ignore[assignment]
    for section in ("data", "model", "train"):
        for key in found[section]:
            new: dict[str, Any] = values(edited(text, {f"{section}.{key}": "changed"}))  # type: ignore[assignment]
            assert new == found | {section: found[section] | {key: "changed"}}


def test_a_copy_means_the_same_files_and_runs_itself(
    recipes: Recipes, base: str, toy: type[Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    document = recipes.read(f"# rnncli train r --data X\n{base}", "train.lr=0.5", "train.sample.prompt=no")
    text = copied(document, toy, "sub/mine.yaml")
    assert text.splitlines()[0] == "# rnncli train sub/mine.yaml --data X"
    assert values(text)["data"]["path"] == os.path.join("..", "a.txt")  # type: ignore[index]
    (tmp_path / "sub" / "mine.yaml").write_text(text, "utf-8")
    from rnncli.recipe import validate

    assert validate(read_document("sub/mine.yaml"), toy) == validate(document, toy)


@pytest.mark.parametrize(
    "name", ["a\ntask: b.yaml", "my file.yaml", "$(touch x).yaml", "a\rtask: c.yaml", "a\u2028b.yaml"]
)
def test_a_file_name_stays_inside_the_comment_of_line_1_and_can_be_typed(name: str) -> None:
    text = "# rnncli train hello\ntask: tagging  # x\n"
    made = for_file(text, "hello", name)
    assert made.splitlines()[1:] == text.splitlines()[1:]
    words = shlex.split(made.splitlines()[0])
    assert words[:3] == ["#", "rnncli", "train"]
    assert len(words) == 4
    if name.isprintable():
        assert words[3] == name


def test_a_comment_stays_on_its_line() -> None:
    assert commented("a: 1\nb: 2\n", "a", "of data\nb: 3").splitlines()[1:] == ["b: 2"]


def test_keys_are_left_out_with_their_comments_where_each_has_a_line() -> None:
    text = "data:\n  path: x\n  text: name  # column\n          # of text\n  label: y\nmodel: {cell: gru, text: z}\n"
    kept = "data:\n  path: x\n  label: y\nmodel: {cell: gru, text: z}\n"
    assert without_keys(text, ["data.text", "model.text", "data.none"]) == kept
    assert without_keys(kept, ["data.text"]) == kept  # another section's key of that name stays


@pytest.mark.parametrize("value", ["a", "日期", "销售额（元）"])
def test_comments_stay_in_their_column_of_cells(value: str) -> None:
    """A Chinese character takes two cells."""
    text = edited("data:\n  date: x                     # the dates\n", {"data.date": value})
    for made in (text, commented(text, "data.date", "another")):
        line = made.splitlines()[1]
        assert cells(line[: line.index("#")]) == 30
