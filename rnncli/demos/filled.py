"""Reading filled-in worksheets as saved by spreadsheets of various locales: cells by column, and numbers in them."""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from pathlib import Path

from rnncli.errors import DataError
from rnncli.files import open_binary, shown
from rnncli.locale import tr, trn

MAX_BYTES = 10_000_000
HEAD = ("title", "name", "formula")  # terms of the rows above the sums
_SEPARATOR = re.compile(r"sep=([,;\t])\r?\n", re.IGNORECASE)  # Excel's own first line
_MINUS: dict[int, str | None] = dict.fromkeys(map(ord, "‐‑‒–—−"), "-")
_MARKS: dict[int, str | None] = {ord("⁄"): "/", ord("。"): ".", ord("٫"): ".", ord("’"): None, ord("'"): None}
_GROUPED = re.compile(
    r"[+-]?[0-9]{1,3}(?P<mark>[.,])[0-9]{3}(?:(?P=mark)[0-9]{3})*(?P<decimals>(?!(?P=mark))[.,][0-9]*)?"
)
# A number that is not part of a name: the 0.5 of `0.5·h_0[1]`, not the 0 of h_0 nor the 1 of [1].
_ALONE = re.compile(r"(?<![A-Za-z0-9_\[.])-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?(?![A-Za-z0-9_\].])")


def rows_of(path: str) -> list[tuple[int, dict[str, str]]]:
    """(line number, cells by column) for each row: UTF-8, UTF-16, GBK, Windows or Mac text, separated by commas,
    semicolons or tabs.

    Raises DataError if the file cannot be read, lacks the columns unit, term and value, or has a row with too many
    cells.
    """
    name = shown(path)
    text = _text(path, name)
    separator = _SEPARATOR.match(text)
    text = text[separator.end() :] if separator else text
    mark = separator[1] if separator else max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    try:
        head = [cell.strip() for cell in next(reader, [])]
        rows = [(reader.line_num + bool(separator), cells) for cells in reader]
    except csv.Error as error:
        raise DataError(tr("cannot be read: {why}", why=error), where=name) from error
    missing = [column for column in ("unit", "term", "value") if column not in head]
    if missing:
        raise DataError(
            tr("missing column {name}", name=missing[0]),
            where=f"{name}:1",
            todo=tr("create a worksheet with --explain STEP --blanks --save sheet.csv"),
        )
    found = [(line, _named(head, cells, f"{name}:{line}")) for line, cells in rows]
    return [(line, row) for line, row in found if any(cell.strip() for cell in row.values())]


def _named(head: list[str], cells: list[str], where: str) -> dict[str, str]:
    """The cells by column; an unquoted `0,47` between commas is joined into one cell."""
    wide = len(head)
    if len(cells) > wide and not any(cell.strip() for cell in cells[wide:]):
        cells = cells[:wide]
    split = len(cells) == wide + 1 and head[-1] == "value" and re.fullmatch(r"\s*[0-9]+\s*%?\s*", cells[-1])
    if split and re.fullmatch(r"[+-]?[0-9]*", cells[-2].strip().translate(_MINUS)):
        cells = [*cells[:-2], f"{cells[-2]},{cells[-1]}"]
    if len(cells) > wide:
        raise DataError(
            trn("has {n} column, not {wanted}", "has {n} columns, not {wanted}", n=len(cells), wanted=wide),
            where=where,
            todo=tr("put quotes around a cell that contains a separator"),
        )
    return dict(zip(head, [*cells, *[""] * (wide - len(cells))], strict=True))


def _text(path: str, name: str) -> str:
    """The file's text. Worksheets contain `·` in their terms, which identifies the right encoding."""
    with open_binary(Path(path)) as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise DataError(tr("too large: at most {n} MB", n=MAX_BYTES // 10**6), where=name)
    wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    read = []
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "gb18030", "cp1252", "mac_roman"):
        try:
            read.append(raw.decode(encoding))
        except UnicodeDecodeError:
            continue
        if encoding.startswith("utf") or "·" in read[-1]:
            read = read[-1:]
            break
    if not read or "\0" in read[0]:
        raise DataError(tr("not a text file"), where=name, todo=tr("save the worksheet as CSV"))
    return read[0]


def number_in(text: str) -> float:
    """0.5, 0,5, 1/2, 50 %, 1.234,5, with any Unicode minus sign, digits or spaces; NaN for anything else."""
    text = "".join(unicodedata.normalize("NFKC", text).translate(_MINUS | _MARKS).split()).lstrip("=≈")
    over, slash, under = text.removesuffix("%").partition("/")
    try:
        value = float(_with_point(over)) / (float(_with_point(under)) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        return math.nan
    return value / 100 if text.endswith("%") else value


def _with_point(text: str) -> str:
    """Normalize to a decimal point without thousands separators: 1.234,5 and 1,234.5 are the same number; 0,4,7 is
    invalid."""
    if "_" in text:  # Python accepts 1_0 as 10
        return ""
    grouped = _GROUPED.fullmatch(text)
    if grouped and (grouped["decimals"] or text.count(grouped["mark"]) > 1):
        text = text.replace(grouped["mark"], "")
    return text.replace(",", ".")


def numbers_alone(written: str) -> list[float]:
    """The literal numbers in `0.5·(-1) + 0·h_0[1]`: 0.5, -1 and 0, without the digits in names."""
    return [float(found) for found in _ALONE.findall(written)]
