"""`recipes copy --data FILE` without a recipe: which recipes read a stranger's file; and what else is typed for one."""

from __future__ import annotations

import random
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rnncli.cells import CELLS
from rnncli.errors import DataError
from rnncli.starters import data_wanted, packaged_recipes, recipe_task
from rnncli.tasks import load_recipe, task_names
from rnncli.tasks.propose import proposals
from tests.fixture_types import Typed

WORDS = ["the", "a", "red", "old", "house", "tree", "dog", "sees", "runs", "over", "under", "light", "rain"]


def sentence(draw: random.Random, n: int = 6) -> str:
    return " ".join(draw.choices(WORDS, k=n))


def dated(path: Path, draw: random.Random) -> None:
    rows = [f"{day:02}.{month:02}.2024;{draw.randint(100, 999)},5\n" for month in (3, 4, 5) for day in range(1, 29)]
    path.write_text("day;sold\n" + "".join(rows))


def several(path: Path, draw: random.Random) -> None:
    months = [f"{year}-{month:02}-01" for year in range(2017, 2025) for month in range(1, 13)]
    rows = [f"{shop},{month},{draw.randint(1, 99)}\n" for shop in ("a", "b") for month in months]
    path.write_text("shop,month,sold\n" + "".join(rows))


def numbers(path: Path, draw: random.Random) -> None:
    path.write_text("x,y\n" + "".join(f"{draw.random()},{draw.random()}\n" for _ in range(200)))


def labelled(path: Path, draw: random.Random) -> None:
    rows = [f'{i},{"ham" if i % 3 else "spam"},"{sentence(draw)}, {i}"\n' for i in range(40)]
    path.write_text("id,label,message\n" + "".join(rows))


def surnames(path: Path, draw: random.Random) -> None:
    path.write_text("name,language\n" + "".join(f"{draw.choice(WORDS).title()}ov{i},{i % 2}\n" for i in range(40)))


def unnamed(path: Path, draw: random.Random) -> None:
    path.write_text("".join(f"{'ham' if i % 3 else 'spam'}\t{sentence(draw)} {i}\n" for i in range(40)))


def json_lines(path: Path, draw: random.Random) -> None:
    path.write_text("".join(f'{{"text": "{sentence(draw)} {i}", "label": {i % 2}}}\n' for i in range(40)))


def class_files(path: Path, draw: random.Random) -> None:
    path.mkdir()
    for name in ("de", "fr"):
        (path / f"{name}.txt").write_text("".join(f"{sentence(draw, 1)}\n" for _ in range(9)))


def class_folders(path: Path, draw: random.Random) -> None:
    for name in ("good", "bad"):
        (path / name).mkdir(parents=True)
        for i in range(3):
            (path / name / f"{i}.txt").write_text(sentence(draw))


def conllu(path: Path, draw: random.Random) -> None:
    rows = ["# text = x"] + [f"{i}\t{word}\t_\tNOUN\t_\t_\t0\t_\t_\t_" for i, word in enumerate(WORDS, 1)]
    path.write_text(("\n".join(rows) + "\n\n") * 12)


def two_columns(path: Path, draw: random.Random) -> None:
    path.write_text(("".join(f"{word}\tNN\n" for word in draw.choices(WORDS, k=7)) + "\n") * 9)


def four_columns(path: Path, draw: random.Random) -> None:
    path.write_text("-DOCSTART- -X- -X- O\n\n" + ("".join(f"{word} NN B-NP O\n" for word in WORDS) + "\n") * 12)


def pairs(path: Path, draw: random.Random) -> None:
    path.write_text("".join(f"{sentence(draw)} {i}\t{sentence(draw)} ja {i}\tCC-BY 2.0\n" for i in range(30)))


def prose(path: Path, draw: random.Random) -> None:
    path.write_text("\n".join(f"{sentence(draw, 9).capitalize()}, {sentence(draw, 5)}.\n" for _ in range(60)))


def unspaced(path: Path, draw: random.Random) -> None:
    path.write_text("".join(draw.choices("天地玄黄宇宙洪荒", k=900)), encoding="utf-8")


def sounds(path: Path, draw: random.Random) -> None:
    path.mkdir()
    for name in ("7_ann_0", "8_bob_1"):
        with wave.open(str(path / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(bytes(800))


def table_of_pairs(path: Path, draw: random.Random) -> None:
    rows = [f'{i},"{sentence(draw)}, {i}",早上好{i}\n' for i in range(40)]
    path.write_text("nr,en,zh\n" + "".join(rows), encoding="utf-8")


def chinese_pairs(path: Path, draw: random.Random) -> None:
    path.write_text("".join(f"我喜欢{what}{n}\tI like {what} {n}\n" for what in "茶书山水" for n in range(9)), "utf-8")


def transcripts(path: Path, draw: random.Random) -> None:
    path.write_text("path\tsentence\n" + "".join(f"{i}.mp3\t{sentence(draw)} {i}\n" for i in range(30)))


def films(path: Path, draw: random.Random) -> None:
    np.savez(path, clips=np.zeros((20, 5, 6, 6)), labels=np.arange(20) % 2)


Maker = Callable[[Path, random.Random], None]
FILES: list[tuple[str, Maker, list[str]]] = [
    ("a.csv", dated, ["forecasting"]),
    ("b.csv", several, ["forecasting"]),
    ("c.csv", numbers, ["forecasting"]),
    ("d.csv", labelled, ["acceptability", "names"]),
    ("e.tsv", unnamed, ["acceptability", "names"]),
    ("f.jsonl", json_lines, ["acceptability", "names"]),
    ("t.csv", surnames, ["names", "acceptability"]),
    ("g", class_files, ["names", "acceptability", "language-model", "word-language-model"]),
    ("h", class_folders, ["names", "acceptability", "language-model", "word-language-model"]),
    ("i.conllu", conllu, ["pos-tagging"]),
    ("j.txt", two_columns, ["pos-tagging"]),
    ("k.train", four_columns, ["pos-tagging"]),
    ("l.txt", pairs, ["translation"]),
    ("r.csv", table_of_pairs, ["translation"]),
    ("s.tsv", chinese_pairs, ["translation"]),
    ("m.txt", prose, ["language-model", "word-language-model"]),
    ("n.txt", unspaced, ["language-model"]),
    ("o", sounds, ["names", "transcription"]),
    ("p.tsv", transcripts, ["transcription"]),
    ("q.npz", films, ["image-sequences"]),
]


@pytest.mark.parametrize(("name", "make", "wanted"), FILES, ids=[make.__name__ for _, make, _ in FILES])
def test_which_recipes_read_it(name: str, make: Maker, wanted: list[str], tmp_path: Path) -> None:
    path = tmp_path / name
    make(path, random.Random(name))
    found = proposals(str(path))
    assert [one.recipe for one in found] == wanted
    assert all(one.why for one in found)


@pytest.mark.parametrize(("name", "make"), [(name, make) for name, make, _ in FILES])
def test_the_first_proposed_reads_it(name: str, make: Maker, tmp_path: Path, typed: Typed) -> None:
    """The command that is printed makes a recipe that finds the file's columns."""
    make(tmp_path / name, random.Random(name))
    code, out, _ = typed("recipes", "copy", "--data", name)
    assert code == 0
    recipe = proposals(str(tmp_path / name))[0].recipe
    assert f"rnncli recipes copy {recipe} my.yaml --data {name}" in out
    if make in (transcripts, sounds):  # these files are no sound
        return
    assert typed("recipes", "copy", recipe, "my.yaml", "--data", name)[0] == 0
    made = load_recipe("my.yaml", ["data.split={}"] if make is unspaced else [])
    assert made.task.read(made.config).train


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"\xff\xfe\xfa" * 9, b"\n\n\n"])
def test_what_none_reads(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match="no packaged recipe can read this file"):
        proposals(str(path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no packaged recipe can read this file"):
        proposals(str(tmp_path / "empty"))
    with pytest.raises(DataError, match="no such file"):
        proposals(str(tmp_path / "none"))


def test_a_text_in_another_encoding_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "gb.txt"
    path.write_bytes("窗外下着小雨。\n".encode("gb18030") * 200)
    with pytest.raises(DataError, match="no packaged recipe can read this file: byte 0xb4 at offset 0 is not") as found:
        proposals(str(path))
    assert found.value.where == f"{path}:1"
    assert "iconv -f GB18030 -t UTF-8" in found.value.todo


def test_without_a_recipe_and_without_data(typed: Typed) -> None:
    code, _, err = typed("recipes", "copy")
    assert code == 2
    assert "which recipe?" in err


@pytest.mark.parametrize("task", task_names())
def test_a_task_typed_as_a_recipe(task: str, typed: Typed) -> None:
    if task in packaged_recipes():
        return
    code, _, err = typed("train", task)
    of_task = [name for name in packaged_recipes() if recipe_task(name) == task]
    assert code == 2
    assert f"{task} is a task; its recipes: {', '.join(of_task)}" in err
    assert {load_recipe(name).config.task for name in of_task} == {task}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_typed_as_a_recipe(cell: str, typed: Typed) -> None:
    code, _, err = typed("train", cell.upper())
    assert code == 2
    assert f"--set model.cell={cell}" in err


def test_data_typed_as_a_recipe(tmp_path: Path, typed: Typed) -> None:
    Path("my.csv").write_text("x\n1\n")
    code, _, err = typed("train", "my.csv")
    assert code == 2
    assert "rnncli recipes copy --data my.csv" in err


def test_every_recipe_that_names_data_suits_something() -> None:
    wanted = {name for _, _, names in FILES for name in names}
    assert wanted == {name for name in packaged_recipes() if data_wanted(name)}


def test_gaps_of_a_later_series_are_seen(tmp_path: Path, typed: Typed) -> None:
    months = [f"{year}-{month:02}-01" for year in range(2017, 2025) for month in range(1, 13)]
    for name, missing in (("whole", ""), ("gap", "2019-04-01")):
        rows = [
            f"{shop},{day},{len(day)}.5\n" for shop in ("a", "b") for day in months if (shop, day) != ("b", missing)
        ]
        (tmp_path / f"{name}.csv").write_text("shop,month,sold\n" + "".join(rows))
        assert typed("recipes", "copy", "forecasting", f"{name}.yaml", "--data", f"{name}.csv")[0] == 0
    assert "missing: interpolate" in (tmp_path / "gap.yaml").read_text("utf-8")
    assert "missing: stop" in (tmp_path / "whole.yaml").read_text("utf-8")
