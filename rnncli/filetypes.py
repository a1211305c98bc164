"""What a file is that is not UTF-8 text: told by its first bytes, with what to do about it."""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Collection
from itertools import filterfalse, islice

from rnncli.errors import DataError
from rnncli.locale import tr

ODD = 100  # text has at most one control character in so many bytes


def not_utf8(where: str, head: bytes, data: bytes, bad: int, offset: int, line: int) -> DataError:
    """Why a file is not UTF-8 text at data[bad], in its line `line`; data begins at `offset` in the file, head with it.

    A file of another kind is called what it is; only what may be text gets advice on its encoding.
    """
    if kind := not_text(head, where):
        return DataError(kind[0], where=where, todo=kind[1])
    code, *others = likely_encodings(data)
    if data[bad] == 0 and not code.startswith("UTF-16"):
        what, todo = tr("a NUL character at offset {offset}: this is not a text file", offset=offset + bad), ""
    else:
        what = tr("byte {byte} at offset {offset} is not UTF-8", byte=f"0x{data[bad]:02x}", offset=offset + bad)
        if _mostly_utf8(data):
            return DataError(what, where=f"{where}:{line}", todo=tr("the rest is UTF-8: correct this character"))
        todo = tr(
            "it looks like {code}: iconv -f {code} -t UTF-8 {name} > utf8.txt", code=code, name=shlex.quote(where)
        )
        if others:
            todo = tr("{command}; if the text then looks wrong, use {code}", command=todo, code=others[0])
    return DataError(what, where=f"{where}:{line}", todo=todo)


def _mostly_utf8(data: bytes) -> bool:
    """Whether at most one in ten of the characters beyond ASCII is not UTF-8."""
    text = data.decode("utf-8", "replace")
    beyond = sum(not c.isascii() for c in text)
    return beyond > 10 * text.count("\ufffd")


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


# Frequent characters of East Asian encodings: codec, iconv's name, first bytes (of punctuation, then of the most
# frequent ideographs or syllables), second bytes.
_EASTERN = (
    ("gb18030", "GB18030", (0xA1, 0xA3, *range(0xB0, 0xD8)), range(0xA1, 0xFF)),
    ("cp949", "CP949", (0xA1, 0xA3, *range(0xB0, 0xC9)), range(0xA1, 0xFF)),
    ("big5", "BIG5", (0xA1, *range(0xA4, 0xC7)), range(0x40, 0xFF)),
    ("cp932", "CP932", (0x81, 0x82, 0x83, *range(0x88, 0x99)), range(0x40, 0xFF)),
)
# 字 is a frequent character, 卜 one whose second byte is ASCII: alone, it is rather a sign and a letter, as in 20 °C.
_EASTERN_WORDS = re.compile("[字卜]{2,}|(?<![A-Za-z])字(?![A-Za-z])")
_LETTER = "[À-ÖØ-öø-ÿŒœŠšŽžŸƒ]"
# In Latin script one or two letters with accents are next to plain ones, or a letter is alone; and punctuation.
_LATIN_WORDS = re.compile(
    f"(?<=[A-Za-z]){_LETTER}{{1,2}}|{_LETTER}{{1,2}}(?=[A-Za-z])|(?<![^\\W_]){_LETTER}(?![^\\W_])"
    "|[„“”‚‘’–—…•€°«»§£¿¡²³µ·×®©™\xa0]"
)
_CYRILLIC_WORDS = re.compile(r"\b(?:[А-ЯЁ]?[а-яё]+|[А-ЯЁ]+)(?<=\w\w)\b")
_WORDS, _BYTES = 2000, 50_000  # looked at


def likely_encodings(data: bytes) -> list[str]:
    """What text that is not UTF-8 may be, as iconv calls it; two if both are equally likely.

    UTF-16 if every other byte is 0. Otherwise the encoding in which the largest share of the characters beyond ASCII
    are frequent ones in a usual place (`öß` inside a word is German, not a rare Chinese character); if none has half
    of them, CP1252, which Excel writes in the West, or LATIN1 if bytes are not valid there, and GB18030 if it can be.
    """
    even, odd = data[0:200:2], data[1:200:2]
    for zeros, others, iconv in ((odd, even, "UTF-16LE"), (even, odd, "UTF-16BE")):
        if len(data) > 3 and not any(zeros) and 4 * others.count(0) < len(others):
            return [iconv]
    words = filterfalse(bytes.isascii, re.split(rb"[\s,;]+", data))
    data = b" ".join(islice(words, _WORDS))[:_BYTES]
    western = "LATIN1" if _decoded(data, "cp1252") is None else "CP1252"
    shares = {
        western: _share(_decoded(data, western) or "", _LATIN_WORDS),
        "CP1251": _share(_decoded(data, "cp1251") or "", _CYRILLIC_WORDS),
        **{iconv: _eastern(data, codec, first, second) for codec, iconv, first, second in _EASTERN},
    }
    best = max(shares.values())
    if best > 0.5:
        return [iconv for iconv, share in shares.items() if share == best][:2]
    return [western] if _decoded(data, "gb2312") is None else [western, "GB18030"]


def _decoded(data: bytes, codec: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(codec)().decode(data)
    except UnicodeDecodeError:
        return None


def _share(text: str, usual: re.Pattern[str]) -> float:
    """The part of the characters beyond ASCII that `usual` matches."""
    matched = "".join(usual.findall(text))
    return sum(not c.isascii() for c in matched) / max(1, sum(not c.isascii() for c in text))


def _eastern(data: bytes, codec: str, first: Collection[int], second: Collection[int]) -> float:
    """The share of frequent characters. 0 for Chinese without the many that begin with S to Z: that is Korean."""
    pairs = [(c, c.encode(codec, "replace")) for c in _decoded(data, codec) or ""]
    known = {pair for _, pair in pairs if len(pair) == 2 and pair[0] in first and pair[1] in second}
    if codec == "gb18030" and len(known) > 8 and 10 * sum(pair[0] > 0xC8 for pair in known) < len(known):
        return 0.0
    shown = (c if pair not in known else "字" if pair[1] > 0x7F else "卜" for c, pair in pairs)
    return _share("".join(shown), _EASTERN_WORDS)
