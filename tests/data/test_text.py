import gzip
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data.text import Text, read_text
from rnncli.errors import DataError


def whole(text: Text) -> str:
    return "".join(text.pieces())


def test_line_ends_and_bom(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\ntwo\rthree\nfour".encode())
    text = read_text(path)
    assert whole(text) == "one\ntwo\nthree\nfour"
    assert text.fingerprint == hashlib.sha256(whole(text).encode()).hexdigest()
    packed = tmp_path / "a.txt.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_text(packed).fingerprint == text.fingerprint


def test_folder_and_list(tmp_path: Path) -> None:
    for name, content in {"b.txt": "bb\n", "a.txt": "aa", "c.md": "no", "d.txt.gz": ""}.items():
        path = tmp_path / name
        path.write_bytes(gzip.compress(b"dd") if name.endswith("gz") else content.encode())
    text = read_text(tmp_path)
    assert whole(text) == "aa\nbb\ndd"
    assert [Path(name).name for name, _ in text.files] == ["a.txt", "b.txt", "d.txt.gz"]
    assert sum(n for _, n in text.files) == text.characters == len(whole(text))
    assert whole(read_text([tmp_path / "b.txt", tmp_path / "a.txt"])) == "bb\naa"
    assert "3 files: 8 characters" in text.about()


def test_builtin() -> None:
    text = read_text("builtin:python-docs")
    assert text.characters > 300_000
    assert text.fingerprint[:12] in text.about()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_against_python_itself(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    path = tmp_path_factory.mktemp("text") / "x.txt"
    path.write_bytes(content.encode())
    expected = path.read_text(encoding="utf-8-sig")
    if expected.strip():
        assert whole(read_text(path)) == expected
    else:
        with pytest.raises(DataError, match="no text"):
            read_text(path)


@pytest.mark.parametrize("offset", [0, 5, (1 << 20) - 1, 1 << 20, (1 << 20) + 7])
def test_a_bad_byte_is_named_wherever_it_stands(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "x.txt"
    before = (b"a\r\n" * offset)[:offset]
    path.write_bytes(before + b"\xff tail")
    line = len(before.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    with pytest.raises(DataError, match=f"0xff at offset {offset} is not UTF-8") as caught:
        read_text(path)
    assert caught.value.where == f"{path}:{line}"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no text"),
        (b" \n\n", "no text"),
        (b"ab\ncd\0ef", "NUL character at offset 5"),
        ("h\u00e9llo".encode("latin-1"), "0xe9 at offset 1"),
        ("hello".encode("utf-16"), "UTF-16"),
        (b"ab\xe2\x82", "0xe2 at offset 2"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_text(path)


def test_places_that_are_no_files(tmp_path: Path) -> None:
    loop = tmp_path / "loop.txt"
    loop.symlink_to(loop)
    for source, says in (
        (tmp_path / "none.txt", "no such file"),
        (tmp_path, "no such file|circular|no .txt"),
        (loop, "is a circular symbolic link"),
        ("a\0b", "NUL"),
        ("x" * 5000, "cannot be read"),
        ([], "empty"),
        ("builtin:pyton-docs", "did you mean builtin:python-docs"),
        ("/dev/null", "not a regular file"),
    ):
        with pytest.raises(DataError, match=says):
            read_text(source)


def test_the_folder_that_was_looked_in_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for source, todo in (
        ("x.txt", f"looked in {tmp_path}"),
        ("data/x.txt", f"looked in {tmp_path / 'data'}"),
        (tmp_path / "data/x.txt", f"looked in {tmp_path / 'data'}"),
        ("nowhere/x.txt", f"there is no folder {tmp_path / 'nowhere'}"),
    ):
        with pytest.raises(DataError, match="no such file") as caught:
            read_text(source)
        assert caught.value.todo == todo


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.txt"
    path.write_text("x")

    def refuse(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("rnncli.files.open", refuse, raising=False)
    with pytest.raises(DataError, match="permission denied"):
        read_text(path)


@pytest.mark.parametrize("cut", [0, 1, 5, 12, 40, -9, -1])
def test_damaged_gzip(tmp_path: Path, cut: int) -> None:
    packed = gzip.compress(("some text, " * 500).encode())
    path = tmp_path / "x.txt.gz"
    path.write_bytes(packed[:cut])
    with pytest.raises(DataError, match=r"gz|no text"):
        read_text(path)
    path.write_bytes(packed[:30] + b"\x00\xff\x00" + packed[33:])
    with pytest.raises(DataError):
        read_text(path)
