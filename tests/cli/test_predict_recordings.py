"""`rnncli predict` on sound files: each answer with its file's name, and a broken file that stops no other."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

import rnncli
from tests.fixture_types import Typed
from tests.tasks.test_sound_classification import recordings

SMALL = ("model.hidden_size=4", "model.channels=4", "train.epochs=1", "train.control=false", "train.threads=1")
NAMES = ("b 第二.wav", "a.wav", "2  spaces,.wav")  # in the order in which they are given


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs, three recordings and a broken one."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "clips").mkdir()
    clips = recordings(folder / "clips")
    path = f"data.path={clips}"
    pattern = "data.pattern={text}_{speaker}_{take}.wav"
    rnncli.train("transcription", out=str(folder / "said"), sets=(path, pattern, "data.split.by=null", *SMALL))
    sound = ("data.sound={pattern: '{label}_{speaker}_{take}.wav'}", "data.label=label")
    rnncli.train("names", out=str(folder / "class"), sets=(path, *sound, *SMALL))
    for name, clip in zip(NAMES, sorted(clips.iterdir()), strict=False):
        shutil.copy(clip, folder / name)
    (folder / "broken.wav").write_bytes(b"RIFF")
    (folder / "empty.wav").touch()
    return folder


@pytest.fixture
def inside(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def test_each_transcription_follows_the_name_of_its_file(typed: Typed, inside: Path) -> None:
    code, out, _ = typed("predict", "./said", *NAMES)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == list(NAMES)
    lines = [json.loads(line) for line in typed("predict", "./said", *NAMES, "--json")[1].splitlines()]
    assert [line["file"] for line in lines] == list(NAMES)
    assert out == "".join(f"{line['file']}\t{line['text']}\n" for line in lines)
    table = list(csv.DictReader(io.StringIO(typed("predict", "./said", *NAMES, "--csv")[1])))
    assert table == lines


def test_names_on_standard_input(typed: Typed, inside: Path) -> None:
    given = "\r\n".join(NAMES).encode()
    assert typed("predict", "./said", "-", input=given) == typed("predict", "./said", *NAMES)


@pytest.mark.parametrize("run", ["said", "class"])
def test_a_broken_file_is_named_and_the_others_are_answered(typed: Typed, inside: Path, run: str) -> None:
    files = (NAMES[0], "broken.wav", NAMES[1], "empty.wav", "missing.wav", NAMES[2])
    code, out, err = typed("predict", f"./{run}", *files)
    assert code == 3
    assert out == typed("predict", f"./{run}", *NAMES)[1]
    assert [line.split()[-1] for line in err.splitlines() if line.startswith("where: ")] == [
        "broken.wav", "empty.wav", "missing.wav",
    ]  # fmt: skip
    code, out, err = typed("predict", f"./{run}", *files, "--json")
    documents = [json.loads(line) for line in out.splitlines()]
    assert (code, len(documents)) == (3, 6)
    assert [one["file"] for one in documents if "error" in one] == ["broken.wav", "empty.wav", "missing.wav"]
    code, out, err = typed("predict", f"./{run}", *files, "--csv")
    assert (code, len(out.splitlines())) == (3, 4)


def test_likeliest_classes_in_columns(typed: Typed, inside: Path) -> None:
    _, out, _ = typed("predict", "./class", *NAMES, "--csv", "--top-k", "2")
    table = list(csv.DictReader(io.StringIO(out)))
    assert list(table[0]) == ["input", "label", "p", "label_2", "p_2"]
    assert [row["input"] for row in table] == list(NAMES)
    assert all({row["label"], row["label_2"]} == {"one", "six"} for row in table)
    assert float(table[0]["p"]) + float(table[0]["p_2"]) == pytest.approx(1)


def test_what_has_no_rows_says_so(typed: Typed, inside: Path) -> None:
    rnncli.train("hello", out="hello", sets=("train.epochs=1",))
    code, out, err = typed("predict", "./hello", "hello", "--csv")
    assert (code, out) == (2, "")
    assert "predictions of this task are not table rows" in err
    code, out, err = typed("predict", "./said", NAMES[0], "--csv", "--json")
    assert (code, out) == (2, "")
