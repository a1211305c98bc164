"""Settings that would change nothing, or leave nothing to learn, are said."""

from __future__ import annotations

import pytest

from rnncli.data.vocab import UNK, Vocab
from rnncli.errors import DataError
from rnncli.recipe import packaged_recipes, without_effect
from rnncli.tasks import load_recipe
from tests.fixture_types import Typed


@pytest.mark.parametrize("name", packaged_recipes())
def test_packaged_recipes_hold_no_key_without_effect(name: str) -> None:
    recipe = load_recipe(name)
    assert without_effect(recipe.document, recipe.config) == []


@pytest.mark.parametrize(
    ("recipe", "setting", "said"),
    [
        ("hello", "model.embedding_size=3", "input: one-hot"),
        ("hello", "data.min_count=4", "inline pairs"),
        ("hello", "data.tag=xpos", "inline pairs"),
        ("hello", "data.split.test=0.5", "inline pairs"),
        ("hello", "model.characters.hidden_size=3", "input: one-hot"),
        ("pos-tagging", "data.tokens=words", "files"),
        ("pos-tagging", "data.train=a.conllu data.path=null data.split.test=0.5", "separate files"),
        ("names", "model.channels=3", "text"),
        ("names", "data.path=. data.delimiter=;", "a folder"),
        ("names", "data.sound.pattern={label}_*.wav data.max_vocab=3", "sound"),
        ("names", "data.sound.pattern={label}_*.wav model.embedding_size=3", "sound"),
        ("transcription", "data.pattern={text}_*.wav data.header=false", "a pattern"),
        ("image-sequences", "data.path=a.npz data.file=x", "one .npz file"),
        ("image-sequences", "data.pattern={label}_*.npy data.frames=x", "a pattern"),
        ("parity", "data.symbols=3", "problem: parity"),
    ],
)
def test_a_key_without_effect_is_named(recipe: str, setting: str, said: str) -> None:
    loaded = load_recipe(recipe, setting.split())
    key = ".".join(setting.split()[-1].split("=")[0].split(".")[:2])
    (sentence,) = [one for one in without_effect(loaded.document, loaded.config) if one.startswith(f"{key} ")]
    assert said in sentence


def test_what_stands_in_the_file_is_not_named_where_other_data_is_typed() -> None:
    loaded = load_recipe("hello", ["data.path=words.tsv"], {"data.path": ("--data", "words.tsv")})
    assert without_effect(loaded.document, loaded.config) == []


@pytest.mark.parametrize("name", ["language-model", "names"])
def test_an_embedding_of_one_hot_inputs_is_named(name: str) -> None:
    loaded = load_recipe(name, ["model.input=one-hot", "model.embedding_size=3"])
    assert without_effect(loaded.document, loaded.config) == ["model.embedding_size has no effect with input: one-hot"]


def test_limits_that_leave_no_token_are_refused() -> None:
    counts = {"a": 3, "b": 2, UNK: 9}
    assert Vocab.from_counts(counts, specials=(UNK,), min_count=3).tokens == (UNK, "a")
    with pytest.raises(DataError, match="no token occurs 4 times: the most frequent one occurs 3 times") as error:
        Vocab.from_counts(counts, specials=(UNK,), min_count=4)
    assert error.value.todo == "--set data.min_count=3"
    with pytest.raises(DataError, match="no room"):
        Vocab.from_counts(counts, specials=(UNK,), max_size=1)
    assert Vocab.from_counts({}, specials=(UNK,)).tokens == (UNK,)
    assert Vocab.from_counts({UNK: 2}, specials=(UNK,), min_count=5).tokens == (UNK,)


@pytest.mark.parametrize("words", [
    ("language-model", "data.min_count=999999"),
    ("word-language-model", "data.max_vocab=1"),
    ("names", "data.min_count=999999"),
    ("translation", "data.min_count=999999"),
    ("pos-tagging", "data.min_count=999999"),
])  # fmt: skip
def test_no_task_trains_on_unknown_tokens_alone(words: tuple[str, str], typed: Typed) -> None:
    code, _, err = typed("train", words[0], "--set", words[1], "--fast-dev-run")
    assert code in (2, 3), err
    assert words[1].partition("=")[0] in err
