"""What a file is that is not UTF-8 text: told by its first bytes, with what to do about it."""

from __future__ import annotations

import codecs
import shlex

from rnncli.errors import DataError
from rnncli.locale import tr

ODD = 100  # text has at most one control character in so many bytes


def not_utf8(where: str, head: bytes, data: bytes, bad: int, offset: int, line: int) -> DataError:
    """Why a file is not UTF-8 text at data[bad], in its line `line`; data begins at `offset` in the file, head with it.

    A file of another kind is called what it is; only what may be text gets advice on its encoding.
    """
    if kind := not_text(head, where):
        return DataError(kind[0], where=where, todo=kind[1])
    code = likely_encoding(data)
    if data[bad] == 0 and not code.startswith("UTF-16"):
        what, todo = tr("a NUL character at offset {offset}: this is not a text file", offset=offset + bad), ""
    else:
        what = tr("byte {byte} at offset {offset} is not UTF-8", byte=f"0x{data[bad]:02x}", offset=offset + bad)
        todo = tr("convert it: iconv -f {code} -t UTF-8 {name} > utf8.txt", code=code, name=shlex.quote(where))
    return DataError(what, where=f"{where}:{line}", todo=todo)


def not_text(head: bytes, name: str) -> tuple[str, str] | None:
    """(what the file is, what to do) by its first bytes, or None where these may be text in another encoding.

    name: the file's, for the advice.
    """
    if head.startswith(b"PK\x03\x04"):
        return _zipped(head)
    if head.startswith(b"RIFF"):
        return tr("this is audio, an image or a video (RIFF), not text"), tr("is this the right file?")
    unpack = tr("unpack it first")
    sheet = tr("save it as CSV (UTF-8) first")
    wrong = tr("is this the right file?")
    kinds = (
        (b"\xd0\xcf\x11\xe0", tr("is an old Office file (.xls, .doc), not text"), sheet),
        (b"PAR1", tr("is a Parquet file, not text"), tr("its name must end in .parquet")),
        (b"ARROW1", tr("is an Arrow file, not text"), sheet),
        (b"SQLite format 3", tr("is an SQLite database, not text"), sheet),
        (b"\x89HDF", tr("is an HDF5 file, not text"), sheet),
        (b"\x93NUMPY", tr("is an array of NumPy (.npy), not text"), wrong),
        (b"\x1f\x8b", tr("is gzip data, not text"), tr("its name must end in .gz: {name}", name=f"{name}.gz")),
        (b"BZh", tr("is bzip2 data, not text"), unpack),
        (b"\xfd7zXZ", tr("is xz data, not text"), unpack),
        (b"\x28\xb5\x2f\xfd", tr("is Zstandard data, not text"), unpack),
        (b"7z\xbc\xaf", tr("is a 7-Zip archive, not text"), unpack),
        (b"\x89PNG", tr("is a PNG picture, not text"), wrong),
        (b"\xff\xd8\xff", tr("is a JPEG picture, not text"), wrong),
        (b"GIF8", tr("is a GIF picture, not text"), wrong),
        (b"%PDF", tr("is a PDF document, not text"), tr("export its table or its text first")),
        (b"\x80\x04", tr("is a Python pickle, not text"), sheet),
    )
    for begin, what, todo in kinds:
        if head.startswith(begin):
            return what, todo
    controls = sum(head.count(byte) for byte in (*range(1, 9), *range(14, 27), *range(28, 32)))
    if controls * ODD > len(head):
        return tr("is binary data, not text"), wrong
    return None


def _zipped(head: bytes) -> tuple[str, str]:
    if b"xl/" in head:
        return tr("is an Excel workbook, not text"), tr("in Excel: Save As, CSV UTF-8 (one sheet each)")
    if b"opendocument.spreadsheet" in head:
        return tr("is an OpenDocument spreadsheet, not text"), tr("save it as CSV (UTF-8) first")
    if b"word/" in head or b"opendocument.text" in head:
        return tr("is a text document (.docx, .odt), not plain text"), tr("save it as plain text (UTF-8) first")
    if b"data.pkl" in head:
        return tr("is a file of PyTorch's, not text"), tr("is this the right file?")
    return tr("is a ZIP archive, not text"), tr("unpack it first")


def likely_encoding(data: bytes) -> str:
    """What text that is not UTF-8 may be, as iconv calls it: Chinese, where its bytes are such pairs; UTF-16, where
    every other byte is 0; else what Excel writes in the west, or Latin where bytes are not of that."""
    even, odd = data[0:200:2], data[1:200:2]
    for zeros, others, iconv in ((odd, even, "UTF-16LE"), (even, odd, "UTF-16BE")):
        if len(data) > 3 and not any(zeros) and 4 * others.count(0) < len(others):
            return iconv
    for code, iconv in (("gb2312", "GB18030"), ("cp1252", "CP1252")):
        try:
            codecs.getincrementaldecoder(code)().decode(data)
        except UnicodeDecodeError:
            continue
        return iconv
    return "LATIN1"
