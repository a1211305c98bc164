"""Splits a table's file into records: delimited text, JSON Lines, Parquet; in bounded memory."""

from __future__ import annotations

import csv
import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from rnncli.data import builtin
from rnncli.data.source import Source, lines_of, name_of
from rnncli.errors import DataError, Missing
from rnncli.files import MAX_LINE, open_binary
from rnncli.locale import tr

DELIMITERS = (",", ";", "\t", "|")
TABLES = (".tsv", ".csv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq", ".tsv.gz", ".csv.gz", ".jsonl.gz")
MAX_RECORD = 200_000  # maximum number of lines inside one record's quotes
HEAD = 20  # lines examined to detect the file type
RESTARTS = 10  # after this many unclosed quotes, stop rereading what follows
BATCH = 1024  # rows of a Parquet file at a time

Delimiter = Literal[",", ";", "tab", "\t", "|", " "]
FileKind = Literal["text", "json", "parquet"]
Record = tuple[int, list[str] | str]  # number of the first line; cells, or why it cannot be split

_SEP = re.compile(r'"?sep=(.)"?[,;|\s]*', re.IGNORECASE)  # Excel's way to declare the delimiter
_TYPED = re.compile(r"[-+\d.,:/ TZ%]+")  # a number, or a date

csv.field_size_limit(2 * MAX_LINE)  # a record ends earlier; csv's own limit, 131,072, is too short for long texts


def kind_of(source: Source) -> FileKind:
    """By the file extension, else by the first line."""
    name = name_of(source).removesuffix(".gz").lower()
    if name.endswith((".parquet", ".pq")):
        return "parquet"
    if builtin.is_builtin(source):
        return "text"
    if name.endswith((".jsonl", ".ndjson")):
        return "json"
    first = next((text for _, text in islice(lines_of(source), HEAD) if text.strip()), "").strip()
    if first.lower().startswith(("<!doctype", "<html", "<?xml", "<table")):
        what, todo = tr("this is a web page or XML, not a table"), tr("export the table as CSV")
        raise DataError(what, where=name_of(source), todo=todo)
    if first.startswith("version https://git-lfs."):
        what, todo = tr("this is a Git LFS pointer, not the file itself"), tr("fetch it: git lfs pull")
        raise DataError(what, where=name_of(source), todo=todo)
    lines = first.startswith("{") and isinstance(_object(first), dict)
    if name.endswith(".json") and not lines and first[:1] in ("[", "{"):
        raise DataError(
            tr("this is a single JSON document; tables are read from JSON Lines, one object per line"),
            where=name_of(source),
            todo=tr("convert it: jq -c '.[]' {name} > data.jsonl", name=name_of(source)),
        )
    return "json" if lines else "text"


def delimiter_of(source: Source) -> str:
    """The delimiter declared by a first line sep=; else the one that splits the first lines into as many columns as the
    header.

    If several do, the usual one (a tab for .tsv and .tab, otherwise a comma), unless a semicolon or a tab keeps more
    numbers and dates intact: 1;2,5. If none does, the usual one.
    """
    tabs = name_of(source).removesuffix(".gz").lower().endswith((".tsv", ".tab"))
    usual = "\t" if tabs else ","
    head = [line for _, line in islice(lines_of(source), HEAD)]
    if head and (found := _SEP.fullmatch(head[0])):
        return found[1]
    best, most = usual, (0.0, 0.0, False, 0)
    for delimiter in DELIMITERS:
        rows = _cut(head, delimiter)
        if len(rows) > 1 and len(head) == HEAD:
            del rows[-1]  # its quotes may continue
        width = len(rows[0]) if rows else 0
        if width < 2:
            continue
        below = rows[1:] or rows
        fit = sum(len(row) == width for row in below) / len(below)
        cells = [cell for row in below for cell in row]
        typed = sum(_TYPED.fullmatch(cell) is not None for cell in cells) / len(cells)
        score = (fit, typed if delimiter in (usual, ";", "\t") else 0.0, delimiter == usual, width)
        if score > most:
            best, most = delimiter, score
    return best


def _cut(head: Sequence[str], delimiter: str) -> list[list[str]]:
    if delimiter == "\t":
        return [line.split("\t") for line in head if line.strip()]
    try:
        rows = csv.reader((line + "\n" for line in head), delimiter=delimiter, skipinitialspace=True)
        return [cells for cells in rows if cells]
    except csv.Error:
        return []


def delimited(source: Source, delimiter: str) -> Iterator[Record]:
    """The records of a text, including the header. A leading line sep=; is skipped.

    In tab-separated text quotes are ordinary characters, except around a whole cell; otherwise RFC 4180 applies, and
    quoted cells may contain line ends. An unclosed quote loses only its first line: reading resumes with the next.
    """
    if delimiter == "\t":
        for line, text in _text_lines(source):
            if text.strip(" "):
                yield line, [_unquoted(cell) for cell in text.split("\t")]
        return
    lines, restarts = _Lines(source), RESTARTS
    while True:
        try:
            for cells in csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True):
                line = lines.record[0][0]
                lines.record.clear()
                if cells and (len(cells) > 1 or cells[0].strip()):
                    yield line, cells
            return
        except (csv.Error, _Unclosed):
            yield lines.record[0][0], tr("unclosed quotes, or quotes inside a cell that are not doubled")
            if len(lines.record) > 1 and restarts:
                restarts -= 1
                lines.again.extendleft(reversed(lines.record[1:]))
            lines.record.clear()


class _Unclosed(Exception):
    """A record has too many lines or characters."""


class _Lines:
    """The lines of a text for csv.reader. record: (number, line) of the current record's lines. again: lines to be read
    a second time."""

    def __init__(self, source: Source) -> None:
        self.lines = _text_lines(source)
        self.record: list[tuple[int, str]] = []
        self.again: deque[tuple[int, str]] = deque()
        self.length = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        number, text = self.again.popleft() if self.again else next(self.lines)
        self.length = self.length + len(text) if self.record else len(text)
        self.record.append((number, text))
        if self.length > MAX_LINE or len(self.record) > MAX_RECORD:
            raise _Unclosed
        return text + "\n"


def _text_lines(source: Source) -> Iterator[tuple[int, str]]:
    lines = lines_of(source)
    first = next(lines, None)
    if first is not None and not _SEP.fullmatch(first[1]):
        yield first
    yield from lines


def _unquoted(cell: str) -> str:
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        inside = cell[1:-1]
        if '"' not in inside.replace('""', ""):
            return inside.replace('""', '"')
    return cell


def json_columns(source: Source) -> tuple[str, ...]:
    """The keys of the first objects of JSON Lines, in order of first appearance."""
    found = [_object(text) for _, text in islice(lines_of(source), HEAD) if text.strip()]
    return tuple(dict.fromkeys(key for one in found if isinstance(one, dict) for key in one))


def json_records(source: Source, columns: Sequence[str]) -> Iterator[Record]:
    """One record per line. Numbers keep their spelling; null or a missing key is an empty cell."""
    for line, text in lines_of(source):
        if not text.strip():
            continue
        found = _object(text)
        yield line, found if isinstance(found, str) else [_cell(found.get(key)) for key in columns]


def _object(text: str) -> dict[str, object] | str:
    """The object on a line, with numbers as text; or why it cannot be read."""
    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else tr("nested too deeply")
        return tr("not JSON: {why}", why=why)
    return dict(_flat(found)) if isinstance(found, dict) else tr("not a JSON object")


def _flat(found: dict[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Keys and values, nested objects flattened to dotted keys: {"translation": {"en": 1}} becomes translation.en."""
    for key, value in found.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (dict, list)) else str(value)


def parquet_columns(source: Source) -> tuple[str, ...]:
    return tuple(str(column[0]) for column in _parquet(source).description)


def parquet_records(source: Source) -> Iterator[Record]:
    """One record per row, numbered from 1; null is an empty cell."""
    import duckdb

    found = _parquet(source)
    line = 0
    try:
        while rows := found.fetchmany(BATCH):
            for row in rows:
                line += 1
                yield line, [_cell(value) for value in row]
    except duckdb.Error as error:
        raise _damaged(source, error) from error


def _parquet(source: Source) -> Any:
    """A DuckDB cursor over all rows. Raises DataError; Missing without the extra."""
    try:
        import duckdb
    except ImportError as error:
        raise Missing(
            tr("reading Parquet needs DuckDB, which is not installed"),
            where=name_of(source),
            todo=tr("pip install 'rnncli[parquet]', or save the table as CSV"),
        ) from error
    with open_binary(source):  # reports what is wrong with the path first
        pass
    exact = re.sub(r"([*?\[])", r"[\1]", str(Path(source).absolute()))  # DuckDB interprets a name as a glob pattern
    try:
        connection = duckdb.connect(config={"threads": 1, "memory_limit": "1GB"})
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute("select * from read_parquet(?)", [exact])
    except duckdb.Error as error:
        raise _damaged(source, error) from error


def _damaged(source: Source, error: Exception) -> DataError:
    why = (str(error).splitlines() or [""])[0][:200]
    return DataError(tr("cannot be read as Parquet: {why}", why=why), where=name_of(source))
