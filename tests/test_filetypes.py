"""Files that are no UTF-8 text are called what they are; only text gets advice on its encoding."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from rnncli.data.skipped import Skipped
from rnncli.data.table import read_cells
from rnncli.errors import DataError


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
    ],
)
def test_text_in_another_encoding_gets_the_command(tmp_path: Path, text: str, encoding: str, code: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError) as caught:
        list(read_cells(path, [0], Skipped()))
    assert f"iconv -f {code} -t UTF-8" in (caught.value.todo or "")
