"""`path | train, validation, test`: the same for every input, the same file for two parts included."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnncli.cli import run
from rnncli.data.splits import Split
from rnncli.errors import DataError, RecipeError
from rnncli.recipe import DataSection
from rnncli.tasks import AnySplits, load_recipe
from rnncli.tasks.inputs.sources import WHOLE, divide, files_of, names_of, parts_in, sources


class Numbers(list[int]):
    def chosen(self, rows: Any) -> Numbers:
        return Numbers(self[row] for row in rows)


def test_what_a_recipe_names() -> None:
    assert sources(DataSection(path="a")) == {WHOLE: ["a"]}
    assert sources(DataSection(path=["a", "b"])) == {WHOLE: ["a", "b"]}
    given = sources(DataSection(train="a", test="b"))
    assert given == {"train": ["a"], "test": ["b"]}
    assert files_of(given) == ["a", "b"]
    assert names_of(given) == "a, b"


def test_rows_are_split_or_come_in_parts() -> None:
    def split(whole: Numbers) -> Split:
        return Split({"train": [2, 0], "validation": [1]}, "so")

    parts, how = divide({WHOLE: Numbers([5, 6, 7])}, {WHOLE: ["a"]}, split, "rows")
    assert (parts, how) == ({"train": [7, 5], "validation": [6]}, "so")
    own = {"train": Numbers([1]), "validation": Numbers([2])}
    assert divide(own, {"train": ["a"], "validation": ["b"]}, split, "rows") == (
        own, "separate files: train a, validation b"
    )  # fmt: skip
    with pytest.raises(DataError, match="contains no usable rows") as caught:
        divide(own | {"validation": Numbers()}, {"train": ["a"], "validation": ["b"]}, split, "rows")
    assert caught.value.where == "b"


def recordings(folder: Path) -> str:
    for n in range(6):
        with wave.open(str(folder / f"{n % 2}_x_{n}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            tone = 8000 * np.sin(np.arange(1600) * (0.1 + 0.2 * (n % 2)))
            file.writeframes(tone.astype("<i2").tobytes())
    return str(folder)


def frames(folder: Path) -> str:
    path = folder / "a.npz"
    np.savez(path, frames=np.random.RandomState(0).rand(6, 3, 5, 5), labels=np.arange(6) % 2)
    return str(path)


def written(name: str, text: str) -> Any:
    def write(folder: Path) -> str:
        (folder / name).write_text(text, "utf-8")
        return str(folder / name)

    return write


PATTERN = "{text}_{speaker}_{take}.wav"
SOUND = {"sound": {"pattern": "{label}_{speaker}_{take}.wav", "mels": 4}}
SERIES = "date,value\n" + "".join(f"2024-01-{n:02d},{n}\n" for n in range(1, 31))
INPUTS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "texts": ("classification", written("a.csv", "text,label\n" + "ab,x\ncd,y\n" * 5), {}),
    "labelled sound": ("classification", recordings, SOUND),
    "frames": ("image-sequences", frames, {}),
    "speech": ("transcription", recordings, {"pattern": PATTERN, "mels": 4}),
    "sentences": ("tagging", written("a.tsv", "a\tX\nb\tY\n\n" * 5), {}),
    "pairs": ("translation", written("a.txt", "".join(f"a{n} b\tc d\n" for n in range(6))), {}),
    "series": ("forecasting", written("a.csv", SERIES), {"window": 3, "horizon": 2}),
    "stream": ("language-model", written("a.txt", "abcd " * 20), {"window": 4}),
}


def read(task: str, data: dict[str, Any]) -> AnySplits:
    recipe = load_recipe({"task": task, "data": data, "model": {"hidden_size": 2}, "train": {"batch_size": 2}})
    splits: AnySplits = recipe.task.read(recipe.config)
    return splits


@pytest.mark.parametrize("name", INPUTS)
def test_one_file_may_be_two_parts(name: str, tmp_path: Path) -> None:
    """To see that a model can learn its data by heart, say. Both parts have all of its rows."""
    task, make, more = INPUTS[name]
    path = make(tmp_path)
    splits = read(task, {"train": path, "validation": path, **more})
    assert list(splits.parts) == ["train", "validation"]
    assert splits.counts["train"] == splits.counts["validation"]
    assert splits.how.startswith("separate files")


@pytest.mark.parametrize("name", INPUTS)
def test_a_path_is_split_and_a_file_of_its_own_is_not(name: str, tmp_path: Path) -> None:
    task, make, more = INPUTS[name]
    path = make(tmp_path)
    whole = read(task, {"path": path, "split": {"validation": 0.34}, **more})
    assert set(whole.parts) == {"train", "validation"}
    (tmp_path / "again").mkdir()
    other = tmp_path / "again" / Path(path).name if Path(path).is_file() else tmp_path / "again"
    copy = [path] if Path(path).is_file() else sorted(Path(path).glob("*.wav"))
    for file in copy:
        shutil.copy(file, tmp_path / "again")
    apart = read(task, {"train": path, "test": str(other), **more})
    assert set(apart.parts) == {"train", "test"}
    assert apart.counts["train"] == apart.counts["test"]


@pytest.mark.parametrize("name", ["texts", "labelled sound", "frames", "speech"])
def test_groups_are_of_what_is_split(name: str) -> None:
    task, _, more = INPUTS[name]
    with pytest.raises(RecipeError) as caught:
        read(task, {"train": "a", "split": {"by": "who"}, **more})
    assert [(fault.key, fault.what) for fault in caught.value.faults] == [
        ("data.split.by", "separate files cannot be split")
    ]


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (
            ["a-ud-train.conllu", "a-ud-dev.conllu", "a-ud-test.conllu.gz", "README.md", "stats.xml", ".git"],
            {"train": ["a-ud-train.conllu"], "validation": ["a-ud-dev.conllu"], "test": ["a-ud-test.conllu.gz"]},
        ),
        (
            ["eng.testa", "eng.testb", "eng.train"],
            {"train": ["eng.train"], "validation": ["eng.testa"], "test": ["eng.testb"]},
        ),
        (
            ["ptb.train.txt", "ptb.valid.txt", "readme.txt"],
            {"train": ["ptb.train.txt"], "validation": ["ptb.valid.txt"]},
        ),
        (
            ["cs-ud-train-a.conllu", "cs-ud-train-b.conllu", "cs-ud-test.conllu"],
            {"train": ["cs-ud-train-a.conllu", "cs-ud-train-b.conllu"], "test": ["cs-ud-test.conllu"]},
        ),
        (["train/", "test/", "README", "vocab.txt"], {"train": ["train"], "test": ["test"]}),
        (["train.txt"], {}),
        (["dev.txt", "test.txt"], {}),
        (["train.txt", "test.txt", "more.txt"], {}),
        (["train-test.txt", "dev.txt"], {}),
        (["English.txt", "Train.txt"], {}),
        (["pos/", "neg/", "train/"], {}),
        (["trains/", "tests/"], {}),
    ],
)  # fmt: skip
def test_parts_that_the_names_in_a_folder_say(tmp_path: Path, names: list[str], parts: dict[str, list[str]]) -> None:
    for name in names:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    found = parts_in(str(tmp_path))
    assert {part: [Path(file).name for file in files] for part, files in found.items()} == parts
    assert sources(DataSection(path=str(tmp_path))) == (found or {WHOLE: [str(tmp_path)]})


def test_a_folder_of_universal_dependencies(tmp_path: Path) -> None:
    line = "1\t{}\t_\t{}\t_\t_\t_\t_\t_\t_\n\n"
    for part, n in (("train", 3), ("dev", 2), ("test", 1)):
        text = "".join(line.format(f"{part}{i}", "XY"[i % 2]) for i in range(n))
        (tmp_path / f"a-ud-{part}.conllu").write_text(text)
    splits = read("tagging", {"path": str(tmp_path), "min_count": 1})
    assert [splits.counts[part]["words"] for part in ("train", "validation", "test")] == [3, 2, 1]
    assert splits.how == ("separate files: train a-ud-train.conllu, validation a-ud-dev.conllu, test a-ud-test.conllu")


def test_folders_of_classes_in_folders_of_parts(tmp_path: Path) -> None:
    """As IMDB's reviews come; train and test are no classes."""
    for part in ("train", "test"):
        for label in ("pos", "neg"):
            (tmp_path / part / label).mkdir(parents=True)
            (tmp_path / part / label / "1.txt").write_text(f"{part} {label}")
    splits = read("classification", {"path": str(tmp_path)})
    assert splits.how == "separate files: train train, test test; 2 classes"


A, B, C = "data.train=a.conllu", "data.validation=b.conllu", "data.test=c.conllu"


@pytest.mark.parametrize(
    ("name", "sets", "given"),
    [
        ("pos-tagging", [A, B, C], {"train", "validation", "test"}),
        ("transcription", [A, B], {"train", "validation"}),
        ("names", [A], {"train"}),
        ("hello", [A], {"train"}),
        ("hello", ["data.path=a.conllu"], {WHOLE}),
        ("pos-tagging", [A, "data.path=null", "data.split=null"], {"train"}),
        ("pos-tagging", ["data.split=null"], {WHOLE}),
    ],
)  # fmt: skip
def test_data_that_is_typed_takes_the_place_of_the_recipe_s(name: str, sets: list[str], given: set[str]) -> None:
    config = load_recipe(name, sets).config
    assert isinstance(config.data, DataSection)
    assert set(sources(config.data)) == given
    if name == "transcription":
        assert config.data.split == type(config.data.split)(), "its speakers are of data that is not read"


@pytest.mark.parametrize("sets", [[A, "data.path=b"], [B], ["data.train=null", "data.path=null"]])
def test_what_is_typed_does_not_fit_together(sets: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("pos-tagging", sets)
    assert len(caught.value.faults) == 1


def test_a_recipe_of_separate_files_takes_one_path(tmp_path: Path) -> None:
    text = "task: tagging\ndata: {train: a, test: b}\nmodel: {hidden_size: 2}\ntrain: {}\n"
    (tmp_path / "r.yaml").write_text(text)
    config = load_recipe(str(tmp_path / "r.yaml"), [], {"data.path": ("--data", "c")}).config
    assert isinstance(config.data, DataSection)
    assert set(sources(config.data)) == {WHOLE}


def test_flags_and_a_copy_for_separate_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        Path(f"{name}.tsv").write_text("a\tX\nb\tY\n\n" * 2)
    flags = ["--train-data", "a.tsv", "--validation-data", "b.tsv", "--test-data", "c.tsv"]
    assert run(["train", "pos-tagging", *flags, "--dry-run"]) == 0
    assert (
        run(["recipes", "copy", "pos-tagging", "x.yaml", "--set", "data.train=a.tsv", "--set", "data.test=c.tsv"]) == 0
    )
    config = load_recipe("./x.yaml").config
    assert isinstance(config.data, DataSection)
    assert set(sources(config.data)) == {"train", "test"}


def test_the_speaker_of_the_test_part_is_chosen_in_a_recipe(tmp_path: Path) -> None:
    groups = "data.split={by: who, validation: 0.1, groups: {test: [7]}}"
    (tmp_path / "a.csv").write_text("text,label,who\n" + "".join(f"a{n},{n % 2},{n // 4}\n" for n in range(40)))
    recipe = load_recipe("names", [f"data.path={tmp_path}/a.csv", "data.text=text", "data.label=label", groups])
    splits = recipe.task.read(recipe.config)
    assert splits.counts["test"]["texts"] == 4
    assert "; test: 7; 2 classes" in splits.how
    with pytest.raises(RecipeError, match="groups are given, but"):
        load_recipe("names", ["data.split={groups: {test: [7]}}"])
