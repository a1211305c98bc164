"""Files that are no UTF-8 text are called what they are; only text gets advice on its encoding."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from rnncli.data.skipped import Skipped
from rnncli.data.table import read_cells
from rnncli.errors import DataError
from rnncli.filetypes import likely_encodings


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name in names:
            made.writestr(name, "x" * 300)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "says", "todo"),
    [
        (archive("[Content_Types].xml", "xl/workbook.xml"), "Excel workbook", "CSV UTF-8"),
        (archive("word/document.xml"), "text document", "plain text"),
        (archive("a.csv"), "ZIP archive", "unpack"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "old Office file", "CSV"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "PNG picture", "right file"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "JPEG picture", "right file"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF", "export"),
        (b"RIFF$\x00\x00\x00WAVEfmt ", "RIFF", "right file"),
        (gzip.compress(b"a,b\n1,2\n"), "gzip data", "x.csv.gz"),
        (b"PAR1" + bytes(100), "Parquet", ".parquet"),
        (bytes(range(1, 256)) * 3, "binary data", "right file"),
    ],
    ids=range(11),  # an archive has the time in it
)
def test_what_a_file_is(tmp_path: Path, data: bytes, says: str, todo: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=says) as caught:
        list(read_cells(path, [0], Skipped()))
    assert todo in (caught.value.todo or "")
    assert "iconv" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "encoding", "code"),
    [
        ("Straße;Größe\n„gut“;1\n", "cp1252", "CP1252"),
        ("Preis;€\n5;6\n", "cp1252", "CP1252"),
        ("名字,国家\n张三,中国\n", "gb18030", "GB18030"),
        ("Größe,Label\nviel,a\n", "utf-16-le", "UTF-16LE"),
        ("Größe,Label\nviel,a\n", "utf-16-be", "UTF-16BE"),
        ("Datum;Größe\n1.1.2024;2\n", "latin-1", "CP1252"),  # öß would be a Chinese character
        ("Äußerung;GRÖSSE;Ä\n", "cp1252", "CP1252"),
        ("créée;à Paris\n", "cp1252", "CP1252"),
        ("it’s;don’t\n", "cp1252", "CP1252"),
        ("T\n20 °C\n", "cp1252", "CP1252"),
        ("日期;销量\n使用Python编程;1\n", "gb18030", "GB18030"),
        ("日期,銷售額\n天氣很好,1\n", "big5", "BIG5"),
        ("日付,売上\nテスト,1\n", "cp932", "CP932"),
        ("이 영화는 정말 좋았다,1\n", "cp949", "CP949"),
        ("Дата;Цена\nПлохой фильм;1\n", "cp1251", "CP1251"),
    ],
)
def test_text_in_another_encoding_gets_the_command(tmp_path: Path, text: str, encoding: str, code: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError) as caught:
        list(read_cells(path, [0], Skipped()))
    assert f"iconv -f {code} -t UTF-8" in (caught.value.todo or "")
    assert "looks wrong" not in (caught.value.todo or "")


@pytest.mark.parametrize(
    ("text", "encoding", "codes"),
    [
        ("国家,a\n", "gb18030", ("GB18030", "CP949")),
        ("국가,a\n", "cp949", ("GB18030", "CP949")),
        ("ДАТА\n", "cp1251", ("CP1251", "GB18030")),
        ("A股,T恤\n", "gb18030", ("CP1252", "GB18030")),
    ],
)
def test_both_encodings_are_named_where_the_text_is_too_short_to_tell(
    tmp_path: Path, text: str, encoding: str, codes: tuple[str, str]
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError) as caught:
        list(read_cells(path, [0], Skipped()))
    todo = caught.value.todo or ""
    assert f"iconv -f {codes[0]} -t UTF-8" in todo
    assert todo.endswith(f"; if the text then looks wrong, use {codes[1]}")


def test_a_wrong_byte_in_utf8_is_no_other_encoding(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("评论,类\n这部电影很好看,好\n".encode() + b"\xff\n")
    with pytest.raises(DataError, match="is not UTF-8") as caught:
        list(read_cells(path, [0], Skipped()))
    assert caught.value.todo == "the rest is UTF-8: correct this character"
    assert caught.value.where == f"{path}:3"


def test_a_large_file_is_judged_by_its_first_words() -> None:
    assert likely_encodings("这是一个很长的句子".encode("gb18030") * 60_000) == ["GB18030"]
    assert likely_encodings(b"a plain word " * 70_000 + "Größe".encode("cp1252")) == ["CP1252"]
    assert likely_encodings("Größe ".encode("cp1252") * 2000 + "很长的句子 ".encode("gb18030") * 9000) == ["CP1252"]
