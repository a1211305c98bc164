import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data.folder import NamePattern, class_folder_fingerprint, read_class_folder, with_fields
from rnncli.data.skipped import Skipped
from rnncli.errors import DataError


def test_a_file_a_class(tmp_path: Path) -> None:
    (tmp_path / "English.txt").write_text("Smith\n\n Jones \n")
    (tmp_path / "Greek.txt.gz").write_bytes(gzip.compress("Δέλτα\n".encode()))
    (tmp_path / ".hidden.txt").write_text("x\n")
    samples = list(read_class_folder(tmp_path, Skipped()))
    assert [(s.text, s.label) for s in samples] == [("Smith", "English"), ("Jones", "English"), ("Δέλτα", "Greek")]
    assert samples[1].where == f"{tmp_path}/English.txt:3"


def test_the_fingerprint_sees_names_and_contents(tmp_path: Path) -> None:
    prints = set()
    for label, content in (("a", "x"), ("a", "y"), ("b", "y")):
        (tmp_path / label).mkdir(exist_ok=True)
        for old in tmp_path.glob("*/*"):
            old.unlink()
        (tmp_path / label / "1.txt").write_text(content)
        prints.add(class_folder_fingerprint(tmp_path))
    assert len(prints) == 3


def test_a_folder_a_class(tmp_path: Path) -> None:
    for label, name, content in (
        ("neg", "1.txt", b"bad\nfilm"), ("pos", "1.txt", b"good"), ("pos", "2.txt", b"\xff"), ("pos", "3.txt", b""),
        ("pos", "4.md", b"x"),
    ):  # fmt: skip
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / name).write_bytes(content)
    (tmp_path / "pos" / "5.txt").symlink_to(tmp_path / "pos" / "5.txt")
    skipped = Skipped("skip", "files")
    samples = list(read_class_folder(tmp_path, skipped))
    assert [(s.text, s.label) for s in samples] == [("bad\nfilm", "neg"), ("good", "pos")]
    assert (skipped.count, skipped.total) == (3, 5)
    assert skipped.sentence().startswith(f"3 of 5 files cannot be used; first: {tmp_path}/pos/2.txt:1: byte 0xff")
    assert skipped.notes == [f"{tmp_path}/pos: 1 file that is not .txt .txt.gz is not read"]


def test_folders_that_hold_no_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fewer than two classes"):
        list(read_class_folder(tmp_path, Skipped()))
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="which are the classes"):
        list(read_class_folder(tmp_path, Skipped()))
    for wrong in (tmp_path / "a.txt", tmp_path / "none", "x\0y"):
        with pytest.raises(DataError, match="folder"):
            list(read_class_folder(wrong, Skipped()))


def test_fields_of_names() -> None:
    pattern = NamePattern("{digit}_{speaker}_{take}.wav")
    assert pattern.match("7_jackson_12.wav") == {"digit": "7", "speaker": "jackson", "take": "12"}
    for name in ("7_jackson.wav", "7_jackson_1.flac", "7__1.wav", "a_b_c.d.wav", ".wav"):
        assert pattern.match(name) is None
    assert NamePattern("*-{label}").match("x-y.txt") == {"label": "y.txt"}
    assert NamePattern("{a}.(x)").match("1.(x)") == {"a": "1"}
    assert NamePattern("{digit}_{speaker}_{take}.wav", "speaker", None).needed == ["speaker"]
    with pytest.raises(DataError, match="its fields: digit, speaker, take"):
        NamePattern("{digit}_{speaker}_{take}.wav", "label")
    for wrong in ("{a}{b}", "{a}*", "{}_x", "{a}_{a}", "{1}"):
        with pytest.raises(DataError):
            NamePattern(wrong)


@given(st.text(alphabet="{}ab_.*[]^-\\", max_size=12), st.text(alphabet="ab_.-{}\\]^", max_size=30))
def test_any_pattern_answers(pattern: str, name: str) -> None:
    try:
        made = NamePattern(pattern)
    except DataError:
        return
    found = made.match(name)
    assert found is None or set(found) == set(made.fields)


def test_named_files(tmp_path: Path) -> None:
    for name in ("1_ann_0.wav", "2_bob_0.WAV", "odd.wav"):
        (tmp_path / name).touch()
    skipped = Skipped("skip", "files")
    pattern = NamePattern("{label}_{speaker}_*", "label", "speaker")
    found = list(with_fields(pattern, sorted(tmp_path.iterdir()), skipped))
    assert [fields for _, *fields in found] == [["1", "ann"], ["2", "bob"]]
    assert skipped.first == [(f"{tmp_path}/odd.wav", "the name does not match {label}_{speaker}_*")]
