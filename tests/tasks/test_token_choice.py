"""What `recipes copy` chooses as tokens and as head for a table of labelled texts, and the reason that it prints."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rnncli.tasks import classification, load_recipe
from rnncli.tasks.inputs.token_choice import has_words
from tests.narrowed import of_kind

WORDS = ["free", "call", "now", "see", "you", "home", "later", "win", "prize", "ok", "love", "text"]


def names(draw: random.Random) -> str:
    return "".join(draw.choices("aeiouklmnrst", k=draw.randint(4, 9))).capitalize()


def two_names(draw: random.Random) -> str:
    return f"{names(draw)} {names(draw)}"


def messages(draw: random.Random) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randint(6, 20))) + draw.choice([".", "!", " :)"])


def reviews(draw: random.Random) -> str:
    return " ".join(draw.choices([*WORDS, names(draw), names(draw)], k=120))


def chinese(draw: random.Random) -> str:
    return "".join(draw.choices("今天天气很好我们去看电影吧质量不错物流快", k=45)) + "。"


def chinese_names(draw: random.Random) -> str:
    return "".join(draw.choices("王李张刘陈杨黄赵", k=3))


def dna(draw: random.Random) -> str:
    return "".join(draw.choices("ACGT", k=80))


def serials(draw: random.Random) -> str:
    """Spaces, but nothing recurs."""
    return " ".join(f"{draw.getrandbits(40):x}" for _ in range(6))


def urls(draw: random.Random) -> str:
    return f"https://{names(draw).lower()}.com/{names(draw)}/{names(draw)}?id={draw.randint(1, 9999)}&q={names(draw)}"


Maker = Callable[[random.Random], str]
KINDS: list[tuple[Maker, str, str]] = [
    (names, "characters", "last"),
    (two_names, "characters", "last"),
    (messages, "words", "max"),
    (reviews, "words", "max"),
    (chinese, "characters", "max"),
    (chinese_names, "characters", "last"),
    (dna, "characters", "max"),
    (serials, "characters", "max"),
    (urls, "characters", "max"),
]


def table(path: Path, make: Maker) -> None:
    draw = random.Random(make.__name__)
    path.write_text("text,label\n" + "".join(f"{make(draw)},{'ab'[i % 2]}\n" for i in range(60)), "utf-8")


def suggested(path: str, recipe: str) -> tuple[str, str]:
    config = of_kind(classification.Config, load_recipe(recipe).config)
    found = classification.TASK.suggest_settings(path, config)
    return str(found.get("data.tokens", config.data.tokens)), str(found.get("model.head", config.model.head))


@pytest.mark.parametrize(("make", "tokens", "head"), KINDS, ids=[make.__name__ for make, _, _ in KINDS])
def test_a_table_of_texts(make: Maker, tokens: str, head: str, tmp_path: Path) -> None:
    table(tmp_path / "my.csv", make)
    assert suggested(str(tmp_path / "my.csv"), "names") == (tokens, head)
    # a recipe of words, where order decides, keeps its head
    assert suggested(str(tmp_path / "my.csv"), "acceptability") == (tokens, "last" if tokens == "words" else head)


def test_a_folder_of_texts(tmp_path: Path) -> None:
    for name, make in (("spam", messages), ("ham", messages)):
        draw = random.Random(name)
        (tmp_path / f"{name}.txt").write_text("".join(f"{make(draw)}\n" for _ in range(30)))
    assert suggested(str(tmp_path), "names") == ("words", "max")


def test_words_recur_and_are_many() -> None:
    assert has_words(["a b c d", "d c b a"])
    assert not has_words(["a b c", "c b a"])
    assert not has_words(["a b c d", "e f g h"])
