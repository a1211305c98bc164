"""The schema that a copied recipe names: where it is, when it is written anew, and what happens where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from rnncli.cli import editors
from rnncli.recipe import recipe_folder
from rnncli.recipe.edit import with_schema
from rnncli.tasks import load_recipe
from tests.fixture_types import Typed

MODELINE = "# yaml-language-server: $schema="


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the schema goes: a path with all that a URI must escape."""
    folder = tmp_path / "my cäche #1 100%"
    monkeypatch.setenv("RNNCLI_CACHE", str(folder))
    return folder


def named(recipe: Path) -> Path:
    """The file that the second line of a recipe names."""
    line = recipe.read_text("utf-8").splitlines()[1]
    assert line.startswith(MODELINE)
    uri = line.removeprefix(MODELINE)
    assert uri.isascii()
    assert " " not in uri  # where the language server's pattern ends it
    return Path(url2pathname(urlsplit(uri).path))


def test_a_copy_names_the_schema(typed: Typed, tmp_path: Path, cache: Path) -> None:
    assert typed("recipes", "copy", "hello", "mine.yaml")[::2] == (0, "")
    text = (tmp_path / "mine.yaml").read_text("utf-8")
    assert text.startswith("# rnncli train mine.yaml\n")
    assert named(tmp_path / "mine.yaml") == cache / "recipe.schema.json"
    document = json.loads((cache / "recipe.schema.json").read_text("utf-8"))
    assert document == json.loads(typed("recipes", "schema")[1])
    assert load_recipe(str(tmp_path / "mine.yaml")).config == load_recipe("hello").config
    assert typed("recipes", "copy", "mine.yaml", "other.yaml")[0] == 0
    assert (tmp_path / "other.yaml").read_text("utf-8") == text.replace("mine.yaml", "other.yaml")


def test_packaged_recipes_name_none() -> None:
    assert not [file for file in recipe_folder().glob("*.yaml") if "yaml-language-server" in file.read_text("utf-8")]


def test_the_cache_may_be_a_relative_path(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNCLI_CACHE", "kept here")
    assert typed("recipes", "copy", "hello", "mine.yaml")[0] == 0
    assert named(tmp_path / "mine.yaml") == tmp_path / "kept here" / "recipe.schema.json"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("recipes", "list"), ("[]", "{", '{"$comment": "rnncli 0.0.1; "}')),
        (("train", "hello", "--print-config"), ("{}",)),
    ],
)
def test_another_version_writes_it_anew(
    typed: Typed, cache: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    assert typed(*words)[0] == 0
    assert not cache.exists()  # which only a copy makes
    for old in kept:
        cache.mkdir(exist_ok=True)
        (cache / "recipe.schema.json").write_text(old)
        assert typed(*words)[0] == 0
        text = (cache / "recipe.schema.json").read_text("utf-8")
        assert text == editors.schema_text()
    monkeypatch.setattr(editors, "atomic_write", None)  # of the same version: it stays
    assert typed(*words)[0] == 0


def test_without_a_cache_the_copy_is_made_all_the_same(typed: Typed, tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file, where the folder would be")
    code, out, err = typed("recipes", "copy", "hello", "mine.yaml")
    assert (code, out.splitlines()[0]) == (0, "wrote mine.yaml")
    assert err.startswith("note: editors cannot check this recipe: ")
    assert "$schema" not in (tmp_path / "mine.yaml").read_text("utf-8")
    assert typed("recipes", "list")[::2] == (0, "")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# rnncli train x\n#\n# About.\na: 1\n", "# rnncli train x\n{line}#\n# About.\na: 1\n"),
        ("a: 1\n", "{line}a: 1\n"),
        ("# x\n# yaml-language-server: $schema=file:///C:/old/recipe.schema.json\na: 1\n", "# x\n{line}a: 1\n"),
        (
            "# x\n# yaml-language-server: $schema=./my.json\na: 1\n",
            "# x\n# yaml-language-server: $schema=./my.json\na: 1\n",
        ),
        (
            "# x\n#   yaml-language-server : $schema=none\na: 1\n",
            "# x\n#   yaml-language-server : $schema=none\na: 1\n",
        ),
        ("a: '# $schema: x'\n", "{line}a: '# $schema: x'\n"),
    ],
)
def test_where_the_line_goes(old: str, new: str) -> None:
    assert with_schema(old, "file:///a") == new.format(line=f"{MODELINE}file:///a\n")
