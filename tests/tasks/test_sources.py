"""`path | train, validation, test`: the same for every input, the same file for two parts included."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnncli.data.splits import Split
from rnncli.errors import DataError, RecipeError
from rnncli.recipe import DataSection
from rnncli.tasks import AnySplits, load_recipe
from rnncli.tasks.inputs.sources import WHOLE, divide, files_of, names_of, sources


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
    assert divide(own, {"train": ["a"], "validation": ["b"]}, split, "rows") == (own, "separate files")
    with pytest.raises(DataError, match="no usable rows") as caught:
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
        ("data.split.by", "separate files are not split")
    ]
