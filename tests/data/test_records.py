"""How files of every kind become a table: delimiters, quotes, JSON Lines, Parquet."""

import gzip
from pathlib import Path

import pytest

from rnncli.data.pairs import read_pairs, read_parallel
from rnncli.data.records import delimiter_of
from rnncli.data.skipped import Skipped
from rnncli.data.sniff import sniff_table
from rnncli.data.table import open_table, read_cells, read_panel
from rnncli.errors import DataError
from tests.data.test_dates import next_dates


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(
    ("name", "text", "delimiter"),
    [
        ("x.csv", "Text (roh, ungeprüft);Label\ngut, aber teuer;p\nschlecht;n\n", ";"),
        ("x.csv", "size, weight\tlabel\nbig\ta\nsmall\tb\n", "\t"),
        ("x.tsv", "Datum;Wert (\t)\n01.02.2020;1,5\n02.02.2020;2,5\n", ";"),
        ("x.csv", "1;2,5\n2;3,5\n", ";"),
        ("x.csv", "Zeit (a,b);Wert\n2020;1,5\n2021;2,5\n", ";"),
        ("x.csv", "movie,title,genres\n1,Toy Story,Adventure|Animation\n2,Heat,Crime|Action\n", ","),
        ("x.csv", "text,label\nwell; I do not know,a\nno; never,b\n", ","),
        ("x.csv", 'text,label\n"one, two",a\nthree,b\n', ","),
        ("x.csv", "text,label\n" + "a row; that is cut,too,often\n" + "x,y\n" * 8, ","),
        ("x.csv", "only one column\nof text\n", ","),
        ("x.csv", "sep=|\na;b|c\n1;2|3\n", "|"),
        ("x.csv", '"sep=;"\r\na;b\r\n', ";"),
    ],
)
def test_the_delimiter_is_the_one_that_fits(tmp_path: Path, name: str, text: str, delimiter: str) -> None:
    assert delimiter_of(write(tmp_path / name, text)) == delimiter


@pytest.mark.parametrize(("mark", "ending"), [(";", "csv"), (",", "csv"), ("\t", "tsv"), ("|", "txt")])
def test_excel_s_first_line_names_the_delimiter(tmp_path: Path, mark: str, ending: str) -> None:
    path = write(tmp_path / f"x.{ending}", f"sep={mark}\r\ntext{mark}label\r\nfine{mark}p\r\n")
    assert list(read_cells(path, ["label", "text"], Skipped())) == [(f"{path}:3", ["p", "fine"])]
    assert open_table(path, header=False).columns == ("0", "1")


def test_a_delimiter_may_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "a,b;c\n1,2;3\n")
    assert open_table(path, delimiter=";").columns == ("a,b", "c")
    assert open_table(write(tmp_path / "y.csv", "a\tb,c\n"), delimiter="tab").columns == ("a", "b,c")


@pytest.mark.parametrize("quoted", ["word " * 40_000, "line\n" * 40_000])
def test_a_long_cell_is_a_cell(tmp_path: Path, quoted: str) -> None:
    path = write(tmp_path / "x.csv", f'text,label\nshort,a\n"{quoted}",b\nlast,a\n')
    rows = [cells for _, cells in read_cells(path, ["text"], Skipped())]
    assert rows == [["short"], [quoted.strip()], ["last"]]


def test_an_open_quote_loses_its_own_line_only(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", 'a,b\n1,2\n"open,2\n3,4\n5,"x"y\n"two\nlines",6\n')
    skipped = Skipped("skip", "rows")
    assert [cells for _, cells in read_cells(path, ["a"], skipped)] == [["1"], ["3"], ["two\nlines"]]
    assert [where for where, _ in skipped.first] == [f"{path}:3", f"{path}:5"]


def test_a_carriage_return_inside_a_line_is_no_line_end(tmp_path: Path) -> None:
    (tmp_path / "a.en").write_bytes(b"one two\nthree\rfour\nfive\n")
    (tmp_path / "a.de").write_bytes(b"eins zwei\r\ndrei vier\r\nfuenf\r\n")
    pairs = list(read_parallel(tmp_path / "a.en", tmp_path / "a.de", Skipped()))
    assert [(pair.source, pair.target) for pair in pairs] == [
        ("one two", "eins zwei"),
        ("three four", "drei vier"),
        ("five", "fuenf"),
    ]
    table = tmp_path / "x.csv"
    table.write_bytes(b"text,label\nfi\rne,p\nbad,n\n")
    assert list(read_cells(table, ["text"], Skipped())) == [(f"{table}:2", ["fi ne"]), (f"{table}:3", ["bad"])]
    table.write_bytes(b"text,label\rfine,p\rbad,n\r")  # old Macs
    assert [where for where, _ in read_cells(table, ["text"], Skipped())] == [f"{table}:2", f"{table}:3"]


LINES = '{"when": "2020-01-01", "y": 1.25, "note": null}\n\n{"y": 12345678901234567890, "when": "2020-01-02"}\n'


@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson", "x.jsonl.gz", "x.txt"])
def test_json_lines_are_a_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(LINES.encode()) if name.endswith("gz") else LINES.encode())
    assert open_table(path).columns == ("when", "y", "note")
    series = read_panel(path, (), "when", ["y", "note"], Skipped())[0]
    assert series.values[:, 0].tolist() == [1.25, 12345678901234567890.0]
    assert series.lines.tolist() == [1, 3]
    assert sniff_table(path).date is not None


def test_lines_that_are_no_json_are_named(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.jsonl", '{"a": true, "b": {"c": [1, 2.50]}}\n{"a": 1\n[1]\n{"a": "x", "b": {"c": "y"}}\n'
    )
    skipped = Skipped("skip")
    assert [cells for _, cells in read_cells(path, ["a", "b.c"], skipped)] == [["true", '["1", "2.50"]'], ["x", "y"]]
    assert [where for where, _ in skipped.first] == [f"{path}:2", f"{path}:3"]
    for whole in ('[{"a": 1}]', '{\n "a": 1}'):
        with pytest.raises(DataError, match="jq -c"):
            open_table(write(tmp_path / "x.json", whole))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<!DOCTYPE html>\n<html><table>", "web page"),
        ('<?xml version="1.0"?>\n<rows/>', "XML"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "git lfs pull"),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        open_table(write(tmp_path / "x.csv", text))


def test_pairs_in_json_lines(tmp_path: Path) -> None:
    text = '{"id": "1", "translation": {"en": "one", "de": "eins"}}\n{"translation": {"de": "zwei", "en": "two"}}\n'
    pairs = read_pairs(write(tmp_path / "x.jsonl", text), Skipped(), (1, 2))
    assert [(pair.source, pair.target) for pair in pairs] == [("one", "eins"), ("two", "zwei")]


def test_parquet(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "we[i]rd *.parquet"
    plain = tmp_path / "x.parquet"
    duckdb.sql(
        "select date '2020-01-01' + i::int as day, timestamp '2020-01-01 06:00' + to_hours(i) as at, i * 0.5 as y, "
        "'x,' || i as text, null::varchar as nothing, [i] as list from range(3) t(i)"
    ).write_parquet(str(plain))
    plain.rename(path)
    assert open_table(path).columns == ("day", "at", "y", "text", "nothing", "list")
    assert [cells for _, cells in read_cells(path, ["day", "text", "list"], Skipped())][-1] == [
        "2020-01-03",
        "x,2",
        "[2]",
    ]
    series = read_panel(path, (), "at", ["y", "nothing"], Skipped())[0]
    assert series.dates is not None
    assert next_dates(series.dates, 1) == ["2020-01-01 09:00:00"]
    assert series.values[:, 0].tolist() == [0.0, 0.5, 1.0]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        open_table(path)


def test_without_duckdb_parquet_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnncli.errors import Missing

    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    with pytest.raises(Missing, match=r"rnncli\[parquet\]"):
        open_table(write(tmp_path / "x.parquet", "PAR1"))
